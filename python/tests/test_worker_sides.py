"""The two sides of a worker over a scripted stand-in for the extension."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Optional

import pytest

import temporalio.common
from temporalio import _core, activity, workflow
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker._activity import ActivityWorker
from temporalio.worker._loop_watchdog import LoopWatchdog
from temporalio.worker._workflow import WorkflowWorker
from temporalio.worker._workflow_instance import UnsandboxedWorkflowRunner

from conftest import payload


class Script:
    """Stands for ``_core.Worker``: gives out what a test puts in, keeps what comes back."""

    def __init__(self) -> None:
        self.activations: queue.Queue[dict[str, Any]] = queue.Queue()
        self.completions: queue.Queue[dict[str, Any]] = queue.Queue()
        self.results: queue.Queue[dict[str, Any]] = queue.Queue()
        self.heartbeats: list[tuple[bytes, list[Any]]] = []

    def next_activation(self, timeout: Optional[float]) -> Optional[dict[str, Any]]:
        try:
            return self.activations.get(timeout=timeout)
        except queue.Empty:
            return None

    def complete_activation(self, completion: dict[str, Any]) -> None:
        self.completions.put(completion)

    def complete_activity(self, result: dict[str, Any]) -> None:
        self.results.put(result)

    def record_heartbeat(self, token: bytes, details: list[Any]) -> None:
        self.heartbeats.append((token, details))


def fatal(err: BaseException) -> None:
    raise AssertionError("the worker failed") from err


# ----------------------------------------------------------------------------------------------------------- workflows

unblock = threading.Event()


@workflow.defn(sandboxed=False)
class Quick:
    @workflow.run
    async def run(self) -> str:
        return "done"


@workflow.defn(sandboxed=False)
class Spins:
    ended = threading.Event()

    @workflow.run
    async def run(self) -> None:
        try:
            while True:
                pass
        finally:
            Spins.ended.set()


@workflow.defn(sandboxed=False)
class Blocks:
    @workflow.run
    async def run(self) -> None:
        unblock.wait()


@pytest.fixture
def side() -> Any:
    made: list[WorkflowWorker] = []

    def make(script: Script, **changes: Any) -> WorkflowWorker:
        values: dict[str, Any] = dict(
            namespace="n",
            task_queue="q",
            workflows=[Quick, Spins, Blocks],
            workflow_task_executor=None,
            max_concurrent_workflow_tasks=20,
            workflow_runner=UnsandboxedWorkflowRunner(),
            unsandboxed_workflow_runner=UnsandboxedWorkflowRunner(),
            data_converter=DataConverter.default,
            interceptors=[],
            workflow_failure_exception_types=[],
            debug_mode=False,
            disable_eager_activity_execution=False,
            metric_meter=lambda: temporalio.common.MetricMeter.noop,
            patch_activation_callback=None,
            disable_safe_eviction=False,
            should_enforce_versioning_behavior=False,
            assert_local_activity_valid=lambda name: None,
            encode_headers=False,
            on_fatal=fatal,
        )
        worker = WorkflowWorker(**{**values, **changes})
        worker._deadlock_timeout_seconds = 0.4
        worker.start(script, None)  # type: ignore[arg-type]
        made.append(worker)
        return worker

    yield make
    unblock.set()
    for worker in made:
        worker.stop()


def start(script: Script, worker: WorkflowWorker, kind: str, run_id: str) -> None:
    init = {"workflow_type": kind, "workflow_id": "w", "randomness_seed": 1}
    script.activations.put({"run_id": run_id, "timestamp": 1, "jobs": [{"initialize_workflow": init}]})
    worker.activation_waiting()


def evict(script: Script, worker: WorkflowWorker, run_id: str) -> None:
    script.activations.put({"run_id": run_id, "jobs": [{"remove_from_cache": {"reason": 4}}]})
    worker.activation_waiting()


def test_each_activation_has_its_completion(side: Any) -> None:
    script = Script()
    worker = side(script)
    for n in range(20):
        start(script, worker, "Quick", f"r{n}")
    done = {script.completions.get(timeout=60)["run_id"] for _ in range(20)}
    assert done == {f"r{n}" for n in range(20)}


@workflow.defn(sandboxed=False)
class LeavesSomethingBehind:
    unwound = threading.Event()

    @workflow.run
    async def run(self) -> str:
        self.task = asyncio.create_task(self.wait())
        await asyncio.sleep(0)
        return "done"

    async def wait(self) -> None:
        try:
            await workflow.wait_condition(lambda: False)
        finally:
            LeavesSomethingBehind.unwound.set()


@pytest.mark.parametrize(
    ("kind", "fields", "changes", "has_left"),
    [
        ("Quick", {}, {}, True),
        ("Quick", {"is_replaying": True}, {}, False),
        ("Quick", {"queries_follow": True}, {}, False),
        ("Quick", {}, {"disable_safe_eviction": True}, False),
        ("Quick", {}, {"on_eviction": lambda run_id, job: None}, False),
        ("LeavesSomethingBehind", {}, {}, False),
    ],
)
def test_a_run_leaves_by_itself_when_its_workflow_has_ended_and_nothing_of_it_is_left(
    side: Any, kind: str, fields: dict[str, Any], changes: dict[str, Any], has_left: bool
) -> None:
    script = Script()
    worker = side(script, workflows=[Quick, LeavesSomethingBehind], **changes)
    LeavesSomethingBehind.unwound.clear()
    init = {"workflow_type": kind, "workflow_id": "w", "randomness_seed": 1}
    script.activations.put({"run_id": "r", "timestamp": 1, "jobs": [{"initialize_workflow": init}], **fields})
    worker.activation_waiting()
    completion = script.completions.get(timeout=60)
    assert "complete_workflow" in completion["commands"][0]
    assert completion.get("has_left", False) is has_left and ("r" in worker._running) is not has_left
    assert not LeavesSomethingBehind.unwound.is_set()
    if not has_left:
        evict(script, worker, "r")
        assert script.completions.get(timeout=60) == {"run_id": "r"}
        assert worker._running == {} and LeavesSomethingBehind.unwound.is_set() is (kind != "Quick")


def test_an_unknown_type_fails_the_task_and_says_what_there_is(side: Any) -> None:
    script = Script()
    start(script, side(script), "Nope", "r")
    failure = script.completions.get(timeout=60)["failure"]
    assert failure["message"].endswith("available workflows: Blocks, Quick, Spins")
    assert failure["application_failure_info"]["type"] == "NotFoundError"


def test_code_that_spins_is_found_told_of_and_interrupted(side: Any) -> None:
    script = Script()
    worker = side(script)
    Spins.ended.clear()
    start(script, worker, "Spins", "r")
    failure = script.completions.get(timeout=60)["failure"]
    assert failure["message"].startswith("[TMPRL1101] Potential deadlock detected")
    assert "pass" in failure["stack_trace"] or "while True" in failure["stack_trace"]
    evict(script, worker, "r")
    assert script.completions.get(timeout=60) == {"run_id": "r"}
    assert Spins.ended.is_set()
    start(script, worker, "Quick", "r2")
    assert script.completions.get(timeout=60)["run_id"] == "r2"


def test_code_that_blocks_holds_up_nobody_else_and_is_evicted_when_it_returns(side: Any) -> None:
    script = Script()
    worker = side(script)
    unblock.clear()
    for n in range(4):
        start(script, worker, "Blocks", f"b{n}")
    for _ in range(4):
        assert "deadlock" in script.completions.get(timeout=60)["failure"]["message"]
    start(script, worker, "Quick", "r")
    assert script.completions.get(timeout=60)["run_id"] == "r"
    evict(script, worker, "b0")
    with pytest.raises(queue.Empty):
        script.completions.get(timeout=0.3)
    unblock.set()
    assert script.completions.get(timeout=60) == {"run_id": "b0"}


def test_another_pump_starts_when_none_gets_on_or_when_a_codec_makes_them_wait(side: Any) -> None:
    script = Script()
    worker = side(script)
    unblock.clear()
    start(script, worker, "Blocks", "b")
    while not worker._running:
        time.sleep(0.01)
    assert worker._pumps == 1
    worker.activation_waiting()  # the pump has begun with something since C last asked
    assert worker._pumps == 1
    worker.activation_waiting()  # and nothing more since
    assert worker._pumps == 2
    worker._codec.is_needed = True
    while worker._pumps == 2:  # the one that found nothing to do ends
        time.sleep(0.01)
    for slot in worker._watchdog.slots():
        slot.asked_number = slot.number - 1  # it gets on
    worker.activation_waiting()
    assert worker._pumps == 2
    worker._codec.is_needed = False


def test_pumps_leave_a_shared_executor_when_idle(side: Any) -> None:
    script = Script()
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        worker = side(script, workflow_task_executor=executor)
        start(script, worker, "Quick", "r")
        script.completions.get(timeout=60)
        assert executor.submit(lambda: "free").result(timeout=60) == "free"


# ---------------------------------------------------------------------------------------------------------- activities


class Fixture:
    def __init__(self, *activities: Callable, executor: Any = None) -> None:
        self.script = Script()
        client: Any = type("C", (), {"namespace": "n"})()
        self.side = ActivityWorker(
            core=lambda: self.script,  # type: ignore[arg-type, return-value]
            client=lambda: client,
            task_queue="q",
            activities=activities,
            activity_executor=executor,
            shared_state_manager=None,
            data_converter=DataConverter.default,
            interceptors=[],
            metric_meter=lambda: temporalio.common.MetricMeter.noop,
            encode_headers=False,
            on_fatal=fatal,
        )
        self.side.start(asyncio.get_running_loop())

    def begin(self, name: str, *args: str, token: bytes = b"t", **fields: Any) -> None:
        start = {"activity_type": name, "activity_id": "1", "workflow_id": "w", "attempt": 1, **fields}
        self.side.handle_task({"task_token": token, "start": {**start, "input": [payload(a) for a in args]}})

    def cancel(self, token: bytes = b"t", **flags: bool) -> None:
        self.side.handle_task({"task_token": token, "cancel": flags or {"is_cancelled": True}})

    async def result(self) -> dict[str, Any]:
        return await asyncio.get_running_loop().run_in_executor(None, lambda: self.script.results.get(timeout=60))


@activity.defn
async def greet(name: str) -> str:
    return f"Hello, {name}!"


@activity.defn
def greet_plain(name: str) -> str:
    activity.heartbeat("beat")
    return f"{activity.info().activity_type} {name}"


@activity.defn
async def waits() -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        details = activity.cancellation_details()
        assert details is not None
        if details.cancel_requested:
            raise
    return "stopped"


stopped = threading.Event()


@activity.defn
def waits_plain(shielded: bool) -> str:
    try:
        if shielded:
            with activity.shield_thread_cancel_exception():
                activity.wait_for_cancelled_sync(5)
                time.sleep(0.05)
                stopped.set()
        while True:
            time.sleep(0.01)
    except CancelledError:
        return "stopped" if stopped.is_set() or not shielded else "shield broken"


@activity.defn
def fails() -> None:
    raise ApplicationError("no", 1, type="T")


@activity.defn
def later() -> None:
    activity.raise_complete_async()


def run(coro: Any) -> None:
    asyncio.run(coro)


def test_async_and_plain_activities_complete() -> None:
    async def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(2) as executor:
            f = Fixture(greet, greet_plain, executor=executor)
            f.begin("greet", '"x"')
            assert await f.result() == {"task_token": b"t", "completed": {"result": payload('"Hello, x!"')}}
            f.begin("greet_plain", '"x"', token=b"u")
            assert await f.result() == {"task_token": b"u", "completed": {"result": payload('"greet_plain x"')}}
            assert f.script.heartbeats == [(b"u", [payload('"beat"')])]

    run(main())


def test_cancelling_an_async_activity() -> None:
    async def main() -> None:
        f = Fixture(waits)
        for flags, key in (({"is_cancelled": True}, "cancelled"), ({"is_worker_shutdown": True}, "completed")):
            f.begin("waits")
            await asyncio.sleep(0.01)
            f.cancel(**flags)
            assert key in await f.result()

    run(main())


@activity.defn
def beats_for_ever() -> None:
    while True:
        activity.heartbeat()


def test_a_cancellation_that_hits_the_packages_own_code_reaches_the_activity() -> None:
    """Which spends its time in heartbeats, so that most are raised there; each is answered for, whatever comes on top."""

    async def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            f = Fixture(beats_for_ever, executor=executor)
            for n in range(30):
                f.begin("beats_for_ever", token=b"%d" % n)
                await asyncio.sleep(0.01)
                f.cancel(b"%d" % n)
                f.cancel(b"%d" % n)
                f.cancel(b"%d" % n)
                result = await f.result()
                assert result["task_token"] == b"%d" % n and "cancelled" in result

    run(main())


class Dies:
    def __del__(self) -> None:
        for _ in range(20):
            len("x")


@activity.defn
def mostly_finalizes() -> None:
    while True:
        Dies()
        activity.heartbeat()


def test_a_cancellation_that_hits_a_finalizer_reaches_the_activity() -> None:
    """Python drops what is raised there; it is raised once more."""

    async def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            f = Fixture(mostly_finalizes, executor=executor)
            for n in range(20):
                f.begin("mostly_finalizes", token=b"%d" % n)
                await asyncio.sleep(0.005)
                f.cancel(b"%d" % n)
                assert "cancelled" in await f.result()

    run(main())


class SwallowsWhenDropped:
    """Stands for finalizers that let no error out, as those of asyncio's tasks do."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        try:
            for _ in range(100):
                len("x")
        except Exception:
            pass


