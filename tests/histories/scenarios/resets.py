"""Resets: what the new run has, what is written again."""

import asyncio
import uuid

import commands as c
from scenarios import scenario
from steps import Script


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
