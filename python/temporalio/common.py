"""Values that clients, workflows and activities have in common: policies, search attributes, metrics, priorities."""

from __future__ import annotations

import asyncio
import inspect
import sys
import types
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar, cast, overload

from temporalio import _hints
from temporalio._lazy import instance
from temporalio._values import duration_ns, to_timedelta
from temporalio.types import AnyType

if sys.version_info >= (3, 11):
    from typing import NamedTuple
else:  # a NamedTuple that may be generic
    from typing_extensions import NamedTuple

if TYPE_CHECKING:
    import threading
    from dataclasses import dataclass

    import google.protobuf.internal.containers
    from typing_extensions import Self

    import temporalio.api.common.v1
    import temporalio.api.deployment.v1
    import temporalio.api.workflow.v1
else:
    from temporalio._lazy import dataclass


@dataclass
class RetryPolicy:
    """How often and how soon a workflow or activity that failed is tried again."""

    initial_interval: timedelta = timedelta(seconds=1)
    """The pause before the second attempt."""

    backoff_coefficient: float = 2.0
    """What each further pause is multiplied by."""

    maximum_interval: timedelta | None = None
    """The longest pause; a hundred times the first one if None."""

    maximum_attempts: int = 0
    """How many attempts there may be in all; 0 for no limit."""

    non_retryable_error_types: Sequence[str] | None = None
    """Types of application errors that are final at once."""

    @staticmethod
    def from_proto(proto: temporalio.api.common.v1.RetryPolicy) -> RetryPolicy:
        """Reads a policy from its wire form."""
        return RetryPolicy(
            initial_interval=proto.initial_interval.ToTimedelta(),
            backoff_coefficient=proto.backoff_coefficient,
            maximum_interval=proto.maximum_interval.ToTimedelta() if proto.HasField("maximum_interval") else None,
            maximum_attempts=proto.maximum_attempts,
            non_retryable_error_types=list(proto.non_retryable_error_types) or None,
        )

    def apply_to_proto(self, proto: temporalio.api.common.v1.RetryPolicy) -> None:
        """Checks the policy and writes it to its wire form."""
        self._validate()
        proto.initial_interval.FromTimedelta(self.initial_interval)
        proto.backoff_coefficient = self.backoff_coefficient
        proto.maximum_interval.FromTimedelta(self._maximum_interval_or_default())
        proto.maximum_attempts = self.maximum_attempts
        if self.non_retryable_error_types:
            proto.non_retryable_error_types.extend(self.non_retryable_error_types)

    def _maximum_interval_or_default(self) -> timedelta:
        return self.maximum_interval or self.initial_interval * 100

    def _to_dict(self) -> dict[str, Any]:
        self._validate()
        message: dict[str, Any] = {
            "initial_interval": duration_ns(self.initial_interval),
            "backoff_coefficient": float(self.backoff_coefficient),
            "maximum_interval": duration_ns(self._maximum_interval_or_default()),
            "maximum_attempts": self.maximum_attempts,
        }
        if self.non_retryable_error_types:
            message["non_retryable_error_types"] = list(self.non_retryable_error_types)
        return message

    @staticmethod
    def _from_dict(message: Mapping[str, Any]) -> RetryPolicy:
        maximum = message.get("maximum_interval")
        return RetryPolicy(
            initial_interval=to_timedelta(message.get("initial_interval", 0)),
            backoff_coefficient=message.get("backoff_coefficient", 0.0),
            maximum_interval=None if maximum is None else to_timedelta(maximum),
            maximum_attempts=message.get("maximum_attempts", 0),
            non_retryable_error_types=list(message.get("non_retryable_error_types", ())) or None,
        )

    def _validate(self) -> None:
        # A policy of one attempt never pauses, so its intervals do not matter.
        if self.maximum_attempts == 1:
            return
        if self.initial_interval < timedelta():
            raise ValueError("Initial interval cannot be negative")
        if self.backoff_coefficient < 1:
            raise ValueError("Backoff coefficient cannot be less than 1")
        if self.maximum_interval is not None:
            if self.maximum_interval < timedelta():
                raise ValueError("Maximum interval cannot be negative")
            if self.maximum_interval < self.initial_interval:
                raise ValueError("Maximum interval cannot be less than initial interval")
        if self.maximum_attempts < 0:
            raise ValueError("Maximum attempts cannot be negative")


