"""Resets: what the new run has, what is written again."""

import asyncio
import uuid

import commands as c
from scenarios import scenario
from steps import Script, seconds as s_


async def two_tasks(s: Script) -> None:
    """1-4 the first task, 5 a timer; 6 a signal, 7-9 the second task, 10 a marker."""
    await s.start()
    await s.step(c.timer())
    await s.signal()
    await s.step(c.marker())


@scenario
async def reset_of_a_running_one(s: Script) -> None:
    base = await s.start()
    await s.step(c.timer())
    await s.signal()
    await s.step(c.marker())
    await s.reset(4)
    await s.history(run_id=base.run_id, label="base")
    await s.step(c.complete())
    await s.history()


@scenario
async def reset_of_a_closed_one(s: Script) -> None:
    await two_tasks(s)
    await s.signal("late")
    await s.step(c.complete())
    request_id = str(uuid.uuid4())
    first = await s.reset(9, request_id=request_id)
    again = await s.reset(9, request_id=request_id)
    s.note("same", {"run": first.run_id == again.run_id})
    await s.history()


@scenario
async def reset_without_signals(s: Script) -> None:
    await two_tasks(s)
    await s.cancel()
    await s.reset(4, reset_reapply_exclude_types=[1, 2, 4])
    await s.history()


@scenario
async def reset_with_a_cancel_request(s: Script) -> None:
    await two_tasks(s)
    await s.cancel()
    await s.reset(4)
    await s.history()


@scenario
async def reset_to_points_that_are_none(s: Script) -> None:
    await two_tasks(s)
    for event_id in (0, 1, 2, 6, 10, 11, 100):
        await s.refused(s.reset(event_id))
    await s.refused(s.reset(4, request_id=""))
    await s.history()


@scenario
async def reset_with_a_pending_activity(s: Script) -> None:
    await s.start()
    await s.step(c.activity("a"))
    old = await s.activity()
    await s.signal()
    await s.step(c.marker())
    await s.reset(9)
    await s.refused(s.activity_done(old))
    await s.activity_done(await s.activity())
    await s.until("ACTIVITY_TASK_COMPLETED")
    await s.history()


