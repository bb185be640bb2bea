"""Where what runs: each sentence of the documentation about workers and executors, on a server."""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.converter import DataConverter, PayloadCodec
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError
from temporalio.worker import ActivityInboundInterceptor, Interceptor, SharedStateManager, Worker

from live import eventually, fresh, python

MINUTE = timedelta(minutes=1)
ONCE = RetryPolicy(maximum_attempts=1)
places: dict[str, Any] = {}


@activity.defn
async def where_async(mark: str) -> str:
    places[mark] = (threading.get_ident(), asyncio.get_running_loop())
    return mark


@activity.defn
def where_plain() -> tuple[str, int]:
    return threading.current_thread().name, os.getpid()


@activity.defn
async def away(how: str) -> str:
    """Blocking work of an async activity, where it blocks nobody."""

    def block() -> str:
        time.sleep(0.05)
        return threading.current_thread().name

    if how == "to_thread":
        return await asyncio.to_thread(block)
    return await asyncio.get_running_loop().run_in_executor(None, block)


@workflow.defn(sandboxed=False)
class Calls:
    """Runs one activity and tells its result, and the thread it was on itself."""

    @workflow.run
    async def run(self, name: str, args: list[Any]) -> list[Any]:
        # Nothing a workflow should do; here the place is the point
        places["workflow"] = threading.current_thread().name
        result = await workflow.execute_activity(name, args=args, start_to_close_timeout=MINUTE, retry_policy=ONCE)
        return [result, threading.current_thread().name]


@workflow.defn(name="customized-name")
class Named:
    @workflow.run
    async def run(self) -> str:
        return workflow.info().workflow_type


async def call(client: Client, queue: str, fn: Any, *args: Any) -> list[Any]:
    name = activity._Definition.must_from_callable(fn).name
    assert name is not None
    return await client.execute_workflow(Calls.run, args=[name, list(args)], id=fresh("w"), task_queue=queue)


# ------------------------------------------------------------------------------------------------- who runs on what


async def test_async_activities_are_tasks_of_the_loop_the_worker_runs_on(address: str) -> None:
    client, queue = await Client.connect(address), fresh()
    async with Worker(client, task_queue=queue, workflows=[Calls], activities=[where_async, away]):
        assert (await call(client, queue, where_async, "x"))[0] == "x"
        assert places["x"] == (threading.get_ident(), asyncio.get_running_loop())
        assert (await call(client, queue, away, "to_thread"))[0].startswith("asyncio_")
        assert (await call(client, queue, away, "run_in_executor"))[0].startswith("asyncio_")


async def test_plain_activities_run_on_the_activity_executor_and_workflows_on_theirs(address: str) -> None:
    client, queue = await Client.connect(address), fresh()
    with ThreadPoolExecutor(100, "act") as acts, ThreadPoolExecutor(4, "flow") as flows:
        async with Worker(
            client, task_queue=queue, workflows=[Calls], activities=[where_plain], activity_executor=acts, workflow_task_executor=flows
        ):
            (name, pid), thread = await call(client, queue, where_plain)
        assert name.startswith("act_") and pid == os.getpid()
        assert thread.startswith("flow_") and places["workflow"].startswith("flow_")
        # They were lent: they still work when the worker has ended
        assert [acts.submit(lambda: 1).result(), flows.submit(lambda: 2).result()] == [1, 2]


async def test_without_an_executor_workflows_have_threads_of_the_workers_own(address: str) -> None:
    client, queue = await Client.connect(address), fresh()
    async with Worker(client, task_queue=queue, workflows=[Calls], activities=[where_async]):
        assert (await call(client, queue, where_async, "y"))[1].startswith("temporal_workflow_")
    assert not [t for t in threading.enumerate() if t.name.startswith("temporal_workflow_watchdog")]


@activity.defn
def in_process(steps: int) -> tuple[int, str, int]:
    for n in range(steps):
        activity.heartbeat(n)
    return os.getpid(), activity.info().activity_type, steps