class WorkflowIDReusePolicy(IntEnum):
    """What a start does when a closed workflow has the id. Values are those on the wire."""

    ALLOW_DUPLICATE = 1
    ALLOW_DUPLICATE_FAILED_ONLY = 2
    REJECT_DUPLICATE = 3
    TERMINATE_IF_RUNNING = 4


class WorkflowIDConflictPolicy(IntEnum):
    """What a start does when a running workflow has the id. Values are those on the wire."""

    UNSPECIFIED = 0
    FAIL = 1
    USE_EXISTING = 2
    TERMINATE_EXISTING = 3


class ActivityIDReusePolicy(IntEnum):
    """What the start of a standalone activity does when a closed one has the id."""

    UNSPECIFIED = 0
    ALLOW_DUPLICATE = 1
    ALLOW_DUPLICATE_FAILED_ONLY = 2
    REJECT_DUPLICATE = 3


class ActivityIDConflictPolicy(IntEnum):
    """What the start of a standalone activity does when a running one has the id."""

    UNSPECIFIED = 0
    FAIL = 1
    USE_EXISTING = 2


class NexusOperationIDReusePolicy(IntEnum):
    """What the start of a standalone Nexus operation does when a closed one has the id."""

    UNSPECIFIED = 0
    ALLOW_DUPLICATE = 1
    ALLOW_DUPLICATE_FAILED_ONLY = 2
    REJECT_DUPLICATE = 3


class NexusOperationIDConflictPolicy(IntEnum):
    """What the start of a standalone Nexus operation does when a running one has the id."""

    UNSPECIFIED = 0
    FAIL = 1
    USE_EXISTING = 2


class NexusOperationExecutionStatus(IntEnum):
    """How far a Nexus operation has come."""

    UNSPECIFIED = 0
    RUNNING = 1
    COMPLETED = 2
    FAILED = 3
    CANCELED = 4
    TERMINATED = 5
    TIMED_OUT = 6


class PendingNexusOperationExecutionState(IntEnum):
    """What a running Nexus operation is doing."""

    UNSPECIFIED = 0
    SCHEDULED = 1
    BACKING_OFF = 2
    STARTED = 3
    BLOCKED = 4


class NexusOperationCancellationState(IntEnum):
    """How far the cancellation of a Nexus operation has come."""

    UNSPECIFIED = 0
    SCHEDULED = 1
    BACKING_OFF = 2
    SUCCEEDED = 3
    FAILED = 4
    TIMED_OUT = 5
    BLOCKED = 6


class QueryRejectCondition(IntEnum):
    """In which state of its workflow a query is refused. Values are those on the wire."""

    NONE = 1
    NOT_OPEN = 2
    NOT_COMPLETED_CLEANLY = 3


class HeaderCodecBehavior(IntEnum):
    """Whether the payload codec is applied to headers."""

    NO_CODEC = 1
    """Headers are left as they are."""

    CODEC = 2
    """Headers are encoded and decoded like other payloads."""

    WORKFLOW_ONLY_CODEC = 3
    """Headers are encoded and decoded in workflows only, not by the client or activities."""


@dataclass(frozen=True)
class RawValue:
    """A payload taken and given as it is, without conversion.

    As an argument or result it is sent unchanged; as a type hint it makes the receiver get the payload itself.
    """

    payload: temporalio.api.common.v1.Payload

    def __getstate__(self) -> object:
        """The payload's bytes; messages do not pickle in every protobuf version."""
        return self.payload.SerializeToString()

    def __setstate__(self, state: object) -> None:
        """Reads the payload back."""
        if not isinstance(state, bytes):
            raise TypeError(f"Expected the payload's bytes, got {type(state)}")
        import temporalio.api.common.v1

        object.__setattr__(self, "payload", temporalio.api.common.v1.Payload.FromString(state))


