"""Histories written by our server replay in the official Replayer: a corpus that uses every command but those of Nexus."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from conftest import eventually
from temporalio import activity, workflow
from temporalio.api.enums.v1 import CommandType, EventType, IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowExecutionStatus, WorkflowHandle, WorkflowHistory, WorkflowUpdateFailedError
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ApplicationError, FailureError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

pytestmark = pytest.mark.asyncio

COLOUR = SearchAttributeKey.for_keyword("CustomKeywordField")


@activity.defn
async def add(a: int, b: int) -> int:
    return a + b


@activity.defn
async def flaky() -> int:
    if activity.info().attempt < 2:
        raise ApplicationError("not yet")
    return activity.info().attempt


@activity.defn
async def endless() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.05)


@workflow.defn
class Everything:
    """Each step is one kind of command; what it returns is the same at each replay."""

    def __init__(self) -> None:
        self.total = 0
        self.said: list[str] = []

    @workflow.run
    async def run(self, partner: str) -> list[str]:
        self.total += await workflow.execute_activity(add, args=[1, 2], start_to_close_timeout=timedelta(seconds=10))
        self.total += await workflow.execute_activity(flaky, start_to_close_timeout=timedelta(seconds=10),
                                                      retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=10)))
        self.total += await workflow.execute_local_activity(add, args=[3, 4], start_to_close_timeout=timedelta(seconds=10))
        if workflow.patched("better"):
            self.said.append("patched")
        workflow.upsert_search_attributes([COLOUR.value_set("red")])
        workflow.upsert_memo({"note": "kept"})
        await self.cancel_things()
        await self.talk(partner)
        self.said += [str(self.total), str(workflow.uuid4()), str(workflow.random().random())]
        await workflow.wait_condition(lambda: self.total > 100)
        return self.said

    async def cancel_things(self) -> None:
        started = workflow.start_activity(endless, start_to_close_timeout=timedelta(seconds=30), heartbeat_timeout=timedelta(seconds=5),
                                          cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED)
        timer = asyncio.create_task(asyncio.sleep(1000))
        await asyncio.sleep(0.3)
        timer.cancel()
        started.cancel()
        try:
            await started
        except BaseException as e:
            self.said.append(type(e).__name__)

    async def talk(self, partner: str) -> None:
        other = workflow.get_external_workflow_handle(partner)
        await other.signal("note", "hello")
        await other.cancel()
        child = await workflow.start_child_workflow(Child.run, 3, id=f"{workflow.info().workflow_id}-child")
        await child.signal(Child.note, "hello child")
        self.said.append(str(await child))
        slow = await workflow.start_child_workflow(Child.run, -1, id=f"{workflow.info().workflow_id}-slow",
                                                   cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED)
        slow.cancel()
        try:
            await slow
        except BaseException as e:
            self.said.append(type(e).__name__)

    @workflow.update
    async def grow(self, by: int) -> int:
        await asyncio.sleep(0.01)
        self.total += by
        return self.total

    @grow.validator
    def check_grow(self, by: int) -> None:
        if by < 0:
            raise ApplicationError("only upwards")


@workflow.defn
class Child:
    """Counts down by continuing as new; below zero it waits to be cancelled."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @workflow.run
    async def run(self, left: int) -> str:
        if left < 0:
            await workflow.wait_condition(lambda: False)
        if left > 2:
            await workflow.wait_condition(lambda: len(self.notes) > 0)
        if left > 1:
            workflow.continue_as_new(left - 1)
        return "counted"

    @workflow.signal
    def note(self, text: str) -> None:
        self.notes.append(text)


@workflow.defn
class Fails:
    @workflow.run
    async def run(self) -> None:
        await asyncio.sleep(0.01)
        raise ApplicationError("as told", "detail", type="Told")


has_stumbled: set[str] = set()


