"""Whatever a program hangs into a worker may raise: what is left is a clear failure, and a worker that goes on or ends.

Each case is a worker with one hook that raises. It runs a workflow whose outcome is known, and then ends in time.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Optional

import pytest

import temporalio.client
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    DefaultFailureConverter,
    DefaultPayloadConverter,
    PayloadCodec,
    WithSerializationContext,
)
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    CustomSlotSupplier,
    FixedSizeSlotSupplier,
    Interceptor,
    SlotPermit,
    Worker,
    WorkerTuner,
    WorkflowInboundInterceptor,
    WorkflowOutboundInterceptor,
    WorkflowRunner,
    UnsandboxedWorkflowRunner,
)

from live import eventually, fresh

SHORT = timedelta(seconds=10)


class Oops(Exception):
    pass


@activity.defn
async def echo(value: str) -> str:
    activity.heartbeat(value)
    return value


@activity.defn
def echo_plain(value: str) -> str:
    activity.heartbeat(value)
    return value


@workflow.defn(sandboxed=False)
class Asks:
    """Its result says whether its activity could be run."""

    def __init__(self) -> None:
        self.signals = 0

    @workflow.run
    async def run(self, name: str) -> str:
        try:
            return await workflow.execute_activity(name, name, start_to_close_timeout=SHORT, retry_policy=RetryPolicy(maximum_attempts=1))
        except Exception as err:
            cause = err.__cause__ or err
            return f"failed: {cause}"

    @workflow.query
    def count(self) -> int:
        return self.signals


NAMES = ("echo", "echo_plain")


async def outcome(address: str, name: str, client_options: Optional[dict[str, Any]] = None, **options: Any) -> str:
    """What the workflow says with this worker: its result, how its task failed, or how it failed."""
    client = await Client.connect(address, **(client_options or {}))
    other = await Client.connect(address)
    queue = fresh()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        async with Worker(
            client,
            task_queue=queue,
            workflows=[Asks],
            activities=[echo, echo_plain],
            activity_executor=pool,
            max_concurrent_activities=None if "tuner" in options else 4,
            **options,
        ):
            handle = await other.start_workflow("Asks", name, id=fresh("w"), task_queue=queue)
            done = asyncio.create_task(handle.result())

            async def look() -> Optional[str]:
                if done.done():
                    error = done.exception()
                    if isinstance(error, WorkflowFailureError):
                        return f"workflow failed: {error.cause}"
                    return str(done.result())
                for event in (await handle.fetch_history()).events:
                    if event.HasField("workflow_task_failed_event_attributes"):
                        return f"task failed: {event.workflow_task_failed_event_attributes.failure.message}"
                return None

            said = await eventually(look)
            if not done.done():
                await handle.terminate()
            await asyncio.gather(done, return_exceptions=True)
    return said


# ------------------------------------------------------------------------------------------------- activity interceptors


class FailsInbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, where: str) -> None:
        super().__init__(next)
        self.where = where

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        if self.where == "init":
            raise Oops("in init")
        super().init(FailsOutbound(outbound, self.where))

    async def execute_activity(self, input: Any) -> Any:
        if self.where == "execute":
            raise Oops("in execute")
        return await super().execute_activity(input)


class FailsOutbound(ActivityOutboundInterceptor):
    def __init__(self, next: ActivityOutboundInterceptor, where: str) -> None:
        super().__init__(next)
        self.where = where

    def heartbeat(self, *details: Any) -> None:
        if self.where == "heartbeat":
            raise Oops("in heartbeat")
        super().heartbeat(*details)


class FailsActivities(Interceptor):
    def __init__(self, where: str) -> None:
        self.where = where

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        if self.where == "intercept":
            raise Oops("in intercept")
        return FailsInbound(next, self.where)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["intercept", "init", "execute", "heartbeat"])
async def test_activity_interceptors(address: str, where: str, name: str) -> None:
    assert await outcome(address, name, interceptors=[FailsActivities(where)]) == f"failed: Oops: in {where}"


# ------------------------------------------------------------------------------------------------- workflow interceptors


def workflow_interceptor(where: str) -> Interceptor:
    class Outbound(WorkflowOutboundInterceptor):
        def start_activity(self, input: Any) -> Any:
            if where == "start_activity":
                raise Oops("in start_activity")
            return super().start_activity(input)

    class Inbound(WorkflowInboundInterceptor):
        def init(self, outbound: WorkflowOutboundInterceptor) -> None:
            if where == "init":
                raise Oops("in init")
            super().init(Outbound(outbound))

        async def execute_workflow(self, input: Any) -> Any:
            if where == "execute":
                raise Oops("in execute")
            return await super().execute_workflow(input)

    class Made(Interceptor):
        def workflow_interceptor_class(self, input: Any) -> Any:
            if where == "class":
                raise Oops("in class")
            return Inbound

    return Made()


@pytest.mark.parametrize("where", ["init", "execute"])
async def test_workflow_interceptors_fail_the_task(address: str, where: str) -> None:
    assert await outcome(address, "echo", interceptors=[workflow_interceptor(where)]) == f"task failed: in {where}"


async def test_what_an_outbound_interceptor_raises_reaches_the_workflow(address: str) -> None:
    said = await outcome(address, "echo", interceptors=[workflow_interceptor("start_activity")])
    assert said == "failed: in start_activity"


async def test_an_interceptor_that_has_no_class_to_offer(address: str) -> None:
    client = await Client.connect(address)
    with pytest.raises(Oops, match="in class"):
        Worker(client, task_queue="q", workflows=[Asks], interceptors=[workflow_interceptor("class")])


# ------------------------------------------------------------------------------------------------- converters and codecs


class PayloadFails(DefaultPayloadConverter):
    """Raises for one value, on the worker's side alone: the client has another converter."""

    where = ""

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        if self.where == "to" and any(v in NAMES for v in values):
            raise Oops("in to_payloads")
        if self.where == "nonsense" and any(v in NAMES for v in values):
            return ["no payload"]  # type: ignore[list-item]
        return super().to_payloads(values)

    def from_payloads(self, payloads: Sequence[Payload], type_hints: Optional[list[type]] = None) -> list[Any]:
        if self.where == "from":
            raise Oops("in from_payloads")
        return super().from_payloads(payloads, type_hints)


