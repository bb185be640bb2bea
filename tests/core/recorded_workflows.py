"""Workflows that use every command, for histories that have to replay on both sides.

Run by record_histories.py with either package; replayed by replay_histories.py and python/tests with either package. The
names and the order of the commands are part of recorded histories: add, do not change.
"""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ApplicationError
from temporalio.workflow import ActivityCancellationType, ChildWorkflowCancellationType

SECONDS_5 = timedelta(seconds=5)
task_failures = 0


@activity.defn
async def say(n: str) -> str:
    return f"Hello, {n}!"


@activity.defn
async def fail(n: str) -> str:
    raise ApplicationError("boom", type="T", non_retryable=True)


@activity.defn
async def failtwice(n: str) -> str:
    if activity.info().attempt < 3:
        raise ApplicationError("again")
    return "ok"


@activity.defn
async def forever(n: str) -> str:
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.2)


@activity.defn
async def slow(n: float) -> str:
    await asyncio.sleep(n)
    return "slow"


@activity.defn
async def never(n: str) -> str:
    await asyncio.sleep(1000)
    return ""


@workflow.defn
class Hello:
    @workflow.run
    async def run(self, n: str) -> str:
        return await workflow.execute_activity(say, n, start_to_close_timeout=SECONDS_5)


@workflow.defn
class Fan:
    @workflow.run
    async def run(self) -> list:
        return await asyncio.gather(
            *[
                workflow.execute_activity(
                    say, str(i), start_to_close_timeout=SECONDS_5, activity_id=f"a{i}" if i % 2 else None
                )
                for i in range(5)
            ]
        )


@workflow.defn
class Timers:
    """Fired, cancelled, and cancelled before history hears of it."""

    @workflow.run
    async def run(self) -> str:
        await asyncio.sleep(0.1)
        task = asyncio.create_task(workflow.sleep(100, summary="long"))
        await asyncio.sleep(0.1)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        task = asyncio.create_task(asyncio.sleep(100))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0.05)
        return "ok"


@workflow.defn
class ActFail:
    @workflow.run
    async def run(self) -> str:
        quick = RetryPolicy(initial_interval=timedelta(milliseconds=10))
        once = RetryPolicy(maximum_attempts=1)
        for fn, timeout, policy in ((fail, 5, None), (failtwice, 5, quick), (never, 1, once)):
            try:
                await workflow.execute_activity(
                    fn, "x", start_to_close_timeout=timedelta(seconds=timeout), retry_policy=policy
                )
            except Exception:
                pass
        return "ok"


@workflow.defn
class ActCancel:
    @workflow.run
    async def run(self, kind: int) -> str:
        handle = workflow.start_activity(
            forever,
            "x",
            start_to_close_timeout=timedelta(seconds=20),
            heartbeat_timeout=timedelta(seconds=1),
            cancellation_type=ActivityCancellationType(kind),
        )
        await asyncio.sleep(0.5)
        handle.cancel()
        result = "?"
        try:
            await handle
        except BaseException as err:
            result = repr(err)
        await asyncio.sleep(0.3)
        return result


@workflow.defn
class ActCancelSameTask:
    @workflow.run
    async def run(self) -> str:
        handle = workflow.start_activity(forever, "x", start_to_close_timeout=timedelta(seconds=20))
        await asyncio.sleep(0)
        handle.cancel()
        result = "?"
        try:
            await handle
        except BaseException as err:
            result = repr(err)
        await asyncio.sleep(0.1)
        return result


@workflow.defn
class Child:
    @workflow.run
    async def run(self, mode: str) -> str:
        if mode == "fail":
            raise ApplicationError("child boom")
        if mode == "wait":
            await workflow.wait_condition(lambda: False)
        if mode == "waitclean":
            try:
                await workflow.wait_condition(lambda: False)
            except BaseException:
                await workflow.sleep(0.1)
                raise
        return "child " + mode

    @workflow.signal
    async def sig(self, a: str) -> None:
        pass


@workflow.defn
class Parent:
    @workflow.run
    async def run(self, mode: str, kind: int = 2) -> str:
        cancellation = ChildWorkflowCancellationType(kind)
        if mode in ("ok", "fail"):
            try:
                return await workflow.execute_child_workflow(Child.run, mode)
            except Exception as err:
                return repr(err)
        if mode == "dup":
            await workflow.start_child_workflow(Child.run, "wait", id=workflow.info().workflow_id + "-c")
            try:
                await workflow.start_child_workflow(Child.run, "wait", id=workflow.info().workflow_id + "-c")
            except Exception as err:
                return repr(err)
        result = ""
        if mode == "sametask":
            task = asyncio.create_task(
                workflow.start_child_workflow(Child.run, "wait", cancellation_type=cancellation)
            )
            await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except BaseException as err:
                result = repr(err)
            await workflow.sleep(0.1)
            return result
        handle = await workflow.start_child_workflow(Child.run, mode, cancellation_type=cancellation)
        if mode == "wait":
            await handle.signal(Child.sig, "x")
        handle.cancel()
        try:
            await handle
        except BaseException as err:
            result = repr(err)
        await workflow.sleep(0.3)
        return result


