"""Updates: accepted, rejected, completed, lost; speculative tasks; update with start."""

import asyncio

from temporalio.api.enums.v1 import WorkflowIdConflictPolicy as Conflict
from temporalio.api.workflowservice.v1 import request_response_pb2 as rpc

import commands as c
from scenarios import scenario
from steps import Script, seconds


async def idle(s: Script, **fields: object) -> None:
    await s.start(**fields)
    await s.step()


@scenario
async def update_accepted_and_completed(s: Script) -> None:
    await idle(s)
    asked = s.update(stage=3)
    task = await s.task()
    s.note("message", {"event": task.messages[0].event_id, "id": task.messages[0].id})
    await s.done(task, c.place("u/accept"), c.place("u/complete"), messages=[c.accepted(task), c.answered()])
    s.note("reply", await asked)
    await s.history()


@scenario
async def update_accepted_then_completed(s: Script) -> None:
    await idle(s)
    asked = s.update(stage=2)
    task = await s.task()
    await s.done(task, c.place("u/accept"), c.timer("t", 0.1), messages=[c.accepted(task)])
    s.note("accepted", await asked)
    s.note("poll", await s.poll_update())
    task = await s.task()
    await s.done(task, c.place("u/complete"), c.complete(), messages=[c.answered()])
    s.note("completed", await s.poll_update(stage=3))
    s.note("again", await s.update(stage=3))
    await s.history()


@scenario
async def update_rejected(s: Script) -> None:
    """Leaves nothing behind."""
    await idle(s)
    asked = s.update(stage=3)
    task = await s.task()
    reply = await s.done(task, messages=[c.rejected(task)])
    s.note("back to", {"event": reply.reset_history_event_id})
    s.note("reply", await asked)
    await s.signal()
    await s.history()


@scenario
async def update_rejected_beside_other_commands(s: Script) -> None:
    await idle(s)
    asked = s.update(stage=3)
    task = await s.task()
    await s.done(task, c.timer(), messages=[c.rejected(task)])
    s.note("reply", await asked)
    await s.history()


@scenario
async def update_rejected_in_the_first_task(s: Script) -> None:
    await s.start()
    asked = s.update(stage=3)
    await asyncio.sleep(0.3)
    task = await s.task()
    await s.done(task, messages=[c.rejected(task)])
    s.note("reply", await asked)
    await s.history()


@scenario
async def update_rejected_after_a_signal_came(s: Script) -> None:
    await idle(s)
    asked = s.update(stage=3)
    task = await s.task()
    await s.signal()
    await s.done(task, messages=[c.rejected(task)])
    s.note("reply", await asked)
    await s.history()


@scenario
async def update_and_a_signal_before_the_task(s: Script) -> None:
    await idle(s)
    asked = s.update(stage=2)
    await asyncio.sleep(0.3)
    await s.signal()
    task = await s.task()
    await s.done(task, messages=[c.accepted(task), c.answered()])
    s.note("reply", await asked)
    await s.history()


@scenario
async def two_updates_in_one_task(s: Script) -> None:
    await idle(s)
    first = s.update("a", stage=3)
    await asyncio.sleep(0.3)
    second = s.update("b", stage=3)
    await asyncio.sleep(0.3)
    task = await s.task()
    s.note("messages", {"ids": [m.id for m in task.messages]})
    await s.done(task, messages=[c.accepted(task, "a"), c.rejected(task, "b"), c.answered("a")])
    s.note("first", await first)
    s.note("second", await second)
    await s.history()


@scenario
async def update_that_comes_while_a_task_runs(s: Script) -> None:
    await s.start()
    running = await s.task()
    asked = s.update(stage=2)
    await asyncio.sleep(0.3)
    reply = await s.done(running, return_new_workflow_task=True)
    task = reply.workflow_task
    await s.done(task, messages=[c.accepted(task), c.answered()])
    s.note("reply", await asked)
    await s.history()


@scenario
async def update_that_the_worker_ignores(s: Script) -> None:
    await idle(s)
    asked = s.update(stage=3)
    await s.step()
    s.note("reply", await asked)
    await s.history()


@scenario
async def update_whose_task_fails(s: Script) -> None:
    await idle(s)
    asked = s.update(stage=2)
    await s.failed(await s.task())
    task = await s.task()
    await s.done(task, messages=[c.accepted(task)])
    s.note("reply", await asked)
    await s.history()


@scenario
async def update_and_the_end_without_acceptance(s: Script) -> None:
    await idle(s)
    asked = s.update(stage=3)
    await s.step(c.complete())
    await s.refused(asked)
    await s.history()


@scenario
async def update_accepted_and_the_end(s: Script) -> None:
    await idle(s)
    asked = s.update(stage=3)
    task = await s.task()
    await s.done(task, c.place("u/accept"), c.complete(), messages=[c.accepted(task)])
    s.note("reply", await asked)
    await s.history()


@scenario
async def update_refused(s: Script) -> None:
    await s.refused(s.update(name="nobody"))
    await s.start()
    await s.refused(s.update(stage=1))
    await s.refused(s.update(first_execution_run_id="11111111-2222-4333-8444-555555555555"))
    await s.refused(s.poll_update("unknown"))
    await s.refused(s.call("update_workflow_execution", rpc.UpdateWorkflowExecutionRequest(workflow_execution=s.execution())))
    await s.step(c.complete())
    await s.refused(s.update())


@scenario
async def update_answered_that_was_never_sent(s: Script) -> None:
    await idle(s)
    await s.signal()
    await s.refused(s.step(c.place("x/complete"), messages=[c.answered("x")]))
    await s.history()


@scenario
async def update_message_that_no_command_names(s: Script) -> None:
    await idle(s)
    await s.signal()
    await s.refused(s.step(c.place("nothing")))
    await s.history()


@scenario
async def update_accepted_and_terminated(s: Script) -> None:
    await idle(s)
    asked = s.update(stage=3)
    task = await s.task()
    await s.done(task, messages=[c.accepted(task)])
    await s.until("WORKFLOW_EXECUTION_UPDATE_ACCEPTED")
    await s.terminate()
    s.note("reply", await asked)
    await s.history()


def both(s: Script, update_id: str = "u", **fields: object) -> object:
    update = s.update_request(update_id)
    start = s.start_request(**fields)
    start.namespace = "default"
    return s.call("execute_multi_operation", rpc.ExecuteMultiOperationRequest(operations=[{"start_workflow": start}, {"update_workflow": update}]))


@scenario
async def update_with_start_of_nothing(s: Script) -> None:
    asked = asyncio.create_task(both(s))
    task = await s.task()
    await s.done(task, messages=[c.accepted(task), c.answered()])
    s.note("reply", await asked)
    await s.history()


@scenario
async def update_with_start_of_a_running_one(s: Script) -> None:
    await idle(s)
    await s.refused(both(s))
    asked = asyncio.create_task(both(s, workflow_id_conflict_policy=Conflict.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING))
    task = await s.task()
    await s.done(task, messages=[c.accepted(task)])
    s.note("reply", await asked)
    s.note("known", await both(s))
    await s.history()


@scenario
async def update_with_start_refused(s: Script) -> None:
    await s.refused(both(s, cron_schedule="* * * * *"))
    await s.refused(both(s, workflow_start_delay=seconds(3)))
    await s.refused(both(s, request_eager_execution=True))
    await s.refused(both(s, workflow_run_timeout=seconds(-3)))
    await s.refused(s.describe())
