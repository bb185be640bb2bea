"""How a trace's context travels: as a carrier of the text map propagator, in one header."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import opentelemetry.baggage.propagation
import opentelemetry.context
import opentelemetry.propagators.composite
import opentelemetry.propagators.textmap
import opentelemetry.trace.propagation.tracecontext

import temporalio.api.common.v1
import temporalio.converter
import temporalio.exceptions

Carrier = dict[str, str]
"""What the propagator reads and writes."""

Headers = Mapping[str, temporalio.api.common.v1.Payload]

HEADER_KEY = "_tracer-data"
"""The header the carrier is in, the same in all languages."""

default_text_map_propagator = opentelemetry.propagators.composite.CompositePropagator(
    [
        opentelemetry.trace.propagation.tracecontext.TraceContextTextMapPropagator(),
        opentelemetry.baggage.propagation.W3CBaggagePropagator(),
    ]
)
"""What carries contexts unless told otherwise: W3C trace context and W3C baggage."""


def carrier_to_headers(
    carrier: Carrier, headers: Headers, converter: temporalio.converter.PayloadConverter, key: str = HEADER_KEY
) -> Headers:
    """These headers with the carrier; unchanged if it is empty."""
    return {**headers, key: converter.to_payloads([carrier])[0]} if carrier else headers


def carrier_from_headers(
    headers: Headers, converter: temporalio.converter.PayloadConverter, key: str = HEADER_KEY
) -> Carrier | None:
    """The carrier in these headers, if any."""
    payload = headers.get(key)
    return converter.from_payloads([payload])[0] or None if payload is not None else None


@contextmanager
def attached(context: opentelemetry.context.Context) -> Iterator[None]:
    """Makes a context the current one for a while.

    A workflow's coroutine may be closed by the garbage collector, on any thread: there the context is not current and
    must be left alone.
    """
    token = opentelemetry.context.attach(context)
    try:
        yield
    finally:
        if opentelemetry.context.get_current() is context:
            opentelemetry.context.detach(token)


def is_error(error: BaseException) -> bool:
    """Whether a span shall show this exception as an error."""
    return isinstance(error, Exception) and not (
        isinstance(error, temporalio.exceptions.ApplicationError)
        and error.category == temporalio.exceptions.ApplicationErrorCategory.BENIGN
    )
