"""What workflow code can do about its trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import opentelemetry.context
import opentelemetry.trace
from opentelemetry.trace import Status, StatusCode

import temporalio.workflow
from temporalio.contrib.opentelemetry._interceptor import _INTERCEPTOR_KEY, TracingWorkflowInboundInterceptor
from temporalio.contrib.opentelemetry._tracer_provider import ReplaySafeTracerProvider

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes


def completed_span(name: str, *, attributes: Attributes = None, exception: Exception | None = None) -> None:
    """Makes a span that ends at once, unless the workflow is replaying or not traced.

    Args:
        name: The span's name.
        attributes: Its attributes, besides the workflow's and run's id.
        exception: What it reports.
    """
    interceptor = opentelemetry.context.get_value(_INTERCEPTOR_KEY)
    if isinstance(interceptor, TracingWorkflowInboundInterceptor):
        interceptor._completed_span(name, attributes=attributes, exception=exception)
        return
    provider = opentelemetry.trace.get_tracer_provider()
    if isinstance(provider, ReplaySafeTracerProvider) and temporalio.workflow.in_workflow():
        span = provider.get_tracer(__name__).start_span(name, attributes=attributes)
        if exception is not None:
            span.record_exception(exception)
            span.set_status(Status(StatusCode.ERROR, f"{type(exception).__name__}: {exception}"))
        span.end()
