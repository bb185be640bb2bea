"""Schedules as a client sees them: every way to make one act, what its policies do, and that a kill loses nothing."""

import asyncio
import uuid
from datetime import datetime, timedelta, timezone

import pytest
import pytest_asyncio
from conftest import Server, eventually
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowType
from temporalio.api.schedule.v1 import BackfillRequest, IntervalSpec, Schedule as ApiSchedule, ScheduleAction, SchedulePatch, ScheduleSpec as ApiSpec
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import NewWorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    CountSchedulesRequest,
    CreateScheduleRequest,
    DescribeScheduleRequest,
    ListScheduleMatchingTimesRequest,
    PatchScheduleRequest,
    UpdateScheduleRequest,
)
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleBackfill,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    WorkflowExecutionStatus,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

pytestmark = pytest.mark.asyncio


@workflow.defn
class Waits:
    """Ends when told to."""

    def __init__(self) -> None:
        self.is_released = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.is_released)
        return "released"

    @workflow.signal
    def release(self) -> None:
        self.is_released = True


@workflow.defn
class Counts:
    """Carries a number on from run to run; fails at three."""

    @workflow.run
    async def run(self) -> int:
        last = workflow.get_last_completion_result(int) if workflow.has_last_completion_result() else 0
        failure = workflow.get_last_failure()
        if last == 2 and failure is None:
            raise ApplicationError("no three")
        return last + 1


@pytest_asyncio.fixture
async def worker(client: Client, queue: str):
    async with Worker(client, task_queue=queue, workflows=[Waits, Counts], workflow_runner=UnsandboxedWorkflowRunner()):
        yield


def schedule_of(queue: str, kind=Waits, *, spec=None, **policy) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(kind.run, id=f"run-{uuid.uuid4()}", task_queue=queue),
        spec=spec or ScheduleSpec(),
        policy=SchedulePolicy(**policy),
    )


async def actions(handle, count: int):
    """The description once so many actions were taken."""

    async def enough():
        d = await handle.describe()
        return d if d.info.num_actions >= count else None

    return await eventually(enough)


def last_run(client: Client, description):
    action = description.info.recent_actions[-1].action
    return client.get_workflow_handle(action.workflow_id, run_id=action.first_execution_run_id)


async def status(handle) -> WorkflowExecutionStatus:
    return (await handle.describe()).status


async def test_it_acts_at_its_times_and_not_before(client, worker, queue):
    schedule = schedule_of(queue, Counts, spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=1))]))
    handle = await client.create_schedule("every-second", schedule)
    description = await actions(handle, 3)
    for result in description.info.recent_actions:
        assert result.started_at >= result.scheduled_at
        assert result.scheduled_at.microsecond == 0
        assert result.action.workflow_id == f"{schedule.action.id}-{result.scheduled_at:%Y-%m-%dT%H:%M:%SZ}"
    run = await client.get_workflow_handle(description.info.recent_actions[0].action.workflow_id).describe()
    assert run.search_attributes["TemporalScheduledById"] == ["every-second"]
    assert run.search_attributes["TemporalScheduledStartTime"] == [description.info.recent_actions[0].scheduled_at]
    await handle.delete()
    with pytest.raises(RPCError) as error:
        await handle.describe()
    assert error.value.status == RPCStatusCode.NOT_FOUND


async def test_results_and_failures_are_carried_on(client, worker, queue):
    handle = await client.create_schedule("carry", schedule_of(queue, Counts))
    for expected in (1, 2):
        await asyncio.sleep(1.0)  # workflow ids have seconds
        await handle.trigger()
        assert await last_run(client, await actions(handle, expected)).result() == expected
    await asyncio.sleep(1.0)
    await handle.trigger()
    failed = last_run(client, await actions(handle, 3))
    await eventually(lambda: is_status(failed, WorkflowExecutionStatus.FAILED))
    assert not (await handle.describe()).schedule.state.paused
    await asyncio.sleep(1.0)
    await handle.trigger()
    assert await last_run(client, await actions(handle, 4)).result() == 3


async def is_status(handle, expected) -> bool:
    return await status(handle) == expected


async def test_a_failure_pauses_when_asked_to(client, worker, queue):
    handle = await client.create_schedule("fragile", schedule_of(queue, Counts, pause_on_failure=True))
    for count in (1, 2, 3):
        await handle.trigger()
        await actions(handle, count)
        await asyncio.sleep(1.0)

    async def paused():
        return (await handle.describe()).schedule.state.paused

    await eventually(paused)
    assert "no three" in (await handle.describe()).schedule.state.note


