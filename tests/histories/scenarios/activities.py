"""Activities: ends, attempts, timeouts, cancellation."""

import asyncio

from temporalio.api.common.v1 import Priority
from temporalio.api.workflowservice.v1 import request_response_pb2 as rpc

import commands as c
from scenarios import add, scenario
from steps import Script, failure, payload, payloads, seconds


@scenario
async def activity_completes(s: Script) -> None:
    await s.start()
    await s.step(c.activity(header={"fields": {"h": payload("header")}}, heartbeat_timeout=seconds(50), schedule_to_close_timeout=seconds(10), priority=Priority(priority_key=4)))
    work = await s.activity()
    s.note("task", {"attempt": work.attempt, "start_to_close": work.start_to_close_timeout.ToJsonString(), "schedule_to_close": work.schedule_to_close_timeout.ToJsonString(),
                    "heartbeat": work.heartbeat_timeout.ToJsonString(), })
    s.note("policy", work.retry_policy)
    await s.activity_done(work)
    await s.step(c.complete())
    await s.history()


@scenario
async def activity_fails_for_good(s: Script) -> None:
    await s.start()
    await s.step(c.activity(retry_policy=c.retry(maximum_attempts=1)))
    await s.activity_failed(await s.activity())
    await s.step(c.fail(failure("because of it")))
    await s.history()


@scenario
async def activity_succeeds_on_its_second_attempt(s: Script) -> None:
    await s.start()
    await s.step(c.activity(retry_policy=c.retry()))
    await s.activity_failed(await s.activity())
    work = await s.activity()
    s.note("attempt", {"attempt": work.attempt})
    await s.activity_done(work)
    await s.until("ACTIVITY_TASK_COMPLETED")
    await s.history()


@scenario
async def activity_runs_out_of_attempts(s: Script) -> None:
    await s.start()
    await s.step(c.activity(retry_policy=c.retry(maximum_attempts=2)))
    await s.activity_failed(await s.activity(), message="first")
    await s.activity_failed(await s.activity(), message="second")
    await s.history()


@scenario
async def activity_with_a_failure_that_is_not_retried(s: Script) -> None:
    await s.start()
    await s.step(c.activity("a", retry_policy=c.retry()))
    await s.activity_failed(await s.activity(), non_retryable=True)
    await s.step(c.activity("b", retry_policy=c.retry(non_retryable_error_types=["Problem"])))
    await s.activity_failed(await s.activity())
    await s.history()


@scenario
async def activity_with_a_delay_of_its_own(s: Script) -> None:
    await s.start()
    await s.step(c.activity(retry_policy=c.retry(initial_interval=seconds(100), maximum_interval=seconds(100))))
    await s.activity_failed(await s.activity(), delay=0.1)
    await s.activity_done(await s.activity())
    await s.history()


@scenario
async def activity_whose_next_attempt_would_be_too_late(s: Script) -> None:
    await s.start()
    await s.step(c.activity(schedule_to_close_timeout=seconds(5), retry_policy=c.retry(initial_interval=seconds(100), maximum_interval=seconds(100))))
    await s.activity_failed(await s.activity())
    await s.history()


TIMEOUTS = {
    "schedule_to_start": dict(schedule_to_start_timeout=seconds(0.5)),
    "schedule_to_close": dict(start_to_close_timeout=None, schedule_to_close_timeout=seconds(0.5)),
    "schedule_to_close_when_started": dict(start_to_close_timeout=None, schedule_to_close_timeout=seconds(1)),
    "start_to_close": dict(start_to_close_timeout=seconds(0.5), retry_policy=c.retry(maximum_attempts=1)),
    "start_to_close_twice": dict(start_to_close_timeout=seconds(0.5), retry_policy=c.retry(maximum_attempts=2)),
    "heartbeat": dict(heartbeat_timeout=seconds(0.5), retry_policy=c.retry(maximum_attempts=1)),
    "heartbeat_with_details": dict(heartbeat_timeout=seconds(0.5), retry_policy=c.retry(maximum_attempts=1)),
}
for name, options in TIMEOUTS.items():
    async def play(s: Script, name: str = name, options: dict = options) -> None:
        await s.start()
        await s.step(c.activity(**options))
        attempts = 0 if name in ("schedule_to_start", "schedule_to_close") else 2 if name.endswith("twice") else 1
        for _ in range(attempts):
            work = await s.activity()
            if name.endswith("details"):
                await s.heartbeat(work)
        await s.until("ACTIVITY_TASK_TIMED_OUT")
        await s.history()
        if attempts:
            await s.refused(s.activity_done(work))
    add(f"activity_timeout_{name}", play)


