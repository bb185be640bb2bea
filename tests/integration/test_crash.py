"""The server is killed at random moments under load and started again on its file: everything acknowledged is there,
every workflow ends once with the right result, and the file is whole."""

import asyncio
import os
import random
import sqlite3
import uuid

import pytest
from conftest import eventually
from flows import ACTIVITIES, WORKFLOWS, Collects, Counts
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

pytestmark = pytest.mark.asyncio
KILLS = int(os.environ.get("PERDURE_KILLS", "24"))
SEED = int(os.environ.get("SEED", "1"))


async def persist(call):
    """Repeats a call that the dead server can not answer. What it was told in the end is acknowledged."""
    while True:
        try:
            return await call()
        except RPCError:
            await asyncio.sleep(0.05)


async def collector(client: Client, queue: str, stop: asyncio.Event) -> None:
    """One workflow after the other that takes numbered signals; each must hold what was acknowledged, in order."""
    while not stop.is_set():
        workflow_id = f"collect-{uuid.uuid4()}"
        handle = await persist(lambda: client.start_workflow(Collects.run, id=workflow_id, task_queue=queue, request_eager_start=False))
        sent = []
        for i in range(20):
            await persist(lambda: handle.signal(Collects.add, str(i)))
            sent.append(str(i))
        await persist(lambda: handle.signal(Collects.finish))
        got = await persist(handle.result)
        # A signal whose acknowledgement was lost is sent again under a new request id: it may be there twice, never not at all.
        assert sorted(set(got), key=int) == sent, (got, sent)
        assert got == sorted(got, key=int), got


async def counter(client: Client, queue: str, stop: asyncio.Event) -> None:
    while not stop.is_set():
        workflow_id = f"count-{uuid.uuid4()}"
        handle = await persist(lambda: client.start_workflow(Counts.run, 5, id=workflow_id, task_queue=queue))
        assert await persist(handle.result) == 5
        events = (await persist(lambda: handle.fetch_history())).events
        assert [e.event_id for e in events] == list(range(1, len(events) + 1))
        completed = [e for e in events if e.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED]
        assert len(completed) == 5
        assert sum(e.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED for e in events) == 1


@pytest.mark.timeout(600)
async def test_nothing_acknowledged_is_lost_by_kill_9(server, queue):
    random.seed(SEED)
    client = await Client.connect(server.address)
    stop = asyncio.Event()
    worker = Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES, workflow_runner=UnsandboxedWorkflowRunner())
    async with worker:
        load = [asyncio.create_task(collector(client, queue, stop)) for _ in range(4)]
        load += [asyncio.create_task(counter(client, queue, stop)) for _ in range(8)]
        for _ in range(KILLS):
            await asyncio.sleep(random.uniform(0.05, 1.2))
            for task in load:
                if task.done():
                    task.result()
            server.kill()
            server.start()
        stop.set()
        await asyncio.wait_for(asyncio.gather(*load), 120)

        async def nothing_open():
            return (await persist(lambda: client.count_workflows("ExecutionStatus = 'Running'"))).count == 0
        await eventually(nothing_open, 60)
    assert server.stop() == 0, server.log.read_text()
    with sqlite3.connect(server.file) as database:
        assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
