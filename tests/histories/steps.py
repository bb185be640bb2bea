"""The steps of a scenario: one workflow service, seen through raw RPCs, and what it answered, with what changes from
run to run taken out."""

import asyncio
import re
import uuid
from datetime import timedelta
from typing import Any, Awaitable

from google.protobuf import symbol_database
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
import temporalio.api.errordetails.v1  # noqa: F401  registers the messages
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import EventType, HistoryEventFilterType, TaskQueueKind
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import StickyExecutionAttributes, TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request, UpdateRef, WaitPolicy
from temporalio.api.workflowservice.v1 import request_response_pb2 as rpc
from temporalio.client import Client
from temporalio.service import RPCError

NAMESPACE = "default"
IDENTITY = "tester"


# ---- values ----


def payload(text: str) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=f'"{text}"'.encode())


def payloads(*texts: str) -> Payloads:
    return Payloads(payloads=[payload(t) for t in texts])


def seconds(s: float) -> Duration:
    whole = int(s // 1)
    return Duration(seconds=whole, nanos=round((s - whole) * 1e9))


def failure(message: str = "failed", type: str = "Problem", non_retryable: bool = False, delay: float | None = None) -> Failure:
    info = ApplicationFailureInfo(type=type, non_retryable=non_retryable)
    if delay is not None:
        info.next_retry_delay.CopyFrom(seconds(delay))
    return Failure(message=message, application_failure_info=info)


# ---- what changes from run to run ----

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
DROPPED = {
    "event_time", "task_id", "version",  # of every event
    "links", "link", "signal_link",
    "history_size_bytes",
    "update_time",  # of UpdateWorkflowExecutionOptions, from 1.31 on
    "worker_version", "build_id_redirect_counter",
    "namespace_id", "workflow_namespace_id", "external_workflow_namespace_id", "parent_workflow_namespace_id",  # a UUID of its own on each server
    "current_cluster", "active_cluster",  # of NotFoundFailure
}
SIZES = {"first_workflow_task_backoff", "backoff_start_interval"}


# What the recorded server (1.29) writes otherwise than 1.32, which is what Perdure follows: see the reference of limits and features.
OWN = {
    "WORKFLOW_EXECUTION_SIGNALED": ["request_id"],   # from 1.30 on
    "ACTIVITY_TASK_TIMED_OUT": ["retry_state"],      # TIMEOUT, where it was NON_RETRYABLE_FAILURE, when no retry is left by time
    "WORKFLOW_TASK_STARTED": ["request_id", "suggest_continue_as_new_reasons"],  # each server's own; the reasons from 1.31 on
}


def without_first_run(answer: Any) -> Any:
    """first_execution_run_id is in answers and error details from 1.31 on."""
    if isinstance(answer, list):
        return [without_first_run(a) for a in answer]
    if isinstance(answer, dict):
        return {k: without_first_run(v) for k, v in answer.items() if k != "first_execution_run_id"}
    return answer


class Normaliser:
    """Names each UUID by the order in which they appear, so that the same one is the same again."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.names: dict[str, str] = {}

    def text(self, text: str) -> str:
        if TIME.fullmatch(text):
            return "a time"
        text = UUID.sub(lambda m: self.names.setdefault(m.group(), f"uuid {len(self.names) + 1}"), text)
        return text.replace(self.token, "TOKEN")

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(v) for v in value]
        if not isinstance(value, dict):
            return value
        kept = {k: v for k, v in value.items() if k not in DROPPED}
        if "message" in kept and (kept.get("source") == "Server" or "server_failure_info" in kept):  # words of each server's own
            kept["message"] = "words"
        if "reason" in kept and kept.get("identity") == "history-service":
            kept["reason"] = "words"
        return {self.text(k): "some" if k in SIZES and v not in ("0", "0s") else self.value(v) for k, v in kept.items()}


# ---- a scenario ----


class Script:
    def __init__(self, client: Client, name: str) -> None:
        self.service = client.workflow_service
        self.name = name
        self.token = uuid.uuid4().hex
        self.queue = f"queue-{self.token}"
        self.answers: list[Any] = []
        self.histories: dict[str, Any] = {}
        self.normaliser = Normaliser(self.token)
        self.runs: dict[str, str] = {}  # the newest run of each workflow, as its start answered

    # -- calls

    async def call(self, method: str, request: Message, timeout: float = 30) -> Any:
        if "namespace" in request.DESCRIPTOR.fields_by_name and not request.namespace:
            request.namespace = NAMESPACE
        if "identity" in request.DESCRIPTOR.fields_by_name and not request.identity:
            request.identity = IDENTITY
        return await getattr(self.service, method)(request, retry=False, timeout=timedelta(seconds=timeout))

    def note(self, what: str, value: Any) -> None:
        if isinstance(value, Message):
            value = without_first_run(MessageToDict(value, preserving_proto_field_name=True))
        self.answers.append({what: self.normaliser.value(value)})

    async def refused(self, call: Awaitable[Any]) -> None:
        """The call must fail; code and detail are noted, not the words."""
        try:
            await call
        except RPCError as e:
            detail: dict[str, Any] = {}
            if e.grpc_status.details:
                any_ = e.grpc_status.details[0]
                detail["detail"] = any_.type_url.rsplit(".", 1)[-1]
                detail["fields"] = self._detail(any_)
            self.answers.append({"refused": e.status.name, **detail})
        else:
            self.answers.append({"refused": None})

    def _detail(self, any_: Any) -> Any:
        try:
            type_ = symbol_database.Default().GetSymbol(any_.type_url.rsplit("/", 1)[-1])
        except KeyError:
            return None
        message = type_()
        any_.Unpack(message)
        if hasattr(message, "statuses"):  # each operation's own: their codes
            return [s.code for s in message.statuses]
        return self.normaliser.value(without_first_run(MessageToDict(message, preserving_proto_field_name=True)))

    # -- clients

    def id(self, name: str = "wf") -> str:
        return f"{name}-{self.token}"

    def execution(self, name: str = "wf", run_id: str = "") -> WorkflowExecution:
        return WorkflowExecution(workflow_id=self.id(name), run_id=run_id)

    def start_request(self, name: str = "wf", **fields: Any) -> Any:
        fields = {"request_id": f"start-{name}-{uuid.uuid4()}", "workflow_type": WorkflowType(name="type"), "task_queue": TaskQueue(name=self.queue), **fields}
        return rpc.StartWorkflowExecutionRequest(workflow_id=self.id(name), **fields)

    async def start(self, name: str = "wf", **fields: Any) -> Any:
        reply = await self.call("start_workflow_execution", self.start_request(name, **fields))
        self.runs[name] = reply.run_id
        return reply

    async def signal(self, signal: str = "s", name: str = "wf", run_id: str = "", **fields: Any) -> None:
        await self.call("signal_workflow_execution", rpc.SignalWorkflowExecutionRequest(
            workflow_execution=self.execution(name, run_id), signal_name=signal, **{"request_id": f"signal-{signal}", **fields}))

    async def signal_with_start(self, signal: str = "s", name: str = "wf", **fields: Any) -> Any:
        fields = {"request_id": f"start-{name}-{uuid.uuid4()}", "workflow_type": WorkflowType(name="type"), "task_queue": TaskQueue(name=self.queue), **fields}
        return await self.call("signal_with_start_workflow_execution", rpc.SignalWithStartWorkflowExecutionRequest(
            workflow_id=self.id(name), signal_name=signal, **fields))

    async def cancel(self, name: str = "wf", **fields: Any) -> None:
        await self.call("request_cancel_workflow_execution", rpc.RequestCancelWorkflowExecutionRequest(
            workflow_execution=self.execution(name), **{"request_id": "cancel", "reason": "enough", **fields}))

    async def terminate(self, name: str = "wf", **fields: Any) -> None:
        await self.call("terminate_workflow_execution", rpc.TerminateWorkflowExecutionRequest(
            workflow_execution=self.execution(name), **{"reason": "stop", **fields}))

    async def reset(self, event_id: int, name: str = "wf", run_id: str = "", **fields: Any) -> Any:
        return await self.call("reset_workflow_execution", rpc.ResetWorkflowExecutionRequest(
            workflow_execution=self.execution(name, run_id), workflow_task_finish_event_id=event_id, **{"request_id": str(uuid.uuid4()), "reason": "again", **fields}))

    async def describe(self, name: str = "wf") -> Any:
        return await self.call("describe_workflow_execution", rpc.DescribeWorkflowExecutionRequest(execution=self.execution(name)))

    async def query(self, name: str = "wf", **fields: Any) -> Any:
        return await self.call("query_workflow", rpc.QueryWorkflowRequest(execution=self.execution(name), query=WorkflowQuery(query_type="q"), **fields))

    def update_request(self, update_id: str = "u", name: str = "wf", stage: int = 2, **fields: Any) -> Any:
        """stage: 2 accepted, 3 completed."""
        request = Request(meta=Meta(update_id=update_id, identity=IDENTITY), input=Input(name="update", args=payloads("argument")))
        return rpc.UpdateWorkflowExecutionRequest(workflow_execution=self.execution(name), request=request,
                                                  wait_policy=WaitPolicy(lifecycle_stage=stage), namespace=NAMESPACE, **fields)

    def update(self, update_id: str = "u", name: str = "wf", stage: int = 2, **fields: Any) -> "asyncio.Task[Any]":
        """Under way at once; await it when the worker has answered."""
        return asyncio.create_task(self.call("update_workflow_execution", self.update_request(update_id, name, stage, **fields)))

    async def poll_update(self, update_id: str = "u", name: str = "wf", stage: int = 0) -> Any:
        return await self.call("poll_workflow_execution_update", rpc.PollWorkflowExecutionUpdateRequest(
            update_ref=UpdateRef(workflow_execution=self.execution(name), update_id=update_id), wait_policy=WaitPolicy(lifecycle_stage=stage)))

    # -- workers

    async def task(self, queue: str = "", **fields: Any) -> Any:
        """The next workflow task. There must be one."""
        kind = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
        task_queue = fields.pop("task_queue", TaskQueue(name=queue or self.queue, kind=kind))
        task = await self.call("poll_workflow_task_queue", rpc.PollWorkflowTaskQueueRequest(task_queue=task_queue, **fields))
        assert task.task_token, f"{self.name}: no workflow task came"
        return task

    async def sticky_task(self, queue: str) -> Any:
        return await self.task(task_queue=TaskQueue(name=queue, kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY, normal_name=self.queue))

    def sticky(self, queue: str, timeout: float) -> StickyExecutionAttributes:
        return StickyExecutionAttributes(worker_task_queue=TaskQueue(name=queue, kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY, normal_name=self.queue),
                                         schedule_to_start_timeout=seconds(timeout))

    async def done(self, task: Any, *commands: Any, **fields: Any) -> Any:
        for command in commands:
            scheduled = command.schedule_activity_task_command_attributes
            if command.HasField("schedule_activity_task_command_attributes") and not scheduled.task_queue.name:
                scheduled.task_queue.name = self.queue
        return await self.call("respond_workflow_task_completed", rpc.RespondWorkflowTaskCompletedRequest(
            task_token=task.task_token, commands=commands, **fields))

    async def failed(self, task: Any, cause: int = 14, **fields: Any) -> None:
        await self.call("respond_workflow_task_failed", rpc.RespondWorkflowTaskFailedRequest(
            task_token=task.task_token, cause=cause, **{"failure": failure("the worker failed"), **fields}))

    async def step(self, *commands: Any, **fields: Any) -> Any:
        """One workflow task, answered with these commands."""
        return await self.done(await self.task(), *commands, **fields)

    async def activity(self, queue: str = "") -> Any:
        task = await self.call("poll_activity_task_queue", rpc.PollActivityTaskQueueRequest(task_queue=TaskQueue(name=queue or self.queue)))
        assert task.task_token, f"{self.name}: no activity task came"
        return task

    async def activity_done(self, task: Any) -> None:
        await self.call("respond_activity_task_completed", rpc.RespondActivityTaskCompletedRequest(task_token=task.task_token, result=payloads("result")))

    async def activity_failed(self, task: Any, **fields: Any) -> None:
        await self.call("respond_activity_task_failed", rpc.RespondActivityTaskFailedRequest(
            task_token=task.task_token, failure=failure(**fields)))

    async def activity_canceled(self, task: Any) -> None:
        await self.call("respond_activity_task_canceled", rpc.RespondActivityTaskCanceledRequest(task_token=task.task_token, details=payloads("canceled")))

    async def heartbeat(self, task: Any, text: str = "beat") -> Any:
        return await self.call("record_activity_task_heartbeat", rpc.RecordActivityTaskHeartbeatRequest(task_token=task.task_token, details=payloads(text)))

    # -- what is left behind

    async def closed(self, name: str = "wf", run_id: str = "") -> Any:
        """Waits for the end of a run and gives its last event."""
        token = b""
        while True:
            page = await self.call("get_workflow_execution_history", rpc.GetWorkflowExecutionHistoryRequest(
                execution=self.execution(name, run_id), wait_new_event=True, next_page_token=token,
                history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT))
            if page.history.events:
                return page.history.events[-1]
            token = page.next_page_token

    async def events(self, name: str = "wf", run_id: str = "") -> list[Any]:
        page = await self.call("get_workflow_execution_history", rpc.GetWorkflowExecutionHistoryRequest(execution=self.execution(name, run_id)))
        return list(page.history.events)

    async def until(self, event_type: str, name: str = "wf", run_id: str = "", times: int = 1) -> None:
        """Waits for an event, by the end of its type's name."""
        wanted = EventType.Value(f"EVENT_TYPE_{event_type}")
        for _ in range(300):
            if sum(e.event_type == wanted for e in await self.events(name, run_id)) >= times:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{self.name}: no {event_type} came")

    async def history(self, name: str = "wf", run_id: str = "", label: str = "") -> None:
        """Keeps the history under a label."""
        self.histories[label or name] = [self._event(e) for e in await self.events(name, run_id)]

    def _event(self, event: Any) -> Any:
        whole = MessageToDict(event, preserving_proto_field_name=True)
        attributes = whole.pop(event.WhichOneof("attributes"), {})
        type_ = whole.pop("event_type").removeprefix("EVENT_TYPE_")
        for field in OWN.get(type_, ()):
            attributes.pop(field, None)
        if type_ == "WORKFLOW_TASK_SCHEDULED" and int(attributes["attempt"]) > 3:
            attributes["start_to_close_timeout"] = "grown, with jitter"
        if type_ == "WORKFLOW_EXECUTION_TERMINATED" and attributes.get("identity") == "history-service":
            attributes.pop("details", None)  # words as well
        return {"id": int(whole.pop("event_id")), "type": type_, **self.normaliser.value(whole), "with": self.normaliser.value(attributes)}

    def result(self) -> dict[str, Any]:
        return {"answers": self.answers, "histories": self.histories}