@workflow.defn
class External:
    @workflow.run
    async def run(self, other: str) -> str:
        out = []
        handle = workflow.get_external_workflow_handle(other)
        await handle.signal("sig", "hi")
        await handle.cancel()
        missing = workflow.get_external_workflow_handle("nope-" + other)
        for attempt in (lambda: missing.signal("sig"), missing.cancel):
            try:
                await attempt()
            except Exception as err:
                out.append(repr(err))
        task = asyncio.create_task(handle.signal("sig", "never"))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except BaseException as err:
            out.append(repr(err))
        return repr(out)


@workflow.defn
class Patched:
    @workflow.run
    async def run(self) -> str:
        if workflow.patched("p1"):
            await workflow.sleep(0.05)
        workflow.deprecate_patch("p2")
        await workflow.sleep(0.05)
        workflow.patched("p1")
        if workflow.patched("p3"):
            await workflow.sleep(0.05)
        return "ok"


@workflow.defn
class Can:
    @workflow.run
    async def run(self, n: int) -> str:
        if n > 0:
            await workflow.sleep(0.01)
            workflow.continue_as_new(n - 1)
        return "done"


@workflow.defn
class Upd:
    def __init__(self) -> None:
        self.v = 0
        self.done = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.done)
        return str(self.v)

    @workflow.signal
    async def fin(self, x: int = 0) -> None:
        self.done = True

    @workflow.signal
    async def inc(self, x: int) -> None:
        self.v += x

    @workflow.query
    def val(self) -> int:
        return self.v

    @workflow.query
    def bad(self) -> int:
        raise ApplicationError("bad query")

    @workflow.update
    async def up(self, x: int) -> int:
        self.v += x
        return self.v

    @workflow.update
    async def upact(self, x: int) -> str:
        return await workflow.execute_activity(say, str(x), start_to_close_timeout=SECONDS_5)

    @workflow.update
    async def upfail(self, x: int) -> int:
        await workflow.sleep(0.05)
        raise ApplicationError("upd fail")

    @up.validator
    def val_up(self, x: int) -> None:
        if x < 0:
            raise ValueError("neg")


@workflow.defn
class Sa:
    @workflow.run
    async def run(self) -> str:
        key = SearchAttributeKey.for_keyword("CustomKeywordField")
        workflow.upsert_search_attributes([key.value_set("v")])
        workflow.upsert_memo({"a": 1, "b": None})
        await workflow.sleep(0.02)
        workflow.upsert_search_attributes([key.value_unset()])
        return "ok"


@workflow.defn
class La:
    """Local activities; `mode` says which way they go."""

    @workflow.run
    async def run(self, mode: str) -> str:
        try:
            return await self._run(mode)
        except BaseException as err:
            await workflow.sleep(0.01)
            return repr(err) + repr(err.__cause__)

    async def _run(self, mode: str) -> str:
        local = workflow.start_local_activity
        if mode == "ok":
            return await local(say, "x", start_to_close_timeout=SECONDS_5)
        if mode == "two":
            both = [local(say, n, start_to_close_timeout=SECONDS_5) for n in ("x", "y")]
            results = await asyncio.gather(*both)
            await workflow.sleep(0.05)
            results.append(await local(say, "z", start_to_close_timeout=SECONDS_5))
            return repr(results)
        if mode == "fail":
            return await local(fail, "x", start_to_close_timeout=SECONDS_5)
        if mode == "retry":
            quick = RetryPolicy(initial_interval=timedelta(milliseconds=10))
            return await local(failtwice, "x", start_to_close_timeout=SECONDS_5, retry_policy=quick)
        if mode == "backoff":
            return await local(
                failtwice,
                "x",
                start_to_close_timeout=SECONDS_5,
                local_retry_threshold=timedelta(milliseconds=50),
                retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100)),
            )
        if mode == "long":
            return await local(slow, 4.5, start_to_close_timeout=timedelta(seconds=20))
        if mode == "timeout":
            once = RetryPolicy(maximum_attempts=1)
            return await local(never, "x", start_to_close_timeout=timedelta(milliseconds=300), retry_policy=once)
        if mode == "mixed":
            first = local(slow, 0.3, start_to_close_timeout=SECONDS_5)
            second = workflow.start_activity(say, "y", start_to_close_timeout=SECONDS_5)
            await workflow.sleep(0.1)
            return repr(await asyncio.gather(first, second))
        kind = ActivityCancellationType(int(mode[len("cancel") :]))
        handle = local(never, "x", start_to_close_timeout=SECONDS_5, cancellation_type=kind)
        await workflow.sleep(0.1)
        handle.cancel()
        return repr(await handle)


