"""A fixed set of workflows that list filters choose from, the same on any server.

`make_all` needs a namespace with the search attributes of ATTRIBUTES. It returns the instants that the filters name as {t1} … {t4}:
between two of them some runs start and some close. Values keep clear of what only one kind of store does (see README.md)."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from temporalio import workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RawValue, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

ATTRIBUTES = {"Region": "Keyword", "Owner": "Keyword", "Tags": "KeywordList", "Note": "Text", "Amount": "Int", "Score": "Double", "Urgent": "Bool", "Due": "Datetime"}

KEYS: dict[str, Any] = {
    "Region": SearchAttributeKey.for_keyword("Region"),
    "Owner": SearchAttributeKey.for_keyword("Owner"),
    "Tags": SearchAttributeKey.for_keyword_list("Tags"),
    "Note": SearchAttributeKey.for_text("Note"),
    "Amount": SearchAttributeKey.for_int("Amount"),
    "Score": SearchAttributeKey.for_float("Score"),
    "Urgent": SearchAttributeKey.for_bool("Urgent"),
    "Due": SearchAttributeKey.for_datetime("Due"),
}


def day(month: int, day_of_month: int) -> datetime:
    return datetime(2026, month, day_of_month, tzinfo=timezone.utc)


class Run(NamedTuple):
    id: str
    type: str
    queue: str
    fate: str  # open, complete, fail, cancel, terminate, time-out, continue, parent
    attributes: dict[str, Any]


# Each batch ends with an instant: {t1} after the first, and so on.
BATCHES: Sequence[Sequence[Run]] = [
    [
        Run("order-1", "OrderWorkflow", "orders", "complete", {"Region": "eu", "Amount": 10, "Urgent": True, "Tags": ["new", "gold"], "Due": day(3, 1)}),
        Run("order-2", "OrderWorkflow", "orders", "open", {"Region": "us", "Amount": 20, "Score": 0.5, "Note": "left at the front door"}),
        Run("order-3", "OrderWorkflow", "orders", "fail", {"Region": "eu", "Amount": -5, "Urgent": False, "Note": "card refused, customer called"}),
        Run("payment-1", "PaymentWorkflow", "payments", "complete", {"Region": "us", "Score": 2.25, "Tags": ["gold"], "Owner": "ann"}),
        Run("payment-2", "PaymentWorkflow", "payments", "terminate", {"Amount": 10, "Owner": "bob", "Due": day(6, 15)}),
    ],
    [
        Run("order-4", "OrderWorkflow", "orders", "cancel", {"Region": "ap", "Amount": 300, "Tags": ["late", "new"], "Owner": "ann"}),
        Run("payment-3", "PaymentWorkflow", "payments", "open", {"Region": "eu", "Amount": 0, "Score": -1.5, "Urgent": True}),
        Run("it's a report", "Report Flow", "reports", "open", {"Note": "Monthly report: revenue & costs", "Due": day(1, 31)}),
        Run("stra\u00dfe", "Report Flow", "reports", "complete", {"Region": "eu-west", "Owner": "J\u00f6rg", "Note": "caf\u00e9 r\u00e9sum\u00e9"}),
        Run("family", "ParentWorkflow", "orders", "parent", {"Region": "us", "Amount": 7}),
    ],
    [
        Run("order-10", "OrderWorkflow", "orders", "time-out", {"Region": "us", "Amount": 10, "Score": 99.9, "Tags": ["late"]}),
        Run("chain", "ChainWorkflow", "payments", "continue", {"Region": "ap", "Owner": "bob", "Urgent": False}),
        Run("payment/eu/7", "PaymentWorkflow", "payments", "open", {"Region": "eu", "Tags": ["gold", "late", "new"], "Due": day(12, 24), "Score": 2.25}),
        Run("plain", "order", "reports", "open", {}),
        Run("100%", "order", "reports", "complete", {"Owner": "o_o", "Amount": 1000000}),
    ],
    [
        Run("last-1", "OrderWorkflow", "payments", "open", {"Region": "eu", "Owner": "ann", "Amount": 10, "Note": "front door again"}),
        Run("last-2", "Report Flow", "orders", "fail", {"Region": "us", "Owner": "bob", "Urgent": True, "Score": 2.5, "Tags": ["new"]}),
    ],
]


@workflow.defn(dynamic=True, sandboxed=False)
class AnyFate:
    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> None:
        fate = workflow.payload_converter().from_payload(args[0].payload, str)
        if fate == "fail":
            raise ApplicationError("as asked", non_retryable=True)
        if fate == "continue":
            workflow.continue_as_new(args=["complete"])
        if fate == "parent":
            await workflow.execute_child_workflow("ChildWorkflow", "complete", id="family-child", task_queue="payments",
                                                  search_attributes=TypedSearchAttributes([SearchAttributePair(KEYS["Owner"], "ann")]))
        if fate in ("open", "cancel", "terminate"):
            await workflow.wait_condition(lambda: False)


async def start(client: Client, run: Run) -> WorkflowHandle[Any, Any]:
    attributes = TypedSearchAttributes([SearchAttributePair(KEYS[name], value) for name, value in run.attributes.items()])
    queue, timeout = (run.queue, None) if run.fate != "time-out" else (run.queue + "-nobody", timedelta(seconds=1))
    return await client.start_workflow(run.type, run.fate, id=run.id, task_queue=queue, search_attributes=attributes, execution_timeout=timeout)


async def settle(run: Run, handle: WorkflowHandle[Any, Any]) -> None:
    """Brings a run to its fate; an open one has at least begun."""
    if run.fate == "cancel":
        await handle.cancel()
    if run.fate == "terminate":
        await handle.terminate("as asked")
    if run.fate == "open":
        while (await handle.describe()).history_length < 4:
            await asyncio.sleep(0.05)
        return
    try:
        await handle.result()
    except Exception:  # each fate but completion raises; which one shows in the lists
        pass


async def make_all(client: Client) -> dict[str, str]:
    instants: dict[str, str] = {}
    queues = {run.queue for batch in BATCHES for run in batch}
    workers = [Worker(client, task_queue=queue, workflows=[AnyFate], workflow_runner=UnsandboxedWorkflowRunner()) for queue in sorted(queues)]
    running = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        for number, batch in enumerate(BATCHES, 1):
            handles = [(run, await start(client, run)) for run in batch]
            for run, handle in handles:
                await settle(run, handle)
            await asyncio.sleep(0.6)
            instants[f"t{number}"] = datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
            await asyncio.sleep(0.6)
    finally:
        for worker in workers:
            await worker.shutdown()
        await asyncio.gather(*running)
    return instants


class Refused(NamedTuple):
    message: str


async def select(client: Client, filter_text: str) -> list[str] | Refused:
    """Which runs a filter chooses, as sorted "id:status", or why it is refused."""
    try:
        return sorted([f"{run.id}:{run.status.name.lower() if run.status else '?'}" async for run in client.list_workflows(filter_text)])
    except RPCError as error:
        if error.status != RPCStatusCode.INVALID_ARGUMENT:
            raise
        return Refused(error.message)
