"""Workflow tasks: attempts, timeouts, buffered events, sticky queues, queries."""

import asyncio
from typing import Any

from temporalio.api.query.v1 import WorkflowQueryResult
from temporalio.api.workflowservice.v1 import request_response_pb2 as rpc

import commands as c
from scenarios import scenario
from steps import Script, failure, payloads, seconds


@scenario
async def task_that_fails_thrice(s: Script) -> None:
    """Only the first failure of a streak is written."""
    await s.start()
    for _ in range(3):
        await s.failed(await s.task())
    await s.history(label="failing")
    task = await s.task()
    s.note("attempt", {"attempt": task.attempt, "events": len(task.history.events)})
    await s.done(task, c.complete())
    await s.history()


@scenario
async def task_that_fails_and_is_signaled(s: Script) -> None:
    await s.start()
    await s.failed(await s.task())
    await s.failed(await s.task(), cause=24)
    await s.signal()
    await s.step(c.complete())
    await s.history()


@scenario
async def task_that_times_out(s: Script) -> None:
    await s.start(workflow_task_timeout=seconds(1))
    lost = await s.task()
    again = await s.task()
    s.note("attempt", {"attempt": again.attempt})
    await s.refused(s.done(lost, c.complete()))
    await s.refused(s.failed(lost))
    await s.done(again, c.complete())
    await s.history()


@scenario
async def task_completed_twice(s: Script) -> None:
    await s.start()
    task = await s.task()
    await s.done(task, c.timer())
    await s.refused(s.done(task, c.timer("other")))
    await s.history()


@scenario
async def task_token_that_is_none(s: Script) -> None:
    class Token:
        task_token = b"nonsense"

    await s.refused(s.done(Token, c.complete()))
    await s.refused(s.failed(Token))
    await s.refused(s.heartbeat(Token))
    Token.task_token = b""
    await s.refused(s.done(Token, c.complete()))


@scenario
async def events_wait_while_a_task_runs(s: Script) -> None:
    await s.start()
    await s.step(c.timer("short", 1.5), c.activity("a"))
    work = await s.activity()
    await s.signal("first")
    task = await s.task()
    await s.signal("second")
    await s.until("WORKFLOW_TASK_STARTED", times=2)
    await s.activity_done(work)
    await s.signal("third")
    await asyncio.sleep(2.2)
    await s.history(label="buffered")
    await s.done(task, c.marker())
    await s.history(label="flushed")
    await s.step(c.complete())
    await s.history()


@scenario
async def end_with_unseen_events(s: Script) -> None:
    await s.start()
    task = await s.task()
    await s.signal()
    await s.refused(s.done(task, c.complete()))
    await s.history(label="refused")
    await s.step(c.complete())
    await s.history()


@scenario
async def end_with_unseen_events_of_a_canceled_timer(s: Script) -> None:
    await s.start()
    await s.step(c.timer("t", 0.3))
    await s.signal()
    task = await s.task()
    await asyncio.sleep(0.8)
    await s.done(task, c.cancel_timer("t"), c.complete())
    await s.history()


@scenario
async def task_that_asks_for_another(s: Script) -> None:
    await s.start()
    task = await s.task()
    reply = await s.done(task, force_create_new_workflow_task=True, return_new_workflow_task=True)
    s.note("inline", {"attempt": reply.workflow_task.attempt, "previous": reply.workflow_task.previous_started_event_id})
    await s.done(reply.workflow_task, c.complete())
    await s.history()


@scenario
async def task_on_a_sticky_queue(s: Script) -> None:
    await s.start()
    sticky = f"sticky-{s.token}"
    waiting = asyncio.create_task(s.sticky_task(sticky))  # a queue that nobody polls would be passed over
    await asyncio.sleep(0.2)
    await s.done(await s.task(), c.timer(), sticky_attributes=s.sticky(sticky, 10))
    await s.signal()
    task = await waiting
    s.note("partial", {"events": len(task.history.events), "first": task.history.events[0].event_id, "previous": task.previous_started_event_id})
    await s.done(task, c.complete())
    await s.history()


@scenario
async def task_that_nobody_takes_from_the_sticky_queue(s: Script) -> None:
    await s.start()
    sticky = f"sticky-{s.token}"
    warm = asyncio.create_task(s.sticky_task(sticky))
    await asyncio.sleep(0.2)
    await s.done(await s.task(), c.timer(), sticky_attributes=s.sticky(sticky, 1))
    await s.signal("first")
    await s.done(await warm, sticky_attributes=s.sticky(sticky, 1))
    await s.signal("second")
    task = await s.task()
    s.note("whole", {"first": task.history.events[0].event_id, "attempt": task.attempt})
    await s.done(task, c.complete())
    await s.history()


@scenario
async def markers_memo_and_timers(s: Script) -> None:
    await s.start()
    await s.step(c.marker(), c.marker("failed", failure=failure("in a marker")), c.modify_memo(m=payloads("memo").payloads[0]), c.timer("a", 0.1), c.timer("b", 100))
    await s.until("TIMER_FIRED")
    await s.step(c.cancel_timer("b"))
    await s.history()


@scenario
async def query_beside_a_task(s: Script) -> None:
    await s.start()
    asked = asyncio.create_task(s.query())
    await asyncio.sleep(0.3)
    task = await s.task()
    s.note("queries", {"count": len(task.queries)})
    results = {id: WorkflowQueryResult(result_type=1, answer=payloads("answer")) for id in task.queries}
    await s.done(task, c.timer(), query_results=results)
    s.note("answer", await asked)
    await s.history()


@scenario
async def query_that_fails(s: Script) -> None:
    await s.start()
    asked = asyncio.create_task(s.query())
    await asyncio.sleep(0.3)
    task = await s.task()
    results = {id: WorkflowQueryResult(result_type=2, error_message="no", failure=failure("no")) for id in task.queries}
    await s.done(task, c.complete(), query_results=results)
    await s.refused(asked)
    await s.history()


@scenario
async def query_alone_from_the_sticky_and_the_normal_queue(s: Script) -> None:
    await s.start()
    sticky = f"sticky-{s.token}"
    waiting = asyncio.create_task(s.sticky_task(sticky))
    await asyncio.sleep(0.2)
    await s.done(await s.task(), c.timer(), sticky_attributes=s.sticky(sticky, 10))

    async def answered(what: str, asked: "asyncio.Task[Any]", task: Any) -> None:
        s.note(what, {"events": len(task.history.events), "previous": task.previous_started_event_id, "started": task.started_event_id,
                      "has more": bool(task.next_page_token), "query": task.query.query_type, "queries": len(task.queries)})
        await s.call("respond_query_task_completed", rpc.RespondQueryTaskCompletedRequest(
            task_token=task.task_token, completed_type=1, query_result=payloads("answer")))
        s.note("answer", await asked)

    asked = asyncio.create_task(s.query())
    await answered("sticky", asked, await waiting)
    await s.call("reset_sticky_task_queue", rpc.ResetStickyTaskQueueRequest(execution=s.execution("wf")))
    asked = asyncio.create_task(s.query())
    await answered("normal", asked, await s.task())
    await s.terminate()
    await s.history()


@scenario
async def query_of_a_closed_run(s: Script) -> None:
    await s.start()
    await s.step(c.fail())
    s.note("not open", await s.query(query_reject_condition=2))
    s.note("not clean", await s.query(query_reject_condition=3))
    await s.start("early")
    await s.terminate("early")
    await s.refused(s.query("early"))
