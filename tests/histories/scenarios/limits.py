"""Limits: what is refused, what fails the task, what ends the run. Played on a server whose limits are low: FLAGS."""

import asyncio
from typing import Any

from temporalio.api.common.v1 import Link, Memo, Payload, SearchAttributes, WorkflowType
from temporalio.api.query.v1 import WorkflowQuery, WorkflowQueryResult
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as rpc

import commands as c
from scenarios import scenario
from steps import NAMESPACE, Script, failure, payloads, seconds

FLAGS = {
    "limit.blobSize.error": 4000, "limit.blobSize.warn": 3000, "limit.memoSize.error": 1000, "limit.memoSize.warn": 900,
    "limit.historyCount.error": 40, "limit.historyCount.warn": 39, "limit.historyCount.suggestContinueAsNew": 12,
    "limit.numPendingActivities.error": 3, "limit.numPendingChildExecutions.error": 3, "limit.numPendingSignals.error": 3,
    "limit.numPendingCancelRequests.error": 3, "history.maximumSignalsPerExecution": 5, "history.maximumBufferedEventsBatch": 3,
    "history.maxInFlightUpdates": 2, "history.maxTotalUpdates": 3, "frontend.searchAttributesNumberOfKeysLimit": 3,
    "frontend.searchAttributesSizeOfValueLimit": 100, "frontend.searchAttributesTotalSizeLimit": 200, "frontend.maxlinksPerRequest": 2,
    "frontend.linkMaxSize": 200, "limit.maxIDLength": 100, "limit.mutableStateActivityFailureSize.error": 200, "limit.mutableStateActivityFailureSize.warn": 200,
}
BIG = payloads("x" * 5000)
LONG = "i" * 101


def big_memo(key: str = "k", size: int = 1500) -> Memo:
    return Memo(fields={key: Payload(metadata={"encoding": b"json/plain"}, data=f'"{"m" * size}"'.encode())})


def keyword(text: str) -> Payload:
    return Payload(metadata={"encoding": b"json/plain", "type": b"Keyword"}, data=f'"{text}"'.encode())


@scenario
async def limit_of_what_clients_send(s: Script) -> None:
    await s.refused(s.start("other", input=BIG))
    await s.refused(s.start("other", memo=big_memo()))
    await s.start()
    await s.refused(s.signal(input=BIG))
    await s.refused(s.signal_with_start(signal_input=BIG))
    await s.refused(s.signal_with_start(input=BIG, name="other"))
    await s.refused(s.call("query_workflow", rpc.QueryWorkflowRequest(execution=s.execution(), query=WorkflowQuery(query_type="q", query_args=BIG))))
    await s.step()
    await s.history()


@scenario
async def limit_of_ids(s: Script) -> None:
    queue = TaskQueue(name=s.queue)
    for fields in ({"workflow_id": LONG}, {"workflow_type": WorkflowType(name=LONG)}, {"task_queue": TaskQueue(name=LONG)}, {"request_id": LONG},
                   {"workflow_type": WorkflowType()}, {"task_queue": TaskQueue()}, {"workflow_id": ""}):
        request = rpc.StartWorkflowExecutionRequest(**{"workflow_id": s.id("other"), "workflow_type": WorkflowType(name="type"), "task_queue": queue,
                                                       "request_id": "r", **fields})
        await s.refused(s.call("start_workflow_execution", request))
    await s.start()
    await s.refused(s.signal(LONG, request_id="r"))
    await s.refused(s.signal("", request_id="r"))
    await s.refused(s.signal("s", request_id=LONG))
    await s.refused(s.call("update_workflow_execution", s.update_request(LONG)))
    await s.refused(s.call("poll_workflow_task_queue", rpc.PollWorkflowTaskQueueRequest(task_queue=TaskQueue(name=LONG))))
    await s.step()
    await s.history()