class PayloadFailsTo(PayloadFails):
    where = "to"


class PayloadFailsFrom(PayloadFails):
    where = "from"


class PayloadIsNonsense(PayloadFails):
    where = "nonsense"


class FailureFails(DefaultFailureConverter):
    def to_failure(self, exception: BaseException, payload_converter: Any, failure: Any) -> None:
        raise Oops("in to_failure")


@pytest.mark.parametrize(
    ("converter", "words"),
    [(PayloadFailsTo, "in to_payloads"), (PayloadFailsFrom, "task failed: "), (PayloadIsNonsense, "failed: ")],
)
async def test_payload_converters(address: str, converter: type, words: str) -> None:
    said = await outcome(address, "echo", {"data_converter": DataConverter(payload_converter_class=converter)})
    assert words in said


class ResultFails(DefaultPayloadConverter):
    """Raises for, or makes nonsense of, the results of activities."""

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        if list(values) == ["bad result"]:
            raise Oops("in to_payloads")
        if list(values) == ["nonsense result"]:
            return [7]  # type: ignore[list-item]
        return super().to_payloads(values)


class OnlyResults(ActivityInboundInterceptor):
    async def execute_activity(self, input: Any) -> Any:
        await super().execute_activity(input)
        return self.result  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("result", ["bad result", "nonsense result"])
async def test_results_that_cannot_be_converted_fail_the_activity(address: str, name: str, result: str) -> None:
    class Results(Interceptor):
        def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
            inbound = OnlyResults(next)
            inbound.result = result  # type: ignore[attr-defined]
            return inbound

    converter = {"data_converter": DataConverter(payload_converter_class=ResultFails)}
    assert (await outcome(address, name, converter, interceptors=[Results()])).startswith("failed: ")


@activity.defn(name="echo")
async def raises(value: str) -> str:
    raise ApplicationError("the activity's own", type="T")


