"""A shop: activities, local activities, timers, signals, queries, updates, child workflows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RawValue, RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception


@dataclass
class Order:
    item: str
    count: int = 1
    notes: list[str] = field(default_factory=list)


@activity.defn
async def reserve(order: Order) -> int:
    activity.logger.info("reserving %s", order.item)
    return order.count


@activity.defn(name="charge")
def charge_card(card: str, cents: int) -> bool:
    activity.heartbeat(card, cents)
    return not activity.is_cancelled() and activity.info().attempt < 3


class Mailer:
    def __init__(self, sender: str) -> None:
        self.sender = sender

    @activity.defn
    async def mail(self, text: str) -> None: ...

    @activity.defn(dynamic=True)
    async def anything(self, args: Sequence[RawValue]) -> str:
        return str(len(args))


STATE = SearchAttributeKey.for_keyword("State")


@workflow.defn
class Delivery:
    @workflow.run
    async def run(self, item: str) -> str:
        await workflow.sleep(timedelta(hours=1))
        return f"{item} delivered"


@workflow.defn(failure_exception_types=[ValueError])
class OrderWorkflow:
    @workflow.init
    def __init__(self, order: Order) -> None:
        self.order = order
        self.state = "new"
        self.lock = asyncio.Lock()

    @workflow.run
    async def run(self, order: Order) -> str:
        reserved: int = await workflow.execute_activity(
            reserve, order, start_to_close_timeout=timedelta(seconds=5), retry_policy=RetryPolicy(maximum_attempts=3)
        )
        try:
            paid: bool = await workflow.execute_activity(
                charge_card, args=["card", reserved], schedule_to_close_timeout=timedelta(minutes=1), summary="money"
            )
        except ActivityError as err:
            raise ApplicationError("no money", non_retryable=True) from err
        if not paid:
            return "unpaid"
        await workflow.execute_activity_method(Mailer.mail, "paid", start_to_close_timeout=timedelta(seconds=5))
        counted: int = await workflow.execute_local_activity(reserve, order, start_to_close_timeout=timedelta(seconds=1))
        workflow.upsert_search_attributes([STATE.value_set("paid")])
        child = await workflow.start_child_workflow(Delivery.run, order.item, id="delivery")
        await workflow.wait_condition(lambda: self.state == "sent", timeout=timedelta(days=1))
        try:
            delivered: str = await child
        except BaseException as err:
            if is_cancelled_exception(err):
                return "cancelled"
            raise
        if workflow.info().is_continue_as_new_suggested():
            workflow.continue_as_new(order)
        if workflow.patched("second"):
            workflow.deprecate_patch("first")
        other = workflow.get_external_workflow_handle_for(OrderWorkflow.run, "other")
        await other.signal(OrderWorkflow.send, "now")
        return f"{delivered} {counted}"

    @workflow.signal
    async def send(self, when: str) -> None:
        async with self.lock:
            self.state = "sent" if when == "now" else "waiting"

    @workflow.query
    def current_state(self) -> str:
        return self.state

    @workflow.update
    async def change(self, count: int, note: str) -> Order:
        self.order.count = count
        self.order.notes.append(note)
        return self.order

    @change.validator
    def check_change(self, count: int, note: str) -> None:
        if count < 0:
            raise ValueError(note)


def mistakes(order: Order) -> None:
    """What a type checker must find; an ignore that is not needed is an error too."""
    workflow.execute_activity(reserve, "text", start_to_close_timeout=timedelta(seconds=1))  # type: ignore
    workflow.execute_activity(charge_card, order, start_to_close_timeout=timedelta(seconds=1))  # type: ignore
    workflow.execute_child_workflow(OrderWorkflow.run, 5)  # type: ignore
    workflow.execute_local_activity(reserve, 5, start_to_close_timeout=timedelta(seconds=1))  # type: ignore
    activity.defn(5)  # type: ignore
