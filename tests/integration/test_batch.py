"""Batch jobs: every operation, both ways of naming executions, how they are refused, stopped and counted, and that a kill loses none."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from conftest import eventually
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio import activity, workflow
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.batch.v1 import (
    BatchOperationCancellation,
    BatchOperationDeletion,
    BatchOperationReset,
    BatchOperationResetActivities,
    BatchOperationSignal,
    BatchOperationTermination,
    BatchOperationUnpauseActivities,
    BatchOperationUpdateActivityOptions,
    BatchOperationUpdateWorkflowExecutionOptions,
)
from temporalio.api.common.v1 import Execution, Priority, ResetOptions, WorkflowExecution
from temporalio.api.enums.v1 import BatchOperationState, BatchOperationType, ExecutionType, ResetType, ResourceExhaustedCause
from temporalio.api.errordetails.v1 import ResourceExhaustedFailure
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    DescribeBatchOperationRequest,
    ListBatchOperationsRequest,
    PauseActivityRequest,
    StartBatchOperationRequest,
    StopBatchOperationRequest,
)
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

pytestmark = pytest.mark.asyncio


@activity.defn
async def fails() -> None:
    raise RuntimeError("not yet")


@workflow.defn
class Waits:
    def __init__(self) -> None:
        self.signals = 0

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: self.signals > 0)
        return self.signals

    @workflow.signal
    def go(self) -> None:
        self.signals += 1


@workflow.defn
class Tries:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(fails, start_to_close_timeout=timedelta(minutes=1), retry_policy=RetryPolicy(initial_interval=timedelta(minutes=5)))


def worker_on(client: Client, queue: str) -> Worker:
    return Worker(client, task_queue=queue, workflows=[Waits, Tries], activities=[fails], workflow_runner=UnsandboxedWorkflowRunner())


async def start_many(client: Client, count: int, queue: str = "nobody") -> str:
    """A prefix of the ids of so many workflows."""
    prefix = f"{uuid.uuid4().hex[:8]}-"
    for first in range(0, count, 50):
        await asyncio.gather(*(client.start_workflow("Waits", id=f"{prefix}{i}", task_queue=queue) for i in range(first, min(first + 50, count))))
    return prefix


def request(prefix: str = "", *, job: str = "", **operation) -> StartBatchOperationRequest:
    query = f"WorkflowId STARTS_WITH '{prefix}'" if prefix else ""
    return StartBatchOperationRequest(namespace="default", job_id=job or str(uuid.uuid4()), reason="a test", visibility_query=query, **operation)


async def start(client: Client, *args, **operation) -> str:
    q = request(*args, **operation)
    await client.workflow_service.start_batch_operation(q)
    return q.job_id


async def describe(client: Client, job: str):
    return await client.workflow_service.describe_batch_operation(DescribeBatchOperationRequest(namespace="default", job_id=job))


async def closed(client: Client, job: str):
    async def look():
        d = await describe(client, job)
        return d if d.state != BatchOperationState.BATCH_OPERATION_STATE_RUNNING else None

    return await eventually(look, 60)


async def completed(client: Client, job: str, count: int, failed: int = 0):
    d = await closed(client, job)
    assert d.state == BatchOperationState.BATCH_OPERATION_STATE_COMPLETED
    assert (d.total_operation_count, d.complete_operation_count, d.failure_operation_count) == (count, count - failed, failed)
    assert d.close_time.ToDatetime() >= d.start_time.ToDatetime()
    return d


async def count(client: Client, query: str) -> int:
    return (await client.count_workflows(query)).count


async def jobs_of(client: Client) -> list:
    return list((await client.workflow_service.list_batch_operations(ListBatchOperationsRequest(namespace="default"))).operation_info)


async def test_terminates_every_page_of_a_query_and_is_hidden_from_lists(client):
    prefix = await start_many(client, 350)
    job = await start(client, prefix, termination_operation=BatchOperationTermination(identity="operator"))
    d = await completed(client, job, 350)
    assert d.operation_type == BatchOperationType.BATCH_OPERATION_TYPE_TERMINATE
    assert (d.identity, d.reason, d.query) == ("operator", "a test", f"WorkflowId STARTS_WITH '{prefix}'")
    assert await count(client, "ExecutionStatus = 'Terminated'") == 350
    assert await count(client, "") == 350
    assert await count(client, "TemporalNamespaceDivision = 'TemporalBatcher' AND BatcherUser = 'operator'") == 1
    event = [e async for e in client.get_workflow_handle(f"{prefix}7").fetch_history_events()][-1]
    attributes = event.workflow_execution_terminated_event_attributes
    assert (attributes.reason, attributes.identity) == ("a test", "operator")


async def test_cancels_signals_and_deletes_what_is_named(client):
    prefix = await start_many(client, 3)
    named = [WorkflowExecution(workflow_id=f"{prefix}{i}") for i in range(3)]
    targets = [Execution(type=ExecutionType.EXECUTION_TYPE_WORKFLOW, business_id=f"{prefix}{i}") for i in range(2)]
    job = await start(client, executions=named, cancellation_operation=BatchOperationCancellation(identity="x"))
    d = await completed(client, job, 3)
    assert [e.business_id for e in d.executions] == [f"{prefix}{i}" for i in range(3)]
    job = await start(client, target_executions=targets, signal_operation=BatchOperationSignal(signal="go", identity="x"))
    await completed(client, job, 2)
    for i in range(3):
        names = [e.event_type async for e in client.get_workflow_handle(f"{prefix}{i}").fetch_history_events()]
        assert names.count(20) == 1  # WORKFLOW_EXECUTION_CANCEL_REQUESTED
        assert names.count(26) == (1 if i < 2 else 0)  # WORKFLOW_EXECUTION_SIGNALED
    job = await start(client, prefix, deletion_operation=BatchOperationDeletion(identity="x"))
    await completed(client, job, 3)
    assert await count(client, f"WorkflowId STARTS_WITH '{prefix}'") == 0
    # what is gone needs nothing done to it
    job = await start(client, executions=named, termination_operation=BatchOperationTermination())
    await completed(client, job, 3)


async def test_resets_to_the_first_and_last_workflow_task_and_to_a_build(client, queue):
    handles = []
    async with worker_on(client, queue):
        for _ in range(3):
            handle = await client.start_workflow(Waits.run, id=str(uuid.uuid4()), task_queue=queue)
            await handle.signal(Waits.go)
            assert await handle.result() == 1
            handles.append(handle)
    ids = ", ".join(f"'{h.id}'" for h in handles)
    query = {"visibility_query": f"WorkflowId IN ({ids})"}
    named = {"executions": [WorkflowExecution(workflow_id=h.id) for h in handles]}
    runs = {h.result_run_id for h in handles}
    for targets, operation in (
        (query, BatchOperationReset(identity="x", options=ResetOptions(first_workflow_task={}))),
        (named, BatchOperationReset(identity="x", reset_type=ResetType.RESET_TYPE_LAST_WORKFLOW_TASK)),
    ):
        q = request(reset_operation=operation)
        q.MergeFrom(StartBatchOperationRequest(**targets))
        await client.workflow_service.start_batch_operation(q)
        await completed(client, q.job_id, 3)
        async with worker_on(client, queue):
            for handle in handles:
                again = client.get_workflow_handle(handle.id)
                assert await again.result() == 1
                run_id = (await again.describe()).run_id
                assert run_id not in runs
                runs.add(run_id)
    nowhere = BatchOperationReset(options=ResetOptions(build_id="never-ran"))
    job = await start(client, executions=[WorkflowExecution(workflow_id=h.id) for h in handles], reset_operation=nowhere)
    await completed(client, job, 3, failed=3)


async def test_updates_workflow_options(client):
    prefix = await start_many(client, 2)
    options = WorkflowExecutionOptions(priority=Priority(priority_key=1))
    update = BatchOperationUpdateWorkflowExecutionOptions(workflow_execution_options=options, update_mask=FieldMask(paths=["priority"]))
    await completed(client, await start(client, prefix, update_workflow_options_operation=update), 2)
    for i in range(2):
        info = (await client.get_workflow_handle(f"{prefix}{i}").describe()).raw_description.workflow_execution_info
        assert info.priority.priority_key == 1


async def test_operates_on_pending_activities(client, queue):
    async with worker_on(client, queue):
        handle = await client.start_workflow(Tries.run, id=str(uuid.uuid4()), task_queue=queue)

        async def pending():
            activities = (await handle.describe()).raw_description.pending_activities
            return activities[0] if activities and activities[0].attempt == 2 else None

        await eventually(pending)
    me = WorkflowExecution(workflow_id=handle.id)
    await client.workflow_service.pause_activity(PauseActivityRequest(namespace="default", execution=me, type="fails", identity="x", reason="y"))
    options = ActivityOptions(start_to_close_timeout=Duration(seconds=77))
    update = BatchOperationUpdateActivityOptions(type="fails", activity_options=options, update_mask=FieldMask(paths=["start_to_close_timeout"]))
    await completed(client, await start(client, handle.id, update_activity_options_operation=update), 1)
    now = (await handle.describe()).raw_description.pending_activities[0]
    assert now.activity_options.start_to_close_timeout.seconds == 77 and now.paused
    await completed(client, await start(client, handle.id, reset_activities_operation=BatchOperationResetActivities(match_all=True, keep_paused=True)), 1)
    now = (await handle.describe()).raw_description.pending_activities[0]
    assert now.attempt == 1 and now.paused
    await completed(client, await start(client, handle.id, unpause_activities_operation=BatchOperationUnpauseActivities(type="fails")), 1)
    assert not (await handle.describe()).raw_description.pending_activities[0].paused


async def test_a_stopped_job_leaves_the_rest_alone(client):
    prefix = await start_many(client, 40)
    job = await start(client, prefix, termination_operation=BatchOperationTermination(), max_operations_per_second=10)

    async def begun():
        d = await describe(client, job)
        return d if d.complete_operation_count >= 3 else None

    d = await eventually(begun)
    assert d.state == BatchOperationState.BATCH_OPERATION_STATE_RUNNING and d.total_operation_count == 40
    with pytest.raises(RPCError) as error:
        await start(client, prefix, termination_operation=BatchOperationTermination())
    assert error.value.status == RPCStatusCode.RESOURCE_EXHAUSTED
    detail = ResourceExhaustedFailure()
    assert error.value.grpc_status.details[0].Unpack(detail) and detail.cause == ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT
    stop = StopBatchOperationRequest(namespace="default", job_id=job, reason="enough", identity="x")
    await client.workflow_service.stop_batch_operation(stop)
    d = await describe(client, job)
    assert d.state == BatchOperationState.BATCH_OPERATION_STATE_FAILED and d.HasField("close_time")
    terminated = await count(client, f"WorkflowId STARTS_WITH '{prefix}' AND ExecutionStatus = 'Terminated'")
    assert 3 <= terminated < 40
    await asyncio.sleep(0.5)
    assert await count(client, f"WorkflowId STARTS_WITH '{prefix}' AND ExecutionStatus = 'Terminated'") <= terminated + 5
    with pytest.raises(RPCError) as error:
        await client.workflow_service.stop_batch_operation(stop)
    assert error.value.status == RPCStatusCode.NOT_FOUND
    with pytest.raises(RPCError) as error:
        await start(client, prefix, job=job, termination_operation=BatchOperationTermination())
    assert error.value.status == RPCStatusCode.ALREADY_EXISTS
    assert [(i.job_id, i.state, i.operation_type) for i in await jobs_of(client)] == [(job, d.state, d.operation_type)]


BAD = [
    (dict(job_id=""), "job id"),
    (dict(reason=""), "reason"),
    (dict(visibility_query=""), "query or executions"),
    (dict(executions=[WorkflowExecution(workflow_id="x")]), "not both"),
    (dict(visibility_query="WorkflowId = "), "character"),
    (dict(visibility_query="Nothing = 'x'"), "Nothing"),
    (dict(signal_operation=BatchOperationSignal()), "signal name"),
    (dict(reset_operation=BatchOperationReset()), "reset"),
    (dict(unpause_activities_operation=BatchOperationUnpauseActivities()), "activity type"),
    (dict(update_activity_options_operation=BatchOperationUpdateActivityOptions(match_all=True)), "mask"),
    (dict(update_workflow_options_operation=BatchOperationUpdateWorkflowExecutionOptions()), "mask"),
    (dict(max_operations_per_second=-1.0), "per second"),
]


@pytest.mark.parametrize("changes,words", BAD)
async def test_what_is_refused(client, changes, words):
    q = request("x", termination_operation=BatchOperationTermination())
    for name, value in changes.items():
        if isinstance(value, (str, float)):
            setattr(q, name, value)
        elif isinstance(value, list):
            getattr(q, name).extend(value)
        else:
            getattr(q, name).CopyFrom(value)
            getattr(q, name).SetInParent()
    with pytest.raises(RPCError) as error:
        await client.workflow_service.start_batch_operation(q)
    assert error.value.status == RPCStatusCode.INVALID_ARGUMENT and words in error.value.message
    q.ClearField("operation")
    with pytest.raises(RPCError) as error:
        await client.workflow_service.start_batch_operation(q)
    assert error.value.status == RPCStatusCode.INVALID_ARGUMENT
    with pytest.raises(RPCError) as error:
        await describe(client, "never-was")
    assert error.value.status == RPCStatusCode.NOT_FOUND


async def restart(server, is_kill: bool = True) -> Client:
    if is_kill:
        server.kill()
    else:
        assert server.stop() == 0, server.log.read_text()
    server.start()
    client = await Client.connect(server.address)
    await client.workflow_service.list_batch_operations(ListBatchOperationsRequest(namespace="default"), retry=True)
    return client


async def test_a_job_goes_on_after_kills_and_stops_and_does_nothing_twice(server, client):
    prefix = await start_many(client, 250)
    signal = await start(client, prefix, signal_operation=BatchOperationSignal(signal="go", identity="x"), max_operations_per_second=100)

    async def progress(at_least: int):
        async def look():
            return (await describe(client, signal)).complete_operation_count >= at_least

        await eventually(look)

    for at_least, is_kill in ((30, True), (90, False), (150, True)):
        await progress(at_least)
        client = await restart(server, is_kill)
    await completed(client, signal, 250)
    for i in range(250):
        events = [e.event_type async for e in client.get_workflow_handle(f"{prefix}{i}").fetch_history_events()]
        assert events.count(26) == 1
    terminate = await start(client, prefix, termination_operation=BatchOperationTermination(), max_operations_per_second=100)

    async def begun():
        return (await describe(client, terminate)).complete_operation_count >= 20

    await eventually(begun)
    client = await restart(server)
    await completed(client, terminate, 250)
    assert await count(client, f"WorkflowId STARTS_WITH '{prefix}' AND ExecutionStatus = 'Running'") == 0
    # what is closed is still there, ids and row numbers are not given out again
    with pytest.raises(RPCError) as error:
        await start(client, prefix, job=terminate, termination_operation=BatchOperationTermination())
    assert error.value.status == RPCStatusCode.ALREADY_EXISTS
    third = await start(client, prefix, deletion_operation=BatchOperationDeletion())
    await completed(client, third, 250)
    paged, token = [], b""
    while True:
        reply = await client.workflow_service.list_batch_operations(ListBatchOperationsRequest(namespace="default", page_size=2, next_page_token=token))
        paged += [i.job_id for i in reply.operation_info]
        token = reply.next_page_token
        if not token:
            break
    assert paged == [third, terminate, signal]