@activity.defn
def mostly_collects() -> None:
    while True:
        SwallowsWhenDropped()
        gc.collect(0)
        activity.heartbeat()


@activity.defn
def mostly_drops() -> None:
    while True:
        SwallowsWhenDropped().itself = None  # type: ignore[assignment]
        activity.heartbeat()


@pytest.mark.parametrize("name", ["mostly_collects", "mostly_drops"])
def test_a_cancellation_waits_for_finalizers_that_would_swallow_it(name: str) -> None:
    async def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            f = Fixture(mostly_collects, mostly_drops, executor=executor)
            for n in range(20):
                f.begin(name, token=b"%d" % n)
                await asyncio.sleep(0.005)
                f.cancel(b"%d" % n)
                assert "cancelled" in await f.result()

    run(main())


def test_cancelling_an_activity_that_has_not_begun() -> None:
    """It begins, and learns of it where it waits first: an async one, and a plain one that the executor had no thread for."""

    async def main() -> None:
        f = Fixture(waits)
        f.begin("waits")
        f.cancel()
        assert "cancelled" in await f.result()
        stopped.clear()
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            f = Fixture(waits_plain, executor=executor)
            free = threading.Event()
            executor.submit(free.wait)
            f.begin("waits_plain", "false")
            f.cancel()
            free.set()
            assert "cancelled" in await f.result()
            assert executor.submit(lambda: 1).result() == 1

    run(main())