@scenario
async def activity_canceled_before_it_started(s: Script) -> None:
    await s.start()
    await s.step(c.activity())
    await s.signal()
    await s.step(c.cancel_activity(5))
    await s.step(c.complete())
    await s.history()


@scenario
async def activity_canceled_while_it_runs(s: Script) -> None:
    await s.start()
    await s.step(c.activity())
    work = await s.activity()
    await s.refused(s.activity_canceled(work))
    s.note("before", await s.heartbeat(work))
    await s.signal()
    await s.step(c.cancel_activity(5))
    s.note("after", await s.heartbeat(work))
    await s.activity_canceled(work)
    await s.step(c.complete())
    await s.history()


@scenario
async def activity_canceled_but_it_completes(s: Script) -> None:
    await s.start()
    await s.step(c.activity())
    work = await s.activity()
    await s.signal()
    await s.step(c.cancel_activity(5))
    await s.activity_done(work)
    await s.history()


@scenario
async def activity_canceled_but_it_fails(s: Script) -> None:
    await s.start()
    await s.step(c.activity(retry_policy=c.retry()))
    work = await s.activity()
    await s.signal()
    await s.step(c.cancel_activity(5))
    await s.activity_failed(work)
    await s.history()


@scenario
async def activity_scheduled_and_canceled_in_one_task(s: Script) -> None:
    await s.start()
    await s.step(c.activity("a"), c.cancel_activity(5), c.timer())
    await s.history()


@scenario
async def activity_answered_by_id(s: Script) -> None:
    await s.start()
    await s.step(c.activity("a"), c.activity("b"))
    for _ in range(2):
        await s.activity()
    named = dict(workflow_id=s.id(), activity_id="a")
    s.note("beat", await s.call("record_activity_task_heartbeat_by_id", rpc.RecordActivityTaskHeartbeatByIdRequest(**named)))
    await s.call("respond_activity_task_completed_by_id", rpc.RespondActivityTaskCompletedByIdRequest(**named, result=payloads("by id")))
    named["activity_id"] = "b"
    await s.refused(s.call("respond_activity_task_canceled_by_id", rpc.RespondActivityTaskCanceledByIdRequest(**named)))
    await s.call("respond_activity_task_failed_by_id", rpc.RespondActivityTaskFailedByIdRequest(**named, failure=failure(non_retryable=True)))
    await s.refused(s.call("respond_activity_task_completed_by_id", rpc.RespondActivityTaskCompletedByIdRequest(**named)))
    named["activity_id"] = "unknown"
    await s.refused(s.call("respond_activity_task_failed_by_id", rpc.RespondActivityTaskFailedByIdRequest(**named, failure=failure())))
    named["workflow_id"] = "nobody"
    await s.refused(s.call("record_activity_task_heartbeat_by_id", rpc.RecordActivityTaskHeartbeatByIdRequest(**named)))
    await s.history()


@scenario
async def activity_that_outlives_its_workflow(s: Script) -> None:
    await s.start()
    await s.step(c.activity("a"), c.activity("b"))
    work = await s.activity()
    await s.terminate()
    await s.refused(s.heartbeat(work))
    await s.refused(s.activity_done(work))
    await s.history()


@scenario
async def activity_failed_with_something_else(s: Script) -> None:
    from temporalio.api.failure.v1 import Failure, TimeoutFailureInfo
    await s.start()
    await s.step(c.activity())
    work = await s.activity()
    await s.refused(s.call("respond_activity_task_failed", rpc.RespondActivityTaskFailedRequest(
        task_token=work.task_token, failure=Failure(message="x", timeout_failure_info=TimeoutFailureInfo(timeout_type=1)))))
    await s.history()


@scenario
async def activity_that_is_asked_for_its_details_again(s: Script) -> None:
    await s.start()
    await s.step(c.activity(retry_policy=c.retry()))
    work = await s.activity()
    await s.heartbeat(work, "where I was")
    await s.activity_failed(work)
    again = await s.activity()
    s.note("details", again.heartbeat_details)
    await asyncio.sleep(0)
    await s.activity_done(again)
    await s.history()