@scenario
async def limit_of_ids_in_commands(s: Script) -> None:
    for number, command in enumerate((c.timer(LONG), c.activity(LONG), c.marker(LONG), c.child(LONG, s.queue), c.cancel_timer(LONG))):
        name, queue = f"wf{number}", f"{s.queue}-{number}"  # its task comes again and again
        await s.start(name, task_queue=TaskQueue(name=queue))
        await s.refused(s.done(await s.task(queue), command))
        await s.history(name)


async def ends_with(s: Script, *commands: Any) -> None:
    """Each command alone, in a workflow of its own; what became of it."""
    for number, command in enumerate(commands):
        name = f"wf{number}"
        await s.start(name)
        await s.refused(s.step(command))
        s.note(name, {"status": (await s.describe(name)).workflow_execution_info.status})
        await s.history(name)


@scenario
async def limit_of_what_workflows_send(s: Script) -> None:
    await ends_with(s, c.complete(result=BIG), c.fail(failure("x" * 5000)), c.activity("a", input=BIG), c.marker("m", details={"d": BIG}),
                    c.continue_as_new(input=BIG), c.child(s.id("child"), s.queue, input=BIG), c.signal_external(s.execution("other"), input=BIG))


@scenario
async def limit_of_a_memo(s: Script) -> None:
    await ends_with(s, c.modify_memo(**big_memo().fields), c.continue_as_new(memo=big_memo()), c.child(s.id("child"), s.queue, memo=big_memo()))


@scenario
async def limit_of_a_memo_that_grows(s: Script) -> None:
    await s.start(memo=big_memo("a", 600))
    await s.refused(s.step(c.modify_memo(**big_memo("b", 600).fields)))
    await s.history()


@scenario
async def limit_of_an_activity_result(s: Script) -> None:
    await s.start()
    await s.step(c.activity())
    task = await s.activity()
    await s.refused(s.call("respond_activity_task_completed", rpc.RespondActivityTaskCompletedRequest(task_token=task.task_token, result=BIG)))
    await s.until("ACTIVITY_TASK_FAILED")
    await s.history()


@scenario
async def limit_of_a_heartbeat(s: Script) -> None:
    await s.start()
    await s.step(c.activity())
    task = await s.activity()
    reply = await s.call("record_activity_task_heartbeat", rpc.RecordActivityTaskHeartbeatRequest(task_token=task.task_token, details=BIG))
    s.note("heartbeat", {"cancel_requested": reply.cancel_requested})
    await s.until("ACTIVITY_TASK_FAILED")
    await s.history()


@scenario
async def limit_of_an_activity_failure_while_it_is_retried(s: Script) -> None:
    await s.start()
    await s.step(c.activity(retry_policy=c.retry(maximum_attempts=2, initial_interval=seconds(1))))
    await s.activity_failed(await s.activity(), message="x" * 1000)
    kept = (await s.describe()).pending_activities[0].last_failure
    s.note("kept", {"is_short": len(kept.SerializeToString()) < 400})


@scenario
async def limit_of_history_events(s: Script) -> None:
    await s.start()
    flags = []
    for number in range(12):
        task = await s.task()
        flags.append([e.workflow_task_started_event_attributes.suggest_continue_as_new for e in task.history.events if e.event_type == 6][-1])
        await s.refused(s.done(task, c.marker(f"m{number}"), force_create_new_workflow_task=True))
        if (await s.describe()).workflow_execution_info.status != 1:
            break
    s.note("suggested", {"flags": flags})
    await s.history()


@scenario
async def limit_of_pending_activities(s: Script) -> None:
    await s.start()
    await s.refused(s.step(*[c.activity(f"a{n}") for n in range(4)]))
    await s.step(*[c.activity(f"a{n}") for n in range(3)])
    await s.signal()
    await s.refused(s.step(c.activity("one more")))
    await s.history()


@scenario
async def limit_of_pending_children(s: Script) -> None:
    await s.start()
    await s.refused(s.step(*[c.child(s.id(f"child{n}"), s.queue + "-children") for n in range(4)]))
    await s.history()