async def running(handle) -> int:
    return len((await handle.describe()).info.running_actions)


async def backfill(handle, count: int, overlap=None) -> None:
    """So many actions at once: the minutes of an hour long gone."""
    start = datetime(2020, 1, 1, tzinfo=timezone.utc)
    await handle.backfill(ScheduleBackfill(start_at=start, end_at=start + timedelta(minutes=count - 1), overlap=overlap))


MINUTES = ScheduleSpec(calendars=[ScheduleCalendarSpec(minute=[ScheduleRange(0, 59)], hour=[ScheduleRange(0, 23)])], end_at=datetime(2020, 1, 2, tzinfo=timezone.utc))


@pytest.mark.parametrize(
    "policy, started, skipped, buffered",
    [
        (ScheduleOverlapPolicy.SKIP, 1, 3, 0),
        (ScheduleOverlapPolicy.BUFFER_ONE, 1, 2, 1),
        (ScheduleOverlapPolicy.BUFFER_ALL, 1, 0, 3),
        (ScheduleOverlapPolicy.ALLOW_ALL, 4, 0, 0),
    ],
)
async def test_overlap_policies_that_leave_the_running_one_alone(client, worker, queue, policy, started, skipped, buffered):
    handle = await client.create_schedule(f"overlap-{policy.name}", schedule_of(queue, spec=MINUTES, overlap=policy))
    await backfill(handle, 4)
    await actions(handle, started)
    raw = await describe_raw(client, handle.id)
    assert (raw.info.action_count, raw.info.overlap_skipped, raw.info.buffer_size) == (started, skipped, buffered)
    done = set()
    while len(done) < started + buffered:
        for action in (await handle.describe()).info.recent_actions:
            if action.action.workflow_id not in done:
                run = client.get_workflow_handle(action.action.workflow_id)
                await run.signal(Waits.release)
                assert await run.result() == "released"
                done.add(action.action.workflow_id)
        await asyncio.sleep(0.05)
    await eventually(lambda: no_runs(handle))
    assert (await handle.describe()).info.num_actions == started + buffered


async def no_runs(handle) -> bool:
    return await running(handle) == 0


async def describe_raw(client: Client, schedule_id: str):
    return await client.workflow_service.describe_schedule(DescribeScheduleRequest(namespace="default", schedule_id=schedule_id))


@pytest.mark.parametrize(
    "policy, ending",
    [(ScheduleOverlapPolicy.CANCEL_OTHER, WorkflowExecutionStatus.CANCELED), (ScheduleOverlapPolicy.TERMINATE_OTHER, WorkflowExecutionStatus.TERMINATED)],
)
async def test_overlap_policies_that_end_the_running_one(client, worker, queue, policy, ending):
    handle = await client.create_schedule(f"end-{policy.name}", schedule_of(queue, spec=MINUTES))
    await handle.trigger()
    first = last_run(client, await actions(handle, 1))
    await backfill(handle, 3, policy)  # the last one stands for all
    description = await actions(handle, 2)
    assert await status(first) == ending
    await eventually(lambda: exactly_one_runs(handle))
    assert description.info.num_actions_skipped_overlap == 2
    assert last_run(client, description).id.endswith("-2020-01-01T00:02:00Z")


async def exactly_one_runs(handle) -> bool:
    return await running(handle) == 1


async def test_a_long_backfill_goes_on_in_portions_and_counts_exactly(client, queue):
    schedule = schedule_of(queue, spec=MINUTES)
    schedule.state.paused = True  # it acts all the same
    handle = await client.create_schedule("long", schedule)
    await backfill(handle, 137, ScheduleOverlapPolicy.ALLOW_ALL)
    description = await actions(handle, 137)
    assert description.info.num_actions == 137
    assert len(description.info.recent_actions) == 10
    assert last_run(client, description).id.endswith("-2020-01-01T02:16:00Z")


async def test_limited_actions_count_down(client, worker, queue):
    schedule = schedule_of(queue, Counts, spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=1))]), overlap=ScheduleOverlapPolicy.ALLOW_ALL)
    schedule.state = ScheduleState(limited_actions=True, remaining_actions=2)
    handle = await client.create_schedule("limited", schedule)
    await actions(handle, 2)
    await asyncio.sleep(2.2)
    description = await handle.describe()
    assert (description.info.num_actions, description.schedule.state.remaining_actions) == (2, 0)
    assert not description.info.next_action_times
    await handle.trigger()  # by hand goes on
    assert (await actions(handle, 3)).schedule.state.remaining_actions == 0


