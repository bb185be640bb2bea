"""For tests that need a server: the one that the wheel brings along, and workers on it."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Optional, TypeVar

import pytest

import temporalio

T = TypeVar("T")


def find_server() -> str:
    inside = Path(temporalio.__file__).parent / "bin/perdure"
    built = Path(__file__).resolve().parents[2] / "build/perdure"  # when run from a checkout
    return os.environ.get("PERDURE_SERVER") or str(inside if inside.exists() else built)


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


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where a server listens that all tests share."""
    port = free_port()
    # What is preloaded to check the extension is not meant for the server
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    server = subprocess.Popen(
        [find_server(), "server", "start-dev", "--headless", "--port", str(port), "--log-level", "error"], env=environment
    )
    try:
        health = [find_server(), "operator", "cluster", "health", "--address", f"127.0.0.1:{port}"]
        for _ in range(400):
            if subprocess.run(health, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                break
            assert server.poll() is None, "the server has ended"
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def fresh(prefix: str = "q") -> str:
    """A name nobody else uses: of a task queue or a workflow."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


async def eventually(check: Callable[[], Awaitable[Optional[T]]], seconds: float = 20.0) -> T:
    """Calls until something true comes back."""
    until = time.monotonic() + seconds
    while True:
        value = await check()
        if value:
            return value
        assert time.monotonic() < until, "did not come true in time"
        await asyncio.sleep(0.05)


def python(program: str, *args: str, **changes: Any) -> subprocess.Popen[str]:
    """Another interpreter that runs a program of lines."""
    options: dict[str, Any] = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), *args], **{**options, **changes})
