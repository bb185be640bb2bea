"""What a worker promises beyond running code: bounded caches and slots, long local activities, heartbeats, an orderly end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Optional
from unittest.mock import Mock

import pytest

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig
from temporalio.worker import (
    CustomSlotSupplier,
    FixedSizeSlotSupplier,
    PollerBehaviorAutoscaling,
    PollerBehaviorSimpleMaximum,
    ResourceBasedSlotConfig,
    SlotPermit,
    Worker,
    WorkerTuner,
)
from temporalio.worker._slots import CustomSlots

from live import eventually, fresh


async def events(handle: WorkflowHandle[Any, Any]) -> Counter[str]:
    """How many events of each kind a history has, by the name of the field that holds what it says."""
    return Counter([str(e.WhichOneof("attributes")).replace("_event_attributes", "") async for e in handle.fetch_history_events()])


async def counting_client(address: str) -> tuple[Client, Callable[[str], int]]:
    """A client with a runtime of its own, and what says how many calls of a name it has made since it was asked last."""
    buffer = MetricBuffer(10000)
    client = await Client.connect(address, runtime=Runtime(telemetry=TelemetryConfig(metrics=buffer)))

    def requests(name: str) -> int:
        updates = [u for u in buffer.retrieve_updates() if u.metric.name in ("temporal_request", "temporal_long_request")]
        return sum(int(u.value) for u in updates if u.attributes.get("operation") == name)

    return client, requests


# -------------------------------------------------------------------------------------------- cache and pages of history


@workflow.defn
class Collects:
    """Ends with the sum of what it was sent, once that is enough."""

    def __init__(self) -> None:
        self.got: list[int] = []

    @workflow.run
    async def run(self, wanted: int) -> int:
        await workflow.wait_condition(lambda: len(self.got) >= wanted)
        return sum(self.got)

    @workflow.signal
    def take(self, value: int) -> None:
        self.got.append(value)

    @workflow.query
    def count(self) -> int:
        return len(self.got)


async def test_more_workflows_than_the_cache_holds_take_turns(address: str) -> None:
    client = await Client.connect(address)
    queue = fresh()
    async with Worker(client, task_queue=queue, workflows=[Collects], max_cached_workflows=1):
        handles = [await client.start_workflow(Collects.run, 3, id=fresh("w"), task_queue=queue) for _ in range(5)]
        for value in range(3):
            for handle in handles:
                await handle.signal(Collects.take, value + 1)
                assert await handle.query(Collects.count) == value + 1
        assert [await h.result() for h in handles] == [6] * 5


@pytest.mark.parametrize("cached", [0, 100])
async def test_a_history_of_several_pages_is_replayed_whole(address: str, cached: int) -> None:
    client = await Client.connect(address)
    queue = fresh()
    handle = await client.start_workflow(Collects.run, 601, id=fresh("w"), task_queue=queue)
    for first in range(0, 600, 50):
        await asyncio.gather(*(handle.signal(Collects.take, 1) for _ in range(50)))
    async with Worker(client, task_queue=queue, workflows=[Collects], max_cached_workflows=cached):
        assert await handle.query(Collects.count) == 600
    # Another worker knows nothing of it, and counts what it asks for
    counted_client, requests = await counting_client(address)
    async with Worker(counted_client, task_queue=queue, workflows=[Collects], max_cached_workflows=cached):
        await handle.signal(Collects.take, 1)
        assert await handle.result() == 601
    assert requests("GetWorkflowExecutionHistory") > 0


# -------------------------------------------------------------------------------------------- local activities

runs: Counter[str] = Counter()


@activity.defn
async def takes_long(seconds: float) -> str:
    runs[activity.info().workflow_id] += 1
    await asyncio.sleep(seconds)
    return "done"


@activity.defn
async def fails_twice() -> int:
    runs[activity.info().workflow_id] += 1
    if activity.info().attempt < 3:
        raise ApplicationError("not yet")
    return activity.info().attempt


@workflow.defn
class RunsLocally:
    @workflow.run
    async def run(self, seconds: float) -> str:
        result = await workflow.execute_local_activity(takes_long, seconds, start_to_close_timeout=timedelta(seconds=60))
        return result + (await workflow.execute_local_activity(takes_long, 0.0, start_to_close_timeout=timedelta(seconds=60)))


@workflow.defn
class RetriesLocally:
    @workflow.run
    async def run(self, threshold_ms: int) -> int:
        return await workflow.execute_local_activity(
            fails_twice,
            start_to_close_timeout=timedelta(seconds=60),
            local_retry_threshold=timedelta(milliseconds=threshold_ms),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=200), backoff_coefficient=1),
        )


async def test_a_local_activity_longer_than_a_workflow_task_keeps_it_alive(address: str) -> None:
    client = await Client.connect(address)
    queue = fresh()
    async with Worker(client, task_queue=queue, workflows=[RunsLocally], activities=[takes_long]):
        handle = await client.start_workflow(
            RunsLocally.run, 3.5, id=fresh("w"), task_queue=queue, task_timeout=timedelta(seconds=1)
        )
        assert await handle.result() == "donedone"
    seen = await events(handle)
    assert runs[handle.id] == 2 and seen["marker_recorded"] == 2
    assert seen["workflow_task_timed_out"] == seen["workflow_task_failed"] == 0
    assert seen["workflow_task_completed"] >= 4  # one per heartbeat, at 80 % of the timeout


@pytest.mark.parametrize("threshold_ms, timers, markers", [(100, 2, 3), (1000, 0, 1)])
async def test_long_pauses_of_local_retries_are_timers(address: str, threshold_ms: int, timers: int, markers: int) -> None:
    client = await Client.connect(address)
    queue = fresh()
    async with Worker(client, task_queue=queue, workflows=[RetriesLocally], activities=[fails_twice], max_cached_workflows=0):
        handle = await client.start_workflow(RetriesLocally.run, threshold_ms, id=fresh("w"), task_queue=queue)
        assert await handle.result() == 3
    seen = await events(handle)
    assert (runs[handle.id], seen["timer_started"], seen["marker_recorded"]) == (3, timers, markers)


# -------------------------------------------------------------------------------------------- heartbeats


@activity.defn
async def beats_much(seconds: float) -> int:
    beats, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        activity.heartbeat(beats)
        beats += 1
        await asyncio.sleep(0.002)
    return beats


@activity.defn
async def beats_until_cancelled() -> str:
    while True:
        activity.heartbeat()
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            assert details is not None and details.cancel_requested
            raise


@activity.defn
def beats_on_a_thread_until_cancelled() -> None:
    while True:
        activity.heartbeat()
        time.sleep(0.02)


@workflow.defn
class Beats:
    @workflow.run
    async def run(self, name: str, heartbeat_s: float) -> Any:
        arguments = [1.5] if name == "beats_much" else []
        return await workflow.execute_activity(
            name,
            args=arguments,
            start_to_close_timeout=timedelta(seconds=60),
            heartbeat_timeout=timedelta(seconds=heartbeat_s),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


async def test_heartbeats_are_throttled(address: str) -> None:
    client, requests = await counting_client(address)
    queue = fresh()
    async with Worker(client, task_queue=queue, workflows=[Beats], activities=[beats_much]):
        beats = await client.execute_workflow(Beats.run, args=["beats_much", 1.0], id=fresh("w"), task_queue=queue)
    sent = requests("RecordActivityTaskHeartbeat")
    # The first at once, then one in each 0.8 s
    assert beats > 20 and 2 <= sent <= 1 + beats // 5


@pytest.mark.parametrize("fn", [beats_until_cancelled, beats_on_a_thread_until_cancelled])
async def test_a_cancellation_arrives_with_a_heartbeat(address: str, fn: Any) -> None:
    client = await Client.connect(address)
    queue = fresh()
    with ThreadPoolExecutor(5) as pool:
        async with Worker(client, task_queue=queue, workflows=[Beats], activities=[fn], activity_executor=pool, max_concurrent_activities=5):
            handle = await client.start_workflow(Beats.run, args=[fn.__name__, 1.0], id=fresh("w"), task_queue=queue)

            async def has_started() -> bool:
                pending = (await handle.describe()).raw_description.pending_activities
                return bool(pending) and pending[0].state == 2

            await eventually(has_started)
            await handle.cancel()
            with pytest.raises(WorkflowFailureError) as raised:
                await handle.result()
    assert isinstance(raised.value.cause, CancelledError)
    assert (await events(handle))["activity_task_canceled"] == 1


# -------------------------------------------------------------------------------------------- slots and pollers


class Gauge:
    """How many activities run at a time, at most."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: Any) -> None:
        with self.lock:
            self.now -= 1


