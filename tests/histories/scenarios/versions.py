"""Builds of workers: what events, descriptions and lists say of them, and the points to reset to."""

import asyncio
from typing import Any

from temporalio.api.common.v1 import WorkerVersionCapabilities, WorkerVersionStamp
from temporalio.api.deployment.v1 import WorkerDeploymentOptions
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as rpc

import commands as c
from scenarios import scenario
from steps import Script, seconds


def stamp(build: str) -> WorkerVersionStamp:
    return WorkerVersionStamp(build_id=build)


async def shown(s: Script) -> None:
    """Of the newest run: described, listed, and its events' own words."""
    info = (await s.describe()).workflow_execution_info
    described = {key: value.data.decode() for key, value in info.search_attributes.indexed_fields.items()}
    s.note("described", {
        "attributes": described, "build": info.most_recent_worker_version_stamp.build_id, "deployment": info.worker_deployment_name,
        "points": [{"build": p.build_id, "checksum": p.binary_checksum, "event": p.first_workflow_task_completed_id, "resettable": p.resettable,
                    "own": p.run_id == info.execution.run_id, "expires": p.HasField("expire_time")} for p in info.auto_reset_points.points]})
    listed: dict[str, str] = {}
    for _ in range(100):  # lists come later
        page = await s.call("list_workflow_executions", rpc.ListWorkflowExecutionsRequest(query=f"WorkflowId = '{s.id()}' AND RunId = '{info.execution.run_id}'"))
        listed = {key: value.data.decode() for e in page.executions for key, value in e.search_attributes.indexed_fields.items()}
        if listed == described:
            break
        await asyncio.sleep(0.1)
    s.note("listed", listed)
    versions: list[Any] = []
    for e in await s.events():
        attributes = getattr(e, e.WhichOneof("attributes"))
        said = {f: str(getattr(attributes, f)).strip() for f in ("worker_version", "binary_checksum", "worker_deployment_name") if f in attributes.DESCRIPTOR.fields_by_name}
        if any(said.values()):
            versions.append({"event": e.event_id, **{k: v for k, v in said.items() if v}})
    s.note("events", {"versions": versions})


@scenario
async def version_of_no_build(s: Script) -> None:
    await s.start()
    await s.step(c.timer())
    await shown(s)


@scenario
async def version_of_a_build(s: Script) -> None:
    await s.start()
    task = await s.task(worker_version_capabilities=WorkerVersionCapabilities(build_id="b1"))
    await s.done(task, c.timer(), worker_version_stamp=stamp("b1"))
    await shown(s)


@scenario
async def version_of_two_builds(s: Script) -> None:
    await s.start()
    await s.step(c.timer(), worker_version_stamp=stamp("b1"))
    for number, build in enumerate(("b1", "b2", "b1")):
        await s.signal(f"to {build}", request_id=f"signal {number}")
        await s.step(c.marker(), worker_version_stamp=stamp(build))
    await shown(s)


@scenario
async def version_of_a_checksum(s: Script) -> None:
    await s.start()
    await s.failed(await s.task(), binary_checksum="failed")
    await s.step(c.timer(), binary_checksum="completed")
    await shown(s)


@scenario
async def version_with_a_checksum(s: Script) -> None:
    await s.start()
    await s.step(c.timer(), binary_checksum="sum", worker_version_stamp=stamp("b1"))
    await shown(s)


@scenario
async def version_of_a_deployment_without_versioning(s: Script) -> None:
    options = WorkerDeploymentOptions(deployment_name="deployment", build_id="d1", worker_versioning_mode=1)
    await s.start()
    task = await s.task(deployment_options=options)
    await s.done(task, c.timer(), deployment_options=options, worker_version_stamp=stamp("d1"))
    await shown(s)


@scenario
async def version_of_an_activity_worker(s: Script) -> None:
    await s.start()
    await s.step(c.activity(), worker_version_stamp=stamp("b1"))
    task = await s.call("poll_activity_task_queue", rpc.PollActivityTaskQueueRequest(
        task_queue=TaskQueue(name=s.queue), worker_version_capabilities=WorkerVersionCapabilities(build_id="a1")))
    await s.activity_done(task)
    await s.until("ACTIVITY_TASK_COMPLETED")
    await shown(s)


@scenario
async def version_after_continue_as_new(s: Script) -> None:
    await s.start()
    await s.step(c.continue_as_new(), worker_version_stamp=stamp("b1"))
    await shown(s)
    await s.step(c.complete(), worker_version_stamp=stamp("b2"))
    await shown(s)


@scenario
async def version_after_a_retry(s: Script) -> None:
    await s.start(retry_policy=c.retry(maximum_attempts=2))
    await s.step(c.fail(), worker_version_stamp=stamp("b1"))
    await shown(s)


@scenario
async def version_after_a_reset(s: Script) -> None:
    await s.start()
    await s.step(c.timer(), worker_version_stamp=stamp("b1"))
    await s.signal()
    await s.step(c.marker(), worker_version_stamp=stamp("b2"))
    await s.reset(9)
    await shown(s)
    await s.step(c.marker(), worker_version_stamp=stamp("b3"))
    await shown(s)


@scenario
async def next_task_in_the_answer_carries_what_is_new(s: Script) -> None:
    """The worker has the rest, whether it keeps the run in memory or not."""
    await s.start()
    task = await s.task()
    for sticky in (None, None, s.sticky(f"sticky-{s.token}", 5), None):
        reply = await s.done(task, c.marker(), return_new_workflow_task=True, force_create_new_workflow_task=True, sticky_attributes=sticky,
                             worker_version_stamp=stamp("b1"))
        task = reply.workflow_task
        s.note("task", {"events": [e.event_id for e in task.history.events], "previous": task.previous_started_event_id})
    await s.done(task, c.complete())
    await s.history()


@scenario
async def problems_are_reported_and_forgotten(s: Script) -> None:
    await s.start(workflow_task_timeout=seconds(10))
    for attempt in range(6):
        await s.failed(await s.task())
        info = (await s.describe()).workflow_execution_info
        s.note(f"after {attempt + 1}", {k: v.data.decode() for k, v in info.search_attributes.indexed_fields.items()})
    await s.step(c.timer())
    info = (await s.describe()).workflow_execution_info
    s.note("then", {k: v.data.decode() for k, v in info.search_attributes.indexed_fields.items()})
