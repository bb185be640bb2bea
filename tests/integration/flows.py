"""Workflows and activities that the tests share."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError


@activity.defn
async def say_hello(name: str) -> str:
    return f"Hello, {name}!"


@activity.defn
async def fail_until(attempt: int) -> int:
    if activity.info().attempt < attempt:
        raise ApplicationError(f"attempt {activity.info().attempt} fails", type="TooEarly")
    return activity.info().attempt


@activity.defn
async def fail_for_good() -> None:
    raise ApplicationError("no way", "detail", type="Final", non_retryable=True)


@activity.defn
async def wait_for_cancel() -> str:
    while True:
        activity.heartbeat("alive")
        await asyncio.sleep(0.1)


@activity.defn
async def silent(seconds: float) -> str:
    if activity.info().attempt == 1:
        activity.heartbeat("first")
        await asyncio.sleep(seconds)
    return str(activity.info().heartbeat_details)


@workflow.defn
class SayHello:
    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_activity(say_hello, name, schedule_to_close_timeout=timedelta(seconds=60))


@workflow.defn
class Retries:
    @workflow.run
    async def run(self, attempts: int) -> int:
        return await workflow.execute_activity(
            fail_until,
            attempts,
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=50), backoff_coefficient=1.5),
        )


@workflow.defn
class FailsForGood:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(fail_for_good, start_to_close_timeout=timedelta(seconds=10))


@workflow.defn
class Heartbeats:
    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_activity(
            silent,
            30.0,
            start_to_close_timeout=timedelta(seconds=60),
            heartbeat_timeout=timedelta(seconds=1),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=50)),
        )


@workflow.defn
class CancelsActivity:
    @workflow.run
    async def run(self) -> str:
        try:
            await workflow.execute_activity(
                wait_for_cancel,
                start_to_close_timeout=timedelta(seconds=60),
                heartbeat_timeout=timedelta(seconds=2),
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
        except ActivityError as error:
            return "cancelled" if isinstance(error.cause, CancelledError) else "failed"
        return "not cancelled"


@workflow.defn
class Sleeps:
    @workflow.run
    async def run(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "slept"


@workflow.defn
class Collects:
    """Takes signals until told to finish; can be queried meanwhile."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.done = False

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: self.done)
        return self.items

    @workflow.signal
    def add(self, item: str) -> None:
        self.items.append(item)

    @workflow.signal
    def finish(self) -> None:
        self.done = True

    @workflow.query
    def count(self) -> int:
        return len(self.items)

    @workflow.query
    def broken(self) -> int:
        raise ApplicationError("this query always fails")


@workflow.defn
class Continues:
    @workflow.run
    async def run(self, left: int) -> str:
        if left > 0:
            workflow.continue_as_new(left - 1)
        return f"run {workflow.info().continued_run_id is not None}"


@workflow.defn
class Counts:
    """Some activities one after the other, with a timer between, so that a crash finds it in every state."""

    @workflow.run
    async def run(self, steps: int) -> int:
        total = 0
        for i in range(steps):
            answer = await workflow.execute_activity(
                say_hello, str(i), start_to_close_timeout=timedelta(seconds=5), retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100))
            )
            assert answer == f"Hello, {i}!"
            await asyncio.sleep(0.02)
            total += 1
        return total


WORKFLOWS = [SayHello, Retries, FailsForGood, Heartbeats, CancelsActivity, Sleeps, Collects, Continues, Counts]
ACTIVITIES = [say_hello, fail_until, fail_for_good, wait_for_cancel, silent]
