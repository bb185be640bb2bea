"""OpenTelemetry tracing of clients and workers, and providers that stay quiet while a workflow replays.

Two ways to trace:

* :py:class:`TracingInterceptor` adds spans of its own around each call. Workflow code cannot hold a span open, so what
  happens inside a workflow shows as spans that end where they start.
* :py:class:`OpenTelemetryPlugin` lets workflow code open spans as any other code does. It needs the tracer provider that
  :py:func:`create_tracer_provider` makes.
"""

from __future__ import annotations

from temporalio.contrib.opentelemetry._carrier import default_text_map_propagator
from temporalio.contrib.opentelemetry._interceptor import TracingInterceptor, TracingWorkflowInboundInterceptor
from temporalio.contrib.opentelemetry._logger_provider import ReplaySafeLoggerProvider
from temporalio.contrib.opentelemetry._meter_provider import ReplaySafeMeterProvider
from temporalio.contrib.opentelemetry._otel_interceptor import OpenTelemetryInterceptor
from temporalio.contrib.opentelemetry._plugin import OpenTelemetryPlugin
from temporalio.contrib.opentelemetry._tracer_provider import ReplaySafeTracerProvider, create_tracer_provider

__all__ = [
    "OpenTelemetryInterceptor",
    "OpenTelemetryPlugin",
    "ReplaySafeLoggerProvider",
    "ReplaySafeMeterProvider",
    "ReplaySafeTracerProvider",
    "TracingInterceptor",
    "TracingWorkflowInboundInterceptor",
    "create_tracer_provider",
    "default_text_map_propagator",
]
