"""Tracing where workflow code opens spans itself, with the replay-safe tracer provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

import opentelemetry.context
import opentelemetry.trace
from opentelemetry.trace import SpanKind

import temporalio.activity
import temporalio.client
import temporalio.converter
import temporalio.worker
import temporalio.workflow
from temporalio.contrib.opentelemetry._carrier import (
    Carrier,
    Headers,
    attached,
    carrier_from_headers,
    carrier_to_headers,
    default_text_map_propagator,
)
from temporalio.contrib.opentelemetry._tracer_provider import ReplaySafeTracerProvider

if TYPE_CHECKING:
    import nexusrpc.handler
    from opentelemetry.util.types import Attributes

_converter = temporalio.converter.PayloadConverter.default


def _current_carrier() -> Carrier:
    carrier: Carrier = {}
    default_text_map_propagator.inject(carrier)
    return carrier


@contextmanager
def _context_of(headers: Headers) -> Iterator[None]:
    """Runs what is inside in the context that came in these headers, if one did."""
    carrier = carrier_from_headers(headers, _converter)
    if carrier is None:
        yield
    else:
        with attached(default_text_map_propagator.extract(carrier)):
            yield


class OpenTelemetryInterceptor(temporalio.client.Interceptor, temporalio.worker.Interceptor):
    """Carries the trace's context from clients to workflows and on, so that spans opened anywhere form one trace.

    :py:class:`OpenTelemetryPlugin` sets it up.
    """

    def __init__(self, add_temporal_spans: bool = False) -> None:
        """Makes an interceptor.

        Args:
            add_temporal_spans: Adds a span for each call of a client and each thing a worker runs.
        """
        self._add_temporal_spans = add_temporal_spans

    def intercept_client(self, next: temporalio.client.OutboundInterceptor) -> temporalio.client.OutboundInterceptor:
        """Traces the client's calls."""
        return _ClientOutbound(next, self._add_temporal_spans)

    def intercept_activity(
        self, next: temporalio.worker.ActivityInboundInterceptor
    ) -> temporalio.worker.ActivityInboundInterceptor:
        """Traces activities."""
        return _ActivityInbound(next, self._add_temporal_spans)

    def workflow_interceptor_class(
        self, input: temporalio.worker.WorkflowInterceptorClassInput
    ) -> type[temporalio.worker.WorkflowInboundInterceptor]:
        """Traces workflows.

        Raises:
            ValueError: The global tracer provider's spans cannot be used in workflows.
        """
        if not isinstance(opentelemetry.trace.get_tracer_provider(), ReplaySafeTracerProvider):
            raise ValueError(
                "The global tracer provider must be a ReplaySafeTracerProvider. Make one with create_tracer_provider "
                "and set it with opentelemetry.trace.set_tracer_provider."
            )
        return _SpannedWorkflowInbound if self._add_temporal_spans else _WorkflowInbound

    def intercept_nexus_operation(
        self, next: temporalio.worker.NexusOperationInboundInterceptor
    ) -> temporalio.worker.NexusOperationInboundInterceptor:
        """Traces Nexus operations."""
        return _NexusInbound(next, self._add_temporal_spans)


class _Traced:
    """Opens the spans, if any are wanted."""

    _add_spans: bool

    def _span(self, name: str, kind: SpanKind, attributes: Attributes = None) -> Any:
        if not self._add_spans:
            return nullcontext()
        return opentelemetry.trace.get_tracer(__name__).start_as_current_span(name, kind=kind, attributes=attributes)

    @contextmanager
    def _outward(self, name: str, attributes: Attributes, *inputs: Any) -> Iterator[None]:
        with self._span(name, SpanKind.CLIENT, attributes):
            carrier = _current_carrier()
            for input in inputs:
                input.headers = carrier_to_headers(carrier, input.headers, _converter)
            yield

    @contextmanager
    def _inward(self, name: str, attributes: Attributes, input: Any) -> Iterator[None]:
        with _context_of(input.headers):
            with self._span(name, SpanKind.SERVER, attributes):
                yield