@scenario
async def reset_with_a_pending_child(s: Script) -> None:
    queue = f"child-queue-{s.token}"
    await s.start()
    await s.step(c.child(s.id("child"), queue))
    await s.until("CHILD_WORKFLOW_EXECUTION_STARTED")
    await s.step(c.marker())
    events = await s.events()
    point = [e.event_id for e in events if e.event_type == 7][-1]
    await s.reset(point)
    await s.step()
    await s.done(await s.task(queue), c.complete())
    await s.until("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    await s.history()


@scenario
async def reset_with_an_update(s: Script) -> None:
    await s.start()
    await s.step()
    asked = s.update(stage=3)
    task = await s.task()
    await s.done(task, messages=[c.accepted(task), c.answered()])
    await asked
    await s.reset(4)
    task = await s.task()
    s.note("messages", {"count": len(task.messages)})
    await s.history()


@scenario
async def reset_while_a_task_runs(s: Script) -> None:
    await s.start()
    await s.step(c.timer())
    await s.signal()
    running = await s.task()
    await s.signal("buffered")
    await asyncio.sleep(0.2)
    await s.reset(4)
    await s.refused(s.done(running, c.complete()))
    await s.history()


@scenario
async def reset_to_before_its_child_ended(s: Script) -> None:
    queue = f"child-queue-{s.token}"
    await s.start()
    await s.step(c.child(s.id("child"), queue))
    await s.until("CHILD_WORKFLOW_EXECUTION_STARTED")
    await s.step(c.marker())
    point = [e.event_id for e in await s.events() if e.event_type == 7][-1]
    await s.done(await s.task(queue), c.complete())
    await s.until("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    await s.step(c.complete())
    await s.reset(point)
    await s.until("WORKFLOW_TASK_SCHEDULED", times=3)
    await s.history()
    await s.step(c.complete())
    await s.history()


@scenario
async def reset_to_before_its_child_ended_badly(s: Script) -> None:
    queue = f"child-queue-{s.token}"
    await s.start()
    await s.step(c.child(s.id("one"), queue))
    await s.until("CHILD_WORKFLOW_EXECUTION_STARTED")
    await s.step(c.child(s.id("two"), queue))
    await s.until("CHILD_WORKFLOW_EXECUTION_STARTED", times=2)
    await s.step(c.marker())
    point = [e.event_id for e in await s.events() if e.event_type == 7][-1]
    await s.terminate("one")
    await s.until("CHILD_WORKFLOW_EXECUTION_TERMINATED")
    await s.signal("between")
    await s.done(await s.task(queue), c.fail())
    await s.until("CHILD_WORKFLOW_EXECUTION_FAILED")
    await s.reset(point)
    await s.history()


@scenario
async def reset_to_before_its_child_was_started(s: Script) -> None:
    """The point lies between the child's initiation, which stays, and its start."""
    queue = f"child-queue-{s.token}"
    await s.start()
    task = await s.task()
    await s.done(task, c.child(s.id("child"), queue), force_create_new_workflow_task=True)
    await s.until("CHILD_WORKFLOW_EXECUTION_STARTED")
    await s.step(c.marker())
    await s.done(await s.task(queue), c.complete())
    await s.until("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    await s.step(c.complete())
    await s.reset(4)
    await s.until("WORKFLOW_TASK_FAILED")
    await s.step(c.child(s.id("child"), queue))
    await s.until("WORKFLOW_TASK_SCHEDULED", times=3)
    await s.history()


async def chain(s: Script) -> str:
    """Three runs: signals to each of them, an update and a cancel request to the last."""
    first = await s.start()
    await s.step(c.timer())
    await s.signal("first")
    await s.step(c.continue_as_new())
    await s.signal("second")
    await s.step(c.continue_as_new())
    await s.signal("third")
    asked = s.update(stage=3)
    task = await s.task()
    await s.done(task, messages=[c.accepted(task), c.answered()])
    await asked
    return first.run_id


@scenario
async def reset_of_the_first_run_of_a_chain(s: Script) -> None:
    first = await chain(s)
    await s.reset(4, run_id=first)
    task = await s.task()
    s.note("messages", {"count": len(task.messages)})
    await s.history()


@scenario
async def reset_of_the_first_run_of_a_chain_without_signals(s: Script) -> None:
    first = await chain(s)
    await s.reset(4, run_id=first, reset_reapply_exclude_types=[1])
    await s.history()


@scenario
async def reset_of_the_first_run_of_a_chain_that_has_ended(s: Script) -> None:
    first = await chain(s)
    await s.signal("last")
    await s.step(c.complete())
    await s.reset(4, run_id=first)
    await s.history()


@scenario
async def reset_of_a_run_that_was_reset(s: Script) -> None:
    """The signal that came to the reset run is not of the base run's chain."""
    base = await s.start()
    await s.step(c.timer())
    await s.signal("one")
    await s.step(c.marker())
    await s.reset(4)
    await s.signal("two")
    await s.reset(4, run_id=base.run_id)
    await s.history()


@scenario
async def reset_of_a_run_that_was_tried_again(s: Script) -> None:
    first = await s.start(retry_policy=c.retry(maximum_attempts=2, initial_interval=s_(0.1)))
    await s.step(c.timer())
    await s.signal("one")
    await s.step(c.fail())
    await s.signal("two")
    await s.step(c.timer())
    await s.reset(4, run_id=first.run_id)
    await s.history()


@scenario
async def reset_of_a_run_with_changed_options(s: Script) -> None:
    await two_tasks(s)
    request = s.start_request(workflow_id_conflict_policy=2, request_id="second")
    request.on_conflict_options.attach_request_id = True
    await s.call("start_workflow_execution", request)
    await s.reset(4)
    await s.history()


@scenario
async def reset_of_a_parent_that_ended_its_child(s: Script) -> None:
    """The child is ended by the parent close policy when nobody listens any more."""
    queue = f"child-queue-{s.token}"
    await s.start()
    await s.step(c.child(s.id("child"), queue, parent_close_policy=1))
    await s.until("CHILD_WORKFLOW_EXECUTION_STARTED")
    await s.step(c.complete())
    point = [e.event_id for e in await s.events() if e.event_type == 7][-1]
    await s.closed("child")
    await s.reset(point)
    await asyncio.sleep(0.5)
    await s.history()


@scenario
async def reset_to_before_its_child_ended_without_others(s: Script) -> None:
    queue = f"child-queue-{s.token}"
    await s.start()
    await s.step(c.child(s.id("child"), queue))
    await s.until("CHILD_WORKFLOW_EXECUTION_STARTED")
    await s.step(c.marker())
    point = [e.event_id for e in await s.events() if e.event_type == 7][-1]
    await s.done(await s.task(queue), c.complete())
    await s.until("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    await s.reset(point, reset_reapply_type=2)
    await asyncio.sleep(0.5)
    await s.history()


@scenario
async def reset_of_a_parent_whose_child_goes_on(s: Script) -> None:
    """The child outlives its closed parent; its end comes to the run that the reset made."""
    queue = f"child-queue-{s.token}"
    await s.start()
    await s.step(c.child(s.id("child"), queue, parent_close_policy=2))
    await s.until("CHILD_WORKFLOW_EXECUTION_STARTED")
    await s.step(c.complete())
    point = [e.event_id for e in await s.events() if e.event_type == 7][-1]
    await s.reset(point)
    await asyncio.sleep(0.3)
    await s.done(await s.task(queue), c.complete())
    await s.until("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    await s.history()


@scenario
async def reset_of_a_parent_whose_child_ended_after_it(s: Script) -> None:
    queue = f"child-queue-{s.token}"
    await s.start()
    await s.step(c.child(s.id("child"), queue, parent_close_policy=2))
    await s.until("CHILD_WORKFLOW_EXECUTION_STARTED")
    await s.step(c.complete())
    point = [e.event_id for e in await s.events() if e.event_type == 7][-1]
    await s.done(await s.task(queue), c.complete())
    await s.closed("child")
    await s.reset(point)
    await asyncio.sleep(0.5)
    await s.history()


@scenario
async def reset_to_before_its_child_ended_without_signals(s: Script) -> None:
    queue = f"child-queue-{s.token}"
    await s.start()
    await s.step(c.child(s.id("child"), queue))
    await s.until("CHILD_WORKFLOW_EXECUTION_STARTED")
    await s.step(c.marker())
    point = [e.event_id for e in await s.events() if e.event_type == 7][-1]
    await s.done(await s.task(queue), c.complete())
    await s.until("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    await s.step(c.complete())
    await s.reset(point, reset_reapply_exclude_types=[1, 2, 3, 4])
    await asyncio.sleep(0.5)
    await s.history()
