"""A meter provider whose instruments record nothing while a workflow replays.

Arguments that OpenTelemetry added later are passed on only when given, so that providers of older interfaces work.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.metrics import Counter, Histogram, Meter, MeterProvider, UpDownCounter, _Gauge

import temporalio.workflow


def is_replaying() -> bool:
    """Whether what runs now ran before. Queries and validators run once, even of a workflow that replays."""
    return temporalio.workflow.in_workflow() and temporalio.workflow.unsafe.is_replaying_history_events()


class _Wrapper:
    """Hands what it does not have itself to what it wraps."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        if name == "_wrapped":
            raise AttributeError(name)
        return getattr(self._wrapped, name)

    def _record(self, method: str, amount: Any, attributes: Any, context: Any) -> None:
        if is_replaying():
            return
        extra = () if context is None else (context,)
        getattr(self._wrapped, method)(amount, attributes, *extra)


class _ReplaySafeCounter(_Wrapper, Counter):
    def add(self, amount: Any, attributes: Any = None, context: Any = None) -> None:
        self._record("add", amount, attributes, context)


class _ReplaySafeUpDownCounter(_Wrapper, UpDownCounter):
    def add(self, amount: Any, attributes: Any = None, context: Any = None) -> None:
        self._record("add", amount, attributes, context)


class _ReplaySafeHistogram(_Wrapper, Histogram):
    def record(self, amount: Any, attributes: Any = None, context: Any = None) -> None:
        self._record("record", amount, attributes, context)


class _ReplaySafeGauge(_Wrapper, _Gauge):
    def set(self, amount: Any, attributes: Any = None, context: Any = None) -> None:
        self._record("set", amount, attributes, context)


class _ReplaySafeMeter(_Wrapper, Meter):
    @property
    def name(self) -> str:
        return self._wrapped.name

    @property
    def version(self) -> str | None:
        return self._wrapped.version

    @property
    def schema_url(self) -> str | None:
        return self._wrapped.schema_url

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Counter:
        return _ReplaySafeCounter(self._wrapped.create_counter(name, unit, description))

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> UpDownCounter:
        return _ReplaySafeUpDownCounter(self._wrapped.create_up_down_counter(name, unit, description))

    def create_histogram(
        self, name: str, unit: str = "", description: str = "", *, explicit_bucket_boundaries_advisory: Any = None
    ) -> Histogram:
        extra = {}
        if explicit_bucket_boundaries_advisory is not None:
            extra["explicit_bucket_boundaries_advisory"] = explicit_bucket_boundaries_advisory
        return _ReplaySafeHistogram(self._wrapped.create_histogram(name, unit, description, **extra))

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> _Gauge:
        return _ReplaySafeGauge(self._wrapped.create_gauge(name, unit, description))

    # Callbacks are called by what reads the metrics, never by a workflow

    def create_observable_counter(self, name: str, callbacks: Any = None, unit: str = "", description: str = "") -> Any:
        return self._wrapped.create_observable_counter(name, callbacks, unit, description)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Any = None, unit: str = "", description: str = ""
    ) -> Any:
        return self._wrapped.create_observable_up_down_counter(name, callbacks, unit, description)

    def create_observable_gauge(self, name: str, callbacks: Any = None, unit: str = "", description: str = "") -> Any:
        return self._wrapped.create_observable_gauge(name, callbacks, unit, description)


class ReplaySafeMeterProvider(_Wrapper, MeterProvider):
    """Wraps a meter provider; its instruments record nothing while a workflow replays.

    To get it in workflow code, set it as the global provider and pass ``opentelemetry`` through the sandbox.
    """

    def __init__(self, meter_provider: MeterProvider) -> None:
        """Wraps a provider."""
        super().__init__(meter_provider)

    def get_meter(
        self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Any = None
    ) -> Meter:
        """A meter for a module."""
        extra = {} if attributes is None else {"attributes": attributes}
        return _ReplaySafeMeter(self._wrapped.get_meter(name, version, schema_url, **extra))