def test_a_blocked_loop_is_stood_in_for() -> None:
    """Another thread hands over what came: plain activities start and are cancelled, async ones later, in order."""

    async def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(2) as executor:
            f = Fixture(waits, waits_plain, greet_plain, executor=executor)
            stopped.clear()

            def stand_in() -> None:
                f.begin("greet_plain", '"x"', token=b"a")
                f.begin("waits_plain", "true", token=b"b")
                f.begin("waits", token=b"c")
                f.cancel(b"c")

            def late_cancel() -> None:
                f.cancel(b"b")

            for work in (stand_in, late_cancel):
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()  # the loop does not run meanwhile
                time.sleep(0.2)
            assert [f.script.results.get(timeout=60)["task_token"] for _ in range(2)] == [b"a", b"b"]
            assert stopped.is_set()
            assert (await f.result())["task_token"] == b"c"

    run(main())


@pytest.mark.parametrize("shielded", ["false", "true"])
def test_cancelling_a_plain_activity_raises_on_its_thread(shielded: str) -> None:
    async def main() -> None:
        stopped.clear()
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            f = Fixture(waits_plain, executor=executor)
            f.begin("waits_plain", shielded)
            await asyncio.sleep(0.1)
            f.cancel()
            assert (await f.result())["completed"]["result"] == payload('"stopped"')
            # The thread is as good as new
            assert executor.submit(lambda: 1).result() == 1

    run(main())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"is_paused": True}, "Unhandled activity cancel error produced by activity pause"),
        ({"is_reset": True}, "Unhandled activity cancel error produced by activity reset"),
        ({"is_worker_shutdown": True}, "activity did not complete in time"),
    ],
)
def test_why_an_activity_was_stopped_is_told_where_it_did_not_say_itself(flags: Any, message: str) -> None:
    @activity.defn
    async def unaware() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        f = Fixture(unaware)
        f.begin("unaware")
        await asyncio.sleep(0.01)
        f.cancel(**flags)
        assert message in (await f.result())["failed"]["message"]

    run(main())