@workflow.defn
class Fails:
    @workflow.run
    async def run(self) -> str:
        await workflow.sleep(0.01)
        raise ApplicationError("wf boom", "d", type="X")


@workflow.defn
class CancelMe:
    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: False)
        return ""


@workflow.defn
class TaskFail:
    """Fails its first workflow task; then says what random numbers it has."""

    @workflow.run
    async def run(self) -> str:
        global task_failures
        if not workflow.unsafe.is_replaying():
            task_failures += 1
            if task_failures == 1:
                raise RuntimeError("task fail")
        await workflow.sleep(0.01)
        info = workflow.info()
        return f"{workflow.random_seed()} {info.run_id} {workflow.uuid4()} {info.original_execution_run_id}"


@workflow.defn
class Order:
    """In what order signals, results and the run itself come."""

    def __init__(self) -> None:
        self.log: list = []

    @workflow.run
    async def run(self) -> list:
        self.log.append("run")

        async def act(i: int) -> None:
            await workflow.execute_activity(say, str(i), start_to_close_timeout=SECONDS_5)
            self.log.append(f"act{i}")

        async def timer() -> None:
            await workflow.sleep(1)
            self.log.append("timer")

        tasks = [asyncio.create_task(act(i)) for i in range(3)] + [asyncio.create_task(timer())]
        await asyncio.gather(*tasks)
        await workflow.wait_condition(lambda: "sig3" in self.log)
        return self.log

    @workflow.signal
    async def sig(self, n: int) -> None:
        self.log.append(f"sig{n}")


@activity.defn
async def nap(ms: int) -> int:
    await asyncio.sleep(ms / 1000)
    if activity.info().attempt == 1 and ms % 7 == 0:
        raise ApplicationError("once more")
    return ms


@workflow.defn
class Mix:
    """Whatever the seed says, several at once. The tasks share one source of numbers, so that any change of the order in
    which they go on changes what they do next."""

    def __init__(self) -> None:
        self.log: list = []
        self.signals = 0

    @workflow.run
    async def run(self, seed: int) -> list:
        numbers = random.Random(seed)
        await asyncio.gather(*[self._task(i, numbers) for i in range(numbers.randint(2, 6))])
        return [str(entry) for entry in self.log] + [str(workflow.uuid4()), str(self.signals)]

    async def _task(self, i: int, numbers: random.Random) -> None:
        for step in range(numbers.randint(1, 4)):
            choice, ms = numbers.randint(0, 5), numbers.choice([0, 1, 5, 21, 60, 350])
            self.log.append((i, step, choice, await self._step(choice, ms, numbers)))

    async def _step(self, choice: int, ms: int, numbers: random.Random) -> object:
        timeout = timedelta(seconds=30)
        quick = RetryPolicy(initial_interval=timedelta(milliseconds=20))
        if choice <= 2:
            threshold = timedelta(milliseconds=numbers.choice([1, 5000]))
            return await workflow.execute_local_activity(
                nap, ms, start_to_close_timeout=timeout, retry_policy=quick, local_retry_threshold=threshold
            )
        if choice == 3:
            return await workflow.execute_activity(nap, ms, start_to_close_timeout=timeout, retry_policy=quick)
        if choice == 4:
            await workflow.sleep(ms / 1000)
            return 0
        kind = numbers.choice(list(ActivityCancellationType))
        handle = workflow.start_local_activity(nap, ms, start_to_close_timeout=timeout, cancellation_type=kind)
        if ms > 5:
            await workflow.sleep(0.003)
        handle.cancel()
        try:
            return await handle
        except BaseException as err:
            return type(err).__name__

    @workflow.signal
    async def sig(self, ms: int) -> None:
        self.signals += 1
        await workflow.execute_local_activity(nap, ms, start_to_close_timeout=SECONDS_5)
        self.log.append("signal")

    @workflow.update
    async def up(self, ms: int) -> int:
        result = await workflow.execute_local_activity(nap, ms, start_to_close_timeout=SECONDS_5)
        self.log.append("update")
        return result

    @workflow.query
    def steps(self) -> int:
        return len(self.log)


WORKFLOWS = [
    Hello, Fan, Timers, ActFail, ActCancel, ActCancelSameTask, Child, Parent, External, Patched, Can, Upd, Sa, La, Fails,
    CancelMe, TaskFail, Order, Mix,
]  # fmt: skip
ACTIVITIES = [say, fail, failtwice, forever, slow, never, nap]
