"""Programs around the shop: clients, workers, schedules, tests, converters, interceptors, plugins."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio import converter, service
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
    StartWorkflowInput,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateStage,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.envconfig import ClientConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    FixedSizeSlotSupplier,
    Replayer,
    SharedStateManager,
    Worker,
    WorkerTuner,
    WorkflowInboundInterceptor,
)
from temporalio.worker import ExecuteWorkflowInput, WorkflowInterceptorClassInput
from temporalio.worker import Interceptor as WorkerInterceptor
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from orders import STATE, Delivery, Mailer, Order, OrderWorkflow, charge_card, reserve


async def use_client(client: Client) -> None:
    handle = await client.start_workflow(
        OrderWorkflow.run,
        Order("tea"),
        id="order",
        task_queue="shop",
        execution_timeout=timedelta(days=2),
        search_attributes=TypedSearchAttributes([SearchAttributePair(STATE, "new")]),
        memo={"by": "me"},
    )
    await handle.signal(OrderWorkflow.send, "now")
    state: str = await handle.query(OrderWorkflow.current_state)
    order: Order = await handle.execute_update(OrderWorkflow.change, args=[2, state])
    update = await handle.start_update(OrderWorkflow.change, args=[2, "x"], wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    order = await update.result()
    try:
        result: str = await handle.result()
    except WorkflowFailureError as err:
        print(err.cause)
    else:
        print(result, order)
    description = await handle.describe()
    if description.status == WorkflowExecutionStatus.RUNNING:
        await handle.cancel()
        await handle.terminate("why", reason="no more")
    untyped: WorkflowHandle[Any, Any] = client.get_workflow_handle("order")
    typed = client.get_workflow_handle_for(OrderWorkflow.run, "order")
    print(await typed.result(), await untyped.result())
    async for execution in client.list_workflows("WorkflowType = 'OrderWorkflow'"):
        print(execution.id, execution.start_time, execution.typed_search_attributes[STATE])
    print((await client.count_workflows()).count)
    start = WithStartWorkflowOperation(
        OrderWorkflow.run, Order("tea"), id="o", task_queue="shop", id_conflict_policy=WorkflowIDConflictPolicy.FAIL
    )
    order = await client.execute_update_with_start_workflow(OrderWorkflow.change, args=[1, "n"], start_workflow_operation=start)
    await (await start.workflow_handle()).result()
    await client.start_workflow(OrderWorkflow.run, "tea", id="order", task_queue="shop")  # type: ignore
    await handle.signal(OrderWorkflow.send, 5)  # type: ignore
    await handle.execute_update(OrderWorkflow.change, "x")  # type: ignore


async def use_schedules(client: Client) -> None:
    action = ScheduleActionStartWorkflow(Delivery.run, "tea", id="delivery", task_queue="shop")
    handle = await client.create_schedule(
        "daily", Schedule(action=action, spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=1))]))
    )

    async def change(input: ScheduleUpdateInput) -> ScheduleUpdate | None:
        schedule = input.description.schedule
        schedule.state.note = "changed"
        return ScheduleUpdate(schedule=schedule)

    await handle.update(change)
    await handle.pause(note="x")
    async for listed in await client.list_schedules():
        print(listed.id)


class Codec(converter.PayloadCodec):
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata={"encoding": b"x"}, data=p.SerializeToString()) for p in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(p.data) for p in payloads]


class Noting(Interceptor, WorkerInterceptor):
    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return NotingOutbound(next)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return NotingActivity(next)

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor] | None:
        return NotingWorkflow


class NotingOutbound(OutboundInterceptor):
    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        print(input.workflow, input.id)
        return await super().start_workflow(input)


class NotingActivity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        return await super().execute_activity(input)


class NotingWorkflow(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        return await super().execute_workflow(input)


async def run_worker(stop: asyncio.Event) -> None:
    runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address="127.0.0.1:0")))
    runtime.metric_meter.create_counter("orders").add(1, {"kind": "tea"})
    client = await Client.connect(
        "localhost:7233",
        tls=service.TLSConfig(server_root_ca_cert=b""),
        data_converter=converter.DataConverter(payload_codec=Codec()),
        interceptors=[Noting()],
        runtime=runtime,
    )
    mailer = Mailer("me")
    tuner = WorkerTuner.create_composite(
        workflow_supplier=FixedSizeSlotSupplier(10),
        activity_supplier=FixedSizeSlotSupplier(10),
        local_activity_supplier=FixedSizeSlotSupplier(10),
        nexus_supplier=FixedSizeSlotSupplier(10),
    )
    restrictions = SandboxRestrictions.default.with_passthrough_modules("orders")
    with concurrent.futures.ThreadPoolExecutor(10) as executor:
        async with Worker(
            client,
            task_queue="shop",
            workflows=[OrderWorkflow, Delivery],
            activities=[reserve, charge_card, mailer.mail, mailer.anything],
            activity_executor=executor,
            workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions),
            tuner=tuner,
            graceful_shutdown_timeout=timedelta(seconds=5),
            shared_state_manager=SharedStateManager.create_from_multiprocessing(__import__("multiprocessing").Manager()),
        ):
            await stop.wait()


async def test_shop() -> None:
    environment = ActivityEnvironment()
    count: int = await environment.run(reserve, Order("tea"))
    paid: bool = environment.run(charge_card, "card", count)
    async with await WorkflowEnvironment.start_local() as env:
        history = await env.client.get_workflow_handle("order").fetch_history()
        await Replayer(workflows=[OrderWorkflow]).replay_workflow(history, raise_on_replay_failure=paid)


async def main() -> None:
    client = await Client.connect(**ClientConfig.load_client_connect_config())
    await use_client(client)
    await use_schedules(client)


if __name__ == "__main__":
    asyncio.run(main())