def test_failures_and_completion_from_outside(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            f = Fixture(fails, later, executor=executor)
            f.begin("fails")
            failed = (await f.result())["failed"]
            assert failed["message"] == "no" and failed["application_failure_info"]["type"] == "T"
            f.begin("later")
            assert "will_complete_async" in await f.result()
            f.begin("nope")
            assert "available activities: fails, later" in (await f.result())["failed"]["message"]

    with caplog.at_level(logging.WARNING, "temporalio.activity"):
        run(main())
    assert [r.message.split(" (")[0] for r in caplog.records] == ["Completing activity as failed"]


def test_details_that_cannot_be_sent_fail_the_activity() -> None:
    @activity.defn
    async def bad() -> None:
        activity.heartbeat(object())
        await asyncio.sleep(5)

    async def main() -> None:
        f = Fixture(bad)
        f.begin("bad")
        assert "not JSON serializable" in (await f.result())["failed"]["message"]

    run(main())


def test_a_plain_activity_needs_an_executor() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="not async and the worker has no activity_executor"):
            Fixture(fails)
        with pytest.raises(ValueError, match="More than one of the activities has the name greet"):
            Fixture(greet, greet)

    run(main())


def test_heartbeats_of_plain_activities_do_not_wait_for_a_blocked_loop() -> None:
    @activity.defn
    def beats() -> None:
        for n in range(3):
            activity.heartbeat(n)

    async def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            f = Fixture(beats, executor=executor)
            f.begin("beats")
            f.script.results.get(timeout=60)  # blocks the loop until the activity has ended
            assert [d for _, d in f.script.heartbeats] == [[payload(str(n))] for n in range(3)]

    run(main())