async def test_a_failure_converter_that_fails_still_leaves_a_failure(address: str) -> None:
    client = await Client.connect(address, data_converter=DataConverter(failure_converter_class=FailureFails))
    other = await Client.connect(address)
    queue = fresh()
    async with Worker(client, task_queue=queue, workflows=[Asks], activities=[raises]):
        said = await other.execute_workflow("Asks", "echo", id=fresh("w"), task_queue=queue)
    assert "in to_failure" in said


class CodecFails(PayloadCodec):
    """Raises from the nth call on."""

    def __init__(self, encode_left: int = 10**6, decode_left: int = 10**6) -> None:
        self.left = {"encode": encode_left, "decode": decode_left}

    def count(self, what: str) -> None:
        self.left[what] -= 1
        if self.left[what] < 0:
            raise Oops(f"in {what}")

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        self.count("encode")
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        self.count("decode")
        return list(payloads)


# Encoding: the arguments of the activity, its result, the failure of that, the workflow's result; decoding alike
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("codec", [{"encode_left": n} for n in range(3)] + [{"decode_left": n} for n in range(3)], ids=str)
async def test_codecs_that_fail_sooner_or_later(address: str, codec: dict[str, int], name: str) -> None:
    options = {"data_converter": dataclasses.replace(DataConverter.default, payload_codec=CodecFails(**codec))}
    said = await outcome(address, name, options)
    word = next(iter(codec)).removesuffix("_left")
    assert "failed: " in said and (f"in {word}" in said or "Failed decoding arguments" in said or "encod" in said)


class ContextFails(DefaultPayloadConverter, WithSerializationContext):
    def with_context(self, context: Any) -> ContextFails:
        if isinstance(context, ActivitySerializationContext) and context.activity_type in NAMES:
            raise Oops("in with_context")
        return self


@pytest.mark.parametrize("name", NAMES)
async def test_converters_that_want_no_context(address: str, name: str) -> None:
    said = await outcome(address, name, {"data_converter": DataConverter(payload_converter_class=ContextFails)})
    assert "in with_context" in said


# ---------------------------------------------------------------------------------------------------------------- slots


class SlotsFail(CustomSlotSupplier):
    def __init__(self, where: str) -> None:
        self.where, self.calls = where, 0

    def fail(self, where: str) -> None:
        if where == self.where:
            self.calls += 1
            if where != "reserve" or self.calls == 1:
                raise Oops(f"in {where}")

    async def reserve_slot(self, ctx: Any) -> SlotPermit:
        self.fail("reserve")
        return SlotPermit()

    def try_reserve_slot(self, ctx: Any) -> Optional[SlotPermit]:
        self.fail("try")
        return None

    def mark_slot_used(self, ctx: Any) -> None:
        self.fail("used")

    def release_slot(self, ctx: Any) -> None:
        self.fail("release")


@pytest.mark.parametrize("where", ["reserve", "used", "release"])
async def test_slot_suppliers(address: str, where: str, caplog: pytest.LogCaptureFixture) -> None:
    suppliers = [SlotsFail(where) for _ in range(3)]
    workflows, activities, local = suppliers
    tuner = WorkerTuner.create_composite(
        workflow_supplier=workflows, activity_supplier=activities, local_activity_supplier=local, nexus_supplier=FixedSizeSlotSupplier(1)
    )
    assert await outcome(address, "echo_plain", tuner=tuner, max_cached_workflows=0) == "echo_plain"
    assert workflows.calls and activities.calls
    assert "A custom slot supplier failed" in caplog.text


# -------------------------------------------------------------------------------------------- plugins, runners, executors


class FailsPlugin(temporalio.client.Plugin, temporalio.worker.Plugin):
    def __init__(self, where: str) -> None:
        self.where = where

    def fail(self, where: str) -> None:
        if where == self.where:
            raise Oops(f"in {where}")

    def configure_client(self, config: Any) -> Any:
        self.fail("configure_client")
        return config

    async def connect_service_client(self, config: Any, next: Any) -> Any:
        self.fail("connect")
        return await next(config)

    def configure_worker(self, config: Any) -> Any:
        self.fail("configure_worker")
        return config

    async def run_worker(self, worker: Any, next: Any) -> None:
        self.fail("before")
        await next(worker)
        self.fail("after")

    def configure_replayer(self, config: Any) -> Any:
        return config

    def run_replayer(self, replayer: Any, histories: Any, next: Any) -> Any:
        return next(replayer, histories)


