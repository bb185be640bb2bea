"""Tracing with spans that the interceptor makes.

Code outside of workflows runs within its span. A workflow may run piecemeal, on several machines, and again on replay;
its spans are therefore made by a function outside of the sandbox, end where they start, and are left out on replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import opentelemetry.context
import opentelemetry.trace
from opentelemetry.trace import SpanKind, Status, StatusCode

import temporalio.activity
import temporalio.api.common.v1
import temporalio.client
import temporalio.converter
import temporalio.exceptions
import temporalio.worker
import temporalio.workflow
from temporalio.contrib.opentelemetry._carrier import (
    HEADER_KEY,
    Carrier,
    Headers,
    attached,
    carrier_from_headers,
    carrier_to_headers,
    default_text_map_propagator,
    is_error,
)

if TYPE_CHECKING:
    import nexusrpc.handler
    from opentelemetry.util.types import Attributes

_EXTERN = "__temporal_opentelemetry_completed_span"
_INTERCEPTOR_KEY = opentelemetry.context.create_key("__temporal_opentelemetry_workflow_interceptor")


@dataclass(frozen=True)
class _CompletedSpan:
    """A span of a workflow, for the function outside of the sandbox that makes it."""

    name: str
    context: Carrier
    attributes: Attributes
    time_ns: int
    link_context: Carrier | None
    exception: Exception | None
    kind: SpanKind
    parent_missing: bool


class TracingInterceptor(temporalio.client.Interceptor, temporalio.worker.Interceptor):
    """Adds spans to a client's calls and to what workers run, and carries the trace's context from one to the other.

    Give it to the client: its workers use it too. Subclasses may set ``text_map_propagator``, ``payload_converter`` and
    ``header_key``.
    """

    def __init__(
        self, tracer: opentelemetry.trace.Tracer | None = None, *, always_create_workflow_spans: bool = False
    ) -> None:
        """Makes an interceptor.

        Args:
            tracer: Makes the spans. One of the global provider unless given.
            always_create_workflow_spans: Makes spans also in workflows whose starter was not traced. Their spans have
                no parent and differ each time the workflow is replayed.
        """
        self.tracer = tracer or opentelemetry.trace.get_tracer(__name__)
        self.text_map_propagator = default_text_map_propagator
        self.payload_converter = temporalio.converter.PayloadConverter.default
        self.header_key = HEADER_KEY
        self._always_create_workflow_spans = always_create_workflow_spans

    def intercept_client(self, next: temporalio.client.OutboundInterceptor) -> temporalio.client.OutboundInterceptor:
        """Traces the client's calls."""
        return _ClientOutbound(next, self)

    def intercept_activity(
        self, next: temporalio.worker.ActivityInboundInterceptor
    ) -> temporalio.worker.ActivityInboundInterceptor:
        """Traces activities."""
        return _ActivityInbound(next, self)

    def workflow_interceptor_class(
        self, input: temporalio.worker.WorkflowInterceptorClassInput
    ) -> type[TracingWorkflowInboundInterceptor]:
        """Traces workflows."""
        input.unsafe_extern_functions[_EXTERN] = self._completed_workflow_span
        return TracingWorkflowInboundInterceptor

    def intercept_nexus_operation(
        self, next: temporalio.worker.NexusOperationInboundInterceptor
    ) -> temporalio.worker.NexusOperationInboundInterceptor:
        """Traces Nexus operations."""
        return _NexusInbound(next, self)

    def _context_to_headers(self, headers: Headers) -> Headers:
        carrier: Carrier = {}
        self.text_map_propagator.inject(carrier)
        return carrier_to_headers(carrier, headers, self.payload_converter, self.header_key)

    def _context_from_headers(self, headers: Headers) -> opentelemetry.context.Context | None:
        carrier = carrier_from_headers(headers, self.payload_converter, self.header_key)
        return self.text_map_propagator.extract(carrier) if carrier else None

    @contextmanager
    def _span(self, name: str, kind: SpanKind, attributes: Attributes) -> Iterator[None]:
        """Runs what is inside within a span, which shows the exception it ends with."""
        with self.tracer.start_as_current_span(
            name, kind=kind, attributes=attributes, set_status_on_exception=False
        ) as span:
            try:
                yield
            except Exception as error:
                if is_error(error):
                    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
                raise

    def _completed_workflow_span(self, params: _CompletedSpan) -> Carrier | None:
        """Makes a span of a workflow and returns the context in it. Runs outside of the sandbox."""
        if params.parent_missing and not self._always_create_workflow_spans:
            return None
        context = self.text_map_propagator.extract(params.context)
        links = []
        if params.link_context:
            linked = opentelemetry.trace.get_current_span(self.text_map_propagator.extract(params.link_context))
            if linked.get_span_context().is_valid:
                links.append(opentelemetry.trace.Link(linked.get_span_context()))
        span = self.tracer.start_span(
            params.name,
            context,
            kind=params.kind,
            attributes=params.attributes,
            links=links,
            start_time=params.time_ns,
        )
        if params.exception is not None:
            span.record_exception(params.exception)
        span.end(end_time=params.time_ns)
        carrier: Carrier = {}
        self.text_map_propagator.inject(carrier, opentelemetry.trace.set_span_in_context(span, context))
        return carrier


