"""Completing activities from outside of the worker that ran them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import temporalio.common
from temporalio.converter._serialization_context import SerializationContext, WithSerializationContext

if TYPE_CHECKING:
    from dataclasses import dataclass

    from typing_extensions import Self

    import temporalio.converter
    from temporalio.client._client import Client
else:
    from temporalio._lazy import dataclass


@dataclass(frozen=True)
class AsyncActivityIDReference:
    """Which activity, by ids."""

    workflow_id: str | None
    """The workflow's id; None for a standalone activity."""
    run_id: str | None
    """The workflow's run, or the standalone activity's."""
    activity_id: str
    """The activity's id."""


class AsyncActivityHandle(WithSerializationContext):
    """A handle to an activity to be completed from outside; made by :py:meth:`Client.get_async_activity_handle`."""

    def __init__(
        self,
        client: Client,
        id_or_token: AsyncActivityIDReference | bytes,
        data_converter_override: temporalio.converter.DataConverter | None = None,
    ) -> None:
        """Makes a handle; programs use the client's method."""
        self._client = client
        self._id_or_token = id_or_token
        self._data_converter_override = data_converter_override

    async def heartbeat(
        self,
        *details: Any,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Says that the activity is alive.

        Args:
            details: What its next attempt finds.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.

        Raises:
            AsyncActivityCancelledError: The activity is to stop.
            RPCError: There is no such activity running, or the server refused.
        """
        from temporalio.client._interceptor import HeartbeatAsyncActivityInput

        await self._client._impl.heartbeat_async_activity(
            HeartbeatAsyncActivityInput(
                id_or_token=self._id_or_token,
                details=details,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
                data_converter_override=self._data_converter_override,
            )
        )

    async def complete(
        self,
        result: Any | None = temporalio.common._arg_unset,
        *,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Completes the activity.

        Args:
            result: Its result.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.

        Raises:
            RPCError: There is no such activity running, or the server refused.
        """
        from temporalio.client._interceptor import CompleteAsyncActivityInput

        await self._client._impl.complete_async_activity(
            CompleteAsyncActivityInput(
                id_or_token=self._id_or_token,
                result=result,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
                data_converter_override=self._data_converter_override,
            )
        )

    async def fail(
        self,
        error: Exception,
        *,
        last_heartbeat_details: Sequence[Any] = [],
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Fails the activity.

        Args:
            error: Of what.
            last_heartbeat_details: What its next attempt finds.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.

        Raises:
            RPCError: There is no such activity running, or the server refused.
        """
        from temporalio.client._interceptor import FailAsyncActivityInput

        await self._client._impl.fail_async_activity(
            FailAsyncActivityInput(
                id_or_token=self._id_or_token,
                error=error,
                last_heartbeat_details=last_heartbeat_details,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
                data_converter_override=self._data_converter_override,
            )
        )

    async def report_cancellation(
        self,
        *details: Any,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Says that the activity has stopped as asked.

        Args:
            details: Values to go with the cancellation.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.

        Raises:
            RPCError: The activity was not asked to, or the server refused.
        """
        from temporalio.client._interceptor import ReportCancellationAsyncActivityInput

        await self._client._impl.report_cancellation_async_activity(
            ReportCancellationAsyncActivityInput(
                id_or_token=self._id_or_token,
                details=details,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
                data_converter_override=self._data_converter_override,
            )
        )

    def with_context(self, context: SerializationContext) -> Self:
        """This handle with a converter for values of this context, where the caller knows it."""
        present = self._data_converter_override or self._client.data_converter
        converter = present.with_context(context)
        if converter is present:
            return self
        if type(self).__init__ is not AsyncActivityHandle.__init__:
            raise TypeError(
                f"{type(self).__qualname__} has a constructor of its own, so "
                "you must override with_context to return an instance of your class"
            )
        return type(self)(self._client, self._id_or_token, converter)
