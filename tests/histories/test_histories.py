"""Our server against what was recorded: every scenario is played once, all at the same time, on a server of its own."""

import asyncio
import json
import os
import pathlib
import socket
import subprocess
import time

import pytest

import scenarios
from play import play_all

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("PERDURE", str(ROOT / "build" / "perdure"))
EXPECTED = pathlib.Path(__file__).parent / "expected"


def serving(port: int) -> bool:
    health = [PROGRAM, "operator", "cluster", "health", "--address", f"127.0.0.1:{port}"]
    return subprocess.run(health, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def play(pattern, *flags):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = subprocess.Popen([PROGRAM, "server", "start-dev", "--headless", "--port", str(port), *flags], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not serving(port):
            assert server.poll() is None and time.monotonic() < deadline, "the server does not serve"
            time.sleep(0.02)
        results = asyncio.run(play_all(f"127.0.0.1:{port}", pattern))
        assert server.poll() is None, "the server has ended"
        return results
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def played():
    return {**play("*"), **play("limit_*", *scenarios.flags())}


def test_every_scenario_has_a_recording():
    assert set(scenarios.load()) == {f.stem for f in EXPECTED.glob("*.json")}


@pytest.mark.parametrize("name", sorted(scenarios.load()))
def test_history(played, name):
    expected = json.loads((EXPECTED / f"{name}.json").read_text(encoding="utf-8"))
    expected.pop("note", None)
    assert played[name] == expected