@scenario
async def limit_of_pending_signals_to_others(s: Script) -> None:
    await s.start()
    await s.refused(s.step(*[c.signal_external(s.execution("other"), f"s{n}") for n in range(4)]))
    await s.history()


@scenario
async def limit_of_pending_cancel_requests_to_others(s: Script) -> None:
    await s.start()
    await s.refused(s.step(*[c.cancel_external(s.id(f"other{n}")) for n in range(4)]))
    await s.history()


@scenario
async def limit_of_signals(s: Script) -> None:
    await s.start()
    for number in range(5):
        await s.signal(f"s{number}")
    await s.refused(s.signal("one more"))
    await s.refused(s.signal_with_start("one more"))
    await s.history()


@scenario
async def limit_of_signals_from_another_workflow(s: Script) -> None:
    await s.start("other", task_queue=TaskQueue(name=s.queue + "-other"))
    for number in range(5):
        await s.signal(f"s{number}", "other")
    await s.start()
    await s.step(c.signal_external(s.execution("other")))
    await s.until("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
    await s.history()


@scenario
async def limit_of_buffered_events(s: Script) -> None:
    await s.start()
    task = await s.task()
    for number in range(4):
        await s.signal(f"s{number}")
    await s.refused(s.done(task, c.timer()))
    await s.step(c.timer())
    await s.history()


@scenario
async def limit_of_updates_in_flight(s: Script) -> None:
    await s.start()
    await s.step()
    asked = [s.update(f"u{n}", stage=3) for n in range(2)]
    await asyncio.sleep(0.3)
    await s.refused(s.call("update_workflow_execution", s.update_request("u2", stage=3)))
    answered: set[str] = set()
    while len(answered) < 2:  # together, or one after the other
        task = await s.task()
        ids = [m.protocol_instance_id for m in task.messages]
        await s.done(task, messages=[m for id in ids for m in (c.accepted(task, id), c.answered(id))])
        answered.update(ids)
    await asyncio.gather(*asked)
    s.note("answered", {"ids": sorted(answered)})


@scenario
async def limit_of_updates_in_all(s: Script) -> None:
    await s.start()
    await s.step()
    for number in range(3):
        asked = s.update(f"u{number}", stage=3)
        task = await s.task()
        await s.done(task, messages=[c.accepted(task, f"u{number}"), c.answered(f"u{number}")])
        await asked
    await s.refused(s.call("update_workflow_execution", s.update_request("u3", stage=3)))
    await s.history()


@scenario
async def limit_of_queries_that_wait(s: Script) -> None:
    await s.start()
    first = asyncio.create_task(s.query())
    await asyncio.sleep(0.3)
    await s.refused(s.query())
    task = await s.task()
    s.note("queries", {"count": len(task.queries)})
    await s.done(task, query_results={key: WorkflowQueryResult(result_type=1, answer=payloads("answer")) for key in task.queries})
    await first


@scenario
async def limit_of_search_attributes(s: Script) -> None:
    long = keyword("k" * 150)
    await s.refused(s.start("other", search_attributes=SearchAttributes(indexed_fields={"BatcherUser": long})))
    await s.refused(s.start("other", search_attributes=SearchAttributes(indexed_fields={f"Key{n}": keyword("v") for n in range(4)})))
    await s.refused(s.start("other", search_attributes=SearchAttributes(indexed_fields={"NoSuchAttribute": keyword("v")})))


@scenario
async def limit_of_links(s: Script) -> None:
    link = Link(workflow_event=Link.WorkflowEvent(namespace=NAMESPACE, workflow_id="w", run_id="5b2e3a64-5a27-4d5e-9f55-2d6a3c3f7a11"))
    await s.refused(s.start("other", links=[link] * 3))
    long = Link(workflow_event=Link.WorkflowEvent(namespace=NAMESPACE, workflow_id="w" * 300, run_id="5b2e3a64-5a27-4d5e-9f55-2d6a3c3f7a11"))
    await s.refused(s.start("other", links=[long]))
    await s.start(links=[link] * 2)
    s.note("links", {"count": len((await s.events())[0].links)})
