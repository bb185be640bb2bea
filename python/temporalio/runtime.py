"""The runtime: threads of the C core, telemetry and metrics. One for the whole process is usual, and made by itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, NewType, Protocol

import temporalio.common
from temporalio._values import duration_ns

if TYPE_CHECKING:
    from dataclasses import dataclass, field

    from temporalio import _core
else:
    from dataclasses import field

    from temporalio._lazy import dataclass


class _RuntimeRef:
    """Holds the process's default runtime, made when first asked for."""

    def __init__(self) -> None:
        self._default_runtime: Runtime | None = None
        self._prevent_default = False

    def default(self) -> Runtime:
        if self._default_runtime is None:
            if self._prevent_default:
                raise RuntimeError("Cannot create default Runtime after Runtime.prevent_default has been called")
            self._default_runtime = Runtime(telemetry=TelemetryConfig())
        return self._default_runtime

    def prevent_default(self) -> None:
        if self._default_runtime is not None:
            raise RuntimeError(
                "Runtime.prevent_default called after default runtime has been created or set"
            )
        self._prevent_default = True

    def set_default(self, runtime: Runtime, *, error_if_already_set: bool = True) -> None:
        if self._default_runtime is not None and error_if_already_set:
            raise RuntimeError("Runtime default already set")
        self._default_runtime = runtime


_runtime_ref = _RuntimeRef()


class Runtime:
    """Threads of the C core, with their telemetry.

    Clients that name none share the process's default one. A process that forks may go on using a runtime in the child,
    which makes its own threads.
    """

    @classmethod
    def default(cls) -> Runtime:
        """The process's default runtime, made with default telemetry at the first call.

        Raises:
            RuntimeError: It was to be prevented.
        """
        return _runtime_ref.default()

    @classmethod
    def prevent_default(cls):
        """Makes it an error to use the default runtime before one is set.

        Raises:
            RuntimeError: There is one already.
        """
        _runtime_ref.prevent_default()

    @staticmethod
    def set_default(runtime: Runtime, *, error_if_already_set: bool = True) -> None:
        """Sets the process's default runtime, for clients made later.

        Args:
            runtime: The runtime.
            error_if_already_set: Whether it is an error to have one already.

        Raises:
            RuntimeError: There is one already.
        """
        _runtime_ref.set_default(runtime, error_if_already_set=error_if_already_set)

    def __init__(
        self,
        *,
        telemetry: TelemetryConfig,
        worker_heartbeat_interval: timedelta | None = timedelta(seconds=60),
        disable_environment_info: bool = False,
    ) -> None:
        """Makes a runtime.

        Args:
            telemetry: Its logs and metrics.
            worker_heartbeat_interval: How often its workers tell the server about themselves, from 1 to 60 seconds;
                None for not at all.
            disable_environment_info: Whether to keep what is known of the machine to itself.

        Raises:
            ValueError: An option makes no sense.
        """
        from temporalio import _core

        options = telemetry._to_dict()
        if worker_heartbeat_interval is not None:
            if not timedelta(seconds=1) <= worker_heartbeat_interval <= timedelta(seconds=60):
                raise ValueError("worker_heartbeat_interval must be from 1 to 60 seconds")
            options["worker_heartbeat_interval"] = duration_ns(worker_heartbeat_interval)
        if disable_environment_info:
            options["disable_environment_info"] = True
        self._core_runtime = _core.Runtime(options)
        self._has_metrics = telemetry.metrics is not None
        if isinstance(telemetry.metrics, MetricBuffer):
            telemetry.metrics._attach(self._core_runtime)
        self._metric_meter: temporalio.common.MetricMeter | None = None

    @property
    def metric_meter(self) -> temporalio.common.MetricMeter:
        """A meter for metrics of the program, exported beside the runtime's own. Goes nowhere without metrics."""
        if self._metric_meter is None:
            self._metric_meter = (
                _MetricMeter(self._core_runtime, {}) if self._has_metrics else temporalio.common.MetricMeter.noop
            )
        return self._metric_meter


@dataclass
class TelemetryFilter:
    """From which level on logs are written."""

    core_level: str
    """For the core: one of ``TRACE``, ``DEBUG``, ``INFO``, ``WARN``, ``ERROR``."""

    other_level: str
    """For what the core uses."""

    def formatted(self) -> str:
        """Both levels as one text."""
        return f"{self.other_level},temporal={self.core_level}"