async def test_pause_update_and_list(client, queue):
    spec = ScheduleSpec(cron_expressions=["0 12 * * MON # lunch", "@every 2h/30m"], time_zone_name="Europe/Oslo")
    handle = await client.create_schedule("café", schedule_of(queue, spec=spec), memo={"who": "us"})
    await handle.pause(note="wait")
    (entry,) = [e async for e in await client.list_schedules("TemporalSchedulePaused = true")]
    assert (entry.id, entry.schedule.state.paused, entry.schedule.state.note, await entry.memo_value("who")) == ("café", True, "wait", "us")
    description = await handle.describe()
    assert description.schedule.spec.calendars[0].comment == "lunch"
    assert description.schedule.spec.intervals == [ScheduleIntervalSpec(every=timedelta(hours=2), offset=timedelta(minutes=30))]
    assert not description.schedule.spec.cron_expressions and description.schedule.spec.time_zone_name == "Europe/Oslo"

    async def change(given):
        given.description.schedule.spec.intervals = [ScheduleIntervalSpec(every=timedelta(days=1))]
        given.description.schedule.spec.calendars = []
        return ScheduleUpdate(given.description.schedule)

    await handle.update(change)
    times = (await handle.describe()).info.next_action_times
    assert len(times) == 10 and all(b - a == timedelta(days=1) for a, b in zip(times, times[1:]))
    await handle.unpause()
    assert not [e async for e in await client.list_schedules("TemporalSchedulePaused = true")]
    for i in range(25):
        await client.create_schedule(f"many-{i:02}", schedule_of(queue))
    ids = [e.id async for e in await client.list_schedules(page_size=4)]
    assert sorted(ids) == sorted(["café"] + [f"many-{i:02}" for i in range(25)])
    assert [e.id async for e in await client.list_schedules("ScheduleId = 'many-07'")] == ["many-07"]
    count = await client.workflow_service.count_schedules(CountSchedulesRequest(namespace="default"))
    assert count.count == 26
    assert not [w async for w in client.list_workflows("WorkflowId STARTS_WITH 'temporal-sys'")]


async def test_matching_times(client, queue):
    spec = ScheduleSpec(calendars=[ScheduleCalendarSpec(hour=[ScheduleRange(2)], minute=[ScheduleRange(30)])], time_zone_name="Europe/Oslo")
    handle = await client.create_schedule("summer-time", schedule_of(queue, spec=spec))
    start, end = Timestamp(), Timestamp()
    start.FromDatetime(datetime(2027, 3, 26))
    end.FromDatetime(datetime(2027, 3, 30))
    reply = await client.workflow_service.list_schedule_matching_times(
        ListScheduleMatchingTimesRequest(namespace="default", schedule_id=handle.id, start_time=start, end_time=end)
    )
    # 28 March 2027 has no half past two in Oslo
    assert [t.ToDatetime() for t in reply.start_time] == [datetime(2027, 3, 26, 1, 30), datetime(2027, 3, 27, 1, 30), datetime(2027, 3, 29, 0, 30)]


async def test_errors_are_told(client, queue):
    with pytest.raises(RPCError) as error:
        await client.create_schedule("bad", schedule_of(queue, spec=ScheduleSpec(cron_expressions=["61 * * * *"])))
    assert error.value.status == RPCStatusCode.INVALID_ARGUMENT and "minute" in error.value.message
    with pytest.raises(RPCError) as error:
        await client.create_schedule("bad", schedule_of(queue, spec=ScheduleSpec(time_zone_name="Europe/Atlantis")))
    assert error.value.status == RPCStatusCode.INVALID_ARGUMENT and "Atlantis" in error.value.message
    handle = await client.create_schedule("taken", schedule_of(queue))
    with pytest.raises(ScheduleAlreadyRunningError):
        await client.create_schedule("taken", schedule_of(queue))
    raw = await describe_raw(client, "taken")
    await handle.pause()
    with pytest.raises(RPCError) as error:
        await client.workflow_service.update_schedule(
            UpdateScheduleRequest(namespace="default", schedule_id="taken", schedule=raw.schedule, conflict_token=raw.conflict_token)
        )
    assert error.value.status == RPCStatusCode.FAILED_PRECONDITION
    for call in (client.get_schedule_handle("nobody").pause, client.get_schedule_handle("nobody").delete):
        with pytest.raises(RPCError) as error:
            await call()
        assert error.value.status == RPCStatusCode.NOT_FOUND