@pytest.mark.parametrize("where", ["configure_client", "connect", "configure_worker", "before", "after"])
async def test_plugins_raise_where_they_are_called(address: str, where: str) -> None:
    ran = False
    with pytest.raises(Oops, match=f"in {where}"):
        client = await Client.connect(address, plugins=[FailsPlugin(where)])
        async with Worker(client, task_queue=fresh(), activities=[echo]):
            ran = True
            await asyncio.sleep(0.1)
            assert where == "after"
    assert ran == (where in ("after", "before"))


class RunnerFails(WorkflowRunner):
    def __init__(self, where: str) -> None:
        self.where = where

    def prepare_workflow(self, defn: Any) -> None:
        if self.where == "prepare":
            raise Oops("in prepare")

    def create_instance(self, det: Any) -> Any:
        if self.where == "create":
            raise Oops("in create")
        instance = UnsandboxedWorkflowRunner().create_instance(det)
        instance.activate = self.activate  # type: ignore[method-assign]
        return instance

    def activate(self, act: Any) -> Any:
        if self.where == "exit":
            raise SystemExit("in exit")
        if self.where == "garbage":
            return {"run_id": act["run_id"], "commands": [{"no_such_command": {}}]}
        if self.where == "list":
            return []
        raise Oops("in activate")


@pytest.mark.parametrize("where", ["create", "activate", "exit", "garbage", "list"])
async def test_workflow_runners_fail_the_task(address: str, where: str) -> None:
    said = await outcome(address, "echo", unsandboxed_workflow_runner=RunnerFails(where))
    assert said.startswith("task failed: ") and (where in ("garbage", "list") or f"in {where}" in said)


async def test_a_workflow_runner_that_refuses_a_workflow(address: str) -> None:
    client = await Client.connect(address)
    with pytest.raises(Oops, match="in prepare"):
        Worker(client, task_queue="q", workflows=[Asks], unsandboxed_workflow_runner=RunnerFails("prepare"))


async def test_a_patch_callback_fails_the_task(address: str) -> None:
    def callback(input: Any) -> bool:
        raise Oops("in callback")

    client, queue = await Client.connect(address), fresh()
    async with Worker(client, task_queue=queue, workflows=[Patches], patch_activation_callback=callback):
        handle = await client.start_workflow(Patches.run, id=fresh("w"), task_queue=queue)

        async def failed() -> bool:
            events = (await handle.fetch_history()).events
            return any("in callback" in e.workflow_task_failed_event_attributes.failure.message for e in events)

        assert await eventually(failed)
        await handle.terminate()


@workflow.defn(sandboxed=False)
class Patches:
    @workflow.run
    async def run(self) -> bool:
        return workflow.patched("p")


@workflow.defn(sandboxed=False)
class Exits:
    @workflow.run
    async def run(self) -> None:
        raise SystemExit("in workflow")


@activity.defn
async def exits() -> None:
    raise SystemExit("in activity")


@activity.defn
def exits_plain() -> None:
    raise SystemExit("in activity")


async def test_exit_from_workflows_and_activities_ends_neither_worker_nor_program(address: str) -> None:
    client, queue = await Client.connect(address), fresh()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        async with Worker(
            client, task_queue=queue, workflows=[Exits, Asks], activities=[exits, exits_plain], activity_executor=pool, max_concurrent_activities=1
        ):
            handle = await client.start_workflow(Exits.run, id=fresh("w"), task_queue=queue)

            async def failed() -> bool:
                events = (await handle.fetch_history()).events
                return any("in workflow" in e.workflow_task_failed_event_attributes.failure.message for e in events)

            assert await eventually(failed)
            await handle.terminate()
            for name in ("exits", "exits_plain"):
                said = await client.execute_workflow("Asks", name, id=fresh("w"), task_queue=queue)
                assert said == "failed: SystemExit: in activity" or "argument" in said


