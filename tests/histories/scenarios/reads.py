"""What is read of a run, and how runs are deleted."""

import asyncio
from typing import Any

from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.enums.v1 import HistoryEventFilterType, QueryRejectCondition
from temporalio.api.sdk.v1 import WorkflowTaskCompletedMetadata
from temporalio.api.workflowservice.v1 import request_response_pb2 as rpc

import commands as c
from scenarios import scenario
from steps import Script, payloads

CLOSE = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT


async def read(s: Script, label: str, run_id: str = "", **fields: Any) -> Any:
    page = await s.call("get_workflow_execution_history", rpc.GetWorkflowExecutionHistoryRequest(execution=s.execution(run_id=run_id), **fields))
    s.note(label, {"events": [[e.event_id, e.event_type] for e in page.history.events], "more": bool(page.next_page_token)})
    return page


@scenario
async def history_in_pages(s: Script) -> None:
    await s.start()
    await s.step(c.timer(), c.marker(), c.marker("m2"))
    await s.signal()
    await s.step(c.complete())
    token, together = b"", []
    for _ in range(20):  # how much is in each is for the server to say
        page = await s.call("get_workflow_execution_history", rpc.GetWorkflowExecutionHistoryRequest(
            execution=s.execution(), maximum_page_size=2, next_page_token=token))
        together += [e.event_id for e in page.history.events]
        token = page.next_page_token
        if not token:
            break
    s.note("pages", {"events": together})
    await read(s, "all of it")
    await read(s, "the end", history_event_filter_type=CLOSE)
    reverse = await s.call("get_workflow_execution_history_reverse", rpc.GetWorkflowExecutionHistoryReverseRequest(execution=s.execution()))
    s.note("reverse", {"events": [e.event_id for e in reverse.history.events]})


@scenario
async def history_that_is_waited_for(s: Script) -> None:
    await s.start()
    page = await read(s, "now", wait_new_event=True)
    waiting = asyncio.create_task(read(s, "later", wait_new_event=True, next_page_token=page.next_page_token))
    await asyncio.sleep(0.3)
    await s.signal()
    await waiting
    await s.step(c.complete())
    await read(s, "the end", wait_new_event=True, history_event_filter_type=CLOSE)
    await s.refused(read(s, "not its token", run_id="5b2e3a64-5a27-4d5e-9f55-2d6a3c3f7a11", next_page_token=page.next_page_token))
    await s.refused(read(s, "no token", next_page_token=b"nothing"))


@scenario
async def history_of_a_chain(s: Script) -> None:
    first = await s.start()
    await s.step(c.continue_as_new())
    await read(s, "the end of the first", run_id=first.run_id, history_event_filter_type=CLOSE)
    await read(s, "the second")


@scenario
async def history_while_a_task_is_tried_again(s: Script) -> None:
    """The attempt that is under way is shown, though it is not written yet."""
    await s.start()
    await s.failed(await s.task())
    await read(s, "waiting")
    task = await s.task()
    await read(s, "under way")
    await s.done(task, c.complete())
    await read(s, "done")


@scenario
async def history_of_what_is_not_there(s: Script) -> None:
    await s.refused(read(s, "no workflow"))
    await s.start()
    await s.refused(read(s, "no run", run_id="5b2e3a64-5a27-4d5e-9f55-2d6a3c3f7a11"))
    await s.refused(read(s, "no run id", run_id="nonsense"))


@scenario
async def completion_with_sdk_metadata(s: Script) -> None:
    await s.start()
    metadata = WorkflowTaskCompletedMetadata(core_used_flags=[1, 2], lang_used_flags=[3], sdk_name="an-sdk", sdk_version="1.2.3")
    await s.step(c.timer(), sdk_metadata=metadata)
    await s.history()


@scenario
async def change_version_is_a_search_attribute(s: Script) -> None:
    await s.start()
    value = Payload(metadata={"encoding": b"json/plain", "type": b"KeywordList"}, data=b'["change-1"]')
    await s.step(c.upsert(TemporalChangeVersion=value), c.marker("core_patch"))
    info = (await s.describe()).workflow_execution_info
    s.note("described", {key: v.data.decode() for key, v in info.search_attributes.indexed_fields.items()})
    await s.history()


@scenario
async def query_that_a_status_rejects(s: Script) -> None:
    for name, end in (("completed", c.complete()), ("failed", c.fail())):
        await s.start(name)
        await s.step(end)
        for condition in (QueryRejectCondition.QUERY_REJECT_CONDITION_NOT_OPEN, QueryRejectCondition.QUERY_REJECT_CONDITION_NOT_COMPLETED_CLEANLY):
            if name == "completed" and condition == QueryRejectCondition.QUERY_REJECT_CONDITION_NOT_COMPLETED_CLEANLY:
                continue
            answer = await s.query(name, query_reject_condition=condition)
            s.note(f"{name} {condition}", {"status": answer.query_rejected.status})


@scenario
async def query_of_a_run_that_fails_again_and_again(s: Script) -> None:
    await s.start()
    for _ in range(3):
        await s.failed(await s.task())
    await s.refused(s.query())


async def gone(s: Script) -> None:
    for _ in range(200):
        try:
            await s.describe()
        except Exception:
            break
        await asyncio.sleep(0.1)
    await s.refused(s.describe())
    await s.refused(s.signal())


@scenario
async def delete_of_a_closed_run(s: Script) -> None:
    await s.start()
    await s.step(c.complete(result=payloads("result")))
    await s.call("delete_workflow_execution", rpc.DeleteWorkflowExecutionRequest(workflow_execution=s.execution()))
    await gone(s)


@scenario
async def delete_of_a_running_one(s: Script) -> None:
    await s.start()
    await s.step(c.timer())
    await s.call("delete_workflow_execution", rpc.DeleteWorkflowExecutionRequest(workflow_execution=s.execution()))
    await gone(s)
    await s.start()  # its id is free
    await s.step(c.complete())


@scenario
async def delete_of_an_older_run(s: Script) -> None:
    first = await s.start()
    await s.step(c.complete())
    await s.start()
    await s.call("delete_workflow_execution", rpc.DeleteWorkflowExecutionRequest(workflow_execution=s.execution(run_id=first.run_id)))
    for _ in range(200):
        try:
            await s.events(run_id=first.run_id)
        except Exception:
            break
        await asyncio.sleep(0.1)
    await s.refused(s.events(run_id=first.run_id))
    await s.step(c.complete())
    await s.history()


@scenario
async def delete_of_what_is_not_there(s: Script) -> None:
    await s.refused(s.call("delete_workflow_execution", rpc.DeleteWorkflowExecutionRequest(workflow_execution=s.execution())))
    await s.refused(s.call("delete_workflow_execution", rpc.DeleteWorkflowExecutionRequest(workflow_execution=WorkflowExecution())))
