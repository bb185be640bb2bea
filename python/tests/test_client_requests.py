"""The client's calls, against a service in the place of the connection's: what it asks and what it makes of answers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from temporalio.api.common.v1 import GrpcStatus, Payload, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.errordetails.v1 import WorkflowExecutionAlreadyStartedFailure
from temporalio.api.history.v1 import (
    History,
    HistoryEvent,
    WorkflowExecutionCompletedEventAttributes,
    WorkflowExecutionContinuedAsNewEventAttributes,
    WorkflowExecutionTerminatedEventAttributes,
)
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryResponse,
    ListWorkflowExecutionsResponse,
    StartWorkflowExecutionResponse,
)
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleRange,
    ScheduleSpec,
    StartWorkflowInput,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowHistory,
)
from temporalio.common import PinnedVersioningOverride, Priority, RetryPolicy, WorkerDeploymentVersion
from temporalio.converter import DataConverter
from temporalio.exceptions import TerminatedError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode


class Service:
    """Answers from a script; remembers what was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        async def call(request: Any, **options: Any) -> Any:
            self.asked.append(request)
            answer = self.answers[name]
            answer = answer.pop(0) if isinstance(answer, list) else answer
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def make_client(service: Service, **options: Any) -> Client:
    connection: Any = SimpleNamespace(workflow_service=service, config=SimpleNamespace(identity="me"))
    return Client(connection, namespace="ns", **options)


def payload(text: str) -> Payload:
    return DataConverter.default.payload_converter.to_payload(text)


async def test_start_says_everything_it_was_told() -> None:
    service = Service(start_workflow_execution=StartWorkflowExecutionResponse(run_id="r1"))
    handle = await make_client(service).start_workflow(
        "W",
        args=["a", 1],
        id="w",
        task_queue="q",
        execution_timeout=timedelta(seconds=90),
        start_delay=timedelta(milliseconds=1500),
        retry_policy=RetryPolicy(maximum_attempts=4),
        memo={"m": "v"},
        static_summary="sum",
        priority=Priority(priority_key=2),
        versioning_override=PinnedVersioningOverride(WorkerDeploymentVersion("d", "b")),
    )
    (request,) = service.asked
    assert (handle.result_run_id, handle.first_execution_run_id, handle.run_id) == ("r1", "r1", None)
    assert (request.namespace, request.workflow_id, request.identity) == ("ns", "w", "me")
    assert [p.data for p in request.input.payloads] == [b'"a"', b"1"]
    assert request.workflow_execution_timeout.seconds == 90 and request.workflow_start_delay.nanos == 500_000_000
    assert request.retry_policy.maximum_attempts == 4 and request.retry_policy.maximum_interval.seconds == 100
    assert request.memo.fields["m"].data == b'"v"' and request.user_metadata.summary.data == b'"sum"'
    assert request.priority.priority_key == 2 and request.versioning_override.pinned.version.build_id == "b"
    assert request.request_id


async def test_a_taken_id_is_an_error_that_names_the_run() -> None:
    detail = AnyMessage()
    detail.Pack(WorkflowExecutionAlreadyStartedFailure(run_id="other"))
    status = GrpcStatus(code=6, message="taken", details=[detail]).SerializeToString()
    service = Service(start_workflow_execution=RPCError("taken", RPCStatusCode.ALREADY_EXISTS, status))
    with pytest.raises(WorkflowAlreadyStartedError) as err:
        await make_client(service).start_workflow("W", id="w", task_queue="q")
    assert err.value.run_id == "other" and err.value.workflow_type == "W"


def close(**attributes: Any) -> GetWorkflowExecutionHistoryResponse:
    return GetWorkflowExecutionHistoryResponse(history=History(events=[HistoryEvent(event_id=9, **attributes)]))


async def test_results_follow_the_chain_of_runs() -> None:
    again = WorkflowExecutionContinuedAsNewEventAttributes(new_execution_run_id="r2")
    done = WorkflowExecutionCompletedEventAttributes()
    done.result.payloads.append(payload("done"))
    service = Service(
        get_workflow_execution_history=[
            GetWorkflowExecutionHistoryResponse(next_page_token=b"t"),  # nothing happened while the server waited
            close(workflow_execution_continued_as_new_event_attributes=again),
            close(workflow_execution_completed_event_attributes=done),
        ]
    )
    handle = make_client(service).get_workflow_handle("w", run_id="r1", result_type=str)
    assert await handle.result() == "done"
    assert [r.execution.run_id for r in service.asked] == ["r1", "r1", "r2"]
    assert service.asked[1].next_page_token == b"t" and service.asked[0].wait_new_event


async def test_a_terminated_workflow_raises_why() -> None:
    ended = WorkflowExecutionTerminatedEventAttributes(reason="enough")
    ended.details.payloads.append(payload("x"))
    service = Service(get_workflow_execution_history=close(workflow_execution_terminated_event_attributes=ended))
    with pytest.raises(WorkflowFailureError) as err:
        await make_client(service).get_workflow_handle("w").result()
    cause = err.value.cause
    assert isinstance(cause, TerminatedError) and cause.message == "enough" and cause.details == ("x",)


async def test_lists_go_through_pages_up_to_a_limit() -> None:
    def page(ids: list[str], token: bytes) -> ListWorkflowExecutionsResponse:
        infos = [WorkflowExecutionInfo(execution=WorkflowExecution(workflow_id=i)) for i in ids]
        return ListWorkflowExecutionsResponse(executions=infos, next_page_token=token)

    service = Service(list_workflow_executions=[page(["a", "b"], b"1"), page([], b"2"), page(["c", "d"], b"3")])
    found = [w.id async for w in make_client(service).list_workflows("q", limit=3, page_size=2)]
    assert found == ["a", "b", "c"]
    assert [r.page_size for r in service.asked] == [2, 1, 1]


class Renaming(Interceptor):
    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return RenamingOutbound(next)


class RenamingOutbound(OutboundInterceptor):
    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        input.id += "-renamed"
        input.headers = {"h": payload("v")}
        return await super().start_workflow(input)


async def test_interceptors_change_what_is_sent() -> None:
    service = Service(start_workflow_execution=StartWorkflowExecutionResponse(run_id="r"))
    handle = await make_client(service, interceptors=[Renaming()]).start_workflow("W", id="w", task_queue="q")
    assert handle.id == "w-renamed" and service.asked[0].header.fields["h"].data == b'"v"'


async def test_a_described_schedule_can_be_written_back() -> None:
    action = ScheduleActionStartWorkflow("W", "arg", id="w", task_queue="q", memo={"m": 1}, static_summary="s")
    spec = ScheduleSpec(
        calendars=[ScheduleCalendarSpec(hour=(ScheduleRange(3, 9, 2),))],
        start_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
        jitter=timedelta(seconds=5),
    )
    client = make_client(Service())
    message = await Schedule(action=action, spec=spec)._to_dict(client)
    back = Schedule._from_dict(message)
    assert back.spec == spec
    assert await back._to_dict(client) == message


def test_histories_are_read_from_json_of_any_age() -> None:
    event = {"eventId": "1", "eventType": "WorkflowExecutionStarted", "fieldOfThePast": 1}
    event["workflowExecutionStartedEventAttributes"] = {"originalExecutionRunId": "r", "workflowType": {"name": "W"}}
    history = WorkflowHistory.from_json("w", {"events": [event]})
    assert history.run_id == "r"
    assert history.to_json_dict()["events"][0]["eventType"] == "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"
    assert history.events[0].event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
    again = WorkflowHistory.from_json("w", history.to_json())
    assert History.FromString(again._to_bytes()) == History.FromString(history._to_bytes())