# ------------------------------------------------------------------------------------------------ outside of workflows


class _ClientOutbound(temporalio.client.OutboundInterceptor):
    def __init__(self, next: temporalio.client.OutboundInterceptor, root: TracingInterceptor) -> None:
        super().__init__(next)
        self._root = root

    @contextmanager
    def _traced(self, name: str, attributes: Attributes, *inputs: Any) -> Iterator[None]:
        with self._root._span(name, SpanKind.CLIENT, attributes):
            for input in inputs:
                input.headers = self._root._context_to_headers(input.headers)
            yield

    async def start_workflow(
        self, input: temporalio.client.StartWorkflowInput
    ) -> temporalio.client.WorkflowHandle[Any, Any]:
        prefix = "SignalWithStartWorkflow" if input.start_signal else "StartWorkflow"
        with self._traced(f"{prefix}:{input.workflow}", {"temporalWorkflowID": input.id}, input):
            return await super().start_workflow(input)

    async def query_workflow(self, input: temporalio.client.QueryWorkflowInput) -> Any:
        with self._traced(f"QueryWorkflow:{input.query}", {"temporalWorkflowID": input.id}, input):
            return await super().query_workflow(input)

    async def signal_workflow(self, input: temporalio.client.SignalWorkflowInput) -> None:
        with self._traced(f"SignalWorkflow:{input.signal}", {"temporalWorkflowID": input.id}, input):
            return await super().signal_workflow(input)

    async def start_workflow_update(
        self, input: temporalio.client.StartWorkflowUpdateInput
    ) -> temporalio.client.WorkflowUpdateHandle[Any]:
        attributes = {"temporalWorkflowID": input.id}
        if input.update_id:
            attributes["temporalUpdateID"] = input.update_id
        with self._traced(f"StartWorkflowUpdate:{input.update}", attributes, input):
            return await super().start_workflow_update(input)

    async def start_update_with_start_workflow(
        self, input: temporalio.client.StartWorkflowUpdateWithStartInput
    ) -> temporalio.client.WorkflowUpdateHandle[Any]:
        start, update = input.start_workflow_input, input.update_workflow_input
        attributes = {"temporalWorkflowID": start.id}
        if update.update_id:
            attributes["temporalUpdateID"] = update.update_id
        with self._traced(f"StartUpdateWithStartWorkflow:{start.workflow}", attributes, start, update):
            return await super().start_update_with_start_workflow(input)

    async def start_activity(
        self, input: temporalio.client.StartActivityInput
    ) -> temporalio.client.ActivityHandle[Any]:
        attributes = {"temporalActivityID": input.id, "temporalActivityType": input.activity_type}
        with self._traced(f"StartActivity:{input.activity_type}", attributes, input):
            return await super().start_activity(input)


class _ActivityInbound(temporalio.worker.ActivityInboundInterceptor):
    def __init__(self, next: temporalio.worker.ActivityInboundInterceptor, root: TracingInterceptor) -> None:
        super().__init__(next)
        self._root = root

    async def execute_activity(self, input: temporalio.worker.ExecuteActivityInput) -> Any:
        info = temporalio.activity.info()
        attributes = {
            "temporalWorkflowID": info.workflow_id,
            "temporalRunID": info.workflow_run_id,
            "temporalActivityID": info.activity_id,
        }
        context = self._root._context_from_headers(input.headers) or opentelemetry.context.get_current()
        with attached(context):
            with self._root._span(
                f"RunActivity:{info.activity_type}",
                SpanKind.SERVER,
                {name: value for name, value in attributes.items() if value is not None},
            ):
                return await super().execute_activity(input)


