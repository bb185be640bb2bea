"""No room on the disk: reads go on, writes answer UNAVAILABLE, nothing acknowledged is lost, and it goes on when there is room."""

import resource
import time
import uuid

import pytest
from conftest import Server
from flows import Sleeps
from temporalio.client import Client
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

pytestmark = pytest.mark.asyncio
ONE_TRY = RetryConfig(initial_interval_millis=1, max_retries=1, max_elapsed_time_millis=1)


async def start(client: Client, workflow_id: str) -> None:
    await client.start_workflow(Sleeps.run, 3600, id=workflow_id, task_queue="nobody")


async def test_a_full_disk(tmp_path):
    server = Server(tmp_path)
    server.start()
    client = await Client.connect(server.address, retry_config=ONE_TRY)
    acknowledged = [f"before-{i}" for i in range(20)]
    for name in acknowledged:
        await start(client, name)
    soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1, hard))
    for i in range(5):
        name = f"full-{i}"
        with pytest.raises(RPCError) as refused:
            await start(client, name)
        assert refused.value.status == RPCStatusCode.UNAVAILABLE
    for name in acknowledged[:5]:
        assert (await client.get_workflow_handle(name).describe()).id == name
    assert (await client.count_workflows()).count == len(acknowledged)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (soft, hard))
    deadline = time.monotonic() + 20
    while True:
        name = f"after-{uuid.uuid4()}"
        try:
            await start(client, name)
            break
        except RPCError:
            assert time.monotonic() < deadline, "writes do not go on"
    acknowledged.append(name)
    server.kill()
    server.start()
    client = await Client.connect(server.address)
    for name in acknowledged:
        assert (await client.get_workflow_handle(name).describe()).id == name
    assert server.stop() == 0
