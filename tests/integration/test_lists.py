"""The list calls beside ListWorkflowExecutions: open, closed, scan, archived, and what each refuses. Compared once with the development server."""

import uuid

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.filter.v1 import StartTimeFilter, StatusFilter, WorkflowExecutionFilter, WorkflowTypeFilter
from temporalio.api.workflowservice.v1 import (
    GetSearchAttributesRequest,
    ListArchivedWorkflowExecutionsRequest,
    ListClosedWorkflowExecutionsRequest,
    ListOpenWorkflowExecutionsRequest,
    ScanWorkflowExecutionsRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

pytestmark = pytest.mark.asyncio
EARLY, LATE = Timestamp(seconds=1), Timestamp(seconds=4_000_000_000)
ALWAYS = StartTimeFilter(earliest_time=EARLY, latest_time=LATE)
RUNNING, TERMINATED, FAILED = (getattr(WorkflowExecutionStatus, f"WORKFLOW_EXECUTION_STATUS_{n}") for n in ("RUNNING", "TERMINATED", "FAILED"))


@pytest.fixture
def calls(client: Client):
    class Calls:
        async def open(self, **filters):
            return self.ids(await client.workflow_service.list_open_workflow_executions(ListOpenWorkflowExecutionsRequest(namespace="default", **filters)))

        async def closed(self, **filters):
            return self.ids(await client.workflow_service.list_closed_workflow_executions(ListClosedWorkflowExecutionsRequest(namespace="default", **filters)))

        async def scan(self, **more):
            return await client.workflow_service.scan_workflow_executions(ScanWorkflowExecutionsRequest(namespace="default", **more))

        @staticmethod
        def ids(reply) -> list[str]:
            return [e.execution.workflow_id for e in reply.executions]

    return Calls()


async def make(client: Client) -> None:
    for i, kind in enumerate(("B", "A", "A", "A")):
        await client.start_workflow(kind, id=f"w-{i}", task_queue="nobody")
    await client.get_workflow_handle("w-1").terminate()
    await client.get_workflow_handle("w-3").terminate()


async def test_open_and_closed_by_every_filter(client, calls):
    await make(client)
    assert await calls.open() == ["w-2", "w-0"]
    assert await calls.open(start_time_filter=ALWAYS, execution_filter=WorkflowExecutionFilter(workflow_id="w-2")) == ["w-2"]
    assert await calls.open(start_time_filter=ALWAYS, execution_filter=WorkflowExecutionFilter(workflow_id="it's")) == []
    run_id = (await client.get_workflow_handle("w-0").describe()).run_id
    assert await calls.open(execution_filter=WorkflowExecutionFilter(workflow_id="w-0", run_id=run_id)) == ["w-0"]
    assert await calls.open(execution_filter=WorkflowExecutionFilter(workflow_id="w-0", run_id=str(uuid.uuid4()))) == []
    assert await calls.open(start_time_filter=ALWAYS, type_filter=WorkflowTypeFilter(name="B")) == ["w-0"]
    assert await calls.open(start_time_filter=StartTimeFilter(latest_time=EARLY)) == []
    assert await calls.closed() == ["w-3", "w-1"]
    assert await calls.closed(status_filter=StatusFilter(status=TERMINATED)) == ["w-3", "w-1"]
    assert await calls.closed(status_filter=StatusFilter(status=FAILED)) == []
    assert await calls.closed(start_time_filter=ALWAYS, type_filter=WorkflowTypeFilter(name="A")) == ["w-3", "w-1"]
    assert await calls.closed(start_time_filter=StartTimeFilter(earliest_time=LATE)) == []


async def test_scan_goes_through_all_pages(client, calls):
    await make(client)
    seen, token = [], b""
    while True:
        reply = await calls.scan(page_size=1, query="WorkflowId STARTS_WITH 'w-'", next_page_token=token)
        seen += calls.ids(reply)
        token = reply.next_page_token
        if not token:
            break
    assert sorted(seen) == ["w-0", "w-1", "w-2", "w-3"]


async def test_what_is_refused(client, calls):
    archived = client.workflow_service.list_archived_workflow_executions(ListArchivedWorkflowExecutionsRequest(namespace="default", page_size=10))
    for call in (
        calls.open(start_time_filter=StartTimeFilter(earliest_time=LATE, latest_time=EARLY)),
        calls.closed(start_time_filter=StartTimeFilter(earliest_time=LATE, latest_time=EARLY)),
        calls.closed(status_filter=StatusFilter(status=RUNNING)),
        calls.closed(status_filter=StatusFilter()),
        calls.scan(query="WorkflowId ="),
        calls.scan(next_page_token=b"none of ours"),
        archived,
    ):
        with pytest.raises(RPCError) as error:
            await call
        assert error.value.status == RPCStatusCode.INVALID_ARGUMENT


async def test_attributes_that_are_always_there(client):
    keys = (await client.workflow_service.get_search_attributes(GetSearchAttributesRequest())).keys
    assert {"WorkflowId", "WorkflowType", "ExecutionStatus", "StartTime", "TemporalScheduledById", "BatcherUser"} <= set(keys)