def test_the_watchdog_names_the_activity_that_blocks_the_loop(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERDURE_LOOP_BLOCKED_SECONDS", "0.2")

    @activity.defn
    async def blocks() -> None:
        time.sleep(1.2)  # the line in question

    async def main() -> None:
        f = Fixture(blocks)
        watchdog = LoopWatchdog(asyncio.get_running_loop())
        watchdog.start()
        await asyncio.sleep(0.3)
        f.begin("blocks")
        await f.result()
        watchdog.stop()

    with caplog.at_level(logging.WARNING, "temporalio.worker"):
        run(main())
    message = next(r.getMessage() for r in caplog.records if "blocked" in r.getMessage())
    assert "by activity: blocks, at " in message and "test_worker_sides.py" in message
    assert "the line in question" in message


def test_infos_tell_what_the_task_told() -> None:
    seen: list[activity.Info] = []

    @activity.defn
    async def look() -> None:
        seen.append(activity.info())

    async def main() -> None:
        f = Fixture(look)
        f.begin("look", heartbeat_details=[payload("7")], attempt=3, heartbeat_timeout=2_000_000_000)
        await f.result()

    run(main())
    (info,) = seen
    assert (info.attempt, list(info.heartbeat_details), info.heartbeat_timeout) == (3, [7], timedelta(seconds=2))
    assert info.namespace == "n" and info.task_token == b"t" and info.in_workflow


def test_infos_have_what_came_encoded() -> None:
    """Which C leaves for those who ask."""
    seen: list[activity.Info] = []

    @activity.defn
    async def look(name: str) -> str:
        seen.append(activity.info())
        return name

    async def main() -> None:
        f = Fixture(look)
        whole = {"activity_id": "a", "workflow_id": "w", "workflow_run_id": "r", "workflow_type": "T", "workflow_namespace": "other"}
        rest: dict[str, Any] = {"attempt": 4, "heartbeat_details": [payload("8")], "retry_policy": {"maximum_attempts": 5}}
        others = _core.encode("perdure.core.v1.ActivityStart", {**whole, **rest})
        start = {"activity_type": "look", "input": [payload('"x"')], "heartbeat_timeout": 3_000_000_000, "others": others}
        f.side.handle_task({"task_token": b"t", "start": start})
        assert (await f.result())["completed"] == {"result": payload('"x"')}

    run(main())
    (info,) = seen
    assert (info.activity_id, info.activity_type, info.attempt, list(info.heartbeat_details)) == ("a", "look", 4, [8])
    assert (info.workflow_id, info.workflow_run_id, info.workflow_type, info.namespace) == ("w", "r", "T", "other")
    assert info.heartbeat_timeout == timedelta(seconds=3) and info.retry_policy is not None and info.retry_policy.maximum_attempts == 5


@pytest.mark.parametrize("curious", [False, True])
def test_an_activity_that_has_ended_is_freed_without_the_collector(curious: bool) -> None:
    kept: list[weakref.ref[Any]] = []

    def keep() -> None:
        kept.append(weakref.ref(activity._Context.current()))
        if curious:
            activity.heartbeat(activity.info().activity_id)
            assert not activity.is_cancelled() and not activity.is_worker_shutdown()
            assert activity.payload_converter() is DataConverter.default.payload_converter
            assert activity.metric_meter() is not None

    @activity.defn
    async def on_loop() -> None:
        keep()
        await asyncio.sleep(0)
        kept.append(weakref.ref(asyncio.current_task()))

    @activity.defn
    def on_thread() -> None:
        keep()

    async def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            f = Fixture(on_loop, on_thread, executor=executor)
            for name in ("on_loop", "on_thread"):
                f.begin(name)
                assert "completed" in await f.result()
            for _ in range(500):
                if not any(ref() for ref in kept):
                    break
                await asyncio.sleep(0.01)
        assert len(kept) == 3 and [ref() for ref in kept] == [None] * 3

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


@pytest.mark.parametrize("asks_before", [False, True])
def test_whoever_asks_first_after_the_cancellation_hears_of_it_too(asks_before: bool) -> None:
    may_ask = threading.Event()

    @activity.defn(no_thread_cancel_exception=True)
    def asks() -> list[bool]:
        before = [activity.is_cancelled()] if asks_before else []
        assert may_ask.wait(60)
        activity.wait_for_cancelled_sync(60)
        return [*before, activity.is_cancelled()]

    async def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            f = Fixture(asks, executor=executor)
            f.begin("asks")
            await asyncio.sleep(0.05)
            f.cancel()
            may_ask.set()
            expected = "[false,true]" if asks_before else "[true]"
            assert (await f.result())["completed"] == {"result": payload(expected)}

    run(main())