async def test_plain_activities_may_run_in_processes(address: str) -> None:
    client, queue = await Client.connect(address), fresh()
    manager = multiprocessing.get_context("spawn").Manager()
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    shared = SharedStateManager.create_from_multiprocessing(manager)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            worker = Worker(
                client, task_queue=queue, workflows=[Calls], activities=[in_process], activity_executor=pool, shared_state_manager=shared
            )
        assert ["100" in str(w.message) and "max_workers is only 1" in str(w.message) for w in caught] == [True]
        async with worker:
            pid, kind, steps = (await call(client, queue, in_process, 3))[0]
        assert pid != os.getpid() and (kind, steps) == ("in_process", 3)
    finally:
        pool.shutdown()
        manager.shutdown()


async def test_what_an_executor_needs_is_said_when_the_worker_is_made(address: str) -> None:
    client = await Client.connect(address)

    def make(**options: Any) -> Worker:
        return Worker(client, task_queue="q", workflows=[Calls], **options)

    with pytest.raises(ValueError, match="where_plain is not async and the worker has no activity_executor"):
        make(activities=[where_plain])
    with ProcessPoolExecutor(1) as processes:
        with pytest.raises(ValueError, match="shared_state_manager must be"):
            make(activities=[in_process], activity_executor=processes)
        manager = SharedStateManager.create_from_multiprocessing(multiprocessing.Manager())

        @activity.defn
        def local() -> None: ...

        with pytest.raises(TypeError, match="picklable"):
            make(activities=[local], activity_executor=processes, shared_state_manager=manager)
    with ThreadPoolExecutor(3) as few:
        with pytest.warns(UserWarning, match="max_concurrent_activities is 10 but activity_executor's max_workers is only 3"):
            make(activities=[where_plain], activity_executor=few, max_concurrent_activities=10)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            make(activities=[where_plain], activity_executor=few, max_concurrent_activities=3)
    with pytest.raises(ValueError, match="nothing to do"):
        Worker(client, task_queue="q")


blocker = threading.Event()


@activity.defn
def stuck() -> str:
    blocker.wait(30)
    return "freed"


async def test_a_plain_activity_that_blocks_slows_no_other(address: str) -> None:
    client, queue = await Client.connect(address), fresh()
    blocker.clear()
    with ThreadPoolExecutor(100) as pool:
        async with Worker(client, task_queue=queue, workflows=[Calls], activities=[stuck, where_plain, where_async], activity_executor=pool):
            waiting = asyncio.create_task(call(client, queue, stuck))
            for n in range(5):
                await call(client, queue, where_plain)
                await call(client, queue, where_async, str(n))
            assert not waiting.done()
            blocker.set()
            assert (await waiting)[0] == "freed"


# --------------------------------------------------------------------------------------------- several workers, types


async def test_workflows_and_activities_may_have_workers_of_their_own(address: str) -> None:
    client, queue = await Client.connect(address), fresh()
    with ThreadPoolExecutor(100, "only-acts") as pool:
        async with Worker(client, task_queue=queue, workflows=[Calls]):
            async with Worker(client, task_queue=queue, activities=[where_plain, where_async], activity_executor=pool):
                assert (await call(client, queue, where_plain))[0][0].startswith("only-acts")
                assert (await call(client, queue, where_async, "sep"))[0] == "sep"


@activity.defn(name="who")
async def first() -> str:
    return "first"


@activity.defn(name="who")
async def second() -> str:
    return "second"


async def test_workers_of_one_process_take_the_tasks_of_their_own_queue(address: str) -> None:
    client = await Client.connect(address)
    queues = [fresh(), fresh()]
    workers = [Worker(client, task_queue=q, workflows=[Calls], activities=[a]) for q, a in zip(queues, (first, second))]
    async with workers[0], workers[1]:
        results = await asyncio.gather(*[call(client, q, first) for q in queues * 5])
    assert [r[0] for r in results] == ["first", "second"] * 5