@workflow.defn
class Troubles:
    """Each step is one way in which what a workflow asks for can fail."""

    @workflow.run
    async def run(self) -> list[str]:
        me = workflow.info().workflow_id
        if me not in has_stumbled:  # one task of it fails; that the set is outside is the point
            has_stumbled.add(me)
            raise RuntimeError("stumbles once")
        workflow.deprecate_patch("older")
        short, once = timedelta(milliseconds=300), RetryPolicy(maximum_attempts=1)
        nobody = workflow.get_external_workflow_handle(f"{me}-nobody")
        slowly = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=2)
        ways = [
            lambda: workflow.execute_activity(flaky, start_to_close_timeout=timedelta(seconds=30), retry_policy=once),
            lambda: workflow.execute_activity(endless, start_to_close_timeout=short, retry_policy=once),
            lambda: workflow.execute_local_activity(flaky, start_to_close_timeout=timedelta(seconds=30), retry_policy=once),
            lambda: workflow.execute_local_activity(flaky, start_to_close_timeout=timedelta(seconds=30), retry_policy=slowly,
                                                    local_retry_threshold=timedelta(milliseconds=1)),  # a timer of the server between
            lambda: nobody.signal("note", "hello"),
            lambda: nobody.cancel(),
            lambda: workflow.execute_child_workflow(Fails.run, id=f"{me}-fails"),
            lambda: workflow.execute_child_workflow(Child.run, 1, id=me),
            lambda: workflow.execute_child_workflow(Child.run, -1, id=f"{me}-late", run_timeout=short),
            lambda: workflow.execute_child_workflow(Child.run, -1, id=f"{me}-terminated"),
        ]
        return [await self.ends(way) for way in ways]

    async def ends(self, way: Callable[[], Awaitable[Any]]) -> str:
        try:
            return str(await way())
        except (FailureError, WorkflowAlreadyStartedError) as e:
            return type(e.cause or e).__name__


WORKFLOWS = [Everything, Child, Fails, Troubles]

# Each command, and the event that shows that it was there.
COMMANDS = {
    "SCHEDULE_ACTIVITY_TASK": "ACTIVITY_TASK_SCHEDULED",
    "REQUEST_CANCEL_ACTIVITY_TASK": "ACTIVITY_TASK_CANCEL_REQUESTED",
    "START_TIMER": "TIMER_STARTED",
    "CANCEL_TIMER": "TIMER_CANCELED",
    "COMPLETE_WORKFLOW_EXECUTION": "WORKFLOW_EXECUTION_COMPLETED",
    "FAIL_WORKFLOW_EXECUTION": "WORKFLOW_EXECUTION_FAILED",
    "CANCEL_WORKFLOW_EXECUTION": "WORKFLOW_EXECUTION_CANCELED",
    "CONTINUE_AS_NEW_WORKFLOW_EXECUTION": "WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
    "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION": "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED",
    "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION": "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED",
    "START_CHILD_WORKFLOW_EXECUTION": "START_CHILD_WORKFLOW_EXECUTION_INITIATED",
    "RECORD_MARKER": "MARKER_RECORDED",
    "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES": "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
    "MODIFY_WORKFLOW_PROPERTIES": "WORKFLOW_PROPERTIES_MODIFIED",
    "PROTOCOL_MESSAGE": "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
}

# What comes of them, well and badly.
WANTED = set(COMMANDS.values()) | {
    "WORKFLOW_EXECUTION_UPDATE_COMPLETED", "WORKFLOW_EXECUTION_CANCEL_REQUESTED", "WORKFLOW_EXECUTION_SIGNALED", "WORKFLOW_TASK_FAILED", "TIMER_FIRED",
    "ACTIVITY_TASK_COMPLETED", "ACTIVITY_TASK_FAILED", "ACTIVITY_TASK_TIMED_OUT", "ACTIVITY_TASK_CANCELED",
    "CHILD_WORKFLOW_EXECUTION_STARTED", "CHILD_WORKFLOW_EXECUTION_COMPLETED", "CHILD_WORKFLOW_EXECUTION_FAILED", "CHILD_WORKFLOW_EXECUTION_CANCELED",
    "CHILD_WORKFLOW_EXECUTION_TIMED_OUT", "CHILD_WORKFLOW_EXECUTION_TERMINATED", "START_CHILD_WORKFLOW_EXECUTION_FAILED",
    "EXTERNAL_WORKFLOW_EXECUTION_SIGNALED", "EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED",
    "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED", "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED",
}


