"""What stream clients and workflows send each other.

An item's value travels as a payload of its own, serialized and in base64, so that only its reader needs to know its
type. The codec and external storage see the signal or update around it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from temporalio.api.common.v1 import Payload

T = TypeVar("T")

PUBLISH_SIGNAL = "__temporal_workflow_stream_publish"
POLL_UPDATE = "__temporal_workflow_stream_poll"
OFFSET_QUERY = "__temporal_workflow_stream_offset"

TRUNCATED_OFFSET = "TruncatedOffset"
TRUNCATE_OUT_OF_RANGE = "TruncateOutOfRange"
STREAM_DRAINING = "StreamDraining"


@dataclass
class PublishEntry:
    """An item on its way into the stream."""

    topic: str
    data: str
    """The value's payload, serialized, in base64."""


@dataclass
class PublishInput:
    """Items to append, all or none."""

    items: list[PublishEntry] = field(default_factory=list)
    publisher_id: str = ""
    """Who publishes; with ``sequence`` it keeps what is sent twice from being appended twice."""
    sequence: int = 0
    """Grows with each of the publisher's batches."""


@dataclass
class PollInput:
    """What a reader waits for."""

    topics: list[str] = field(default_factory=list)
    """The topics to read; all if empty."""
    from_offset: int = 0
    """The first item to read; 0 for the oldest there is."""


@dataclass
class _WorkflowStreamWireItem:
    topic: str
    data: str
    offset: int = 0


@dataclass
class PollResult:
    """What a reader gets."""

    items: list[_WorkflowStreamWireItem] = field(default_factory=list)
    next_offset: int = 0
    """Where to read on."""
    more_ready: bool = False
    """Whether there were more items than fit in one answer."""


@dataclass
class PublisherState:
    """How far a publisher got."""

    sequence: int
    last_seen: datetime


@dataclass
class WorkflowStreamItem(Generic[T]):
    """An item read from a stream."""

    topic: str
    data: T
    offset: int = 0


@dataclass
class WorkflowStreamState:
    """A stream as a workflow hands it to its next run."""

    log: list[_WorkflowStreamWireItem] = field(default_factory=list)
    base_offset: int = 0
    """The offset of the oldest item."""
    publishers: dict[str, PublisherState] = field(default_factory=dict)


def _encode_payload(payload: Payload) -> str:
    return base64.b64encode(payload.SerializeToString()).decode("ascii")


def _decode_payload(data: str) -> Payload:
    return Payload.FromString(base64.b64decode(data))


def _bind_topic(bound: dict[str, Any], name: str, topic_type: Any) -> Any:
    """Remembers a topic's type and returns it.

    Raises:
        RuntimeError: The topic has another type, or the type is that of payloads.
    """
    if topic_type is None:
        topic_type = Any
    if topic_type is Payload:
        raise RuntimeError(
            f"Topic {name!r} cannot have type=Payload. Payloads can be published to a topic of any type; to read raw "
            "payloads use RawValue."
        )
    if bound.setdefault(name, topic_type) is not topic_type and bound[name] != topic_type:
        raise RuntimeError(f"Topic {name!r} is already bound to type {bound[name]!r}")
    return topic_type