async def test_a_workflow_type_nobody_registered_fails_its_task_and_not_the_workflow(address: str) -> None:
    client, queue = await Client.connect(address), fresh()
    async with Worker(client, task_queue=queue, workflows=[Calls, Named], activities=[where_async]):
        handle = await client.start_workflow("Mistyped", id=fresh("w"), task_queue=queue)

        async def failure() -> Any:
            events = (await handle.fetch_history()).events
            return next((e.workflow_task_failed_event_attributes.failure for e in events if e.HasField("workflow_task_failed_event_attributes")), None)

        message = (await eventually(failure)).message
        assert "Mistyped" in message and message.endswith("available workflows: Calls, customized-name")
        description = await handle.describe()
        assert description.status is not None and description.status.name == "RUNNING"
        # The name of a workflow is its class's, or the one that was given
        assert await client.execute_workflow(Named.run, id=fresh("w"), task_queue=queue) == "customized-name"
        await handle.terminate()


async def test_an_activity_type_nobody_registered_fails_its_attempt_with_the_ones_there_are(address: str) -> None:
    client, queue = await Client.connect(address), fresh()
    async with Worker(client, task_queue=queue, workflows=[Calls], activities=[where_async, first]):
        with pytest.raises(WorkflowFailureError) as raised:
            await client.execute_workflow(Calls.run, args=["mistyped", []], id=fresh("w"), task_queue=queue)
    error = raised.value.cause
    assert isinstance(error, ActivityError) and isinstance(error.cause, ApplicationError)
    assert "mistyped" in error.cause.message and error.cause.message.endswith("available activities: where_async, who")
    assert error.cause.type == "NotFoundError" and not error.cause.non_retryable


DEFINITIONS = {
    "class A:\n    async def run(self): ...": "@workflow.run",
    "class A:\n    @workflow.run\n    async def run(self): ...\n    @workflow.run\n    async def again(self): ...": "again.*run|run.*again",
    "class A:\n    @workflow.run\n    def run(self): ...": "async",
}


@pytest.mark.parametrize("source", DEFINITIONS)
def test_a_workflow_has_exactly_one_async_run_method(source: str) -> None:
    with pytest.raises(ValueError, match=DEFINITIONS[source]):
        exec(f"@workflow.defn\n{source}", {"workflow": workflow, "__name__": __name__})


# ------------------------------------------------------------------------------------------------------ the blocked loop

BLOCK_SECONDS = 20
BEAT_SECONDS = 2


@activity.defn
async def blocks_the_loop(seconds: float) -> str:
    time.sleep(seconds)  # where the loop hangs
    return "blocked"


@activity.defn
async def holds_the_gil(seconds: float) -> str:
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    return "blocked"


@activity.defn
def beats(seconds: float) -> int:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        activity.heartbeat("plain")
        time.sleep(0.2)
    return activity.info().attempt


@activity.defn
async def beats_async(seconds: float) -> int:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        activity.heartbeat("async")
        await asyncio.sleep(0.2)
    return activity.info().attempt


@activity.defn
def quick(n: int) -> float:
    return time.time()


@activity.defn
def until_cancelled() -> float:
    try:
        while True:
            activity.heartbeat()
            time.sleep(0.05)
    except CancelledError:
        return time.time()


