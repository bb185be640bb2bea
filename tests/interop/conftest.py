"""The server fixture of tests/integration, for the official command line."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import time

import pytest

_folder = pathlib.Path(__file__).resolve().parent.parent / "integration"
sys.path.insert(0, str(_folder))
_spec = importlib.util.spec_from_file_location("integration_conftest", _folder / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

server, client, queue = _module.server, _module.client, _module.queue
Server, PROGRAM = _module.Server, _module.PROGRAM

OFFICIAL = os.environ.get("PERDURE_TEMPORAL")  # the official command line, which has the official dev server in it


@pytest.fixture
def official_server(tmp_path):
    """The official dev server on a port of its own; the fixture is its address."""
    port = _module.free_port()
    settings = ["ListWorkersEnabled", "WorkerHeartbeatsEnabled", "workerVersioningDataAPIs", "workerVersioningRuleAPIs", "workerVersioningWorkflowAPIs"]
    command = [OFFICIAL, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port), "--dynamic-config-value", "frontend.MaxConcurrentBatchOperationPerNamespace=100"]
    for name in settings:
        command += ["--dynamic-config-value", f"frontend.{name}=true"]
    process = subprocess.Popen(command, stdout=open(tmp_path / "official.log", "wb"), stderr=subprocess.STDOUT, env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]})
    try:
        deadline = time.monotonic() + 60
        while not is_serving(f"127.0.0.1:{port}", tmp_path):
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "official.log").read_text()
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def is_serving(address: str, home: pathlib.Path) -> bool:
    command = [OFFICIAL, "operator", "cluster", "health", "--address", address]
    return subprocess.run(command, capture_output=True, env={"HOME": str(home), "PATH": os.environ["PATH"]}).returncode == 0
