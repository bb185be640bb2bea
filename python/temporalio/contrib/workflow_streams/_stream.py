"""The workflow's side of a stream: the log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Generic, NoReturn, TypeVar, cast, overload

import temporalio.workflow
from temporalio.api.common.v1 import Payload
from temporalio.contrib.workflow_streams._types import (
    OFFSET_QUERY,
    POLL_UPDATE,
    PUBLISH_SIGNAL,
    STREAM_DRAINING,
    TRUNCATE_OUT_OF_RANGE,
    TRUNCATED_OFFSET,
    PollInput,
    PollResult,
    PublisherState,
    PublishInput,
    WorkflowStreamState,
    _bind_topic,
    _encode_payload,
    _WorkflowStreamWireItem,
)
from temporalio.exceptions import ApplicationError

T = TypeVar("T")

_MAX_ANSWER = 1_000_000
"""About how many bytes of items an answer may have, well below what the server lets an update return."""


class WorkflowStream:
    """A log of items by topic, kept in the workflow that makes it.

    Items have offsets that count from 0 and stay the same when the workflow continues as new. Signals that arrived with
    a handler's own update or signal may not be applied yet when the handler begins: a handler that looks at the stream
    should be ``async`` and begin with ``await asyncio.sleep(0)``.
    """

    def __init__(self, prior_state: WorkflowStreamState | None = None) -> None:
        """Makes the workflow's stream. To be called in its ``@workflow.init`` method.

        Args:
            prior_state: The stream of the run before, from :py:meth:`get_state`.

        Raises:
            RuntimeError: Called elsewhere, or a second time.
        """
        caller = sys._getframe(1).f_code.co_name
        if caller != "__init__":
            raise RuntimeError(
                f"WorkflowStream was made by {caller!r}; it must be constructed directly from the workflow's `__init__`"
            )
        if temporalio.workflow.get_signal_handler(PUBLISH_SIGNAL) is not None:
            raise RuntimeError("A workflow has one WorkflowStream: its signal handler is already registered")
        state = prior_state or WorkflowStreamState()
        self._log = list(state.log)
        self._base_offset = state.base_offset
        self._publishers = dict(state.publishers)
        self._topics: dict[str, Any] = {}
        self._draining = False
        temporalio.workflow.set_signal_handler(PUBLISH_SIGNAL, self._on_publish)
        temporalio.workflow.set_update_handler(POLL_UPDATE, self._on_poll, validator=self._validate_poll)
        temporalio.workflow.set_query_handler(OFFSET_QUERY, self._on_offset)

    @overload
    def topic(self, name: str) -> WorkflowTopicHandle[Any]: ...

    @overload
    def topic(self, name: str, *, type: type[T]) -> WorkflowTopicHandle[T]: ...

    def topic(self, name: str, *, type: type[T] | None = None) -> WorkflowTopicHandle[T] | WorkflowTopicHandle[Any]:
        """A handle to publish to a topic.

        Args:
            name: The topic.
            type: The type of its values. A topic has one type.

        Raises:
            RuntimeError: The topic has another type.
        """
        return WorkflowTopicHandle(self, name, _bind_topic(self._topics, name, type))

    def truncate(self, up_to_offset: int) -> None:
        """Drops the items before an offset.

        Raises:
            ApplicationError: There is no such offset yet. Its type is ``TruncateOutOfRange``.
        """
        if up_to_offset > self._end:
            raise ApplicationError(
                f"Cannot truncate to offset {up_to_offset}: the stream ends at {self._end}",
                type=TRUNCATE_OUT_OF_RANGE,
                non_retryable=True,
            )
        if up_to_offset > self._base_offset:
            del self._log[: up_to_offset - self._base_offset]
            self._base_offset = up_to_offset

    def get_state(self, *, publisher_ttl: timedelta = timedelta(seconds=900)) -> WorkflowStreamState:
        """The stream, for the workflow's next run.

        Args:
            publisher_ttl: Forgets publishers not heard of for this long; what they send twice may then appear twice.
        """
        now = temporalio.workflow.now()
        return WorkflowStreamState(
            log=[
                _WorkflowStreamWireItem(item.topic, item.data, self._base_offset + index)
                for index, item in enumerate(self._log)
            ],
            base_offset=self._base_offset,
            publishers={
                name: publisher
                for name, publisher in self._publishers.items()
                if now - publisher.last_seen <= publisher_ttl
            },
        )

    def detach_pollers(self) -> None:
        """Lets waiting readers go and accepts no more, so that the workflow can continue as new or end."""
        self._draining = True

    async def continue_as_new(
        self,
        build_args: Callable[[WorkflowStreamState], Sequence[Any]],
        *,
        publisher_ttl: timedelta = timedelta(seconds=900),
    ) -> NoReturn:
        """Continues the workflow as new, stream included.

        Args:
            build_args: Makes the new run's arguments.
            publisher_ttl: As for :py:meth:`get_state`.
        """
        self.detach_pollers()
        await temporalio.workflow.wait_condition(temporalio.workflow.all_handlers_finished)
        temporalio.workflow.continue_as_new(args=list(build_args(self.get_state(publisher_ttl=publisher_ttl))))

    @property
    def _end(self) -> int:
        return self._base_offset + len(self._log)

    def _append(self, topic: str, data: str) -> None:
        self._log.append(_WorkflowStreamWireItem(topic, data))

    def _on_publish(self, input: PublishInput) -> None:
        if input.publisher_id:
            known = self._publishers.get(input.publisher_id)
            if known is not None and input.sequence <= known.sequence:
                return
            self._publishers[input.publisher_id] = PublisherState(input.sequence, temporalio.workflow.now())
        for entry in input.items:
            self._append(entry.topic, entry.data)

    def _on_offset(self) -> int:
        return self._end

    def _validate_poll(self, input: PollInput) -> None:
        if self._draining:
            raise ApplicationError("The stream is draining; poll the workflow's next run", type=STREAM_DRAINING)

    async def _on_poll(self, input: PollInput) -> PollResult:
        position = input.from_offset or self._base_offset
        topics = frozenset(input.topics)

        def is_ready() -> bool:
            # Passes over items of other topics, so that they wake no reader
            nonlocal position
            if self._draining or position < self._base_offset:
                return True
            while topics and position < self._end and self._log[position - self._base_offset].topic not in topics:
                position += 1
            return position < self._end

        await temporalio.workflow.wait_condition(is_ready)
        if position < self._base_offset:
            raise ApplicationError(
                f"Offset {position} was truncated; the stream begins at {self._base_offset}",
                type=TRUNCATED_OFFSET,
                non_retryable=True,
            )
        return self._read(position, topics)

    def _read(self, position: int, topics: frozenset[str]) -> PollResult:
        items: list[_WorkflowStreamWireItem] = []
        size = 0
        while position < self._end:
            item = self._log[position - self._base_offset]
            if not topics or item.topic in topics:
                size += len(item.topic) + len(item.data)
                if items and size > _MAX_ANSWER:
                    return PollResult(items, position, more_ready=True)
                items.append(_WorkflowStreamWireItem(item.topic, item.data, position))
            position += 1
        return PollResult(items, position)


class WorkflowTopicHandle(Generic[T]):
    """Publishes to a topic of the workflow's own stream."""

    def __init__(self, stream: WorkflowStream, name: str, type: type[T]) -> None:
        """Made by :py:meth:`WorkflowStream.topic`."""
        self._stream = stream
        self._name = name
        self._type = type

    @property
    def name(self) -> str:
        """The topic."""
        return self._name

    @property
    def type(self) -> type[T]:
        """The type of its values."""
        return self._type

    def publish(self, value: T | Payload) -> None:
        """Appends a value; a payload is taken as it is."""
        if not isinstance(value, Payload):
            value = cast(Payload, temporalio.workflow.payload_converter().to_payload(value))
        self._stream._append(self._name, _encode_payload(value))
