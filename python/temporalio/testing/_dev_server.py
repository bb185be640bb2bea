"""A development server as a child process."""

from __future__ import annotations

import asyncio
import atexit
import os
import socket
import subprocess
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import temporalio.common
from temporalio.service import ConnectConfig, ServiceClient

# Settings every dev server gets, so that clients newer and older than it work with it.
_SETTINGS = (
    "frontend.enableServerVersionCheck=false",
    "frontend.enableUpdateWorkflowExecution=true",
    "frontend.enableUpdateWorkflowExecutionAsyncAccepted=true",
)
_STARTUP_TIMEOUT = timedelta(seconds=10)


def shipped_server() -> Path:
    """The server that comes with this package.

    Raises:
        RuntimeError: It is not there, as in a checkout that was not built.
    """
    package = Path(__file__).resolve().parent.parent
    for place in (package / "bin" / "perdure", package.parent.parent / "build" / "perdure"):
        if os.access(place, os.X_OK):
            return place
    raise RuntimeError(
        "The server that belongs to this package is not there. Install the package from its wheel, build the checkout, "
        "or name a server with dev_server_existing_path."
    )


def free_port(ip: str) -> int:
    """A port nobody listens on now."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((ip, 0))
        return probe.getsockname()[1]


class DevServer:
    """A server that was started here and ends with the program at the latest."""

    def __init__(self, process: subprocess.Popen[bytes], target: str) -> None:
        self._process = process
        self.target = target
        atexit.register(self._kill)

    @staticmethod
    async def start(
        *,
        namespace: str,
        ip: str,
        port: int | None,
        path: str | None,
        database_filename: str | None,
        ui: bool,
        ui_port: int | None,
        log_format: str,
        log_level: str | None,
        search_attributes: Sequence[temporalio.common.SearchAttributeKey],
        extra_args: Sequence[str],
        startup_timeout: timedelta | None,
    ) -> DevServer:
        """Starts a server and waits until it answers.

        Raises:
            RuntimeError: It did not start, or not in time.
        """
        port = port or free_port(ip)
        arguments = ["server", "start-dev", "--port", str(port), "--namespace", namespace, "--ip", ip]
        arguments += ["--log-format", log_format]
        if log_level is not None:
            arguments += ["--log-level", log_level]
        if database_filename is not None:
            arguments += ["--db-filename", database_filename]
        if ui_port is not None:
            arguments += ["--ui-port", str(ui_port)]
        elif not ui:
            arguments += ["--headless"]
        for setting in _SETTINGS:
            arguments += ["--dynamic-config-value", setting]
        for key in search_attributes:
            arguments += ["--search-attribute", f"{key.name}={key._metadata_type}"]
        # A process group of its own: an interrupt from the terminal is for this program, which ends the server itself.
        process = subprocess.Popen(
            [path or str(shipped_server()), *arguments, *extra_args], stdin=subprocess.DEVNULL, start_new_session=True
        )
        server = DevServer(process, f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}")
        try:
            await server._wait_until_ready(startup_timeout or _STARTUP_TIMEOUT)
        except BaseException:
            await server.shutdown()
            raise
        return server

    async def _wait_until_ready(self, timeout: timedelta) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout.total_seconds()
        pause = 0.01
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"The server ended with status {self._process.returncode} while starting")
            try:
                config = ConnectConfig(target_host=self.target, connect_timeout=timedelta(seconds=1))
                await ServiceClient.connect(config)
                return
            except RuntimeError as err:
                if loop.time() >= deadline:
                    raise RuntimeError(f"The server did not answer within {timeout}") from err
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.2)

    async def shutdown(self) -> None:
        """Ends the server."""
        atexit.unregister(self._kill)
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def _kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
