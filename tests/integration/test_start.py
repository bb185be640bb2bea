"""The first milliseconds of a server: who reaches it is served, who stops it finds it stopped."""

import datetime
import pathlib
import signal
import sys
import time

import pytest
import pytest_asyncio
from conftest import Server
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import ListNamespacesRequest, ListNamespacesResponse, RegisterNamespaceRequest
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleIntervalSpec, ScheduleSpec

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
from peer import Peer  # noqa: E402

pytestmark = pytest.mark.asyncio

LIST_NAMESPACES = {":path": "/temporal.api.workflowservice.v1.WorkflowService/ListNamespaces"}


@pytest_asyncio.fixture
async def stopped(tmp_path):
    """A server that is not running, with a file that takes some milliseconds to load."""
    s = Server(tmp_path)
    s.start()
    client = await Client.connect(s.address)
    for i in range(200):
        action = ScheduleActionStartWorkflow("W", id=f"scheduled-{i}", task_queue="q")
        spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=datetime.timedelta(hours=1))])
        await client.create_schedule(f"schedule-{i}", Schedule(action=action, spec=spec))
        await client.start_workflow("W", id=f"workflow-{i}", task_queue="q")
        await client.workflow_service.register_namespace(
            RegisterNamespaceRequest(namespace=f"namespace-{i}", workflow_execution_retention_period=Duration(seconds=86400))
        )
    assert s.stop() == 0
    yield s
    if s.process.poll() is None:
        s.kill()


def first_peer(s: Server) -> Peer:
    """Knocks until the port opens."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return Peer(s.port)
        except ConnectionRefusedError:
            assert s.process.poll() is None and time.monotonic() < deadline, s.log.read_text()
            time.sleep(0.0002)


async def test_whoever_reaches_the_port_is_served(stopped):
    for _ in range(20):
        stopped.launch()
        peer = first_peer(stopped)
        answer = peer.answer(peer.call("", ListNamespacesRequest(page_size=1000).SerializeToString(), **LIST_NAMESPACES))
        peer.close()
        assert answer is not None, "the first call after the port opened was refused"
        assert len(ListNamespacesResponse.FromString(answer).namespaces) == 201
        assert stopped.stop() == 0


async def test_a_stop_during_the_start(stopped):
    for i in range(40):
        before = len(stopped.log.read_text())
        stopped.launch()
        time.sleep(0.001 * i)
        said = stopped.stop()
        said_text = stopped.log.read_text()[before:]
        assert said == 0 or (said == -signal.SIGTERM and said_text == ""), f"{said} after {i} ms: {said_text}"
    stopped.start()
    assert stopped.stop() == 0