def api_schedule(queue: str, seconds: int) -> ApiSchedule:
    start = NewWorkflowExecutionInfo(workflow_id="api", workflow_type=WorkflowType(name="Counts"), task_queue=TaskQueue(name=queue))
    return ApiSchedule(spec=ApiSpec(interval=[IntervalSpec(interval=Duration(seconds=seconds))]), action=ScheduleAction(start_workflow=start))


async def test_the_same_create_request_twice_makes_one(client, queue):
    request = CreateScheduleRequest(namespace="default", schedule_id="once", schedule=api_schedule(queue, 3600), request_id="r1")
    first = await client.workflow_service.create_schedule(request)
    assert first.conflict_token == (1).to_bytes(8, "big")
    assert await client.workflow_service.create_schedule(request) == first
    request.request_id = "r2"
    with pytest.raises(RPCError) as error:
        await client.workflow_service.create_schedule(request)
    assert error.value.status == RPCStatusCode.ALREADY_EXISTS


async def test_a_kill_loses_no_schedule_and_no_action(server, queue):
    client = await Client.connect(server.address)
    spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=1))])
    handle = await client.create_schedule("survivor", schedule_of(queue, spec=spec, overlap=ScheduleOverlapPolicy.ALLOW_ALL))
    waiting = await client.create_schedule("waiting", schedule_of(queue, spec=MINUTES, overlap=ScheduleOverlapPolicy.BUFFER_ALL))
    await backfill(waiting, 3)
    await actions(waiting, 1)
    await actions(handle, 2)
    server.kill()
    await asyncio.sleep(2.5)
    server.start()
    client = await Client.connect(server.address)
    handle, waiting = client.get_schedule_handle("survivor"), client.get_schedule_handle("waiting")
    await handle.pause()
    description = await handle.describe()
    times = [a.scheduled_at for a in description.info.recent_actions]
    assert all(b - a == timedelta(seconds=1) for a, b in zip(times, times[1:])), times  # those of the dark seconds were made up for
    assert description.info.num_actions == len(times) or len(times) == 10
    runs = [w.id async for w in client.list_workflows("TemporalScheduledById = 'survivor'")]
    assert len(runs) == len(set(runs)) == description.info.num_actions
    async with Worker(client, task_queue=queue, workflows=[Waits], workflow_runner=UnsandboxedWorkflowRunner()):
        for count in (1, 2, 3):
            run = last_run(client, await actions(waiting, count))
            await run.signal(Waits.release)
            assert await run.result() == "released"
        await eventually(lambda: no_runs(waiting))
    assert (await waiting.describe()).info.num_actions == 3


async def test_a_patch_is_checked(client, queue):
    await client.workflow_service.create_schedule(CreateScheduleRequest(namespace="default", schedule_id="p", schedule=api_schedule(queue, 60), request_id="r"))
    for patch in (SchedulePatch(pause="x" * 1001), SchedulePatch(backfill_request=[BackfillRequest()]), None):
        with pytest.raises(RPCError) as error:
            await client.workflow_service.patch_schedule(PatchScheduleRequest(namespace="default", schedule_id="p", patch=patch))
        assert error.value.status == RPCStatusCode.INVALID_ARGUMENT


async def test_starts_of_a_namespace_keep_to_its_rate(tmp_path):
    server = Server(tmp_path, "--dynamic-config-value", "worker.schedulerNamespaceStartWorkflowRPS=5")
    server.start()
    client = await Client.connect(server.address)
    for i in range(4):
        handle = await client.create_schedule(f"many-{i}", schedule_of("nobody"))
        end = datetime.now(timezone.utc).replace(microsecond=0)
        times = ScheduleBackfill(start_at=end - timedelta(minutes=9), end_at=end, overlap=ScheduleOverlapPolicy.ALLOW_ALL)

        async def every_minute(update):
            update.description.schedule.spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(minutes=1))])
            return ScheduleUpdate(update.description.schedule)

        await handle.update(every_minute)
        await handle.backfill(times)

    async def begun():
        return (await client.count_workflows("")).count >= 36

    await eventually(begun, 60)
    starts = sorted([w.start_time async for w in client.list_workflows("")])
    for i, first in enumerate(starts[:-11]):  # a second's worth at once, then one after the other
        assert starts[i + 11] - first >= timedelta(seconds=0.9)
    assert server.stop() == 0
