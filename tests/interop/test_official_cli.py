"""What a person does with the official command line, against our server: the same words, a sensible answer."""

import asyncio
import json
import os
import subprocess
import uuid

import pytest
from flows import ACTIVITIES, WORKFLOWS
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

pytestmark = pytest.mark.asyncio
TEMPORAL = os.environ["PERDURE_TEMPORAL"]


async def temporal(server, *words: str, fails: bool = False) -> str:
    process = await asyncio.create_subprocess_exec(
        TEMPORAL, *words, "--address", server.address, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "HOME": str(server.file.parent)}
    )
    out, err = await process.communicate()
    assert (process.returncode != 0) == fails, (words, out.decode(), err.decode())
    return (err if fails else out).decode()


async def temporal_json(server, *words: str):
    return json.loads(await temporal(server, *words, "-o", "json"))


async def test_start_signal_query_describe_show_cancel_terminate(server, client, queue):
    name = f"cli-{uuid.uuid4()}"
    async with Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES, workflow_runner=UnsandboxedWorkflowRunner()):
        started = await temporal_json(server, "workflow", "start", "--type", "Collects", "--task-queue", queue, "--workflow-id", name)
        assert started["workflowId"] == name
        await temporal(server, "workflow", "signal", "-w", name, "--name", "add", "--input", '"x"')
        answer = await temporal_json(server, "workflow", "query", "-w", name, "--type", "count")
        assert answer["queryResult"] == [1]
        described = await temporal_json(server, "workflow", "describe", "-w", name)
        assert described["workflowExecutionInfo"]["status"] == "WORKFLOW_EXECUTION_STATUS_RUNNING"
        history = await temporal_json(server, "workflow", "show", "-w", name)
        assert [e["eventType"] for e in history["events"]][:2] == ["EVENT_TYPE_WORKFLOW_EXECUTION_STARTED", "EVENT_TYPE_WORKFLOW_TASK_SCHEDULED"]
        await temporal(server, "workflow", "cancel", "-w", name)
        await temporal(server, "workflow", "result", "-w", name, fails=True)
        described = await temporal_json(server, "workflow", "describe", "-w", name)
        assert described["workflowExecutionInfo"]["status"] == "WORKFLOW_EXECUTION_STATUS_CANCELED"
        result = await temporal_json(server, "workflow", "execute", "--type", "SayHello", "--task-queue", queue, "--workflow-id", name + "-2", "--input", '"CLI"')
        assert result["result"] == "Hello, CLI!" and result["status"] == "COMPLETED"
    await temporal(server, "workflow", "start", "--type", "Sleeps", "--task-queue", queue, "--workflow-id", name + "-3", "--input", "60")
    await temporal(server, "workflow", "terminate", "-w", name + "-3", "--reason", "enough")
    described = await temporal_json(server, "workflow", "describe", "-w", name + "-3")
    assert described["workflowExecutionInfo"]["status"] == "WORKFLOW_EXECUTION_STATUS_TERMINATED"
    await temporal(server, "workflow", "delete", "-w", name + "-3")
    await temporal(server, "workflow", "describe", "-w", name + "-3", fails=True)


async def test_list_and_count(server, queue):
    for i in range(3):
        await temporal(server, "workflow", "start", "--type", "Sleeps", "--task-queue", queue, "--workflow-id", f"list-{i}", "--input", "60")
    listed = await temporal_json(server, "workflow", "list", "--query", "WorkflowType = 'Sleeps' AND WorkflowId STARTS_WITH 'list-'")
    assert sorted(w["execution"]["workflowId"] for w in listed) == ["list-0", "list-1", "list-2"]
    assert (await temporal_json(server, "workflow", "count", "--query", "ExecutionStatus = 'Running'"))["count"] == "3"
    problem = await temporal(server, "workflow", "list", "--query", "WorkflowType == 'Sleeps'", fails=True)
    assert "character" in problem or "position" in problem


async def test_operator(server):
    assert "SERVING" in await temporal(server, "operator", "cluster", "health")
    assert (await temporal_json(server, "operator", "cluster", "describe"))["clusterName"] == "active"
    await temporal(server, "operator", "namespace", "create", "-n", "orders", "--retention", "48h")
    described = await temporal_json(server, "operator", "namespace", "describe", "-n", "orders")
    assert described["config"]["workflowExecutionRetentionTtl"] == "172800s"
    await temporal(server, "operator", "namespace", "update", "-n", "orders", "--description", "all of them")
    assert (await temporal_json(server, "operator", "namespace", "describe", "-n", "orders"))["namespaceInfo"]["description"] == "all of them"
    await temporal(server, "operator", "search-attribute", "create", "--name", "Region", "--type", "Keyword")
    listed = await temporal(server, "operator", "search-attribute", "list")
    assert "Region" in listed
    await temporal(server, "operator", "search-attribute", "remove", "--name", "Region", "--yes")
    assert "Region" not in await temporal(server, "operator", "search-attribute", "list")


async def test_task_queue_describe(server, client, queue):
    async with Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES, identity="somebody"):
        async with asyncio.timeout(20):
            while "somebody" not in await temporal(server, "task-queue", "describe", "--task-queue", queue):
                await asyncio.sleep(0.1)