# Types a single search attribute may have; the untyped form is a list of one of them.
SearchAttributeValues: TypeAlias = list[str] | list[int] | list[float] | list[bool] | list[datetime]
SearchAttributes: TypeAlias = Mapping[str, SearchAttributeValues]
SearchAttributeValue: TypeAlias = str | int | float | bool | datetime | Sequence[str]
SearchAttributeValueType = TypeVar("SearchAttributeValueType", str, int, float, bool, datetime, Sequence[str])


class SearchAttributeIndexedValueType(IntEnum):
    """How the server indexes a search attribute. Values are those on the wire."""

    TEXT = 1
    KEYWORD = 2
    INT = 3
    DOUBLE = 4
    BOOL = 5
    DATETIME = 6
    KEYWORD_LIST = 7


class SearchAttributeKey(ABC, Generic[SearchAttributeValueType]):
    """Name and type of a search attribute; made by one of the ``for_`` functions."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The attribute's name."""
        ...

    @property
    @abstractmethod
    def indexed_value_type(self) -> SearchAttributeIndexedValueType:
        """How the server indexes it."""
        ...

    @property
    @abstractmethod
    def value_type(self) -> type[SearchAttributeValueType]:
        """The Python type of its values, which may be a generic alias."""
        ...

    @property
    def origin_value_type(self) -> type:
        """The Python class of its values, fit for ``isinstance``."""
        return getattr(self.value_type, "__origin__", self.value_type)

    @property
    def _metadata_type(self) -> str:
        return _METADATA_TYPES[self.indexed_value_type]

    def value_set(self, value: SearchAttributeValueType) -> SearchAttributeUpdate[SearchAttributeValueType]:
        """An update that gives the attribute this value."""
        return _SearchAttributeUpdate(self, value)

    def value_unset(self) -> SearchAttributeUpdate[SearchAttributeValueType]:
        """An update that removes the attribute."""
        return _SearchAttributeUpdate(self, None)

    @staticmethod
    def for_text(name: str) -> SearchAttributeKey[str]:
        """A text that is searched by its words."""
        return _SearchAttributeKey(name, SearchAttributeIndexedValueType.TEXT, str)

    @staticmethod
    def for_keyword(name: str) -> SearchAttributeKey[str]:
        """A text that is compared as a whole."""
        return _SearchAttributeKey(name, SearchAttributeIndexedValueType.KEYWORD, str)

    @staticmethod
    def for_int(name: str) -> SearchAttributeKey[int]:
        """A whole number."""
        return _SearchAttributeKey(name, SearchAttributeIndexedValueType.INT, int)

    @staticmethod
    def for_float(name: str) -> SearchAttributeKey[float]:
        """A floating-point number."""
        return _SearchAttributeKey(name, SearchAttributeIndexedValueType.DOUBLE, float)

    @staticmethod
    def for_bool(name: str) -> SearchAttributeKey[bool]:
        """True or false."""
        return _SearchAttributeKey(name, SearchAttributeIndexedValueType.BOOL, bool)

    @staticmethod
    def for_datetime(name: str) -> SearchAttributeKey[datetime]:
        """A point in time; values need a time zone."""
        return _SearchAttributeKey(name, SearchAttributeIndexedValueType.DATETIME, datetime)

    @staticmethod
    def for_keyword_list(name: str) -> SearchAttributeKey[Sequence[str]]:
        """Several texts, each compared as a whole."""
        return _SearchAttributeKey(
            name,
            SearchAttributeIndexedValueType.KEYWORD_LIST,
            # The alias is what callers see as the value's type.
            cast(type[Sequence[str]], Sequence[str]),
        )

    @staticmethod
    def _from_metadata_type(name: str, metadata_type: str) -> SearchAttributeKey | None:
        make = _KEY_MAKERS.get(metadata_type)
        return None if make is None else make(name)

    @staticmethod
    def _guess_from_untyped_values(name: str, vals: SearchAttributeValues) -> SearchAttributeKey | None:
        if not vals:
            return None
        if len(vals) > 1:
            return SearchAttributeKey.for_keyword_list(name) if isinstance(vals[0], str) else None
        value = vals[0]
        if isinstance(value, str):
            return SearchAttributeKey.for_keyword(name)
        if isinstance(value, bool):
            return SearchAttributeKey.for_bool(name)
        if isinstance(value, int):
            return SearchAttributeKey.for_int(name)
        if isinstance(value, float):
            return SearchAttributeKey.for_float(name)
        if isinstance(value, datetime):
            return SearchAttributeKey.for_datetime(name)
        return None


