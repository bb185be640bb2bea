"""Namespaces: changed, deleted with all they hold, over kills; closed runs that their retention deletes, and the room they leave."""

import asyncio
import sqlite3
import uuid

import pytest
from conftest import Server, eventually
from google.protobuf.duration_pb2 import Duration
from temporalio.api.batch.v1 import BatchOperationTermination
from temporalio.api.enums.v1 import ArchivalState, IndexedValueType, NamespaceState, TaskQueueType
from temporalio.api.namespace.v1 import BadBinaries, BadBinaryInfo, NamespaceConfig, NamespaceFilter, UpdateNamespaceInfo
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, DeleteNamespaceRequest, ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import RateLimit
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    ListNamespacesRequest,
    RegisterNamespaceRequest,
    StartBatchOperationRequest,
    UpdateNamespaceRequest,
    UpdateTaskQueueConfigRequest,
)
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleSpec, ScheduleState
from temporalio.service import RPCError, RPCStatusCode

pytestmark = pytest.mark.asyncio
DAY = Duration(seconds=86400)


async def register(client: Client, name: str, **more) -> str:
    await client.workflow_service.register_namespace(RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=DAY, **more))
    return (await describe(client, namespace=name)).namespace_info.id


async def describe(client: Client, **who):
    return await client.workflow_service.describe_namespace(DescribeNamespaceRequest(**who))


async def delete(client: Client, **who) -> str:
    return (await client.operator_service.delete_namespace(DeleteNamespaceRequest(**who))).deleted_namespace


async def names(client: Client) -> set[str]:
    reply = await client.workflow_service.list_namespaces(ListNamespacesRequest(namespace_filter=NamespaceFilter(include_deleted=True)))
    return {n.namespace_info.name for n in reply.namespaces}


async def is_gone(client: Client, **who) -> bool:
    try:
        await describe(client, **who)
        return False
    except RPCError as error:
        assert error.status == RPCStatusCode.NOT_FOUND
        return True


async def start_some(client: Client, count: int) -> None:
    for first in range(0, count, 100):
        await asyncio.gather(*(client.start_workflow("Nobody", id=f"w-{i}", task_queue="nobody") for i in range(first, min(first + 100, count))))


async def refused(call, status=RPCStatusCode.INVALID_ARGUMENT) -> str:
    with pytest.raises(RPCError) as error:
        await call
    assert error.value.status == status
    return error.value.message


async def test_every_field_is_updated_and_kept(server, client):
    await register(client, "fields", data={"a": "1", "b": "2"}, description="first", owner_email="x@y")

    async def update(**changes):
        return await client.workflow_service.update_namespace(UpdateNamespaceRequest(namespace="fields", **changes))

    reply = await update(update_info=UpdateNamespaceInfo(description="second", owner_email="z@y", data={"b": "3", "c": "4"}))
    assert dict(reply.namespace_info.data) == {"a": "1", "b": "3", "c": "4"}
    bad = BadBinaries(binaries={"sum": BadBinaryInfo(reason="slow", operator="me")})
    await update(config=NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=7200), bad_binaries=bad))
    more = BadBinaries(binaries={"other": BadBinaryInfo(reason="wrong")})
    await update(config=NamespaceConfig(bad_binaries=more, custom_search_attribute_aliases={"Keyword01": "Region"}))
    server.kill()
    server.start()
    client = await Client.connect(server.address)
    d = await describe(client, namespace="fields")
    assert (d.namespace_info.description, d.namespace_info.owner_email) == ("second", "z@y")
    assert d.config.workflow_execution_retention_ttl.seconds == 7200
    assert set(d.config.bad_binaries.binaries) == {"sum", "other"}
    assert d.config.bad_binaries.binaries["sum"].create_time.seconds > 0
    assert dict(d.config.custom_search_attribute_aliases) == {"Keyword01": "Region"}
    await update(delete_bad_binary="sum")
    assert set((await describe(client, namespace="fields")).config.bad_binaries.binaries) == {"other"}
    await refused(update(delete_bad_binary="sum"))
    await refused(update(config=NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=60))))
    await refused(update(config=NamespaceConfig(history_archival_state=ArchivalState.ARCHIVAL_STATE_ENABLED)))
    await refused(update(promote_namespace=True))
    await refused(client.workflow_service.update_namespace(UpdateNamespaceRequest(namespace="never")), RPCStatusCode.NOT_FOUND)
    await update(update_info=UpdateNamespaceInfo(state=NamespaceState.NAMESPACE_STATE_DEPRECATED))
    await refused(update(update_info=UpdateNamespaceInfo(state=NamespaceState.NAMESPACE_STATE_REGISTERED)))
    there = await Client.connect(server.address, namespace="fields")
    await refused(there.start_workflow("Nobody", id="w", task_queue="nobody"), RPCStatusCode.FAILED_PRECONDITION)


async def test_changes_at_once_lose_none(client):
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    await asyncio.gather(
        *(
            client.operator_service.add_search_attributes(AddSearchAttributesRequest(namespace="default", search_attributes={f"Region{i}": keyword}))
            for i in range(20)
        )
    )
    reply = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace="default"))
    assert {f"Region{i}" for i in range(20)} <= set(reply.custom_attributes)