async def test_executors_that_take_no_more(address: str) -> None:
    client = await Client.connect(address)
    fatal: list[BaseException] = []

    async def note(err: BaseException) -> None:
        fatal.append(err)

    for kind in ("activity", "workflow"):
        queue, gone = fresh(), concurrent.futures.ThreadPoolExecutor(1)
        gone.shutdown()
        pools: dict[str, Any] = {"activity_executor": gone} if kind == "activity" else {"workflow_task_executor": gone}
        if kind == "workflow":
            pools["activity_executor"] = concurrent.futures.ThreadPoolExecutor(1)
        worker = Worker(
            client, task_queue=queue, workflows=[Asks], activities=[echo_plain], on_fatal_error=note, max_concurrent_activities=1, **pools
        )
        running = asyncio.create_task(worker.run())
        handle = await client.start_workflow("Asks", "echo_plain", id=fresh("w"), task_queue=queue)
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(running, 20)
        await handle.terminate() if (await handle.describe()).status.name == "RUNNING" else None  # type: ignore[union-attr]
    assert len(fatal) == 2


async def test_on_fatal_error_that_fails_too(address: str, caplog: pytest.LogCaptureFixture) -> None:
    client, queue = await Client.connect(address), fresh()
    gone = concurrent.futures.ThreadPoolExecutor(1)
    gone.shutdown()

    async def fails(err: BaseException) -> None:
        raise Oops("in on_fatal_error")

    worker = Worker(client, task_queue=queue, workflows=[Asks], workflow_task_executor=gone, on_fatal_error=fails)
    running = asyncio.create_task(worker.run())
    handle = await client.start_workflow("Asks", "echo", id=fresh("w"), task_queue=queue)
    with pytest.raises(RuntimeError, match="Workflow worker failed"):
        await asyncio.wait_for(running, 20)
    assert "on_fatal_error failed" in caplog.text
    await handle.terminate()


# ------------------------------------------------------------------------------------------------------- logs and metrics


class HandlerFails(logging.Handler):
    def filter(self, record: logging.LogRecord) -> bool:
        raise Oops("in filter")


@contextlib.contextmanager
def failing_handler(name: str) -> Any:
    handler = HandlerFails()
    logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger(name).removeHandler(handler)


async def test_log_handlers_that_raise_while_an_activity_fails(address: str) -> None:
    client, queue = await Client.connect(address), fresh()
    with failing_handler("temporalio.activity"), failing_handler("temporalio.worker"):
        async with Worker(client, task_queue=queue, workflows=[Asks], activities=[raises]):
            said = await client.execute_workflow("Asks", "echo", id=fresh("w"), task_queue=queue)
    assert said.startswith("failed: ") and ("in filter" in said or "the activity's own" in said)


class StrFails:
    def __str__(self) -> str:
        raise Oops("in str")


def test_log_forwarding_and_metrics_that_raise(address: str) -> None:
    from temporalio.runtime import LogForwardingConfig, LoggingConfig, PrometheusConfig, Runtime, TelemetryConfig, TelemetryFilter

    logger = logging.getLogger("test_hooks.forwarded")
    handler = HandlerFails()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        forwarding = LoggingConfig(filter=TelemetryFilter(core_level="DEBUG", other_level="DEBUG"), forwarding=LogForwardingConfig(logger))
        runtime = Runtime(telemetry=TelemetryConfig(logging=forwarding, metrics=PrometheusConfig(bind_address="127.0.0.1:0")))
        counter = runtime.metric_meter.create_counter("c")
        with pytest.raises(TypeError, match="'a': StrFails"):
            counter.add(1, {"a": StrFails()})  # type: ignore[dict-item]
        with pytest.raises(ValueError):
            counter.add(-1)

        async def main() -> str:
            client = await Client.connect(address, runtime=runtime)
            queue = fresh()
            async with Worker(client, task_queue=queue, workflows=[Asks], activities=[echo]):
                return await client.execute_workflow("Asks", "echo", id=fresh("w"), task_queue=queue)

        assert asyncio.run(main()) == "echo"
    finally:
        Runtime(telemetry=TelemetryConfig())  # logging is the process's: the next runtime's options count
