"""Time skipping, one workflow at a time: servers that can let a workflow's own clock run ahead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import temporalio.client
from temporalio._values import duration_ns, to_datetime
from temporalio.converter._messages import message_from_dict
from temporalio.service import _call_dict

if TYPE_CHECKING:
    from dataclasses import dataclass

    import temporalio.api.common.v1
else:
    from temporalio._lazy import dataclass

_FAST_FORWARD_COMPLETED, _FAST_FORWARD_FAILED = 2, 3  # FastForwardPollingResult


@dataclass(frozen=True)
class FastForwardConfig:
    """How far a workflow's clock is to run ahead before it stops to."""

    id: str
    """Tells one such run from another."""

    duration: timedelta
    """How far, from the workflow's time now."""


@dataclass(frozen=True)
class TimeSkippingConfig:
    """Whether and how far workflows skip the time in which they only wait."""

    enabled: bool = True
    """Whether they do."""

    fast_forward_config: FastForwardConfig | None = None
    """How far; to their ends if None."""

    disable_propagation: bool = False
    """Whether what a workflow starts does not inherit this."""

    max_session_skip_count: int = 0
    """How often at most; the server's limit if 0."""

    def __post_init__(self) -> None:
        """Refuses a fast forward where no time is skipped."""
        if self.fast_forward_config is not None and not self.enabled:
            raise ValueError("fast_forward_config makes sense only where time is skipped: set enabled")

    def _to_dict(self) -> dict[str, Any]:
        message: dict[str, Any] = {
            "enabled": self.enabled,
            "disable_propagation": self.disable_propagation,
            "max_session_skip_count": self.max_session_skip_count,
        }
        if self.fast_forward_config is not None:
            message["fast_forward_config"] = {
                "id": self.fast_forward_config.id,
                "duration": duration_ns(self.fast_forward_config.duration),
            }
        return message


class TimeSkipper:
    """Lets workflows started through its client skip time."""

    def __init__(
        self,
        client: temporalio.client.Client,
        *,
        config: TimeSkippingConfig = TimeSkippingConfig(),
    ) -> None:
        """Makes a skipper.

        Args:
            client: A client of a server that can skip time.
            config: What workflows are started with.
        """
        self._config = config
        made = client.config()
        made["interceptors"] = [_TimeSkippingInterceptor(self), *made["interceptors"]]
        self._client = temporalio.client.Client(**made)

    @property
    def client(self) -> temporalio.client.Client:
        """The client to start workflows with."""
        return self._client

    @property
    def config(self) -> TimeSkippingConfig:
        """What workflows are started with."""
        return self._config

    @config.setter
    def config(self, config: TimeSkippingConfig) -> None:
        self._config = config

    @contextmanager
    def with_time_skipping_disabled(self) -> Iterator[None]:
        """Workflows started inside of the block do not skip time."""
        before = self._config
        self._config = TimeSkippingConfig(enabled=False)
        try:
            yield None
        finally:
            self._config = before

    async def get_time_skipping_info(
        self, handle: temporalio.client.WorkflowHandle[Any, Any]
    ) -> temporalio.api.common.v1.TimeSkippingInfo | None:
        """What the server knows of a workflow's clock, None if it does not skip time.

        Args:
            handle: The workflow.
        """
        info = await self._info(handle)
        return None if info is None else message_from_dict("temporal.api.common.v1.TimeSkippingInfo", info)

    async def get_current_time(self, handle: temporalio.client.WorkflowHandle[Any, Any]) -> datetime:
        """The time by a workflow's clock.

        Args:
            handle: The workflow.
        """
        info = await self._info(handle)
        if info is None or "current_time" not in info:
            return datetime.now(timezone.utc)
        return to_datetime(info["current_time"])

    async def _info(self, handle: temporalio.client.WorkflowHandle[Any, Any]) -> dict[str, Any] | None:
        description = await handle.describe()
        return description._lazy_dict("raw_description").get("workflow_extended_info", {}).get("time_skipping_info")

    async def fast_forward(
        self,
        handle: temporalio.client.WorkflowHandle[Any, Any],
        duration: timedelta | float | None = None,
        /,
    ) -> bool:
        """Lets a workflow's clock run ahead.

        Args:
            handle: The workflow.
            duration: How far, in seconds if a number; to the workflow's end if None.

        Returns:
            Whether it got there, rather than the workflow having ended before.
        """
        ahead = None
        if duration is not None:
            from uuid import uuid4

            if not isinstance(duration, timedelta):
                duration = timedelta(seconds=duration)
            ahead = FastForwardConfig(id=str(uuid4()), duration=duration)
        config = TimeSkippingConfig(
            fast_forward_config=ahead,
            disable_propagation=self._config.disable_propagation,
            max_session_skip_count=self._config.max_session_skip_count,
        )
        execution = {"workflow_id": handle.id, "run_id": handle.run_id or ""}
        await _call_dict(
            self._client.workflow_service,
            "update_workflow_execution_options",
            {
                "namespace": self._client.namespace,
                "workflow_execution": execution,
                "workflow_execution_options": {"time_skipping_config": config._to_dict()},
                "update_mask": {"paths": ["time_skipping_config"]},
                "identity": self._client.identity,
            },
        )
        if ahead is None:
            await handle._close_event(handle.run_id, {}, None)
            return True
        return await self._wait_until_ahead(execution, ahead.id)

    async def _wait_until_ahead(self, execution: dict[str, Any], fast_forward_id: str) -> bool:
        while True:
            reply = await _call_dict(
                self._client.workflow_service,
                "poll_workflow_execution_time_skipping",
                {
                    "namespace": self._client.namespace,
                    "workflow_execution": execution,
                    "fast_forward_id": fast_forward_id,
                },
            )
            result = reply.get("fast_forward_polling_result", 0)
            if result == _FAST_FORWARD_COMPLETED:
                return True
            if result == _FAST_FORWARD_FAILED:
                return False


class _TimeSkippingInterceptor(temporalio.client.Interceptor):
    """Puts the skipper's configuration into starts."""

    def __init__(self, skipper: TimeSkipper) -> None:
        self._skipper = skipper

    def intercept_client(self, next: temporalio.client.OutboundInterceptor) -> temporalio.client.OutboundInterceptor:
        return _TimeSkippingOutbound(next, self._skipper)


class _TimeSkippingOutbound(temporalio.client.OutboundInterceptor):
    def __init__(self, next: temporalio.client.OutboundInterceptor, skipper: TimeSkipper) -> None:
        super().__init__(next)
        self._skipper = skipper

    def _message(self) -> temporalio.api.common.v1.TimeSkippingConfig:
        return message_from_dict("temporal.api.common.v1.TimeSkippingConfig", self._skipper.config._to_dict())

    async def start_workflow(
        self, input: temporalio.client.StartWorkflowInput
    ) -> temporalio.client.WorkflowHandle[Any, Any]:
        input.time_skipping_config = input.time_skipping_config or self._message()
        return await super().start_workflow(input)

    async def start_update_with_start_workflow(
        self, input: temporalio.client.StartWorkflowUpdateWithStartInput
    ) -> temporalio.client.WorkflowUpdateHandle[Any]:
        start = input.start_workflow_input
        start.time_skipping_config = start.time_skipping_config or self._message()
        return await super().start_update_with_start_workflow(input)