async def chain(client: Client, workflow_id: str, run_id: str) -> list[WorkflowHistory]:
    """The histories of a run and of those that it continued as."""
    found = []
    while run_id:
        history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        found.append(history)
        run_id = history.events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return found


async def make_corpus(client: Client, queue: str) -> list[WorkflowHistory]:
    await add_attribute(client)
    name = f"replay-{uuid.uuid4()}"
    async with Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=[add, flaky, endless], workflow_runner=UnsandboxedWorkflowRunner(),
                      max_cached_workflows=0):  # so that each task replays from the first event
        partner = await client.start_workflow(Child.run, -1, id=f"{name}-partner", task_queue=queue)
        fails = await client.start_workflow(Fails.run, id=f"{name}-fails", task_queue=queue)
        # A worker without a cache gives up a task whose local activity runs when another run comes: the task's timeout brings it back.
        main = await client.start_workflow(Everything.run, partner.id, id=name, task_queue=queue, task_timeout=timedelta(seconds=2))
        await main.execute_update(Everything.grow, 1)
        with pytest.raises(WorkflowUpdateFailedError):
            await main.execute_update(Everything.grow, -1)
        await main.execute_update(Everything.grow, 1000)
        await main.result()
        for handle in (partner, fails):
            with pytest.raises(WorkflowFailureError):
                await handle.result()
    async with Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=[flaky, endless], workflow_runner=UnsandboxedWorkflowRunner()):
        troubles = await client.start_workflow(Troubles.run, id=f"{name}-troubles", task_queue=queue)
        await eventually(lambda: is_running(client, f"{troubles.id}-terminated"), 120)
        await client.get_workflow_handle(f"{troubles.id}-terminated").terminate()
        assert await troubles.result() == ["ApplicationError", "TimeoutError", "ApplicationError", "2", "ApplicationError", "ApplicationError",
                                           "ApplicationError", "WorkflowAlreadyStartedError", "TimeoutError", "TerminatedError"]
    histories = []
    for id_ in (name, partner.id, fails.id, f"{name}-child", f"{name}-slow", troubles.id):
        histories += await chain(client, id_, await first_run(client.get_workflow_handle(id_)))
    return histories


async def is_running(client: Client, workflow_id: str) -> bool:
    try:
        return (await client.get_workflow_handle(workflow_id).describe()).status == WorkflowExecutionStatus.RUNNING
    except RPCError as e:
        if e.status != RPCStatusCode.NOT_FOUND:
            raise
        return False


async def first_run(handle: WorkflowHandle) -> str:
    started = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    return started.first_execution_run_id


async def add_attribute(client: Client) -> None:
    await client.operator_service.add_search_attributes(AddSearchAttributesRequest(
        namespace="default", search_attributes={COLOUR.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD}), retry=True)


async def test_the_corpus_has_every_command():
    known = {name.removeprefix("COMMAND_TYPE_") for name in CommandType.keys()} - {"UNSPECIFIED"}
    assert {name for name in known if "NEXUS" not in name} == set(COMMANDS)


async def test_what_was_written_here_replays(client, queue):
    corpus = await make_corpus(client, queue)
    seen = {EventType.Name(e.event_type).removeprefix("EVENT_TYPE_") for h in corpus for e in h.events}
    assert WANTED <= seen, WANTED - seen
    replayer = Replayer(workflows=WORKFLOWS, workflow_runner=UnsandboxedWorkflowRunner())
    for history in corpus:
        await replayer.replay_workflow(history)
        copy = WorkflowHistory.from_json(history.workflow_id, history.to_json())  # as files of histories come in
        await replayer.replay_workflow(copy)


@workflow.defn(name="Fails")
class OtherFails:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(add, args=[1, 1], start_to_close_timeout=timedelta(seconds=1))


async def test_other_code_does_not_replay(client, queue):
    """The check above can fail."""
    async with Worker(client, task_queue=queue, workflows=[Fails], workflow_runner=UnsandboxedWorkflowRunner()):
        handle = await client.start_workflow(Fails.run, id=f"replay-{uuid.uuid4()}", task_queue=queue)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    with pytest.raises(workflow.NondeterminismError):
        await Replayer(workflows=[OtherFails], workflow_runner=UnsandboxedWorkflowRunner()).replay_workflow(await handle.fetch_history())
