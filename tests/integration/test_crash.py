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
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

pytestmark = pytest.mark.asyncio
KILLS = int(os.environ.get("PERDURE_KILLS", "24"))
SEED = int(os.environ.get("SEED", "1"))


NO_ANSWER = {RPCStatusCode.UNAVAILABLE, RPCStatusCode.CANCELLED, RPCStatusCode.UNKNOWN, RPCStatusCode.DEADLINE_EXCEEDED}


async def persist(call):
    """Repeats a call that the dead server can not answer. What it was told in the end is acknowledged; any other error is an answer."""
    while True:
        try:
            return await call()
        except RPCError as error:
            if error.status not in NO_ANSWER:
                raise
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
        try:
            await persist(lambda: handle.signal(Collects.finish))
        except RPCError as error:
            # Only this signal ends the workflow: it came, its acknowledgement was lost, and the repeated one finds the run closed.
            assert error.status == RPCStatusCode.NOT_FOUND, error
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


async def what_is_open(client: Client) -> str:
    """The open workflows with their histories, for whoever looks at a failure."""
    lines = []
    async for w in client.list_workflows("ExecutionStatus = 'Running'"):
        events = (await client.get_workflow_handle(w.id, run_id=w.run_id).fetch_history()).events
        described = await client.get_workflow_handle(w.id, run_id=w.run_id).describe()
        lines.append(f"{w.id}: {described.raw_description}")
        lines += [f"  {e.event_id} {EventType.Name(e.event_type)} {e.event_time.ToJsonString()}" for e in events]
    return "\n".join(lines)


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
        _, waiting = await asyncio.wait(load, timeout=120)
        assert not waiting, await what_is_open(client)
        for task in load:
            task.result()

        async def nothing_open():
            return (await persist(lambda: client.count_workflows("ExecutionStatus = 'Running'"))).count == 0
        await eventually(nothing_open, 60)
    assert server.stop() == 0, server.log.read_text()
    with sqlite3.connect(server.file) as database:
        assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