# ------------------------------------------------------------------------------------------------ outside of workflows


class _ClientOutbound(_Traced, temporalio.client.OutboundInterceptor):
    def __init__(self, next: temporalio.client.OutboundInterceptor, add_spans: bool) -> None:
        super().__init__(next)
        self._add_spans = add_spans

    async def start_workflow(
        self, input: temporalio.client.StartWorkflowInput
    ) -> temporalio.client.WorkflowHandle[Any, Any]:
        prefix = "SignalWithStartWorkflow" if input.start_signal else "StartWorkflow"
        with self._outward(f"{prefix}:{input.workflow}", {"temporalWorkflowID": input.id}, input):
            return await super().start_workflow(input)

    async def query_workflow(self, input: temporalio.client.QueryWorkflowInput) -> Any:
        with self._outward(f"QueryWorkflow:{input.query}", {"temporalWorkflowID": input.id}, input):
            return await super().query_workflow(input)

    async def signal_workflow(self, input: temporalio.client.SignalWorkflowInput) -> None:
        with self._outward(f"SignalWorkflow:{input.signal}", {"temporalWorkflowID": input.id}, input):
            return await super().signal_workflow(input)

    async def start_workflow_update(
        self, input: temporalio.client.StartWorkflowUpdateInput
    ) -> temporalio.client.WorkflowUpdateHandle[Any]:
        with self._outward(f"StartWorkflowUpdate:{input.update}", {"temporalWorkflowID": input.id}, input):
            return await super().start_workflow_update(input)

    async def start_update_with_start_workflow(
        self, input: temporalio.client.StartWorkflowUpdateWithStartInput
    ) -> temporalio.client.WorkflowUpdateHandle[Any]:
        start, update = input.start_workflow_input, input.update_workflow_input
        attributes = {"temporalWorkflowID": start.id}
        with self._outward(f"StartUpdateWithStartWorkflow:{start.workflow}", attributes, start, update):
            return await super().start_update_with_start_workflow(input)

    async def start_activity(
        self, input: temporalio.client.StartActivityInput
    ) -> temporalio.client.ActivityHandle[Any]:
        attributes = {"temporalActivityID": input.id, "temporalActivityType": input.activity_type}
        with self._outward(f"StartActivity:{input.activity_type}", attributes, input):
            return await super().start_activity(input)


class _ActivityInbound(_Traced, temporalio.worker.ActivityInboundInterceptor):
    def __init__(self, next: temporalio.worker.ActivityInboundInterceptor, add_spans: bool) -> None:
        super().__init__(next)
        self._add_spans = add_spans

    async def execute_activity(self, input: temporalio.worker.ExecuteActivityInput) -> Any:
        info = temporalio.activity.info()
        attributes = {
            "temporalWorkflowID": info.workflow_id,
            "temporalRunID": info.workflow_run_id,
            "temporalActivityID": info.activity_id,
        }
        known = {name: value for name, value in attributes.items() if value is not None}
        with self._inward(f"RunActivity:{info.activity_type}", known, input):
            return await super().execute_activity(input)


class _NexusInbound(_Traced, temporalio.worker.NexusOperationInboundInterceptor):
    def __init__(self, next: temporalio.worker.NexusOperationInboundInterceptor, add_spans: bool) -> None:
        super().__init__(next)
        self._add_spans = add_spans

    @contextmanager
    def _operation(self, prefix: str, ctx: nexusrpc.handler.OperationContext) -> Iterator[None]:
        with attached(default_text_map_propagator.extract(ctx.headers)):
            with self._span(f"{prefix}:{ctx.service}/{ctx.operation}", SpanKind.SERVER):
                yield

    async def execute_nexus_operation_start(
        self, input: temporalio.worker.ExecuteNexusOperationStartInput
    ) -> nexusrpc.handler.StartOperationResultSync[Any] | nexusrpc.handler.StartOperationResultAsync:
        with self._operation("RunStartNexusOperationHandler", input.ctx):
            return await super().execute_nexus_operation_start(input)

    async def execute_nexus_operation_cancel(self, input: temporalio.worker.ExecuteNexusOperationCancelInput) -> None:
        with self._operation("RunCancelNexusOperationHandler", input.ctx):
            return await super().execute_nexus_operation_cancel(input)