class _NexusInbound(temporalio.worker.NexusOperationInboundInterceptor):
    def __init__(self, next: temporalio.worker.NexusOperationInboundInterceptor, root: TracingInterceptor) -> None:
        super().__init__(next)
        self._root = root

    @contextmanager
    def _traced(self, prefix: str, ctx: nexusrpc.handler.OperationContext) -> Iterator[None]:
        with attached(self._root.text_map_propagator.extract(ctx.headers)):
            with self._root._span(f"{prefix}:{ctx.service}/{ctx.operation}", SpanKind.SERVER, {}):
                yield

    async def execute_nexus_operation_start(
        self, input: temporalio.worker.ExecuteNexusOperationStartInput
    ) -> nexusrpc.handler.StartOperationResultSync[Any] | nexusrpc.handler.StartOperationResultAsync:
        with self._traced("RunStartNexusOperationHandler", input.ctx):
            return await super().execute_nexus_operation_start(input)

    async def execute_nexus_operation_cancel(self, input: temporalio.worker.ExecuteNexusOperationCancelInput) -> None:
        with self._traced("RunCancelNexusOperationHandler", input.ctx):
            return await super().execute_nexus_operation_cancel(input)


# ---------------------------------------------------------------------------------------------------- inside workflows


class TracingWorkflowInboundInterceptor(temporalio.worker.WorkflowInboundInterceptor):
    """Traces one workflow. See :py:class:`TracingInterceptor`.

    Subclasses may set ``text_map_propagator``, ``payload_converter`` and ``header_key``.
    """

    def __init__(self, next: temporalio.worker.WorkflowInboundInterceptor) -> None:
        """Makes the interceptor of one workflow."""
        super().__init__(next)
        self.text_map_propagator = default_text_map_propagator
        self.payload_converter = temporalio.converter.PayloadConverter.default
        self.header_key = HEADER_KEY
        self._make_span: Callable[[_CompletedSpan], Carrier | None] = temporalio.workflow.extern_functions()[_EXTERN]
        self._workflow_carrier: Carrier | None = None

    def init(self, outbound: temporalio.worker.WorkflowOutboundInterceptor) -> None:
        """Traces what the workflow calls."""
        super().init(_WorkflowOutbound(outbound, self))

    async def execute_workflow(self, input: temporalio.worker.ExecuteWorkflowInput) -> Any:
        """Runs the workflow in the context it was started in."""
        with self._top_level_workflow_context(success_is_complete=True):
            self._completed_span(f"RunWorkflow:{temporalio.workflow.info().workflow_type}", kind=SpanKind.SERVER)
            return await super().execute_workflow(input)

    async def handle_signal(self, input: temporalio.worker.HandleSignalInput) -> None:
        """Runs a signal's handler in the workflow's context, with a link to the sender's."""
        with self._top_level_workflow_context(success_is_complete=False):
            self._completed_span(
                f"HandleSignal:{input.signal}", link_context_carrier=self._carrier_of(input), kind=SpanKind.SERVER
            )
            await super().handle_signal(input)

    async def handle_query(self, input: temporalio.worker.HandleQueryInput) -> Any:
        """Runs a query's handler in the asker's context, with a link to the workflow's."""
        carrier = self._carrier_of(input)
        if not carrier:
            return await super().handle_query(input)
        error: Exception | None = None
        with attached(self._set_on_context(self.text_map_propagator.extract(carrier))):
            try:
                return await super().handle_query(input)
            except Exception as raised:
                error = raised
                raise
            finally:
                self._completed_span(
                    f"HandleQuery:{input.query}",
                    link_context_carrier=self._load_workflow_context_carrier(),
                    even_on_replay=True,
                    exception=error,
                    kind=SpanKind.SERVER,
                    parent_missing=False,
                )

    def handle_update_validator(self, input: temporalio.worker.HandleUpdateInput) -> None:
        """Runs an update's validator in the workflow's context, with a link to the caller's."""
        with self._top_level_workflow_context(success_is_complete=False):
            self._completed_span(
                f"ValidateUpdate:{input.update}",
                link_context_carrier=self._carrier_of(input),
                even_on_replay=True,
                kind=SpanKind.SERVER,
            )
            super().handle_update_validator(input)

    async def handle_update_handler(self, input: temporalio.worker.HandleUpdateInput) -> Any:
        """Runs an update's handler in the workflow's context, with a link to the caller's."""
        with self._top_level_workflow_context(success_is_complete=False):
            self._completed_span(
                f"HandleUpdate:{input.update}", link_context_carrier=self._carrier_of(input), kind=SpanKind.SERVER
            )
            return await super().handle_update_handler(input)

    def _carrier_of(self, input: Any) -> Carrier | None:
        return carrier_from_headers(input.headers, self.payload_converter, self.header_key)

    def _load_workflow_context_carrier(self) -> Carrier | None:
        """The context the workflow was started in."""
        if self._workflow_carrier is None:
            self._workflow_carrier = (
                carrier_from_headers(temporalio.workflow.info().headers, self.payload_converter, self.header_key) or {}
            )
        return self._workflow_carrier or None

    def _set_on_context(self, context: opentelemetry.context.Context) -> opentelemetry.context.Context:
        """The context with this interceptor in it, for the ``workflow`` module to find."""
        return opentelemetry.context.set_value(_INTERCEPTOR_KEY, self, context)

    @contextmanager
    def _top_level_workflow_context(self, *, success_is_complete: bool) -> Iterator[None]:
        """Runs what is inside in the workflow's context; a span tells when it completes the workflow."""
        carrier = self._load_workflow_context_carrier()
        context = default_text_map_propagator.extract(carrier) if carrier else opentelemetry.context.Context()
        context = self._set_on_context(context)
        token = opentelemetry.context.attach(context)
        complete, error = False, None
        try:
            yield
            complete = success_is_complete
        except temporalio.exceptions.FailureError as raised:
            # What else is raised fails the task, which is tried again
            error, complete = raised, True
            raise
        finally:
            # A coroutine that the garbage collector closes ends elsewhere, where this context is not current
            if opentelemetry.context.get_current() is context:
                if complete:
                    self._completed_span(
                        f"CompleteWorkflow:{temporalio.workflow.info().workflow_type}",
                        exception=error,
                        kind=SpanKind.INTERNAL,
                    )
                opentelemetry.context.detach(token)

    def _current_carrier(self) -> Carrier:
        carrier: Carrier = {}
        self.text_map_propagator.inject(carrier)
        return carrier

    def _completed_span(
        self,
        name: str,
        *,
        link_context_carrier: Carrier | None = None,
        even_on_replay: bool = False,
        attributes: Attributes = None,
        exception: Exception | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        parent_missing: bool | None = None,
    ) -> Carrier | None:
        """Makes a span in the current context and returns the context in it."""
        if not even_on_replay and temporalio.workflow.unsafe.is_replaying():
            return None
        info = temporalio.workflow.info()
        if parent_missing is None:
            parent_missing = not self._load_workflow_context_carrier()
        span = _CompletedSpan(
            name=name,
            context=self._current_carrier(),
            attributes={"temporalWorkflowID": info.workflow_id, "temporalRunID": info.run_id, **(attributes or {})},
            time_ns=temporalio.workflow.time_ns(),
            link_context=link_context_carrier,
            exception=exception,
            kind=kind,
            parent_missing=parent_missing,
        )
        with temporalio.workflow.unsafe.sandbox_unrestricted():
            return self._make_span(span)