# The names that payload metadata uses for the types.
_METADATA_TYPES: Mapping[SearchAttributeIndexedValueType, str] = {
    SearchAttributeIndexedValueType.TEXT: "Text",
    SearchAttributeIndexedValueType.KEYWORD: "Keyword",
    SearchAttributeIndexedValueType.INT: "Int",
    SearchAttributeIndexedValueType.DOUBLE: "Double",
    SearchAttributeIndexedValueType.BOOL: "Bool",
    SearchAttributeIndexedValueType.DATETIME: "Datetime",
    SearchAttributeIndexedValueType.KEYWORD_LIST: "KeywordList",
}
_KEY_MAKERS: Mapping[str, Callable[[str], SearchAttributeKey]] = {
    "Text": SearchAttributeKey.for_text,
    "Keyword": SearchAttributeKey.for_keyword,
    "Int": SearchAttributeKey.for_int,
    "Double": SearchAttributeKey.for_float,
    "Bool": SearchAttributeKey.for_bool,
    "Datetime": SearchAttributeKey.for_datetime,
    "KeywordList": SearchAttributeKey.for_keyword_list,
}


@dataclass(frozen=True)
class _SearchAttributeKey(SearchAttributeKey[SearchAttributeValueType]):
    """The one kind of key there is."""

    _name: str
    _indexed_value_type: SearchAttributeIndexedValueType
    _value_type: type[SearchAttributeValueType]

    @property
    def name(self) -> str:
        return self._name

    @property
    def indexed_value_type(self) -> SearchAttributeIndexedValueType:
        return self._indexed_value_type

    @property
    def value_type(self) -> type[SearchAttributeValueType]:
        return self._value_type


class SearchAttributePair(NamedTuple, Generic[SearchAttributeValueType]):
    """A search attribute and its value."""

    key: SearchAttributeKey[SearchAttributeValueType]
    value: SearchAttributeValueType


class SearchAttributeUpdate(ABC, Generic[SearchAttributeValueType]):
    """A change of one search attribute; made by its key."""

    @property
    @abstractmethod
    def key(self) -> SearchAttributeKey[SearchAttributeValueType]:
        """The attribute to change."""
        ...

    @property
    @abstractmethod
    def value(self) -> SearchAttributeValueType | None:
        """Its new value, None to remove it."""
        ...


@dataclass(frozen=True)
class _SearchAttributeUpdate(SearchAttributeUpdate[SearchAttributeValueType]):
    """The one kind of update there is."""

    _key: SearchAttributeKey[SearchAttributeValueType]
    _value: SearchAttributeValueType | None

    @property
    def key(self) -> SearchAttributeKey[SearchAttributeValueType]:
        return self._key

    @property
    def value(self) -> SearchAttributeValueType | None:
        return self._value


