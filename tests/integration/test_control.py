"""What operators do to workflows and activities, through the raw RPCs of the official package."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio import activity, workflow
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import Priority, WorkflowExecution
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    PauseWorkflowExecutionRequest,
    ResetActivityRequest,
    ResetWorkflowExecutionRequest,
    UnpauseActivityRequest,
    UnpauseWorkflowExecutionRequest,
    UpdateActivityOptionsRequest,
    UpdateWorkflowExecutionOptionsRequest,
)
from temporalio.client import WithStartWorkflowOperation
from temporalio.common import RetryPolicy, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

pytestmark = pytest.mark.asyncio


@activity.defn
async def failing(allowed: int) -> int:
    if activity.info().attempt < allowed:
        raise ApplicationError("not yet")
    return activity.info().attempt


@workflow.defn
class Counter:
    def __init__(self) -> None:
        self.count = 0
        self.done = False

    @workflow.run
    async def run(self, attempts: int) -> int:
        if attempts > 0:
            return await workflow.execute_activity(failing, attempts, activity_id="a", start_to_close_timeout=timedelta(seconds=60),
                                                   retry_policy=RetryPolicy(initial_interval=timedelta(seconds=600)))
        await workflow.wait_condition(lambda: self.done)
        return self.count

    @workflow.signal
    def add(self, n: int) -> None:
        self.count += n

    @workflow.update
    async def finish(self) -> int:
        self.done = True
        return self.count


def worker(client, queue):
    return Worker(client, task_queue=queue, workflows=[Counter], activities=[failing], workflow_runner=UnsandboxedWorkflowRunner())


async def start(client, queue, attempts=0):
    return await client.start_workflow(Counter.run, attempts, id=f"control-{uuid.uuid4()}", task_queue=queue)


async def until(condition):
    for _ in range(100):
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come about within five seconds")


async def pending_activity(handle):
    found = (await handle.describe()).raw_description.pending_activities
    return found[0] if found else None


async def second_attempt_waits(handle):
    async def waits():
        found = await pending_activity(handle)
        return found is not None and found.attempt == 2
    await until(waits)


def target(handle):
    return WorkflowExecution(workflow_id=handle.id)


async def test_a_reset_goes_on_from_the_point_with_later_signals(client, queue):
    async with worker(client, queue):
        handle = await start(client, queue)
        await handle.signal(Counter.add, 3)
        await handle.execute_update(Counter.finish)
        assert await handle.result() == 3
        point = next(e.event_id for e in (await handle.fetch_history()).events if e.HasField("workflow_task_completed_event_attributes"))
        request = ResetWorkflowExecutionRequest(namespace="default", workflow_execution=target(handle), workflow_task_finish_event_id=point,
                                                request_id=str(uuid.uuid4()), reason="again")
        run_id = (await client.workflow_service.reset_workflow_execution(request)).run_id
        assert run_id != handle.result_run_id
        assert (await client.workflow_service.reset_workflow_execution(request)).run_id == run_id  # once for each request id
        assert await client.get_workflow_handle(handle.id, run_id=run_id).result() == 3
        request.request_id = str(uuid.uuid4())
        request.workflow_task_finish_event_id = 2
        with pytest.raises(RPCError) as refused:
            await client.workflow_service.reset_workflow_execution(request)
        assert refused.value.status == RPCStatusCode.INVALID_ARGUMENT
        request.workflow_execution.workflow_id = "nobody"
        with pytest.raises(RPCError) as missing:
            await client.workflow_service.reset_workflow_execution(request)
        assert missing.value.status == RPCStatusCode.NOT_FOUND


async def test_a_paused_activity_waits_until_it_is_unpaused(client, queue):
    async with worker(client, queue):
        handle = await start(client, queue, 2)
        await second_attempt_waits(handle)
        await client.workflow_service.pause_activity(PauseActivityRequest(namespace="default", execution=target(handle), id="a", reason="why not"))
        paused = await pending_activity(handle)
        assert paused.paused and paused.pause_info.manual.reason == "why not"
        await client.workflow_service.unpause_activity(
            UnpauseActivityRequest(namespace="default", execution=target(handle), id="a", reset_attempts=True))
        await second_attempt_waits(handle)  # the first one failed again
        with pytest.raises(RPCError) as missing:
            await client.workflow_service.pause_activity(PauseActivityRequest(namespace="default", execution=target(handle), id="b"))
        assert missing.value.status == RPCStatusCode.NOT_FOUND


async def test_a_reset_activity_begins_with_its_first_attempt(client, queue):
    async with worker(client, queue):
        handle = await start(client, queue, 3)
        await second_attempt_waits(handle)
        await client.workflow_service.reset_activity(ResetActivityRequest(namespace="default", execution=target(handle), id="a"))
        await second_attempt_waits(handle)


async def test_other_options_of_an_activity_count_from_now_on(client, queue):
    async with worker(client, queue):
        handle = await start(client, queue, 2)
        await second_attempt_waits(handle)
        reply = await client.workflow_service.update_activity_options(UpdateActivityOptionsRequest(
            namespace="default", execution=target(handle), id="a", update_mask=FieldMask(paths=["retry_policy.initial_interval"]),
            activity_options=ActivityOptions(retry_policy={"initial_interval": Duration(nanos=10_000_000)})))
        assert reply.activity_options.retry_policy.initial_interval.ToMilliseconds() == 10
        assert await handle.result() == 2


async def test_other_options_of_a_workflow_are_shown(client, queue):
    async with worker(client, queue):
        handle = await start(client, queue)
        reply = await client.workflow_service.update_workflow_execution_options(UpdateWorkflowExecutionOptionsRequest(
            namespace="default", workflow_execution=target(handle), update_mask=FieldMask(paths=["priority"]),
            workflow_execution_options=WorkflowExecutionOptions(priority=Priority(priority_key=2))))
        assert reply.workflow_execution_options.priority.priority_key == 2
        assert (await handle.describe()).raw_description.workflow_execution_info.priority.priority_key == 2


async def test_a_paused_workflow_refuses_updates(client, queue):
    async with worker(client, queue):
        handle = await start(client, queue)
        pause = PauseWorkflowExecutionRequest(namespace="default", workflow_id=handle.id, reason="wait", request_id="p")
        for _ in range(2):  # the second one is known by its request id
            await client.workflow_service.pause_workflow_execution(pause)
        with pytest.raises(RPCError) as refused:
            await handle.execute_update(Counter.finish)
        assert refused.value.status == RPCStatusCode.FAILED_PRECONDITION
        await client.workflow_service.unpause_workflow_execution(
            UnpauseWorkflowExecutionRequest(namespace="default", workflow_id=handle.id, request_id="u"))
        assert await handle.execute_update(Counter.finish) == 0


async def test_update_with_start_finds_an_update_that_is_known(client, queue):
    workflow_id, update_id = f"control-{uuid.uuid4()}", str(uuid.uuid4())

    def operation():
        return WithStartWorkflowOperation(Counter.run, 0, id=workflow_id, task_queue=queue, id_conflict_policy=WorkflowIDConflictPolicy.FAIL)

    async with worker(client, queue):
        first, second = operation(), operation()
        assert await client.execute_update_with_start_workflow(Counter.finish, id=update_id, start_workflow_operation=first) == 0
        assert await client.execute_update_with_start_workflow(Counter.finish, id=update_id, start_workflow_operation=second) == 0
        assert (await first.workflow_handle()).first_execution_run_id == (await second.workflow_handle()).first_execution_run_id
    running = await start(client, queue)
    with pytest.raises(WorkflowAlreadyStartedError):
        await client.execute_update_with_start_workflow(Counter.finish, start_workflow_operation=WithStartWorkflowOperation(
            Counter.run, 0, id=running.id, task_queue=queue, id_conflict_policy=WorkflowIDConflictPolicy.FAIL))


async def test_run_ids_are_uuids_of_version_7(client, queue):
    handles = [await start(client, queue) for _ in range(3)]
    assert all(uuid.UUID(h.result_run_id).version == 7 for h in handles)


async def test_cron_schedules_are_of_the_zone_they_name(client):
    """F006: the first wait ends at that local time, also where clocks go forward or back in between."""
    from datetime import datetime, timezone
    from zoneinfo import ZoneInfo

    for zone, fields, local in (("Europe/Berlin", "30 8 10 7 *", (7, 10, 8, 30)), ("America/New_York", "15 23 5 1 *", (1, 5, 23, 15)),
                                ("Asia/Kathmandu", "0 6 1 3 *", (3, 1, 6, 0)), ("UTC", "0 12 24 12 *", (12, 24, 12, 0))):
        for prefix in ("CRON_TZ", "TZ"):
            handle = await client.start_workflow(Counter.run, 0, id=str(uuid.uuid4()), task_queue="nobody", cron_schedule=f"{prefix}={zone} {fields}")
            started = (await handle.fetch_history()).events[0]
            at = started.event_time.ToDatetime(timezone.utc) + started.workflow_execution_started_event_attributes.first_workflow_task_backoff.ToTimedelta()
            due = at.replace(microsecond=0).astimezone(ZoneInfo(zone))
            assert (due.month, due.day, due.hour, due.minute) == local, (zone, due)
            assert at > datetime.now(timezone.utc)
            await handle.terminate()
    for schedule in ("CRON_TZ=Mars/Olympus 0 0 * * *", "CRON_TZ=Europe/Berlin", "CRON_TZ=../etc/passwd 0 0 * * *"):
        with pytest.raises(RPCError) as refused:
            await client.start_workflow(Counter.run, 0, id=str(uuid.uuid4()), task_queue="nobody", cron_schedule=schedule)
        assert refused.value.status == RPCStatusCode.INVALID_ARGUMENT, schedule