gauge = Gauge()


@activity.defn
async def counted() -> int:
    with gauge:
        await asyncio.sleep(0.05)
    return 1


@workflow.defn
class FansOut:
    @workflow.run
    async def run(self, count: int, local: bool) -> int:
        call = workflow.execute_local_activity if local else workflow.execute_activity
        return sum(await asyncio.gather(*(call(counted, start_to_close_timeout=timedelta(seconds=60)) for _ in range(count))))


class Two(CustomSlotSupplier):
    """Hands out two slots of each kind of task, and counts what it is told."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(2)
        self.told: Counter[str] = Counter()
        self.loop = asyncio.get_running_loop()

    async def reserve_slot(self, ctx: Any) -> SlotPermit:
        await self.free.acquire()
        self.told["reserved"] += 1
        return SlotPermit()

    def try_reserve_slot(self, ctx: Any) -> Optional[SlotPermit]:
        return None

    def mark_slot_used(self, ctx: Any) -> None:
        self.told["used"] += 1

    def release_slot(self, ctx: Any) -> None:
        self.told["released"] += 1
        self.loop.call_soon_threadsafe(self.free.release)


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("kind", ["fixed", "resource", "custom"])
async def test_slots_bound_what_runs(address: str, kind: str, local: bool) -> None:
    global gauge
    gauge = Gauge()
    custom = Two()
    if kind == "resource":
        # Beyond the minimum only on a machine that has nothing to do at all
        slots = ResourceBasedSlotConfig(2, 100, timedelta())
        tuner = WorkerTuner.create_resource_based(
            target_memory_usage=0.0001, target_cpu_usage=0.0001, activity_config=slots, local_activity_config=slots
        )
    else:
        supplier: Any = FixedSizeSlotSupplier(2) if kind == "fixed" else custom
        tuner = WorkerTuner.create_composite(
            workflow_supplier=FixedSizeSlotSupplier(10),
            activity_supplier=FixedSizeSlotSupplier(1) if local else supplier,
            local_activity_supplier=supplier if local else FixedSizeSlotSupplier(1),
            nexus_supplier=FixedSizeSlotSupplier(1),
        )
    client = await Client.connect(address)
    queue = fresh()
    async with Worker(client, task_queue=queue, workflows=[FansOut], activities=[counted], tuner=tuner, disable_eager_activity_execution=True):
        assert await client.execute_workflow(FansOut.run, args=[12, local], id=fresh("w"), task_queue=queue) == 12
    assert gauge.most == 2
    if kind == "custom":
        assert custom.told["used"] == 12

        async def all_are_back() -> bool:
            return custom.told["released"] == custom.told["reserved"]

        await eventually(all_are_back)


class Late(CustomSlotSupplier):
    """Hands a second slot out only when it is no longer wanted."""

    def __init__(self) -> None:
        self.told: Counter[str] = Counter()

    async def reserve_slot(self, ctx: Any) -> SlotPermit:
        until = time.monotonic() + (self.told["reserved"] and 60)
        while time.monotonic() < until:
            try:
                await asyncio.sleep(until - time.monotonic())
            except asyncio.CancelledError:
                until = time.monotonic() + 1
        self.told["reserved"] += 1
        return SlotPermit()

    def try_reserve_slot(self, ctx: Any) -> Optional[SlotPermit]:
        return None

    def mark_slot_used(self, ctx: Any) -> None: ...

    def release_slot(self, ctx: Any) -> None:
        self.told["released"] += 1


async def test_a_slot_that_comes_after_the_worker_has_ended_is_released(address: str) -> None:
    late = Late()
    tuner = WorkerTuner.create_composite(
        workflow_supplier=FixedSizeSlotSupplier(1),
        activity_supplier=late,
        local_activity_supplier=FixedSizeSlotSupplier(1),
        nexus_supplier=FixedSizeSlotSupplier(1),
    )

    async def second_is_asked_for() -> bool:
        return late.told["reserved"] == 1

    async with Worker(await Client.connect(address), task_queue=fresh(), activities=[counted], tuner=tuner):
        await eventually(second_is_asked_for)
        await asyncio.sleep(0.1)
    assert late.told == {"reserved": 1, "released": 1}

    async def all_are_back() -> bool:
        return late.told == {"reserved": 2, "released": 2}

    await eventually(all_are_back)


async def test_what_c_has_not_released_by_the_end_is_released_once() -> None:
    late = Late()
    slots = CustomSlots(
        WorkerTuner.create_composite(
            workflow_supplier=FixedSizeSlotSupplier(1),
            activity_supplier=late,
            local_activity_supplier=FixedSizeSlotSupplier(1),
            nexus_supplier=FixedSizeSlotSupplier(1),
        )
    )
    core: Any = Mock()
    slots.start(core, asyncio.get_running_loop())
    slots.callback("reserve", 2, 7, {})

    async def is_granted() -> bool:
        return core.grant_slot.call_count == 1

    await eventually(is_granted)
    slots.stop()
    assert late.told == {"reserved": 1, "released": 1}
    assert slots.callback("release", 2, 7, {})
    assert late.told == {"reserved": 1, "released": 1}


async def test_resource_based_slots_grow_beyond_the_minimum_where_there_is_room(address: str) -> None:
    global gauge
    gauge = Gauge()
    slots = ResourceBasedSlotConfig(1, 100, timedelta())
    tuner = WorkerTuner.create_resource_based(
        target_memory_usage=1.0, target_cpu_usage=1.0, activity_config=slots, local_activity_config=slots
    )
    client = await Client.connect(address)
    queue = fresh()
    async with Worker(client, task_queue=queue, workflows=[FansOut], activities=[counted], tuner=tuner):
        assert await client.execute_workflow(FansOut.run, args=[40, False], id=fresh("w"), task_queue=queue) == 40
    assert gauge.most > 1


@pytest.mark.parametrize(
    "behavior", [PollerBehaviorSimpleMaximum(2), PollerBehaviorAutoscaling(minimum=1, maximum=8, initial=2)], ids=["fixed", "autoscaling"]
)
async def test_both_poller_behaviours_bring_every_task(address: str, behavior: Any) -> None:
    client = await Client.connect(address)
    queue = fresh()
    async with Worker(
        client,
        task_queue=queue,
        workflows=[FansOut],
        activities=[counted],
        workflow_task_poller_behavior=behavior,
        activity_task_poller_behavior=behavior,
        disable_eager_activity_execution=True,
    ):
        work = [client.execute_workflow(FansOut.run, args=[5, False], id=fresh("w"), task_queue=queue) for _ in range(10)]
        assert await asyncio.gather(*work) == [5] * 10


# -------------------------------------------------------------------------------------------- shutdown


@activity.defn
async def ends_when_told(how: str) -> str:
    """Runs until the worker is about to end: sees that by its event, or is cancelled after the period."""
    try:
        if how == "sees":
            await activity.wait_for_worker_shutdown()
            return "saw it"
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        details = activity.cancellation_details()
        assert details is not None and details.worker_shutdown
        assert activity.is_worker_shutdown()
        raise ApplicationError("was cancelled", non_retryable=True)
    return "slept"


@workflow.defn
class UntilShutdown:
    @workflow.run
    async def run(self, how: str) -> str:
        return await workflow.execute_activity(ends_when_told, how, start_to_close_timeout=timedelta(seconds=100))


@pytest.mark.parametrize("how, period, result", [("sees", 30.0, "saw it"), ("sleeps", 0.3, "was cancelled"), ("sleeps", 0.0, "was cancelled")])
async def test_activities_have_the_graceful_period_to_end(address: str, how: str, period: float, result: str) -> None:
    client = await Client.connect(address)
    queue = fresh()
    worker = Worker(
        client, task_queue=queue, workflows=[UntilShutdown], activities=[ends_when_told], graceful_shutdown_timeout=timedelta(seconds=period)
    )
    async with worker:
        handle = await client.start_workflow(UntilShutdown.run, how, id=fresh("w"), task_queue=queue)

        async def has_started() -> bool:
            pending = (await handle.describe()).raw_description.pending_activities
            return bool(pending) and pending[0].state == 2

        await eventually(has_started)
    async with Worker(client, task_queue=queue, workflows=[UntilShutdown]):  # for what is left of the workflow
        if result == "saw it":
            assert await handle.result() == result
        else:
            with pytest.raises(WorkflowFailureError) as raised:
                await handle.result()
            assert isinstance(raised.value.cause, ActivityError)
            assert isinstance(raised.value.cause.cause, ApplicationError) and raised.value.cause.cause.message == result
