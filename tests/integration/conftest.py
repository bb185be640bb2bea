"""A Perdure server for each test that asks: `server` on a fresh SQLite file, restartable and killable."""

import asyncio
import os
import pathlib
import random
import signal
import socket
import subprocess
import time
import uuid

import pytest
import pytest_asyncio
from temporalio.client import Client

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("PERDURE", str(ROOT / "build" / "perdure"))


def free_port() -> int:
    """Below the ports that the system gives to clients: a server that is down for a moment still finds it free."""
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Server:
    """One server process on one file; the port stays the same over restarts, as a client expects."""

    def __init__(self, folder: pathlib.Path, *flags: str) -> None:
        self.file = folder / "perdure.db"
        self.log = folder / "server.log"
        self.port = free_port()
        self.flags = flags
        self.process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def launch(self) -> None:
        """Starts the process and waits for nothing."""
        command = [PROGRAM, "server", "start-dev", "--headless", "--port", str(self.port), "--db-filename", str(self.file), *self.flags]
        self.process = subprocess.Popen(command, stdout=open(self.log, "ab"), stderr=subprocess.STDOUT)

    def start(self) -> None:
        before = len(self.log.read_text()) if self.log.exists() else 0
        self.launch()
        deadline = time.monotonic() + 20
        while "Ctrl-C" not in self.log.read_text()[before:]:  # the last line of what it says once it serves
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "the server did not begin to serve"
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the server did not stop within 20 s of SIGTERM")


class Elsewhere:
    """A server that somebody else started: PERDURE_ADDRESS says where. Tests that start and stop theirs do not run on it."""

    address = os.environ.get("PERDURE_ADDRESS", "")


@pytest.fixture
def server(tmp_path):
    if Elsewhere.address:
        yield Elsewhere()
        return
    s = Server(tmp_path)
    s.start()
    yield s
    if s.process.poll() is None:
        assert s.stop() == 0, s.log.read_text()


@pytest_asyncio.fixture
async def client(server):
    return await Client.connect(server.address)


@pytest.fixture
def queue():
    return f"queue-{uuid.uuid4()}"


async def eventually(check, seconds: float = 20.0):
    """Calls the coroutine function until it returns something true."""
    deadline = time.monotonic() + seconds
    while True:
        value = await check()
        if value:
            return value
        assert time.monotonic() < deadline, "did not come true in time"
        await asyncio.sleep(0.05)