class LoggingFormat(Enum):
    """How lines of the log on standard error look."""

    COMPACT = "compact"
    PRETTY = "pretty"
    JSON = "json"


# What programs know parts of the core by: the names of loggers, to which they attach filters and handlers
_TARGETS = {"temporal_worker": "sdk_core::temporalio_sdk_core::worker::workflow"}


@dataclass
class LogForwardingConfig:
    """Hands the core's logs on to Python's logging."""

    logger: logging.Logger
    """The logger; its level counts beside the filter."""

    append_target_to_name: bool = True
    """Whether the name of the core's part is appended to the logger's name."""

    prepend_target_on_message: bool = True
    """Whether it is put before the message."""

    overwrite_log_record_time: bool = True
    """Whether records have the time the core wrote them, rather than when they got here."""

    append_log_fields_to_message: bool = True
    """Whether fields are appended to the message."""

    def _forward(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Called from a thread of the core, with records in order."""
        for record in records:
            try:
                self._forward_one(record)
            except Exception:
                # There is nobody above who could do something about it.
                logging.getLogger("temporalio.runtime").exception("Forwarding a log record failed")

    def _forward_one(self, record: Mapping[str, Any]) -> None:
        level = record["level"]
        if not self.logger.isEnabledFor(level):
            return
        target, fields = _TARGETS.get(record["target"], record["target"]), record["fields"]
        message = record["message"]
        if self.prepend_target_on_message:
            message = f"[{target}] {message}"
        if self.append_log_fields_to_message and fields:
            message += f" {fields}"
        name = f"{self.logger.name}-{target}" if self.append_target_to_name else self.logger.name
        made = self.logger.makeRecord(name, level, "(sdk-core)", 0, message, (), None, "(sdk-core)")
        if self.overwrite_log_record_time:
            made.created = record["time"]
            made.msecs = (record["time"] - int(record["time"])) * 1000
        made.temporal_log = _LogRecord(**record)
        self.logger.handle(made)


class _LogRecord:
    """A record as the core wrote it, in ``temporal_log`` of what it became."""

    def __init__(self, *, level: int, target: str, message: str, time: float, fields: Mapping[str, Any]) -> None:
        self.level = level
        self.target = target
        self.message = message
        self.time = time
        self.fields = fields


@dataclass(frozen=True)
class LoggingConfig:
    """The core's logs."""

    filter: TelemetryFilter | str
    """From which level on; text is taken as it is."""

    forwarding: LogForwardingConfig | None = None
    """Where to; standard error if None."""

    format: LoggingFormat | None = None
    """How the lines look on standard error."""

    default: ClassVar[LoggingConfig]
    """Warnings of the core, errors of the rest, on standard error."""

    def _to_dict(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "log_filter": self.filter if isinstance(self.filter, str) else self.filter.formatted()
        }
        if self.forwarding is not None:
            options["log_forward"] = self.forwarding._forward
        else:
            options["log_format"] = (self.format or LoggingFormat.COMPACT).value
        return options


LoggingConfig.default = LoggingConfig(filter=TelemetryFilter(core_level="WARN", other_level="ERROR"))


class OpenTelemetryMetricTemporality(Enum):
    """What exported values count from."""

    CUMULATIVE = 1
    """The beginning."""

    DELTA = 2
    """The export before."""


@dataclass(frozen=True)
class OpenTelemetryConfig:
    """Exports metrics to an OpenTelemetry collector."""

    url: str
    """Where it listens."""
    headers: Mapping[str, str] | None = None
    """Headers to send."""
    metric_periodicity: timedelta | None = None
    """How often to export; the core's default if None."""
    metric_temporality: OpenTelemetryMetricTemporality = OpenTelemetryMetricTemporality.CUMULATIVE
    """What values count from."""
    durations_as_seconds: bool = False
    """Whether durations are seconds rather than milliseconds."""
    http: bool = False
    """Whether to speak HTTP rather than gRPC."""
    histogram_bucket_overrides: Mapping[str, Sequence[float]] | None = None
    """Buckets of histograms, by the metric's name."""

    def _to_dict(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "url": self.url,
            "temporality": self.metric_temporality.value,
            "durations_as_seconds": self.durations_as_seconds,
            "http": self.http,
            "headers": dict(self.headers or {}),
            "histogram_bucket_overrides": _buckets(self.histogram_bucket_overrides),
        }
        if self.metric_periodicity is not None:
            options["metric_periodicity"] = duration_ns(self.metric_periodicity)
        return options


@dataclass(frozen=True)
class PrometheusConfig:
    """Offers metrics to Prometheus."""

    bind_address: str
    """Address and port to listen on."""
    counters_total_suffix: bool = False
    """Whether names of counters end in ``_total``."""
    unit_suffix: bool = False
    """Whether names end in the unit."""
    durations_as_seconds: bool = False
    """Whether durations are seconds rather than milliseconds."""
    histogram_bucket_overrides: Mapping[str, Sequence[float]] | None = None
    """Buckets of histograms, by the metric's name."""

    def _to_dict(self) -> dict[str, Any]:
        return {
            "bind_address": self.bind_address,
            "counters_total_suffix": self.counters_total_suffix,
            "unit_suffix": self.unit_suffix,
            "durations_as_seconds": self.durations_as_seconds,
            "histogram_bucket_overrides": _buckets(self.histogram_bucket_overrides),
        }


def _buckets(overrides: Mapping[str, Sequence[float]] | None) -> dict[str, list[float]]:
    return {name: [float(b) for b in buckets] for name, buckets in (overrides or {}).items()}


class MetricBufferDurationFormat(Enum):
    """How durations are given out by a buffer."""

    MILLISECONDS = 1
    """Whole milliseconds."""

    SECONDS = 2
    """Seconds with a fraction."""


# Of how many combinations of attributes a buffer remembers the dictionary it has given out
_SHARED_ATTRIBUTES_MAX = 10_000


class MetricBuffer:
    """Keeps metric updates for the program to take away. For one runtime only.

    Take them often enough: beyond its size the oldest are dropped.
    """

    def __init__(
        self,
        buffer_size: int,
        duration_format: MetricBufferDurationFormat = MetricBufferDurationFormat.MILLISECONDS,
    ) -> None:
        """Makes a buffer.

        Args:
            buffer_size: How many updates to keep.
            duration_format: How durations are given out.
        """
        if buffer_size < 1:
            raise ValueError("A metric buffer needs room for an update")
        self._buffer_size = buffer_size
        self._duration_format = duration_format
        self._runtime: _core.Runtime | None = None
        # Updates of one metric share one description of it.
        self._metrics: dict[tuple[str, str, str, int], _BufferedMetric] = {}
        # Updates with equal attributes share them, so that a program can keep its own by their identity.
        self._attributes: dict[tuple[Any, ...], dict[str, Any]] = {}

    def _attach(self, runtime: _core.Runtime) -> None:
        if self._runtime is not None:
            raise RuntimeError("A metric buffer is for one runtime only")
        self._runtime = runtime

    def retrieve_updates(self) -> Sequence[BufferedMetricUpdate]:
        """Takes the updates away, the oldest first.

        Raises:
            RuntimeError: The buffer belongs to no runtime yet.
        """
        if self._runtime is None:
            raise RuntimeError("The buffer was not given to a runtime")
        return [self._update(*u) for u in self._runtime.take_metric_updates()]

    def _update(
        self, name: str, description: str, unit: str, kind: int, value: float, attributes: dict[str, Any]
    ) -> BufferedMetricUpdate:
        key = (name, description, unit, kind)
        metric = self._metrics.get(key)
        if metric is None:
            metric = self._metrics[key] = _BufferedMetric(name, description, unit, kind)
        if kind == _DURATION:
            if self._duration_format == MetricBufferDurationFormat.SECONDS:
                value = value / 1000
            else:
                value = int(value)
        elif kind in _WHOLE_KINDS:
            value = int(value)
        # 1, 1.0 and True are equal and yet not the same attribute
        shared_key = tuple((k, v, type(v)) for k, v in attributes.items())
        shared = self._attributes.get(shared_key)
        if shared is None:
            if len(self._attributes) >= _SHARED_ATTRIBUTES_MAX:
                self._attributes.clear()
            shared = self._attributes[shared_key] = attributes
        return _BufferedMetricUpdate(metric, value, shared)


BufferedMetricKind = NewType("BufferedMetricKind", int)

BUFFERED_METRIC_KIND_COUNTER = BufferedMetricKind(0)
BUFFERED_METRIC_KIND_GAUGE = BufferedMetricKind(1)
BUFFERED_METRIC_KIND_HISTOGRAM = BufferedMetricKind(2)

# Kinds of metrics as the core numbers them, and which of the above each is.
_COUNTER, _GAUGE, _HISTOGRAM, _GAUGE_FLOAT, _HISTOGRAM_FLOAT, _DURATION = range(6)
_WHOLE_KINDS = (_COUNTER, _GAUGE, _HISTOGRAM)
_BUFFERED_KINDS = {
    _COUNTER: BUFFERED_METRIC_KIND_COUNTER,
    _GAUGE: BUFFERED_METRIC_KIND_GAUGE,
    _HISTOGRAM: BUFFERED_METRIC_KIND_HISTOGRAM,
    _GAUGE_FLOAT: BUFFERED_METRIC_KIND_GAUGE,
    _HISTOGRAM_FLOAT: BUFFERED_METRIC_KIND_HISTOGRAM,
    _DURATION: BUFFERED_METRIC_KIND_HISTOGRAM,
}


class BufferedMetric(Protocol):
    """A metric of which there are buffered updates. Updates of the same metric have the same object."""

    @property
    def name(self) -> str:
        """The metric's name."""
        ...

    @property
    def description(self) -> str | None:
        """What it measures."""
        ...

    @property
    def unit(self) -> str | None:
        """What it is measured in."""
        ...

    @property
    def kind(self) -> BufferedMetricKind:
        """What kind it is of, one of the ``BUFFERED_METRIC_KIND`` constants."""
        ...


class BufferedMetricUpdate(Protocol):
    """A buffered update."""

    @property
    def metric(self) -> BufferedMetric:
        """The metric."""
        ...

    @property
    def value(self) -> int | float:
        """For a counter what was added, else the value."""
        ...

    @property
    def attributes(self) -> temporalio.common.MetricAttributes:
        """Its attributes, not to be changed."""
        ...


class _BufferedMetric:
    def __init__(self, name: str, description: str, unit: str, kind: int) -> None:
        self.name = name
        self.description = description or None
        self.unit = unit or None
        self.kind = _BUFFERED_KINDS[kind]


class _BufferedMetricUpdate:
    def __init__(self, metric: BufferedMetric, value: int | float, attributes: dict[str, Any]) -> None:
        self.metric = metric
        self.value = value
        self.attributes: temporalio.common.MetricAttributes = attributes


@dataclass(frozen=True)
class TelemetryConfig:
    """A runtime's logs and metrics."""

    logging: LoggingConfig | None = LoggingConfig.default
    """The core's logs, None for none."""

    metrics: OpenTelemetryConfig | PrometheusConfig | MetricBuffer | None = None
    """Where metrics go, None for nowhere."""

    global_tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of all metrics."""

    attach_service_name: bool = True
    """Whether metrics have a tag for the service's name."""

    metric_prefix: str | None = None
    """What names of the core's metrics begin with; ``temporal_`` if None."""

    def _to_dict(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "global_tags": dict(self.global_tags),
            "attach_service_name": self.attach_service_name,
        }
        if self.logging is not None:
            options.update(self.logging._to_dict())
        if isinstance(self.metrics, OpenTelemetryConfig):
            options["opentelemetry"] = self.metrics._to_dict()
        elif isinstance(self.metrics, PrometheusConfig):
            options["prometheus"] = self.metrics._to_dict()
        elif self.metrics is not None:
            options["metric_buffer_size"] = self.metrics._buffer_size
        if self.metric_prefix is not None:
            options["metric_prefix"] = self.metric_prefix
        return options


# --- the program's own metrics ----------------------------------------------------------------------------------------


def _joined(
    attributes: temporalio.common.MetricAttributes, others: temporalio.common.MetricAttributes
) -> temporalio.common.MetricAttributes:
    for key, value in others.items():
        if not isinstance(value, (str, int, float, bool)):
            raise TypeError(f"Invalid value type for key {key!r}: {type(value).__name__}, not str, int, float or bool")
    return {**attributes, **others}


class _MetricMeter(temporalio.common.MetricMeter):
    """Makes metrics of the program in the core."""

    def __init__(self, runtime: _core.Runtime, attributes: temporalio.common.MetricAttributes) -> None:
        self._runtime = runtime
        self._attributes = attributes

    def _new(self, cls: Any, kind: int, name: str, description: str | None, unit: str | None) -> Any:
        number = self._runtime.new_metric(kind, name, description or "", unit or "")
        return cls(self._runtime, number, name, description, unit, self._attributes)

    def create_counter(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> temporalio.common.MetricCounter:
        return self._new(_MetricCounter, _COUNTER, name, description, unit)

    def create_histogram(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> temporalio.common.MetricHistogram:
        return self._new(_MetricHistogram, _HISTOGRAM, name, description, unit)

    def create_histogram_float(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> temporalio.common.MetricHistogramFloat:
        return self._new(_MetricHistogramFloat, _HISTOGRAM_FLOAT, name, description, unit)

    def create_histogram_timedelta(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> temporalio.common.MetricHistogramTimedelta:
        return self._new(_MetricHistogramTimedelta, _DURATION, name, description, unit)

    def create_gauge(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> temporalio.common.MetricGauge:
        return self._new(_MetricGauge, _GAUGE, name, description, unit)

    def create_gauge_float(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> temporalio.common.MetricGaugeFloat:
        return self._new(_MetricGaugeFloat, _GAUGE_FLOAT, name, description, unit)

    def with_additional_attributes(
        self, additional_attributes: temporalio.common.MetricAttributes
    ) -> temporalio.common.MetricMeter:
        return _MetricMeter(self._runtime, _joined(self._attributes, additional_attributes))


class _Metric(temporalio.common.MetricCommon):
    """What the program's metrics have in common."""

    def __init__(
        self,
        runtime: _core.Runtime,
        number: int,
        name: str,
        description: str | None,
        unit: str | None,
        attributes: temporalio.common.MetricAttributes,
    ) -> None:
        self._runtime = runtime
        self._number = number
        self._name = name
        self._description = description
        self._unit = unit
        self._attributes = attributes

    @property
    def name(self) -> str:
        return self._name

    @property
    def description(self) -> str | None:
        return self._description

    @property
    def unit(self) -> str | None:
        return self._unit

    def with_additional_attributes(self, additional_attributes: temporalio.common.MetricAttributes) -> Any:
        return type(self)(
            self._runtime,
            self._number,
            self._name,
            self._description,
            self._unit,
            _joined(self._attributes, additional_attributes),
        )

    def _record(self, value: float, additional_attributes: temporalio.common.MetricAttributes | None) -> None:
        if value < 0:
            raise ValueError("Metric value cannot be negative")
        attributes = _joined(self._attributes, additional_attributes) if additional_attributes else self._attributes
        self._runtime.record_metric(self._number, value, dict(attributes))


class _MetricCounter(_Metric, temporalio.common.MetricCounter):
    def add(self, value: int, additional_attributes: temporalio.common.MetricAttributes | None = None) -> None:
        self._record(value, additional_attributes)


class _MetricHistogram(_Metric, temporalio.common.MetricHistogram):
    def record(self, value: int, additional_attributes: temporalio.common.MetricAttributes | None = None) -> None:
        self._record(value, additional_attributes)


class _MetricHistogramFloat(_Metric, temporalio.common.MetricHistogramFloat):
    def record(self, value: float, additional_attributes: temporalio.common.MetricAttributes | None = None) -> None:
        self._record(value, additional_attributes)


class _MetricHistogramTimedelta(_Metric, temporalio.common.MetricHistogramTimedelta):
    def record(
        self, value: timedelta, additional_attributes: temporalio.common.MetricAttributes | None = None
    ) -> None:
        self._record(value / timedelta(milliseconds=1), additional_attributes)


class _MetricGauge(_Metric, temporalio.common.MetricGauge):
    def set(self, value: int, additional_attributes: temporalio.common.MetricAttributes | None = None) -> None:
        self._record(value, additional_attributes)


class _MetricGaugeFloat(_Metric, temporalio.common.MetricGaugeFloat):
    def set(self, value: float, additional_attributes: temporalio.common.MetricAttributes | None = None) -> None:
        self._record(value, additional_attributes)
