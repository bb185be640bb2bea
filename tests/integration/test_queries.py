"""How a query ends that no worker takes, as the server tells it."""

import asyncio
import uuid

import grpc
import pytest
from flows import Collects
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.workflowservice.v1 import QueryWorkflowRequest
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

pytestmark = pytest.mark.asyncio


async def test_a_query_that_nobody_takes_ends_with_its_callers_time(client, queue, server):
    async with Worker(client, task_queue=queue, workflows=[Collects], workflow_runner=UnsandboxedWorkflowRunner()):
        handle = await client.start_workflow(Collects.run, id=str(uuid.uuid4()), task_queue=queue)
        await handle.signal(Collects.finish)
        await handle.result()
    query = QueryWorkflowRequest(namespace="default", execution=WorkflowExecution(workflow_id=handle.id), query=WorkflowQuery(query_type="count"))
    async with grpc.aio.insecure_channel(server.address) as channel:
        call = channel.unary_unary("/temporal.api.workflowservice.v1.WorkflowService/QueryWorkflow")
        # The time goes along as the server reads it and nobody keeps it here, so that it is the server that tells
        calls = [call(query.SerializeToString(), metadata=(("grpc-timeout", f"{300_000 + 77 * i}u"),)) for i in range(300)]
        refused = await asyncio.gather(*calls, return_exceptions=True)
    assert {r.code() for r in refused} == {grpc.StatusCode.DEADLINE_EXCEEDED}, refused[0]
