"""The other side of a stream: publishing to a workflow's log and reading from it."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Generic, TypeVar, overload

from typing_extensions import Self

import temporalio.activity
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.contrib.workflow_streams._types import (
    OFFSET_QUERY,
    POLL_UPDATE,
    PUBLISH_SIGNAL,
    STREAM_DRAINING,
    TRUNCATED_OFFSET,
    PollInput,
    PollResult,
    PublishEntry,
    PublishInput,
    WorkflowStreamItem,
    _bind_topic,
    _decode_payload,
    _encode_payload,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

T = TypeVar("T")

logger = logging.getLogger(__name__)

_DRAINING_WAIT = 0.2
"""Seconds between polls of a workflow that is about to continue as new."""

_FLUSH_RETRY_WAIT = 0.2
"""Seconds before :py:meth:`WorkflowStreamClient.flush` sends again what could not be sent."""


class WorkflowStreamClient:
    """Publishes to a workflow's stream and reads from it.

    What is published is sent in batches, while the client is used as an async context manager and when it is flushed.
    A batch that could not be sent is sent again; the workflow drops what it has got already.
    """

    def __init__(
        self,
        handle: WorkflowHandle[Any, Any],
        *,
        client: Client | None = None,
        batch_interval: timedelta = timedelta(seconds=2),
        max_batch_size: int | None = None,
        max_retry_duration: timedelta = timedelta(seconds=600),
    ) -> None:
        """Makes a client of one workflow's stream.

        Args:
            handle: The workflow.
            client: Follows the workflow with it when it continues as new; subscriptions end there without.
            batch_interval: How long items are collected before they are sent.
            max_batch_size: Sends earlier, when this many are there.
            max_retry_duration: How long a batch is tried before it is given up.
        """
        self._handle = handle
        self._client = client
        self._batch_interval = batch_interval.total_seconds()
        self._max_batch_size = max_batch_size
        self._max_retry_duration = max_retry_duration
        self._converter = (client or handle._client).data_converter.payload_converter
        self._topics: dict[str, Any] = {}
        self._polled_run_id: str | None = None

        self._publisher_id = uuid.uuid4().hex
        self._sequence = 0
        self._buffer: list[PublishEntry] = []
        self._pending: list[PublishEntry] | None = None
        self._pending_since = 0.0
        self._published = 0
        self._settled = 0
        self._flush_wanted = asyncio.Event()
        self._flush_lock = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None
        self._lost: TimeoutError | None = None

    @classmethod
    def create(
        cls,
        client: Client,
        workflow_id: str,
        *,
        batch_interval: timedelta = timedelta(seconds=2),
        max_batch_size: int | None = None,
        max_retry_duration: timedelta = timedelta(seconds=600),
    ) -> WorkflowStreamClient:
        """Makes a client of a workflow's stream that follows it when it continues as new."""
        return cls(
            client.get_workflow_handle(workflow_id),
            client=client,
            batch_interval=batch_interval,
            max_batch_size=max_batch_size,
            max_retry_duration=max_retry_duration,
        )

    @classmethod
    def from_within_activity(
        cls,
        *,
        batch_interval: timedelta = timedelta(seconds=2),
        max_batch_size: int | None = None,
        max_retry_duration: timedelta = timedelta(seconds=600),
    ) -> WorkflowStreamClient:
        """Makes a client of the stream of the workflow that started the running activity.

        Raises:
            RuntimeError: No workflow did.
        """
        workflow_id = temporalio.activity.info().workflow_id
        if not workflow_id:
            raise RuntimeError(
                "There is no parent workflow here to publish to. Name one: "
                "WorkflowStreamClient.create(activity.client(), workflow_id)"
            )
        return cls.create(
            temporalio.activity.client(),
            workflow_id,
            batch_interval=batch_interval,
            max_batch_size=max_batch_size,
            max_retry_duration=max_retry_duration,
        )

    async def __aenter__(self) -> Self:
        """Starts to send what is published."""
        self._flusher = asyncio.create_task(self._flush_in_background())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Sends what is left."""
        if self._flusher is not None:
            flusher, self._flusher = self._flusher, None
            flusher.cancel()
            await asyncio.wait([flusher])
        await self.flush()

    @overload
    def topic(self, name: str) -> TopicHandle[Any]: ...

    @overload
    def topic(self, name: str, *, type: type[T]) -> TopicHandle[T]: ...

    def topic(self, name: str, *, type: type[T] | None = None) -> TopicHandle[T] | TopicHandle[Any]:
        """A handle of a topic.

        Args:
            name: The topic.
            type: The type of its values. A topic has one type.

        Raises:
            RuntimeError: The topic has another type.
        """
        return TopicHandle(self, name, _bind_topic(self._topics, name, type))

    async def get_offset(self) -> int:
        """Where the stream ends: the offset of the next item."""
        offset: int = await self._handle.query(OFFSET_QUERY, result_type=int)
        return offset

    # ------------------------------------------------------------------------------------------------------ publishing

    async def flush(self) -> None:
        """Waits until all that was published so far is with the workflow.

        Raises:
            TimeoutError: A batch could not be sent in time and was given up.
            RPCError: The workflow is no more.
        """
        target = self._published
        while self._settled < target:
            try:
                await self._flush()
            except TimeoutError:
                raise
            except Exception as error:
                if isinstance(error, RPCError) and error.status == RPCStatusCode.NOT_FOUND:
                    raise
                logger.warning("Could not send items to a stream; trying again", exc_info=True)
                await asyncio.sleep(_FLUSH_RETRY_WAIT)
        if self._lost is not None:
            lost, self._lost = self._lost, None
            raise lost

    def _publish(self, topic: str, value: Any, force_flush: bool) -> None:
        payload = value if isinstance(value, Payload) else self._converter.to_payload(value)
        self._buffer.append(PublishEntry(topic, _encode_payload(payload)))
        self._published += 1
        if force_flush or (self._max_batch_size is not None and len(self._buffer) >= self._max_batch_size):
            self._flush_wanted.set()

    async def _flush(self) -> None:
        """Sends one batch: the one that could not be sent before, or else what is there now."""
        async with self._flush_lock:
            if self._pending is None:
                if not self._buffer:
                    return
                self._pending, self._buffer = self._buffer, []
                self._pending_since = time.monotonic()
                self._sequence += 1
            elif time.monotonic() - self._pending_since > self._max_retry_duration.total_seconds():
                self._settle()
                raise TimeoutError(
                    "Could not send items to a stream within max_retry_duration "
                    f"({self._max_retry_duration}); they may be lost"
                )
            await self._handle.signal(
                PUBLISH_SIGNAL, PublishInput(self._pending, publisher_id=self._publisher_id, sequence=self._sequence)
            )
            self._settle()

    def _settle(self) -> None:
        assert self._pending is not None
        self._settled += len(self._pending)
        self._pending = None

    async def _flush_in_background(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._flush_wanted.wait(), self._batch_interval)
            except asyncio.TimeoutError:
                pass
            self._flush_wanted.clear()
            try:
                await self._flush()
            except TimeoutError as error:
                self._lost = error
                logger.error(str(error))
            except Exception:
                logger.warning("Could not send items to a stream; trying again", exc_info=True)

    # --------------------------------------------------------------------------------------------------------- reading

    @overload
    def subscribe(
        self,
        topics: str | list[str] | None = ...,
        from_offset: int = ...,
        *,
        result_type: type[T],
        poll_cooldown: timedelta = ...,
    ) -> AsyncIterator[WorkflowStreamItem[T]]: ...

    @overload
    def subscribe(
        self,
        topics: str | list[str] | None = ...,
        from_offset: int = ...,
        *,
        result_type: None = None,
        poll_cooldown: timedelta = ...,
    ) -> AsyncIterator[WorkflowStreamItem[Any]]: ...

    async def subscribe(
        self,
        topics: str | list[str] | None = None,
        from_offset: int = 0,
        *,
        result_type: type | None = None,
        poll_cooldown: timedelta = timedelta(milliseconds=100),
    ) -> AsyncIterator[WorkflowStreamItem[Any]]:
        """Reads items as they appear, until the workflow ends.

        Args:
            topics: The topics to read; all unless given.
            from_offset: The first item to read. If it is gone, reading begins with the oldest there is.
            result_type: The type of the values; ``RawValue`` for the payloads themselves.
            poll_cooldown: How long to wait between two polls of the workflow.

        Raises:
            RuntimeError: The result type is that of payloads.
        """
        if result_type is Payload:
            raise RuntimeError("Items cannot be read with result_type=Payload. Use RawValue.")
        wanted = [topics] if isinstance(topics, str) else list(topics or ())
        hints = None if result_type is None else [result_type]
        while True:
            try:
                result = await self._poll(wanted, from_offset)
            except WorkflowUpdateFailedError as error:
                kind = error.cause.type if isinstance(error.cause, ApplicationError) else None
                if kind == TRUNCATED_OFFSET:
                    from_offset = 0
                elif kind == STREAM_DRAINING:
                    await asyncio.sleep(_DRAINING_WAIT)
                elif not await self._follow_continue_as_new():
                    if await self._is_running():
                        raise
                    return
                continue
            except WorkflowUpdateRPCTimeoutOrCancelledError as error:
                if isinstance(error.__cause__, asyncio.CancelledError):
                    raise error.__cause__
                if not await self._follow_continue_as_new():
                    if not await self._is_running():
                        return
                    await asyncio.sleep(_DRAINING_WAIT)
                continue
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
                if not await self._follow_continue_as_new():
                    if await self._is_running():
                        raise
                    return
                continue
            for item in result.items:
                value = self._converter.from_payloads([_decode_payload(item.data)], hints)[0]
                yield WorkflowStreamItem(item.topic, value, item.offset)
            from_offset = result.next_offset
            if not result.more_ready and poll_cooldown:
                await asyncio.sleep(poll_cooldown.total_seconds())

    async def _poll(self, topics: list[str], from_offset: int) -> PollResult:
        update = await self._handle.start_update(
            POLL_UPDATE,
            PollInput(topics, from_offset),
            wait_for_stage=WorkflowUpdateStage.ACCEPTED,
            result_type=PollResult,
        )
        self._polled_run_id = update.workflow_run_id
        result: PollResult = await update.result()
        return result

    async def _follow_continue_as_new(self) -> bool:
        """Whether the polled run continued as new; reading then goes on in its successor."""
        if self._client is None:
            return False
        polled = self._client.get_workflow_handle(self._handle.id, run_id=self._polled_run_id)
        if (await polled.describe()).status != WorkflowExecutionStatus.CONTINUED_AS_NEW:
            return False
        self._handle = self._client.get_workflow_handle(self._handle.id)
        self._polled_run_id = None
        return True

    async def _is_running(self) -> bool:
        return (await self._handle.describe()).status == WorkflowExecutionStatus.RUNNING


class TopicHandle(Generic[T]):
    """Publishes to a topic of a workflow's stream and reads from it."""

    def __init__(self, client: WorkflowStreamClient, name: str, type: type[T]) -> None:
        """Made by :py:meth:`WorkflowStreamClient.topic`."""
        self._client = client
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

    def publish(self, value: T | Payload, *, force_flush: bool = False) -> None:
        """Appends a value; a payload is taken as it is.

        Args:
            value: The value.
            force_flush: Sends it, and what was published before, at once.
        """
        self._client._publish(self._name, value, force_flush)

    async def subscribe(
        self, from_offset: int = 0, *, poll_cooldown: timedelta = timedelta(milliseconds=100)
    ) -> AsyncIterator[WorkflowStreamItem[T]]:
        """Reads the topic's items. See :py:meth:`WorkflowStreamClient.subscribe`."""
        hint: Any = None if self._type is Any else self._type
        async for item in self._client.subscribe(
            [self._name], from_offset, result_type=hint, poll_cooldown=poll_cooldown
        ):
            yield item
