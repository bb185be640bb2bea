"""Child workflows, and signals and cancel requests to other workflows."""

import asyncio

from temporalio.api.common.v1 import WorkflowExecution

import commands as c
from scenarios import add, scenario
from steps import Script, seconds


async def begin(s: Script, **fields: object) -> str:
    """A parent whose child has started; the child's tasks are on a queue of its own."""
    queue = f"child-queue-{s.token}"
    await s.start()
    await s.step(c.child(s.id("child"), queue, **fields))
    await s.until("CHILD_WORKFLOW_EXECUTION_STARTED")
    return queue


ENDS = {"completes": (c.complete(), "COMPLETED"), "fails": (c.fail(), "FAILED"), "is_canceled": (c.cancel(), "CANCELED")}
for name, (command, end) in ENDS.items():
    async def play(s: Script, command: object = command, end: str = end) -> None:
        queue = await begin(s)
        await s.step()
        await s.done(await s.task(queue), command)
        await s.until(f"CHILD_WORKFLOW_EXECUTION_{end}")
        await s.step(c.complete())
        await s.history("child")
        await s.history()
    add(f"child_{name}", play)


@scenario
async def child_is_terminated(s: Script) -> None:
    await begin(s)
    await s.step()
    await s.terminate("child")
    await s.until("CHILD_WORKFLOW_EXECUTION_TERMINATED")
    await s.history("child")
    await s.history()


@scenario
async def child_times_out(s: Script) -> None:
    await begin(s, workflow_run_timeout=seconds(1))
    await s.step()
    await s.until("CHILD_WORKFLOW_EXECUTION_TIMED_OUT")
    await s.history("child")
    await s.history()


@scenario
async def child_whose_id_is_taken(s: Script) -> None:
    await s.start("child", task_queue={"name": f"other-{s.token}"})
    await s.start()
    await s.step(c.child(s.id("child"), s.queue))
    await s.until("START_CHILD_WORKFLOW_EXECUTION_FAILED")
    await s.step(c.complete())
    await s.history()


@scenario
async def child_in_a_namespace_that_is_not_there(s: Script) -> None:
    await s.start()
    await s.refused(s.step(c.child(s.id("child"), s.queue, namespace="nowhere")))
    await s.history()


POLICIES = {"terminates": 1, "abandons": 2, "asks_to_cancel": 3}
for name, policy in POLICIES.items():
    async def closing(s: Script, policy: int = policy) -> None:
        queue = await begin(s, parent_close_policy=policy)
        await s.step(c.complete())
        if policy == 1:
            await s.closed("child")
        elif policy == 3:
            await s.until("WORKFLOW_EXECUTION_CANCEL_REQUESTED", "child")
            await s.done(await s.task(queue), c.cancel())
        else:
            await s.done(await s.task(queue), c.complete())
        await s.history("child")
        await s.history()
    add(f"parent_that_closes_{name}", closing)


@scenario
async def child_that_continues_as_new(s: Script) -> None:
    queue = await begin(s)
    await s.done(await s.task(queue), c.continue_as_new())
    await s.step()
    await s.done(await s.task(queue), c.complete())
    await s.until("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    await s.history("child")
    await s.history()


@scenario
async def child_that_is_retried(s: Script) -> None:
    queue = await begin(s, retry_policy=c.retry(maximum_attempts=2))
    await s.done(await s.task(queue), c.fail())
    await s.step()
    await s.done(await s.task(queue), c.fail())
    await s.until("CHILD_WORKFLOW_EXECUTION_FAILED")
    await s.history("child")
    await s.history()


@scenario
async def parent_that_cancels_its_child(s: Script) -> None:
    queue = await begin(s)
    await s.step(c.cancel_external(s.id("child"), child_workflow_only=True))
    await s.until("EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED")
    await s.step()
    await s.done(await s.task(queue), c.cancel())
    await s.until("CHILD_WORKFLOW_EXECUTION_CANCELED")
    await s.history("child")
    await s.history()


@scenario
async def parent_that_signals_its_child(s: Script) -> None:
    await begin(s)
    await s.step(c.signal_external(WorkflowExecution(workflow_id=s.id("child")), child_workflow_only=True))
    await s.until("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    await s.history("child")
    await s.history()


@scenario
async def signal_and_cancel_of_another_workflow(s: Script) -> None:
    await s.start("other", task_queue={"name": f"other-{s.token}"})
    await s.start()
    await s.step(c.signal_external(s.execution("other")), c.cancel_external(s.id("other")))
    await s.until("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    await s.until("EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED")
    await s.history("other")


@scenario
async def completes_right_after_it_spoke_to_others(s: Script) -> None:
    """What is asked for in the workflow task that ends the workflow is in its history, but who asks is gone: nothing is carried out."""
    await s.start("other", task_queue={"name": f"other-{s.token}"})
    await s.start()
    await s.step(c.signal_external(s.execution("other")), c.cancel_external(s.id("other")),
                 c.child(s.id("child"), f"child-queue-{s.token}", parent_close_policy=2), c.complete())
    await asyncio.sleep(1)
    await s.refused(s.describe("child"))
    await s.history("other")
    await s.history()


@scenario
async def signal_of_a_workflow_that_is_not_there(s: Script) -> None:
    await s.start()
    await s.step(c.signal_external(s.execution("nobody")))
    await s.until("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
    await s.history()


@scenario
async def cancel_of_a_workflow_that_is_not_there(s: Script) -> None:
    await s.start()
    await s.step(c.cancel_external(s.id("nobody")))
    await s.until("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
    await s.history()


@scenario
async def cancel_of_a_workflow_that_is_closed(s: Script) -> None:
    await s.start("other")
    await s.step(c.complete())
    await s.start()
    await s.step(c.cancel_external(s.id("other")))
    await s.until("EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED")
    await s.history()


@scenario
async def signal_of_a_workflow_that_is_closed(s: Script) -> None:
    await s.start("other")
    await s.step(c.complete())
    await s.start()
    await s.step(c.signal_external(s.execution("other")))
    await s.until("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
    await s.history()


@scenario
async def signal_of_itself(s: Script) -> None:
    await s.start()
    await s.step(c.signal_external(s.execution()))
    await s.until("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
    await s.history()


@scenario
async def child_started_and_canceled_in_one_task(s: Script) -> None:
    await s.start()
    await s.refused(s.step(c.child(s.id("child"), s.queue), c.cancel_external(s.id("child"))))
    await s.history()
