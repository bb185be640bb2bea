"""A tracer provider whose spans workflow code can use: deterministic in id and time, silent on replay."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import opentelemetry.context
import opentelemetry.sdk.resources
import opentelemetry.sdk.trace
import opentelemetry.sdk.trace.sampling
import opentelemetry.trace
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import Span, SpanContext, Status, StatusCode, Tracer, TracerProvider

import temporalio.workflow
from temporalio.contrib.opentelemetry._carrier import attached, is_error
from temporalio.contrib.opentelemetry._id_generator import TemporalIdGenerator


class _ReplaySafeSpan(Span):
    """A span that is not reported when it ends during replay: it was when the workflow got there first."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, end_time: int | None = None) -> None:
        if temporalio.workflow.in_workflow():
            if temporalio.workflow.unsafe.is_replaying_history_events():
                return
            if end_time is None:
                end_time = temporalio.workflow.time_ns()
            with temporalio.workflow.unsafe.sandbox_unrestricted():
                self._span.end(end_time)
        else:
            self._span.end(end_time)

    def get_span_context(self) -> SpanContext:
        return self._span.get_span_context()

    def set_attributes(self, attributes: Any) -> None:
        self._span.set_attributes(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        self._span.set_attribute(key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self._span.add_event(name, attributes, _time(timestamp))

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        self._span.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self._span.update_name(name)

    def is_recording(self) -> bool:
        return self._span.is_recording()

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self._span.set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Any = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        self._span.record_exception(exception, attributes, _time(timestamp), escaped)

    def __getattr__(self, name: str) -> Any:
        # Spans of the OpenTelemetry SDK have more than the interface says
        if name == "_span":
            raise AttributeError(name)
        return getattr(self._span, name)


class _ReplaySafeTracer(Tracer):
    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start_span(self, name: str, *args: Any, **kwargs: Any) -> Span:
        """Starts a span, in a workflow at the workflow's time."""
        if not temporalio.workflow.in_workflow():
            return _ReplaySafeSpan(self._tracer.start_span(name, *args, **kwargs))
        if len(args) < 5 and kwargs.get("start_time") is None:
            kwargs["start_time"] = temporalio.workflow.time_ns()
        with temporalio.workflow.unsafe.sandbox_unrestricted():
            return _ReplaySafeSpan(self._tracer.start_span(name, *args, **kwargs))

    @contextmanager
    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        context: opentelemetry.context.Context | None = None,
        kind: opentelemetry.trace.SpanKind = opentelemetry.trace.SpanKind.INTERNAL,
        attributes: Any = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[Span]:
        """Runs what is inside within a span.

        A span does not end when an exception passes that fails the workflow task: the task is tried again, and the span
        with it.
        """
        span = self.start_span(
            name,
            context,
            kind=kind,
            attributes=attributes,
            links=links,
            start_time=start_time,
            record_exception=record_exception,
            set_status_on_exception=set_status_on_exception,
        )
        is_over = True
        try:
            with attached(opentelemetry.trace.set_span_in_context(span)):
                yield span
        except BaseException as error:
            is_over = _ends_span(error)
            if is_over and isinstance(error, Exception) and span.is_recording():
                if record_exception:
                    span.record_exception(error)
                if set_status_on_exception and is_error(error):
                    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            raise
        finally:
            if is_over and end_on_exit:
                span.end()


class ReplaySafeTracerProvider(TracerProvider):
    """A tracer provider for code in and outside of workflows. :py:func:`create_tracer_provider` makes one."""

    def __init__(self, tracer_provider: opentelemetry.sdk.trace.TracerProvider) -> None:
        """Wraps a provider, whose ids must come from a generator made for workflows.

        Raises:
            ValueError: They do not.
        """
        if not isinstance(tracer_provider.id_generator, TemporalIdGenerator):
            raise ValueError(
                "ReplaySafeTracerProvider needs a provider with a TemporalIdGenerator. Use create_tracer_provider."
            )
        self._tracer_provider = tracer_provider

    @property
    def id_generator(self) -> TemporalIdGenerator:
        """What makes the spans' ids."""
        generator = self._tracer_provider.id_generator
        assert isinstance(generator, TemporalIdGenerator)
        return generator

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> Tracer:
        """A tracer for a module."""
        return _ReplaySafeTracer(
            self._tracer_provider.get_tracer(
                instrumenting_module_name, instrumenting_library_version, schema_url, attributes
            )
        )

    def add_span_processor(self, span_processor: opentelemetry.sdk.trace.SpanProcessor) -> None:
        """Adds what gets the spans."""
        self._tracer_provider.add_span_processor(span_processor)

    def shutdown(self) -> None:
        """Shuts the span processors down."""
        self._tracer_provider.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Has the span processors report what they hold."""
        return self._tracer_provider.force_flush(timeout_millis)

    def __getattr__(self, name: str) -> Any:
        """What else the wrapped provider has."""
        if name == "_tracer_provider":
            raise AttributeError(name)
        return getattr(self._tracer_provider, name)


def create_tracer_provider(
    sampler: opentelemetry.sdk.trace.sampling.Sampler | None = None,
    resource: opentelemetry.sdk.resources.Resource | None = None,
    shutdown_on_exit: bool = True,
    active_span_processor: opentelemetry.sdk.trace.SynchronousMultiSpanProcessor
    | opentelemetry.sdk.trace.ConcurrentMultiSpanProcessor
    | None = None,
    id_generator: IdGenerator | None = None,
    span_limits: opentelemetry.sdk.trace.SpanLimits | None = None,
) -> ReplaySafeTracerProvider:
    """Makes a tracer provider whose spans workflow code can use.

    The arguments are those of :py:class:`opentelemetry.sdk.trace.TracerProvider`; ``id_generator`` makes the ids outside
    of workflows.
    """
    return ReplaySafeTracerProvider(
        opentelemetry.sdk.trace.TracerProvider(
            sampler=sampler,
            resource=resource,
            shutdown_on_exit=shutdown_on_exit,
            active_span_processor=active_span_processor,
            id_generator=TemporalIdGenerator(id_generator or RandomIdGenerator()),
            span_limits=span_limits,
        )
    )


def _time(timestamp: int | None) -> int | None:
    if timestamp is None and temporalio.workflow.in_workflow():
        return temporalio.workflow.time_ns()
    return timestamp


def _ends_span(error: BaseException) -> bool:
    """Whether an exception that passes through a span ends it."""
    if not temporalio.workflow.in_workflow():
        # A generator that is closed here may be an evicted workflow's
        return not isinstance(error, GeneratorExit)
    if isinstance(error, Exception):
        return temporalio.workflow.is_failure_exception(error)
    return isinstance(error, (asyncio.CancelledError, temporalio.workflow.ContinueAsNewError))
