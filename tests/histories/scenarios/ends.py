"""How runs end, and the runs that follow them."""

from temporalio.api.common.v1 import Memo, WorkflowType

import commands as c
from scenarios import scenario
from steps import Script, failure, payload, payloads, seconds


@scenario
async def completes(s: Script) -> None:
    await s.start()
    await s.step(c.complete())
    await s.history()


@scenario
async def fails(s: Script) -> None:
    await s.start()
    await s.step(c.fail(failure("why", non_retryable=True)))
    await s.history()


@scenario
async def is_canceled(s: Script) -> None:
    await s.start()
    await s.cancel()
    await s.step(c.cancel())
    await s.history()


@scenario
async def is_terminated(s: Script) -> None:
    await s.start()
    task = await s.task()
    await s.signal()
    await s.terminate(details=payloads("details"))
    await s.refused(s.done(task, c.complete()))
    await s.history()


@scenario
async def runs_out_of_time(s: Script) -> None:
    await s.start(workflow_run_timeout=seconds(1))
    await s.step(c.timer())
    await s.closed()
    await s.history()


@scenario
async def runs_out_of_time_and_is_retried(s: Script) -> None:
    first = await s.start(workflow_run_timeout=seconds(1), retry_policy=c.retry(maximum_attempts=2))
    await s.closed(run_id=first.run_id)
    await s.history(run_id=first.run_id, label="first")
    await s.step(c.complete())
    await s.history(label="second")


@scenario
async def runs_out_of_all_time(s: Script) -> None:
    await s.start(workflow_execution_timeout=seconds(1), retry_policy=c.retry())
    await s.closed()
    await s.history()


@scenario
async def fails_and_is_retried(s: Script) -> None:
    first = await s.start(retry_policy=c.retry(maximum_attempts=2), input=payloads("in"), memo=Memo(fields={"m": payload("memo")}))
    await s.step(c.fail())
    await s.history(run_id=first.run_id, label="first")
    await s.step(c.fail(failure("the last time")))
    await s.history(label="second")


@scenario
async def fails_with_what_is_not_retried(s: Script) -> None:
    await s.start(retry_policy=c.retry(non_retryable_error_types=["Problem"]))
    await s.step(c.fail())
    await s.history()


@scenario
async def continues_as_new(s: Script) -> None:
    first = await s.start(memo=Memo(fields={"m": payload("memo")}), workflow_run_timeout=seconds(60))
    await s.step(c.continue_as_new())
    await s.history(run_id=first.run_id, label="first")
    await s.step(c.continue_as_new(workflow_type=WorkflowType(name="other"), workflow_run_timeout=seconds(30), workflow_task_timeout=seconds(3),
                                   memo=Memo(fields={"n": payload("other memo")}), backoff_start_interval=seconds(1)))
    await s.step(c.complete())
    await s.history(label="third")


@scenario
async def continues_as_new_with_a_signal_in_between(s: Script) -> None:
    await s.start()
    task = await s.task()
    await s.signal()
    await s.refused(s.done(task, c.continue_as_new()))
    await s.step(c.continue_as_new())
    await s.history()


@scenario
async def cron_completes(s: Script) -> None:
    first = await s.start(cron_schedule="@every 1s")
    await s.step(c.complete())
    await s.history(run_id=first.run_id, label="first")
    await s.step(c.fail())
    third = await s.task()
    s.note("last result", third.history.events[0].workflow_execution_started_event_attributes.last_completion_result)
    await s.terminate()
    await s.history()


@scenario
async def cron_is_canceled(s: Script) -> None:
    await s.start(cron_schedule="@every 1s")
    await s.cancel()
    await s.step(c.cancel())
    await s.history()


@scenario
async def completes_with_pending_things(s: Script) -> None:
    await s.start()
    await s.step(c.timer(), c.activity(), c.child(s.id("child"), f"child-queue-{s.token}", parent_close_policy=2), c.complete())
    await s.history()
