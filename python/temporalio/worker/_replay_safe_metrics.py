"""A metric meter for workflow code: it stays silent while history is replayed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Optional

import temporalio.workflow
from temporalio.common import (
    MetricAttributes,
    MetricCommon,
    MetricCounter,
    MetricGauge,
    MetricGaugeFloat,
    MetricHistogram,
    MetricHistogramFloat,
    MetricHistogramTimedelta,
    MetricMeter,
)


def _is_live() -> bool:
    return not temporalio.workflow.unsafe.is_replaying_history_events()


class _Metric(MetricCommon):
    def __init__(self, metric: Any) -> None:
        self._metric = metric

    @property
    def name(self) -> str:
        name: str = self._metric.name
        return name

    @property
    def description(self) -> Optional[str]:
        description: Optional[str] = self._metric.description
        return description

    @property
    def unit(self) -> Optional[str]:
        unit: Optional[str] = self._metric.unit
        return unit

    def with_additional_attributes(self, additional_attributes: MetricAttributes) -> Any:
        return type(self)(self._metric.with_additional_attributes(additional_attributes))


class _Counter(_Metric, MetricCounter):
    def add(self, value: int, additional_attributes: Optional[MetricAttributes] = None) -> None:
        if _is_live():
            self._metric.add(value, additional_attributes)


class _Histogram(_Metric, MetricHistogram):
    def record(self, value: int, additional_attributes: Optional[MetricAttributes] = None) -> None:
        if _is_live():
            self._metric.record(value, additional_attributes)


class _HistogramFloat(_Metric, MetricHistogramFloat):
    def record(self, value: float, additional_attributes: Optional[MetricAttributes] = None) -> None:
        if _is_live():
            self._metric.record(value, additional_attributes)


class _HistogramTimedelta(_Metric, MetricHistogramTimedelta):
    def record(self, value: timedelta, additional_attributes: Optional[MetricAttributes] = None) -> None:
        if _is_live():
            self._metric.record(value, additional_attributes)


class _Gauge(_Metric, MetricGauge):
    def set(self, value: int, additional_attributes: Optional[MetricAttributes] = None) -> None:
        if _is_live():
            self._metric.set(value, additional_attributes)


class _GaugeFloat(_Metric, MetricGaugeFloat):
    def set(self, value: float, additional_attributes: Optional[MetricAttributes] = None) -> None:
        if _is_live():
            self._metric.set(value, additional_attributes)


class ReplaySafeMetricMeter(MetricMeter):
    """Passes on to another meter what does not come from replay."""

    def __init__(self, meter: MetricMeter) -> None:
        self._meter = meter

    def create_counter(
        self, name: str, description: Optional[str] = None, unit: Optional[str] = None
    ) -> MetricCounter:
        return _Counter(self._meter.create_counter(name, description, unit))

    def create_histogram(
        self, name: str, description: Optional[str] = None, unit: Optional[str] = None
    ) -> MetricHistogram:
        return _Histogram(self._meter.create_histogram(name, description, unit))

    def create_histogram_float(
        self, name: str, description: Optional[str] = None, unit: Optional[str] = None
    ) -> MetricHistogramFloat:
        return _HistogramFloat(self._meter.create_histogram_float(name, description, unit))

    def create_histogram_timedelta(
        self, name: str, description: Optional[str] = None, unit: Optional[str] = None
    ) -> MetricHistogramTimedelta:
        return _HistogramTimedelta(self._meter.create_histogram_timedelta(name, description, unit))

    def create_gauge(self, name: str, description: Optional[str] = None, unit: Optional[str] = None) -> MetricGauge:
        return _Gauge(self._meter.create_gauge(name, description, unit))

    def create_gauge_float(
        self, name: str, description: Optional[str] = None, unit: Optional[str] = None
    ) -> MetricGaugeFloat:
        return _GaugeFloat(self._meter.create_gauge_float(name, description, unit))

    def with_additional_attributes(self, additional_attributes: MetricAttributes) -> MetricMeter:
        return ReplaySafeMetricMeter(self._meter.with_additional_attributes(additional_attributes))