async def test_a_deleted_namespace_is_renamed_emptied_and_gone(server, client):
    key = await register(client, "doomed")
    there = await Client.connect(server.address, namespace="doomed")
    await start_some(there, 450)
    await there.get_workflow_handle("w-3").terminate()
    action = ScheduleActionStartWorkflow("Nobody", id="s", task_queue="nobody")
    await there.create_schedule("sleeps", Schedule(action=action, spec=ScheduleSpec(), state=ScheduleState(paused=True)))
    await there.workflow_service.update_task_queue_config(
        UpdateTaskQueueConfigRequest(
            namespace="doomed",
            task_queue="q",
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            update_queue_rate_limit=UpdateTaskQueueConfigRequest.RateLimitUpdate(rate_limit=RateLimit(requests_per_second=1)),
        )
    )
    await there.workflow_service.start_batch_operation(
        StartBatchOperationRequest(
            namespace="doomed",
            job_id="slow",
            reason="x",
            visibility_query="WorkflowType = 'Nobody'",
            termination_operation=BatchOperationTermination(),
            max_operations_per_second=1,
        )
    )
    renamed = await delete(client, namespace="doomed")
    assert renamed == f"doomed-deleted-{key[:5]}"
    assert await is_gone(client, namespace="doomed")
    d = await describe(client, id=key) if not await is_gone(client, id=key) else None
    if d is not None:
        assert (d.namespace_info.name, d.namespace_info.state) == (renamed, NamespaceState.NAMESPACE_STATE_DELETED)
        assert int(d.namespace_info.data["deleted-executions"]) + int(d.namespace_info.data["remaining-executions"]) <= 450
    await refused(there.start_workflow("Nobody", id="late", task_queue="nobody"), RPCStatusCode.NOT_FOUND)
    await eventually(lambda: is_gone(client, id=key), 60)
    assert await names(client) == {"default"}

    async def nothing_left():  # tasks, settings of queues, schedules, batch jobs, rows of any
        kept = stored(server.file, "task", "kv where space in (5, 6)", "kv where space = 7 and key != cast('n' as blob)", "visibility")
        return not any(n for what, n in kept.items() if what != "pages")

    await eventually(nothing_left)
    # the name is free again, and what comes is empty
    await register(client, "doomed")
    assert (await there.count_workflows("")).count == 0
    assert [s async for s in await there.list_schedules()] == []
    server.kill()
    server.start()
    client = await Client.connect(server.address)
    assert await names(client) == {"default", "doomed"}


async def test_a_deletion_goes_on_after_kills_and_waits_for_its_delay(server, client):
    key = await register(client, "doomed")
    there = await Client.connect(server.address, namespace="doomed")
    await start_some(there, 600)
    renamed = await delete(client, namespace_id=key, namespace_delete_delay=Duration(seconds=4))
    for _ in range(2):
        server.kill()
        server.start()
        client = await Client.connect(server.address)
        assert await delete(client, namespace=renamed) == renamed
    gone = await Client.connect(server.address, namespace=renamed)

    async def empty():
        return (await gone.count_workflows("")).count == 0

    await eventually(empty, 60)
    assert renamed in await names(client)
    await eventually(lambda: is_gone(client, id=key), 60)


async def test_what_can_not_be_deleted(client):
    await refused(delete(client))
    await refused(delete(client, namespace="default", namespace_id=str(uuid.uuid4())))
    await refused(delete(client, namespace="never"), RPCStatusCode.NOT_FOUND)
    await refused(delete(client, namespace="temporal-system"), RPCStatusCode.FAILED_PRECONDITION)
    await refused(register(client, "temporal-system"), RPCStatusCode.ALREADY_EXISTS)


def stored(file, *tables: str) -> dict[str, int]:
    """How many rows tables have, those of runs unless others are named, and how many pages of the file are in use."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
        rows = {table: db.execute(f"select count(*) from {table}").fetchone()[0] for table in tables or ("run", "run_of", "item", "history", "visibility")}
        return rows | {"pages": db.execute("pragma page_count").fetchone()[0] - db.execute("pragma freelist_count").fetchone()[0]}


async def test_retention_deletes_closed_runs_and_all_that_is_of_them(tmp_path):
    server = Server(tmp_path, "--dynamic-config-value", 'system.namespaceMinRetentionLocal="1s"')
    server.start()
    client = await Client.connect(server.address)
    empty = stored(server.file)
    await client.workflow_service.register_namespace(RegisterNamespaceRequest(namespace="short", workflow_execution_retention_period=Duration(seconds=3)))
    there = await Client.connect(server.address, namespace="short")
    for first in range(0, 300, 50):
        ids = [f"w-{i}" for i in range(first, first + 50)]
        await asyncio.gather(*(there.start_workflow("Nobody", "x" * 20_000, id=i, task_queue="nobody") for i in ids))
        await asyncio.gather(*(there.get_workflow_handle(i).terminate() for i in ids if i != "w-7"))
    full = stored(server.file)
    assert full["pages"] > empty["pages"] + 1000

    async def left():
        return (await there.count_workflows("")).count == 1

    await eventually(left, 60)
    assert (await there.get_workflow_handle("w-7").describe()).id == "w-7"  # open runs stay
    for call in (there.get_workflow_handle("w-8").describe(), there.get_workflow_handle("w-8").fetch_history()):
        with pytest.raises(RPCError) as error:
            await call
        assert error.value.status == RPCStatusCode.NOT_FOUND
    now = stored(server.file)
    assert (now["run"], now["run_of"], now["visibility"], now["history"]) == (1, 1, 1, 1)
    assert now["pages"] < empty["pages"] + (full["pages"] - empty["pages"]) // 10  # and the file has room again
    assert server.stop() == 0
