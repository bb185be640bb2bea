"""What operators set for task queues, and what a description shows of it: rates, fairness, priorities, backlog."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from conftest import eventually
from temporalio import activity, workflow
from temporalio.api.enums.v1 import DescribeTaskQueueMode, RateLimitSource, TaskQueueKind, TaskQueueType
from temporalio.api.taskqueue.v1 import RateLimit, TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, ListTaskQueuePartitionsRequest, UpdateTaskQueueConfigRequest
from temporalio.client import Client
from temporalio.common import Priority
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

pytestmark = pytest.mark.asyncio
ACTIVITY, WORKFLOW = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW


def rate(value=None) -> UpdateTaskQueueConfigRequest.RateLimitUpdate:
    limit = None if value is None else RateLimit(requests_per_second=value)
    return UpdateTaskQueueConfigRequest.RateLimitUpdate(rate_limit=limit, reason="a test")


async def update(client: Client, queue: str, kind=ACTIVITY, **changes):
    q = UpdateTaskQueueConfigRequest(namespace="default", identity="operator", task_queue=queue, task_queue_type=kind, **changes)
    return (await client.workflow_service.update_task_queue_config(q)).config


async def describe(client: Client, queue: str, kind=ACTIVITY, **more):
    name = TaskQueue(name=queue, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL)
    q = DescribeTaskQueueRequest(namespace="default", task_queue=name, task_queue_type=kind, report_stats=True, report_config=True, **more)
    return await client.workflow_service.describe_task_queue(q)


async def test_a_configuration_is_stored_shown_and_taken_away(server, client, queue):
    config = await update(client, queue, update_queue_rate_limit=rate(2.5), set_fairness_weight_overrides={"a": 2.0, "b": 0.5})
    assert config.queue_rate_limit.rate_limit.requests_per_second == 2.5
    assert (config.queue_rate_limit.metadata.reason, config.queue_rate_limit.metadata.update_identity) == ("a test", "operator")
    await update(client, queue, update_fairness_key_rate_limit_default=rate(1), unset_fairness_weight_overrides=["a"])
    server.kill()
    server.start()
    client = await Client.connect(server.address)
    d = await describe(client, queue)
    assert d.config.queue_rate_limit.rate_limit.requests_per_second == 2.5
    assert d.config.fairness_keys_rate_limit_default.rate_limit.requests_per_second == 1
    assert dict(d.config.fairness_weight_overrides) == {"b": 0.5}
    assert d.effective_rate_limit.requests_per_second == 2.5
    assert d.effective_rate_limit.rate_limit_source == RateLimitSource.RATE_LIMIT_SOURCE_API
    config = await update(client, queue, update_queue_rate_limit=rate())
    assert not config.queue_rate_limit.HasField("rate_limit") and config.queue_rate_limit.HasField("metadata")
    d = await describe(client, queue)
    assert d.effective_rate_limit.rate_limit_source == RateLimitSource.RATE_LIMIT_SOURCE_SYSTEM


async def test_updates_at_once_lose_none(client, queue):
    await asyncio.gather(*(update(client, queue, set_fairness_weight_overrides={f"key-{i}": 1.0 + i}) for i in range(20)))
    d = await describe(client, queue)
    assert dict(d.config.fairness_weight_overrides) == {f"key-{i}": 1.0 + i for i in range(20)}


REFUSED = [
    dict(kind=WORKFLOW, update_queue_rate_limit=rate(1)),
    dict(kind=WORKFLOW, set_fairness_weight_overrides={"a": 1.0}),
    dict(kind=0, update_queue_rate_limit=rate(1)),
    dict(update_queue_rate_limit=rate(-1)),
    dict(update_fairness_key_rate_limit_default=rate(float("nan"))),
    dict(set_fairness_weight_overrides={"a": 0.0}),
    dict(set_fairness_weight_overrides={"a" * 65: 1.0}),
    dict(set_fairness_weight_overrides={"a": 1.0}, unset_fairness_weight_overrides=["a"]),
    dict(set_fairness_weight_overrides={f"k{i}": 1.0 for i in range(1001)}),
]


@pytest.mark.parametrize("changes", REFUSED)
async def test_what_is_refused(client, queue, changes):
    await update(client, queue, update_queue_rate_limit=rate(7))
    with pytest.raises(RPCError) as error:
        await update(client, queue, **changes)
    assert error.value.status == RPCStatusCode.INVALID_ARGUMENT
    config = (await describe(client, queue)).config
    assert config.queue_rate_limit.rate_limit.requests_per_second == 7 and not config.fairness_weight_overrides


order: list[str] = []


@activity.defn
async def note(name: str) -> None:
    order.append(name)


@workflow.defn
class Many:
    """Activities of several keys and priorities, all scheduled in one task."""

    @workflow.run
    async def run(self, names: list[tuple[str, int, str, float]]) -> None:
        await asyncio.gather(
            *(
                workflow.execute_activity(
                    note,
                    name,
                    start_to_close_timeout=timedelta(minutes=1),
                    task_queue=f"{workflow.info().task_queue}-activities",
                    priority=Priority(priority_key=priority, fairness_key=key, fairness_weight=weight),
                )
                for name, priority, key, weight in names
            )
        )


async def run_many(client: Client, queue: str, names: list[tuple[str, int, str, float]], **worker):
    """Schedules all before anybody polls for activities; returns the description then, and the order in which they ran."""
    order.clear()
    activities = f"{queue}-activities"
    async with Worker(client, task_queue=queue, workflows=[Many], workflow_runner=UnsandboxedWorkflowRunner(), disable_eager_activity_execution=True):
        handle = await client.start_workflow(Many.run, names, id=str(uuid.uuid4()), task_queue=queue)

        async def waiting():
            d = await describe(client, activities)
            return d if d.stats.approximate_backlog_count == len(names) else None

        d = await eventually(waiting)
        async with Worker(client, task_queue=activities, activities=[note], max_concurrent_activities=1, max_concurrent_activity_task_polls=1, **worker):
            await handle.result()
    return d, list(order)


async def test_priorities_are_served_in_order_and_shown(client, queue):
    names = [(f"{p}-{i}", p, "", 1.0) for p in (5, 3, 1) for i in range(4)]
    d, ran = await run_many(client, queue, names)
    assert [n[0] for n in ran] == ["1"] * 4 + ["3"] * 4 + ["5"] * 4
    assert {k: v.approximate_backlog_count for k, v in d.stats_by_priority_key.items()} == {1: 4, 3: 4, 5: 4}
    assert d.stats.tasks_add_rate > 0


async def test_fairness_weights_share_and_the_operators_win(client, queue):
    names = [(f"a-{i}", 3, "a", 1.0) for i in range(40)] + [(f"b-{i}", 3, "b", 3.0) for i in range(40)]
    _, ran = await run_many(client, queue, names)
    assert 13 <= [n[0] for n in ran[:20]].count("b") <= 17  # three of four
    await update(client, f"{queue}-activities", set_fairness_weight_overrides={"a": 9.0, "b": 3.0})
    _, ran = await run_many(client, queue, names)
    assert 11 <= [n[0] for n in ran[:20]].count("a") <= 17  # what is left of the turns before weighs, too


async def test_a_rate_of_the_api_wins_over_that_of_workers(client, queue):
    activities = f"{queue}-activities"
    await update(client, activities, update_queue_rate_limit=rate(0))  # nothing goes out at all
    names = [(f"x-{i}", 3, "", 1.0) for i in range(3)]
    running = asyncio.create_task(run_many(client, queue, names, max_task_queue_activities_per_second=50))

    async def polled():
        d = await describe(client, activities)
        return d if d.pollers else None

    d = await eventually(polled)
    assert d.pollers[0].rate_per_second == 50
    assert d.effective_rate_limit.rate_limit_source == RateLimitSource.RATE_LIMIT_SOURCE_API
    await asyncio.sleep(1)
    assert order == []
    await update(client, activities, update_queue_rate_limit=rate())

    async def released():
        d = await describe(client, activities)
        return d if d.effective_rate_limit.rate_limit_source == RateLimitSource.RATE_LIMIT_SOURCE_WORKER else None

    await running
    d = await eventually(released)
    assert d.effective_rate_limit.requests_per_second == 50


async def test_the_backlog_grows_old_and_is_shown_in_every_mode_and_after_a_kill(server, client, queue):
    for i in range(3):
        await client.start_workflow("Nobody", id=f"{queue}-{i}", task_queue=queue)

    async def old():
        d = await describe(client, queue, WORKFLOW, include_task_queue_status=True)
        return d if d.stats.approximate_backlog_age.ToTimedelta() >= timedelta(seconds=2) else None

    d = await eventually(old)
    assert d.versioning_info.current_version == "__unversioned__"
    assert d.stats.approximate_backlog_count == d.task_queue_status.backlog_count_hint == 3
    name = TaskQueue(name=queue, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL)
    enhanced = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace="default", task_queue=name, api_mode=DescribeTaskQueueMode.DESCRIBE_TASK_QUEUE_MODE_ENHANCED, report_stats=True, report_pollers=True
        )
    )
    types = enhanced.versions_info[""].types_info
    assert set(types) == {WORKFLOW, ACTIVITY}
    assert types[WORKFLOW].stats.approximate_backlog_count == 3
    assert types[WORKFLOW].stats.approximate_backlog_age.ToTimedelta() >= timedelta(seconds=2)
    server.kill()
    server.start()
    client = await Client.connect(server.address)
    d = await describe(client, queue, WORKFLOW)  # nobody has polled since
    assert d.stats.approximate_backlog_count == 3
    assert d.stats.approximate_backlog_age.ToTimedelta() >= timedelta(seconds=2)
    partitions = await client.workflow_service.list_task_queue_partitions(ListTaskQueuePartitionsRequest(namespace="default", task_queue=name))
    assert [p.key for p in partitions.activity_task_queue_partitions] == [p.key for p in partitions.workflow_task_queue_partitions] == [queue]
