"""What the tutorial's readers do next, with the official package as client and worker."""

import asyncio
import uuid

import pytest
from flows import ACTIVITIES, WORKFLOWS, CancelsActivity, Collects, Continues, FailsForGood, Heartbeats, Retries, SayHello, Sleeps, say_hello
from conftest import eventually
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowQueryFailedError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TerminatedError, TimeoutError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

pytestmark = pytest.mark.asyncio


def worker(client: Client, queue: str, **more) -> Worker:
    settings = dict(workflows=WORKFLOWS, activities=ACTIVITIES, workflow_runner=UnsandboxedWorkflowRunner())
    return Worker(client, task_queue=queue, **{**settings, **more})


def new_id() -> str:
    return f"test-{uuid.uuid4()}"


async def test_hello(client, queue):
    async with worker(client, queue):
        assert await client.execute_workflow(SayHello.run, "Temporal", id=new_id(), task_queue=queue) == "Hello, Temporal!"


async def test_history_of_hello_is_the_one_everybody_knows(client, queue):
    async with worker(client, queue):
        handle = await client.start_workflow(SayHello.run, "x", id=new_id(), task_queue=queue)
        await handle.result()
    history = await handle.fetch_history()
    assert [EventType.Name(e.event_type)[11:] for e in history.events] == [
        "WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED",
        "ACTIVITY_TASK_SCHEDULED", "ACTIVITY_TASK_STARTED", "ACTIVITY_TASK_COMPLETED",
        "WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED", "WORKFLOW_EXECUTION_COMPLETED",
    ]
    assert [e.event_id for e in history.events] == list(range(1, 12))


async def test_a_workflow_waits_for_a_worker_that_has_its_type(client, queue):
    handle = await client.start_workflow(SayHello.run, "late", id=new_id(), task_queue=queue)
    async with worker(client, queue, workflows=[Sleeps]):
        async def has_failed_task():
            return any(e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for e in (await handle.fetch_history()).events)
        await eventually(has_failed_task)
        assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
    async with worker(client, queue):
        assert await handle.result() == "Hello, late!"


async def test_an_activity_of_unknown_type_fails_its_task_and_not_the_workflow(client, queue):
    async with worker(client, queue, activities=[]):
        handle = await client.start_workflow(SayHello.run, "late", id=new_id(), task_queue=queue)
        await asyncio.sleep(1)
        assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
    async with worker(client, queue, activities=[say_hello]):
        assert await handle.result() == "Hello, late!"


async def test_an_activity_is_retried(client, queue):
    async with worker(client, queue):
        assert await client.execute_workflow(Retries.run, 4, id=new_id(), task_queue=queue) == 4


async def test_a_failure_that_may_not_be_retried_fails_the_workflow(client, queue):
    async with worker(client, queue):
        with pytest.raises(WorkflowFailureError) as caught:
            await client.execute_workflow(FailsForGood.run, id=new_id(), task_queue=queue)
    assert isinstance(caught.value.cause, ActivityError)
    cause = caught.value.cause.cause
    assert isinstance(cause, ApplicationError) and cause.type == "Final" and list(cause.details) == ["detail"]


async def test_a_missed_heartbeat_starts_the_next_attempt_with_the_details(client, queue):
    async with worker(client, queue):
        assert "first" in await client.execute_workflow(Heartbeats.run, id=new_id(), task_queue=queue)


async def test_timers_fire(client, queue):
    async with worker(client, queue):
        results = await asyncio.gather(*[client.execute_workflow(Sleeps.run, s / 10, id=new_id(), task_queue=queue) for s in range(5)])
    assert results == ["slept"] * 5


async def test_signals_arrive_in_order_and_queries_see_them(client, queue):
    async with worker(client, queue):
        handle = await client.start_workflow(Collects.run, id=new_id(), task_queue=queue)
        for i in range(10):
            await handle.signal(Collects.add, str(i))
        assert await handle.query(Collects.count) == 10
        with pytest.raises(WorkflowQueryFailedError):
            await handle.query(Collects.broken)
        await handle.signal(Collects.finish)
        assert await handle.result() == [str(i) for i in range(10)]
        assert await handle.query(Collects.count) == 10


