"""Commands that make a workflow task fail: the cause, the error the worker gets, and that the run goes on."""

from typing import Any, Callable

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import ActivityType, RetryPolicy, WorkflowExecution, WorkflowType

import commands as c
from scenarios import add
from steps import Script, payload, seconds

LONG = "x" * 1001

ROWS: dict[str, Callable[[Script], list[Any]]] = {
    "activity_without_id": lambda s: [c.activity("")],
    "activity_without_type": lambda s: [c.activity(activity_type=ActivityType())],
    "activity_without_timeout": lambda s: [c.activity(start_to_close_timeout=seconds(0))],
    "activity_with_negative_timeout": lambda s: [c.activity(start_to_close_timeout=seconds(-5))],
    "activity_with_long_id": lambda s: [c.activity(LONG)],
    "activity_with_bad_retry_policy": lambda s: [c.activity(retry_policy=RetryPolicy(backoff_coefficient=0.5))],
    "activity_id_twice": lambda s: [c.activity("a"), c.activity("a")],
    "cancel_of_unknown_activity": lambda s: [c.cancel_activity(77)],
    "timer_without_id": lambda s: [c.timer("")],
    "timer_with_negative_duration": lambda s: [c.timer(s=-1)],
    "timer_id_twice": lambda s: [c.timer("t"), c.timer("t")],
    "cancel_of_unknown_timer": lambda s: [c.cancel_timer("t")],
    "cancel_of_timer_without_id": lambda s: [c.cancel_timer("")],
    "marker_without_name": lambda s: [c.marker("")],
    "failure_missing": lambda s: [Command(command_type=5, fail_workflow_execution_command_attributes={})],
    "complete_without_attributes": lambda s: [Command(command_type=4)],
    "external_cancel_without_id": lambda s: [c.cancel_external("")],
    "external_cancel_of_bad_run_id": lambda s: [c.cancel_external(s.id("x"), run_id="no uuid")],
    "external_signal_without_name": lambda s: [c.signal_external(s.execution("x"), "")],
    "external_signal_without_id": lambda s: [c.signal_external(WorkflowExecution())],
    "external_signal_without_execution": lambda s: [c.signal_external(None)],
    "continue_with_negative_timeout": lambda s: [c.continue_as_new(workflow_run_timeout=seconds(-1))],
    "continue_with_bad_retry_policy": lambda s: [c.continue_as_new(retry_policy=RetryPolicy(maximum_attempts=-1))],
    "child_without_id": lambda s: [c.child("", s.queue)],
    "child_without_type": lambda s: [c.child(s.id("child"), s.queue, workflow_type=WorkflowType())],
    "child_with_bad_cron": lambda s: [c.child(s.id("child"), s.queue, cron_schedule="never")],
    "unknown_search_attribute": lambda s: [c.upsert(Colour=payload("red"))],
    "search_attributes_empty": lambda s: [c.upsert()],
    "memo_empty": lambda s: [c.modify_memo()],
    "protocol_message_without_id": lambda s: [c.place("")],
    "unknown_command": lambda s: [Command(command_type=99)],
    "command_after_the_end": lambda s: [c.complete(), c.timer()],
    "two_ends": lambda s: [c.complete(), c.fail()],
    "good_before_bad": lambda s: [c.timer("good"), c.marker("good"), c.activity("")],
}


def _played(rows: Callable[[Script], list[Any]]) -> Callable[[Script], Any]:
    async def play(s: Script) -> None:
        await s.start()
        await s.refused(s.step(*rows(s)))
        await s.history(label="after the bad task")
        again = await s.task()
        s.note("attempt", {"attempt": again.attempt})
        await s.done(again, c.complete())
        await s.history()
    return play


def _ended(rows: Callable[[Script], list[Any]]) -> Callable[[Script], Any]:
    async def play(s: Script) -> None:
        await s.start(workflow_task_timeout=seconds(1))
        await s.refused(s.step(*rows(s)))
        await s.history()
    return play


NO_EVENT = {"unknown_command", "command_after_the_end", "two_ends"}  # the task goes on, or the run has ended

for name, row in ROWS.items():
    add(f"bad_{name}", _ended(row) if name in NO_EVENT else _played(row))


async def bad_twice(s: Script) -> None:
    """The second bad completion in a row writes nothing."""
    await s.start()
    await s.refused(s.step(c.timer("")))
    second = await s.task()
    await s.refused(s.done(second, c.timer("")))


add("bad_twice", bad_twice)