@workflow.defn(sandboxed=False)
class Busy:
    """Activities with a short heartbeat timeout beside one that blocks all others, and plain ones one after another."""

    @workflow.run
    async def run(self, blocking: str, seconds: float) -> dict[str, Any]:
        def start(name: str, *args: Any, attempts: int = 3, **options: Any) -> Any:
            policy = RetryPolicy(maximum_attempts=attempts)
            return workflow.start_activity(name, args=args, start_to_close_timeout=MINUTE, retry_policy=policy, **options)

        beat = timedelta(seconds=BEAT_SECONDS)
        waits = workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
        beating = [start(name, seconds + 1, heartbeat_timeout=beat) for name in ("beats", "beats_async") * 3]
        cancelled = start("until_cancelled", heartbeat_timeout=beat, cancellation_type=waits)
        await workflow.sleep(0.5)
        blocked = start(blocking, seconds, attempts=1)
        await workflow.sleep(1)
        cancelled.cancel()
        quick_at = []
        for n in range(5):
            quick_at.append(await start("quick", n, attempts=1))
            await workflow.sleep(0.5)
        cancelled_at = await cancelled
        assert await blocked == "blocked"
        return {"attempts": list(await asyncio.gather(*beating)), "quick_at": quick_at, "cancelled_at": cancelled_at}


class Nothing(Interceptor):
    """One that only stands in the way."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return ActivityInboundInterceptor(next)


class Reversed(PayloadCodec):
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata={"encoding": b"reversed"}, data=p.SerializeToString()[::-1]) for p in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(p.data[::-1]) for p in payloads]


def options_of(mode: str) -> dict[str, Any]:
    """What a client of a mode has."""
    converter = dataclasses.replace(DataConverter.default, payload_codec=Reversed()) if mode == "wrapped" else DataConverter.default
    return {"data_converter": converter}


def serve(address: str, queue: str, mode: str) -> None:
    """The worker of the next test, in a process of its own. Ends when its input does."""

    async def main() -> None:
        if mode == "eager":
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        client = await Client.connect(address, **options_of(mode))
        ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        with ThreadPoolExecutor(20) as pool:
            async with Worker(
                client,
                task_queue=queue,
                workflows=[Busy],
                activities=[blocks_the_loop, holds_the_gil, beats, beats_async, quick, until_cancelled],
                activity_executor=pool,
                max_concurrent_activities=20,
                interceptors=[Nothing()] if mode == "wrapped" else [],
            ):
                await ended

    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main())


@pytest.mark.timeout(120)
async def test_a_blocked_loop_is_reported_and_times_no_other_activity_out(address: str) -> None:
    """Nor does a held GIL. All at once: the plain way, also with tasks that begin when they are made; with interceptor and
    codec, which need the loop; with the GIL held."""

    async def one(mode: str, blocking: str) -> tuple[dict[str, Any], float, str]:
        queue = fresh(mode)
        program = "import sys; from test_executors import serve; serve(*sys.argv[1:])"
        worker = python(program, address, queue, mode, stdin=subprocess.PIPE, cwd=Path(__file__).parent)
        try:
            client = await Client.connect(address, **options_of(mode))
            result = await client.execute_workflow(Busy.run, args=[blocking, BLOCK_SECONDS], id=fresh("w"), task_queue=queue)
            ended = time.time()
            _, said = await asyncio.to_thread(worker.communicate, "", 30)
            return result, ended, said
        finally:
            worker.kill()
            worker.wait()

    ways = [("plain", "blocks_the_loop"), ("wrapped", "blocks_the_loop"), ("held", "holds_the_gil")]
    ways += [("eager", "blocks_the_loop")] if sys.version_info >= (3, 12) else []
    plain, wrapped, held, *eager = await asyncio.gather(*[one(*way) for way in ways])
    # No heartbeat was late, so each ended in its first attempt
    assert [r[0]["attempts"] for r in (plain, wrapped, held, *eager)] == [[1] * 6] * len(ways)
    # Plain activities went on meanwhile, from their start to their end, and heard of their cancellation
    for result, ended, said in plain, *eager:
        assert max(*result["quick_at"], result["cancelled_at"]) < ended - BLOCK_SECONDS / 3
    for _, _, said in plain, wrapped, *eager:
        reports = [line for line in said.splitlines() if "has been blocked" in line]
        assert len(reports) >= 3 and all("by activity: blocks_the_loop, at " in r for r in reports)
        assert all("test_executors.py" in r for r in reports) and said.count("where the loop hangs") >= 3
        assert "runs again after" in said