# ---------------------------------------------------------------------------------------------------- inside workflows


class _WorkflowInbound(_Traced, temporalio.worker.WorkflowInboundInterceptor):
    _add_spans = False

    def init(self, outbound: temporalio.worker.WorkflowOutboundInterceptor) -> None:
        super().init(_WorkflowOutbound(outbound, self._add_spans))

    def _handler(self, name: str, input: Any) -> Any:
        info = temporalio.workflow.info()
        return self._inward(name, {"temporalWorkflowID": info.workflow_id, "temporalRunID": info.run_id}, input)

    async def execute_workflow(self, input: temporalio.worker.ExecuteWorkflowInput) -> Any:
        with self._handler(f"RunWorkflow:{temporalio.workflow.info().workflow_type}", input):
            return await super().execute_workflow(input)

    async def handle_signal(self, input: temporalio.worker.HandleSignalInput) -> None:
        with self._handler(f"HandleSignal:{input.signal}", input):
            await super().handle_signal(input)

    async def handle_query(self, input: temporalio.worker.HandleQueryInput) -> Any:
        with self._handler(f"HandleQuery:{input.query}", input):
            return await super().handle_query(input)

    def handle_update_validator(self, input: temporalio.worker.HandleUpdateInput) -> None:
        with self._handler(f"ValidateUpdate:{input.update}", input):
            super().handle_update_validator(input)

    async def handle_update_handler(self, input: temporalio.worker.HandleUpdateInput) -> Any:
        with self._handler(f"HandleUpdate:{input.update}", input):
            return await super().handle_update_handler(input)


class _SpannedWorkflowInbound(_WorkflowInbound):
    _add_spans = True


class _WorkflowOutbound(_Traced, temporalio.worker.WorkflowOutboundInterceptor):
    def __init__(self, next: temporalio.worker.WorkflowOutboundInterceptor, add_spans: bool) -> None:
        super().__init__(next)
        self._add_spans = add_spans

    def continue_as_new(self, input: temporalio.worker.ContinueAsNewInput) -> NoReturn:
        input.headers = carrier_to_headers(_current_carrier(), input.headers, _converter)
        super().continue_as_new(input)

    async def signal_child_workflow(self, input: temporalio.worker.SignalChildWorkflowInput) -> None:
        with self._outward(f"SignalChildWorkflow:{input.signal}", None, input):
            await super().signal_child_workflow(input)

    async def signal_external_workflow(self, input: temporalio.worker.SignalExternalWorkflowInput) -> None:
        with self._outward(f"SignalExternalWorkflow:{input.signal}", None, input):
            await super().signal_external_workflow(input)

    def start_activity(self, input: temporalio.worker.StartActivityInput) -> temporalio.workflow.ActivityHandle[Any]:
        with self._outward(f"StartActivity:{input.activity}", None, input):
            return super().start_activity(input)

    def start_local_activity(
        self, input: temporalio.worker.StartLocalActivityInput
    ) -> temporalio.workflow.ActivityHandle[Any]:
        with self._outward(f"StartActivity:{input.activity}", None, input):
            return super().start_local_activity(input)

    async def start_child_workflow(
        self, input: temporalio.worker.StartChildWorkflowInput
    ) -> temporalio.workflow.ChildWorkflowHandle[Any, Any]:
        with self._outward(f"StartChildWorkflow:{input.workflow}", None, input):
            return await super().start_child_workflow(input)

    async def start_nexus_operation(
        self, input: temporalio.worker.StartNexusOperationInput[Any, Any]
    ) -> temporalio.workflow.NexusOperationHandle[Any]:
        with self._span(f"StartNexusOperation:{input.service}/{input.operation_name}", SpanKind.CLIENT):
            headers: Mapping[str, str] = input.headers or {}
            input.headers = {**headers, **_current_carrier()}
            return await super().start_nexus_operation(input)