@dataclass(frozen=True)
class TypedSearchAttributes(Collection[SearchAttributePair]):
    """Search attributes with their types, each name once. Looks like a mapping from key to value."""

    search_attributes: Sequence[SearchAttributePair]
    """The attributes, in the order of their names, so that equal ones are equal however they came."""

    empty: ClassVar[TypedSearchAttributes]
    """No attributes at all."""

    def __post_init__(self):
        """Sorts; refuses two attributes of one name."""
        if len(self.search_attributes) > 1:
            object.__setattr__(self, "search_attributes", sorted(self.search_attributes, key=lambda pair: pair.key.name))
        names: set[str] = set()
        for pair in self.search_attributes:
            if pair.key.name in names:
                raise ValueError(f"Search attribute {pair.key.name!r} given more than once")
            names.add(pair.key.name)

    def __len__(self) -> int:
        """How many attributes there are."""
        return len(self.search_attributes)

    def __iter__(self) -> Iterator[SearchAttributePair]:
        """The pairs in order."""
        return iter(self.search_attributes)

    def __contains__(self, key: object) -> bool:
        """Whether there is an attribute of this very key, name and type."""
        return any(pair.key == key for pair in self.search_attributes)

    def __getitem__(self, key: SearchAttributeKey[SearchAttributeValueType]) -> SearchAttributeValueType:
        """The value of this key; KeyError without one."""
        for pair in self.search_attributes:
            if pair.key == key:
                return pair.value
        raise KeyError(key.name)

    @overload
    def get(self, key: SearchAttributeKey[SearchAttributeValueType]) -> SearchAttributeValueType | None: ...

    @overload
    def get(
        self, key: SearchAttributeKey[SearchAttributeValueType], default: AnyType
    ) -> SearchAttributeValueType | AnyType: ...

    def get(self, key: SearchAttributeKey[SearchAttributeValueType], default: Any | None = None) -> Any:
        """The value of this key, or the default."""
        for pair in self.search_attributes:
            if pair.key == key:
                return pair.value
        return default

    def updated(self, *search_attributes: SearchAttributePair) -> TypedSearchAttributes:
        """A copy with these attributes set; one of the same key is replaced where it stands."""
        pairs = list(self.search_attributes)
        for new in search_attributes:
            for index, pair in enumerate(pairs):
                if pair.key == new.key:
                    pairs[index] = new
                    break
            else:
                pairs.append(new)
        return TypedSearchAttributes(pairs)


TypedSearchAttributes.empty = instance(TypedSearchAttributes, search_attributes=[])


def _warn_on_deprecated_search_attributes(attributes: SearchAttributes | Any | None, stack_level: int = 2) -> None:
    if attributes and isinstance(attributes, Mapping):
        warnings.warn(
            "Search attributes as a dictionary are deprecated, use TypedSearchAttributes",
            DeprecationWarning,
            stacklevel=1 + stack_level,
        )


MetricAttributes: TypeAlias = Mapping[str, str | int | float | bool]


