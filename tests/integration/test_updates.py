"""Updates through the official package."""

import asyncio
import uuid

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowUpdateFailedError, WorkflowUpdateStage
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

pytestmark = pytest.mark.asyncio


@workflow.defn
class Account:
    def __init__(self) -> None:
        self.balance = 0
        self.done = False

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: self.done)
        return self.balance

    @workflow.update
    async def deposit(self, amount: int) -> int:
        await asyncio.sleep(0.01)
        self.balance += amount
        return self.balance

    @deposit.validator
    def check_deposit(self, amount: int) -> None:
        if amount <= 0:
            raise ApplicationError("an amount is positive")

    @workflow.update
    async def fail(self) -> None:
        raise ApplicationError("accepted, then failed", type="Late")

    @workflow.signal
    def finish(self) -> None:
        self.done = True


def worker(client: Client, queue: str) -> Worker:
    return Worker(client, task_queue=queue, workflows=[Account], workflow_runner=UnsandboxedWorkflowRunner())


def new_id() -> str:
    return f"update-{uuid.uuid4()}"


async def test_an_update_is_answered(client, queue):
    async with worker(client, queue):
        handle = await client.start_workflow(Account.run, id=new_id(), task_queue=queue)
        assert await handle.execute_update(Account.deposit, 5) == 5
        results = await asyncio.gather(*[handle.execute_update(Account.deposit, 1) for _ in range(8)])
        assert sorted(results) == list(range(6, 14))
        await handle.signal(Account.finish)
        assert await handle.result() == 13


async def test_a_rejected_update_leaves_no_trace(client, queue):
    async with worker(client, queue):
        handle = await client.start_workflow(Account.run, id=new_id(), task_queue=queue)
        assert await handle.execute_update(Account.deposit, 1) == 1
        before = len((await handle.fetch_history()).events)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(Account.deposit, -1)
        assert len((await handle.fetch_history()).events) == before
        with pytest.raises(WorkflowUpdateFailedError) as late:
            await handle.execute_update(Account.fail)
        assert late.value.cause.type == "Late"


async def test_the_same_update_id_is_done_once(client, queue):
    async with worker(client, queue):
        handle = await client.start_workflow(Account.run, id=new_id(), task_queue=queue)
        assert await handle.execute_update(Account.deposit, 2, id="once") == 2
        assert await handle.execute_update(Account.deposit, 2, id="once") == 2
        await handle.signal(Account.finish)
        assert await handle.result() == 2
        assert await handle.get_update_handle("once", result_type=int).result() == 2


async def test_waiting_for_acceptance_then_for_the_end(client, queue):
    async with worker(client, queue):
        handle = await client.start_workflow(Account.run, id=new_id(), task_queue=queue)
        update = await handle.start_update(Account.deposit, 3, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        assert await update.result() == 3


async def test_an_update_waits_for_its_worker(client, queue):
    handle = await client.start_workflow(Account.run, id=new_id(), task_queue=queue)
    waiting = asyncio.create_task(handle.execute_update(Account.deposit, 4))
    await asyncio.sleep(0.5)
    async with worker(client, queue):
        assert await asyncio.wait_for(waiting, 20) == 4


async def test_update_with_start(client, queue):
    workflow_id = new_id()

    def start():
        return WithStartWorkflowOperation(Account.run, id=workflow_id, task_queue=queue, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING)

    async with worker(client, queue):
        assert await client.execute_update_with_start_workflow(Account.deposit, 1, start_workflow_operation=start()) == 1
        assert await client.execute_update_with_start_workflow(Account.deposit, 1, start_workflow_operation=start()) == 2
        events = (await client.get_workflow_handle(workflow_id).fetch_history()).events
        assert sum(e.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED for e in events) == 2


async def test_an_update_of_a_closed_workflow_is_refused(client, queue):
    handle = await client.start_workflow(Account.run, id=new_id(), task_queue=queue)
    await handle.terminate()
    with pytest.raises(RPCError):
        await handle.execute_update(Account.deposit, 1)