async def test_signals_wait_for_the_worker(client, queue):
    handle = await client.start_workflow(Collects.run, id=new_id(), task_queue=queue, start_signal="add", start_signal_args=["first"])
    await handle.signal(Collects.add, "second")
    await handle.signal(Collects.finish)
    async with worker(client, queue):
        assert await handle.result() == ["first", "second"]


async def test_cancel_reaches_the_activity(client, queue):
    async with worker(client, queue):
        handle = await client.start_workflow(CancelsActivity.run, id=new_id(), task_queue=queue)
        async def has_activity():
            return (await handle.describe()).raw_description.pending_activities
        await eventually(has_activity)
        await handle.cancel()
        assert await handle.result() == "cancelled"


async def test_cancel_of_a_workflow_that_sleeps(client, queue):
    async with worker(client, queue):
        handle = await client.start_workflow(Sleeps.run, 60, id=new_id(), task_queue=queue)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
    assert isinstance(caught.value.cause, CancelledError)
    assert (await handle.describe()).status == WorkflowExecutionStatus.CANCELED


async def test_terminate(client, queue):
    handle = await client.start_workflow(Sleeps.run, 60, id=new_id(), task_queue=queue)
    await handle.terminate("detail", reason="enough")
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    assert isinstance(caught.value.cause, TerminatedError) and "enough" in str(caught.value.cause)
    with pytest.raises(RPCError) as gone:
        await handle.terminate()
    assert gone.value.status == RPCStatusCode.NOT_FOUND


async def test_timeouts_of_the_workflow(client, queue):
    from datetime import timedelta

    handle = await client.start_workflow(Sleeps.run, 60, id=new_id(), task_queue=queue, run_timeout=timedelta(seconds=1))
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    assert isinstance(caught.value.cause, TimeoutError)


async def test_continue_as_new_follows_the_chain(client, queue):
    async with worker(client, queue):
        assert await client.execute_workflow(Continues.run, 2, id=new_id(), task_queue=queue) == "run True"


async def test_ids_are_used_once_at_a_time(client, queue):
    workflow_id = new_id()
    handle = await client.start_workflow(Sleeps.run, 60, id=workflow_id, task_queue=queue)
    with pytest.raises(WorkflowAlreadyStartedError) as caught:
        await client.start_workflow(Sleeps.run, 60, id=workflow_id, task_queue=queue)
    assert caught.value.run_id == handle.first_execution_run_id
    same = await client.start_workflow(Sleeps.run, 60, id=workflow_id, task_queue=queue, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING)
    assert same.first_execution_run_id == handle.first_execution_run_id
    other = await client.start_workflow(Sleeps.run, 60, id=workflow_id, task_queue=queue, id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING)
    assert other.first_execution_run_id != handle.first_execution_run_id
    assert (await client.get_workflow_handle(workflow_id, run_id=handle.first_execution_run_id).describe()).status == WorkflowExecutionStatus.TERMINATED
    await other.terminate()
    with pytest.raises(WorkflowAlreadyStartedError):
        await client.start_workflow(Sleeps.run, 60, id=workflow_id, task_queue=queue, id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE)


async def test_a_worker_that_goes_away_leaves_its_workflows_to_the_next(client, queue, server):
    handle = await client.start_workflow(Collects.run, id=new_id(), task_queue=queue)
    second = await Client.connect(server.address)
    async with worker(second, queue):
        await handle.query(Collects.count)
    await handle.signal(Collects.finish)
    async with worker(client, queue):
        assert await asyncio.wait_for(handle.result(), 8) == []


async def test_list_sees_what_a_start_has_answered(client, queue):
    workflow_id = new_id()
    await client.start_workflow(Sleeps.run, 60, id=workflow_id, task_queue=queue)
    found = [w async for w in client.list_workflows(f'WorkflowId = "{workflow_id}"')]
    assert [w.id for w in found] == [workflow_id] and found[0].status == WorkflowExecutionStatus.RUNNING
    assert (await client.count_workflows(f'WorkflowId = "{workflow_id}"')).count == 1


async def test_an_unknown_namespace_is_named(server):
    client = await Client.connect(server.address, namespace="nowhere")
    with pytest.raises(RPCError) as caught:
        await client.start_workflow(Sleeps.run, 1, id=new_id(), task_queue="q")
    assert caught.value.status == RPCStatusCode.NOT_FOUND and "nowhere" in caught.value.message