class MetricMeter(ABC):
    """Makes metrics that are exported beside the package's own."""

    noop: ClassVar[MetricMeter]
    """A meter whose metrics go nowhere."""

    @abstractmethod
    def create_counter(self, name: str, description: str | None = None, unit: str | None = None) -> MetricCounter:
        """Makes a number that only grows."""
        ...

    @abstractmethod
    def create_histogram(self, name: str, description: str | None = None, unit: str | None = None) -> MetricHistogram:
        """Makes a distribution of whole numbers."""
        ...

    @abstractmethod
    def create_histogram_float(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricHistogramFloat:
        """Makes a distribution of numbers."""
        ...

    @abstractmethod
    def create_histogram_timedelta(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricHistogramTimedelta:
        """Makes a distribution of durations. The exporter chooses the unit; ``unit`` is for those that do not."""
        ...

    @abstractmethod
    def create_gauge(self, name: str, description: str | None = None, unit: str | None = None) -> MetricGauge:
        """Makes a whole number that goes up and down."""
        ...

    @abstractmethod
    def create_gauge_float(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricGaugeFloat:
        """Makes a number that goes up and down."""
        ...

    @abstractmethod
    def with_additional_attributes(self, additional_attributes: MetricAttributes) -> MetricMeter:
        """A meter whose metrics carry these attributes too. Values must be text, numbers or booleans."""
        ...


class MetricCommon(ABC):
    """What all metrics have."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The metric's name."""
        ...

    @property
    @abstractmethod
    def description(self) -> str | None:
        """What it measures."""
        ...

    @property
    @abstractmethod
    def unit(self) -> str | None:
        """What it is measured in."""
        ...

    @abstractmethod
    def with_additional_attributes(self, additional_attributes: MetricAttributes) -> Self:
        """The same metric with these attributes on every value too."""
        ...


class MetricCounter(MetricCommon):
    """A number that only grows."""

    @abstractmethod
    def add(self, value: int, additional_attributes: MetricAttributes | None = None) -> None:
        """Adds to it. ValueError for a negative value."""
        ...


class MetricHistogram(MetricCommon):
    """A distribution of whole numbers."""

    @abstractmethod
    def record(self, value: int, additional_attributes: MetricAttributes | None = None) -> None:
        """Takes in a value. ValueError for a negative one."""
        ...


class MetricHistogramFloat(MetricCommon):
    """A distribution of numbers."""

    @abstractmethod
    def record(self, value: float, additional_attributes: MetricAttributes | None = None) -> None:
        """Takes in a value. ValueError for a negative one."""
        ...


class MetricHistogramTimedelta(MetricCommon):
    """A distribution of durations."""

    @abstractmethod
    def record(self, value: timedelta, additional_attributes: MetricAttributes | None = None) -> None:
        """Takes in a duration, kept to the millisecond or as seconds. ValueError for a negative one."""
        ...


class MetricGauge(MetricCommon):
    """A whole number that goes up and down."""

    @abstractmethod
    def set(self, value: int, additional_attributes: MetricAttributes | None = None) -> None:
        """Sets it. ValueError for a negative value."""
        ...


class MetricGaugeFloat(MetricCommon):
    """A number that goes up and down."""

    @abstractmethod
    def set(self, value: float, additional_attributes: MetricAttributes | None = None) -> None:
        """Sets it. ValueError for a negative value."""
        ...


class _NoopMetric(MetricCommon):
    """A metric that goes nowhere."""

    def __init__(self, name: str, description: str | None, unit: str | None) -> None:
        self._name = name
        self._description = description
        self._unit = unit

    @property
    def name(self) -> str:
        return self._name

    @property
    def description(self) -> str | None:
        return self._description

    @property
    def unit(self) -> str | None:
        return self._unit

    def with_additional_attributes(self, additional_attributes: MetricAttributes) -> Self:
        return self

    def _ignore(self, value: Any, additional_attributes: MetricAttributes | None = None) -> None:
        pass


class _NoopMetricCounter(_NoopMetric, MetricCounter):
    add = _NoopMetric._ignore


class _NoopMetricHistogram(_NoopMetric, MetricHistogram):
    record = _NoopMetric._ignore


class _NoopMetricHistogramFloat(_NoopMetric, MetricHistogramFloat):
    record = _NoopMetric._ignore


class _NoopMetricHistogramTimedelta(_NoopMetric, MetricHistogramTimedelta):
    record = _NoopMetric._ignore


class _NoopMetricGauge(_NoopMetric, MetricGauge):
    set = _NoopMetric._ignore


class _NoopMetricGaugeFloat(_NoopMetric, MetricGaugeFloat):
    set = _NoopMetric._ignore


class _NoopMetricMeter(MetricMeter):
    def create_counter(self, name: str, description: str | None = None, unit: str | None = None) -> MetricCounter:
        return _NoopMetricCounter(name, description, unit)

    def create_histogram(self, name: str, description: str | None = None, unit: str | None = None) -> MetricHistogram:
        return _NoopMetricHistogram(name, description, unit)

    def create_histogram_float(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricHistogramFloat:
        return _NoopMetricHistogramFloat(name, description, unit)

    def create_histogram_timedelta(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricHistogramTimedelta:
        return _NoopMetricHistogramTimedelta(name, description, unit)

    def create_gauge(self, name: str, description: str | None = None, unit: str | None = None) -> MetricGauge:
        return _NoopMetricGauge(name, description, unit)

    def create_gauge_float(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricGaugeFloat:
        return _NoopMetricGaugeFloat(name, description, unit)

    def with_additional_attributes(self, additional_attributes: MetricAttributes) -> MetricMeter:
        return self


MetricMeter.noop = _NoopMetricMeter()


@dataclass(frozen=True)
class Priority:
    """Which of the tasks waiting in one queue are handed out first.

    A smaller priority key goes first. Among equal keys, each fairness key gets a share that grows with its weight, so
    that one busy tenant does not hold up the others. What a child workflow or activity leaves unset it inherits.
    """

    priority_key: int | None = None
    """A positive number, commonly 1 to 5 with 3 as the default; a smaller one is served first."""

    fairness_key: str | None = None
    """Who is to be treated fairly, such as a tenant; at most 64 bytes."""

    fairness_weight: float | None = None
    """This key's share against the others; 1 if unset. The server keeps it between 0.001 and 1000."""

    default: ClassVar[Priority]
    """Everything unset."""

    def __post_init__(self):
        """Refuses a priority key that is not a positive integer."""
        if self.priority_key is None:
            return
        if not isinstance(self.priority_key, int):
            raise TypeError("priority_key must be an integer")
        if self.priority_key < 1:
            raise ValueError("priority_key starts at 1")

    @staticmethod
    def _from_proto(proto: temporalio.api.common.v1.Priority) -> Priority:
        return Priority(proto.priority_key or None, proto.fairness_key or None, proto.fairness_weight or None)

    def _to_proto(self) -> temporalio.api.common.v1.Priority:
        import temporalio.api.common.v1

        return temporalio.api.common.v1.Priority(**self._to_dict())

    @staticmethod
    def _from_dict(message: Mapping[str, Any] | None) -> Priority:
        if not message:
            return Priority.default
        return Priority(
            message.get("priority_key") or None,
            message.get("fairness_key") or None,
            message.get("fairness_weight") or None,
        )

    def _to_dict(self) -> dict[str, Any]:
        message: dict[str, Any] = {}
        if self.priority_key:
            message["priority_key"] = self.priority_key
        if self.fairness_key:
            message["fairness_key"] = self.fairness_key
        if self.fairness_weight:
            message["fairness_weight"] = float(self.fairness_weight)
        return message


Priority.default = instance(Priority, priority_key=None, fairness_key=None, fairness_weight=None)


class VersioningBehavior(IntEnum):
    """What happens to a running workflow when a new version of its worker deployment appears."""

    UNSPECIFIED = 0
    """The workflow does not take part in worker deployments' versioning."""

    PINNED = 1
    """It stays on the version it started on until it ends."""

    AUTO_UPGRADE = 2
    """It moves to the current version with its next workflow task."""


@dataclass(frozen=True)
class WorkerDeploymentVersion:
    """One version of a worker deployment: its name and a build id."""

    deployment_name: str
    build_id: str

    def to_canonical_string(self) -> str:
        """Both parts with a dot between them."""
        return f"{self.deployment_name}.{self.build_id}"

    @staticmethod
    def from_canonical_string(canonical: str) -> WorkerDeploymentVersion:
        """Reads what :py:meth:`to_canonical_string` writes; the first dot divides."""
        name, dot, build_id = canonical.partition(".")
        if not dot:
            raise ValueError(f"{canonical!r} is not a deployment version: expected <deployment_name>.<build_id>")
        return WorkerDeploymentVersion(name, build_id)

    def _to_proto(self) -> temporalio.api.deployment.v1.WorkerDeploymentVersion:
        import temporalio.api.deployment.v1

        return temporalio.api.deployment.v1.WorkerDeploymentVersion(**self._to_dict())

    def _to_dict(self) -> dict[str, Any]:
        return {"deployment_name": self.deployment_name, "build_id": self.build_id}


class VersioningOverride(ABC):
    """Says which version a workflow is to run on, whatever its own behavior and the current version are."""

    @abstractmethod
    def _to_dict(self) -> dict[str, Any]: ...

    def _to_proto(self) -> temporalio.api.workflow.v1.VersioningOverride:
        from temporalio.converter._messages import message_from_dict

        return message_from_dict("temporal.api.workflow.v1.VersioningOverride", self._to_dict())


# The older fields are filled in beside the newer ones for servers that know only those.
@dataclass(frozen=True)
class PinnedVersioningOverride(VersioningOverride):
    """The workflow stays on this version."""

    version: WorkerDeploymentVersion

    def _to_dict(self) -> dict[str, Any]:
        return {
            "behavior": int(VersioningBehavior.PINNED),
            "pinned_version": self.version.to_canonical_string(),
            "pinned": {"behavior": 1, "version": self.version._to_dict()},
        }


@dataclass(frozen=True)
class AutoUpgradeVersioningOverride(VersioningOverride):
    """The workflow follows the current version."""

    def _to_dict(self) -> dict[str, Any]:
        return {"behavior": int(VersioningBehavior.AUTO_UPGRADE), "auto_upgrade": True}


@dataclass(frozen=True)
class OneTimeVersioningOverride(VersioningOverride):
    """The workflow moves to this version once, then goes by its own behavior again."""

    target_version: WorkerDeploymentVersion

    def _to_dict(self) -> dict[str, Any]:
        return {"one_time": {"target_deployment_version": self.target_version._to_dict()}}


class _CompositeEvent:
    """An event that threads and coroutines can both wait for. Set it on the loop's thread."""

    def __init__(self, thread_event: threading.Event | None, async_event: asyncio.Event | None) -> None:
        self._thread_event = thread_event
        self._async_event = async_event

    def set(self) -> None:
        if self._thread_event is not None:
            self._thread_event.set()
        if self._async_event is not None:
            self._async_event.set()

    def is_set(self) -> bool:
        event = self._thread_event if self._thread_event is not None else self._async_event
        if event is None:
            raise RuntimeError("There is no event to ask")
        return event.is_set()

    async def wait(self) -> None:
        if self._async_event is None:
            raise RuntimeError("Cannot wait asynchronously here")
        await self._async_event.wait()

    def wait_sync(self, timeout: float | None = None) -> None:
        if self._thread_event is None:
            raise RuntimeError("Cannot wait synchronously here")
        self._thread_event.wait(timeout)


# Tells an argument left out from None.
_arg_unset = object()


def _arg_or_args(arg: Any, args: Sequence[Any]) -> Sequence[Any]:
    if arg is _arg_unset:
        return args
    if args:
        raise ValueError("Cannot have arg and args")
    return [arg]


def _apply_headers(
    source: Mapping[str, temporalio.api.common.v1.Payload] | None,
    dest: google.protobuf.internal.containers.MessageMap[str, temporalio.api.common.v1.Payload],
) -> None:
    if source is None:
        return
    for key, payload in source.items():
        if payload is None:
            continue
        dest[key].CopyFrom(payload)


_non_user_defined_callables = (
    type(type.__call__),
    type(object().__init__),  # type: ignore[misc]
    type(bytes.__dict__["fromhex"]),
    types.BuiltinFunctionType,
)


def _type_hints_from_func(func: Callable) -> tuple[list[type] | None, type | None]:
    """Types of a callable's parameters, None for one without, and of its result.

    The list is None where it cannot be told: keyword-only or variable parameters, or no signature of its own.
    """
    return _hints.hints_of_function(func, _read_type_hints)


def _read_type_hints(func: Callable) -> tuple[list[type] | None, type | None]:
    from typing import get_type_hints

    hinted: Any = func
    if not (inspect.isfunction(func) or inspect.ismethod(func) or inspect.isbuiltin(func)):
        # A class or an instance is known by the __call__ that its author wrote.
        hinted = getattr(func, "__call__", None)
        if isinstance(hinted, _non_user_defined_callables) or hinted is None:
            return None, None
    try:
        signature = inspect.signature(hinted)
    except (TypeError, ValueError):
        return None, None
    try:
        hints = get_type_hints(hinted)
    except TypeError:
        hints = {}
    result = hints.get("return")
    types_: list[type] = []
    for index, (name, parameter) in enumerate(signature.parameters.items()):
        if index == 0 and parameter.name == "self":
            continue
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            return None, result
        types_.append(hints.get(name))  # type: ignore[arg-type]
    return types_, result