class _WorkflowOutbound(temporalio.worker.WorkflowOutboundInterceptor):
    def __init__(
        self, next: temporalio.worker.WorkflowOutboundInterceptor, root: TracingWorkflowInboundInterceptor
    ) -> None:
        super().__init__(next)
        self._root = root

    def _put(self, input: Any, carrier: Carrier | None) -> None:
        if carrier:
            root = self._root
            input.headers = carrier_to_headers(carrier, input.headers, root.payload_converter, root.header_key)

    def _trace(self, name: str, input: Any) -> None:
        self._put(input, self._root._completed_span(name, kind=SpanKind.CLIENT))

    def continue_as_new(self, input: temporalio.worker.ContinueAsNewInput) -> NoReturn:
        self._put(input, self._root._current_carrier())
        super().continue_as_new(input)

    async def signal_child_workflow(self, input: temporalio.worker.SignalChildWorkflowInput) -> None:
        self._trace(f"SignalChildWorkflow:{input.signal}", input)
        await super().signal_child_workflow(input)

    async def signal_external_workflow(self, input: temporalio.worker.SignalExternalWorkflowInput) -> None:
        self._trace(f"SignalExternalWorkflow:{input.signal}", input)
        await super().signal_external_workflow(input)

    def start_activity(self, input: temporalio.worker.StartActivityInput) -> temporalio.workflow.ActivityHandle[Any]:
        self._trace(f"StartActivity:{input.activity}", input)
        return super().start_activity(input)

    def start_local_activity(
        self, input: temporalio.worker.StartLocalActivityInput
    ) -> temporalio.workflow.ActivityHandle[Any]:
        self._trace(f"StartActivity:{input.activity}", input)
        return super().start_local_activity(input)

    async def start_child_workflow(
        self, input: temporalio.worker.StartChildWorkflowInput
    ) -> temporalio.workflow.ChildWorkflowHandle[Any, Any]:
        self._trace(f"StartChildWorkflow:{input.workflow}", input)
        return await super().start_child_workflow(input)

    async def start_nexus_operation(
        self, input: temporalio.worker.StartNexusOperationInput[Any, Any]
    ) -> temporalio.workflow.NexusOperationHandle[Any]:
        carrier = self._root._completed_span(
            f"StartNexusOperation:{input.service}/{input.operation_name}", kind=SpanKind.CLIENT
        )
        if carrier:
            headers: Mapping[str, str] = input.headers or {}
            input.headers = {**headers, **carrier}
        return await super().start_nexus_operation(input)
