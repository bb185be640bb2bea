"""The client's calls about activities that belong to no workflow, and about completing activities from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast, overload

import temporalio.common
from temporalio.types import MultiParamSpec, ParamType, ReturnType, SelfType

if TYPE_CHECKING:
    from typing_extensions import Concatenate, Unpack

    from temporalio.client._activity import ActivityExecutionAsyncIterator, ActivityExecutionCount, ActivityHandle
    from temporalio.client._async_activity import AsyncActivityHandle
    from temporalio.client._client import Client
    from temporalio.client._interceptor import OutboundInterceptor
    from temporalio.client._options import ActivityOptions
    from temporalio.types import (
        CallableAsyncNoParam,
        CallableAsyncSingleParam,
        CallableSyncNoParam,
        CallableSyncSingleParam,
        MethodAsyncNoParam,
        MethodAsyncSingleParam,
        MethodSyncNoParam,
        MethodSyncSingleParam,
    )


class _ActivityCalls:
    """Part of :py:class:`Client`."""

    _impl: OutboundInterceptor

    @overload  # type: ignore[overload-overlap]
    async def start_activity(
        self,
        activity: CallableAsyncNoParam[ReturnType],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload
    async def start_activity(
        self,
        activity: CallableSyncNoParam[ReturnType],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload  # type: ignore[overload-overlap]
    async def start_activity(
        self,
        activity: CallableAsyncSingleParam[ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload
    async def start_activity(
        self,
        activity: CallableSyncSingleParam[ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload  # type: ignore[overload-overlap]
    async def start_activity(
        self,
        activity: Callable[..., Awaitable[ReturnType]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload
    async def start_activity(
        self,
        activity: Callable[..., ReturnType],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload
    async def start_activity(
        self,
        activity: str,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        result_type: type[ReturnType] | None = None,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    async def start_activity(
        self,
        activity: str | Callable[..., Awaitable[ReturnType]] | Callable[..., ReturnType],
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        result_type: type | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        schedule_to_start_timeout: timedelta | None = None,
        start_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
        id_reuse_policy: temporalio.common.ActivityIDReusePolicy = (
            temporalio.common.ActivityIDReusePolicy.ALLOW_DUPLICATE
        ),
        id_conflict_policy: temporalio.common.ActivityIDConflictPolicy = (
            temporalio.common.ActivityIDConflictPolicy.FAIL
        ),
        retry_policy: temporalio.common.RetryPolicy | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | None = None,
        summary: str | None = None,
        priority: temporalio.common.Priority = temporalio.common.Priority.default,
        start_delay: timedelta | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> ActivityHandle[ReturnType]:
        """Starts an activity that belongs to no workflow.

        Args:
            activity: The activity's function, or the name of its type.
            arg: The argument, for an activity of one.
            args: The arguments, for one of several; not together with ``arg``.
            id: The activity's id.
            task_queue: The queue its workers poll.
            result_type: The type of its result, where the activity is given by name.
            schedule_to_close_timeout: How long it may take in all; this or ``start_to_close_timeout`` is needed.
            schedule_to_start_timeout: How long it may wait for a worker.
            start_to_close_timeout: How long one attempt may take.
            heartbeat_timeout: How long it may stay silent.
            id_reuse_policy: What to do when a closed activity has the id.
            id_conflict_policy: What to do when a running activity has the id.
            retry_policy: Whether and how it is retried.
            search_attributes: Attributes to find it by.
            summary: One line of Markdown about it, for user interfaces.
            priority: Which of the waiting tasks are handed out first.
            start_delay: How long to wait before the first attempt.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.

        Returns:
            A handle to the activity.

        Raises:
            temporalio.exceptions.ActivityAlreadyStartedError: The id is taken.
            RPCError: The server refused.
        """
        from temporalio.activity import _Definition
        from temporalio.client._interceptor import StartActivityInput

        name, hinted_type = _Definition.get_name_and_result_type(activity)
        return await self._impl.start_activity(
            StartActivityInput(
                activity_type=name,
                args=temporalio.common._arg_or_args(arg, args),
                id=id,
                task_queue=task_queue,
                result_type=result_type or hinted_type,
                schedule_to_close_timeout=schedule_to_close_timeout,
                start_to_close_timeout=start_to_close_timeout,
                schedule_to_start_timeout=schedule_to_start_timeout,
                heartbeat_timeout=heartbeat_timeout,
                id_reuse_policy=id_reuse_policy,
                id_conflict_policy=id_conflict_policy,
                retry_policy=retry_policy,
                priority=priority,
                search_attributes=search_attributes,
                summary=summary,
                start_delay=start_delay,
                headers={},
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    @overload  # type: ignore[overload-overlap]
    async def execute_activity(
        self,
        activity: CallableAsyncNoParam[ReturnType],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload
    async def execute_activity(
        self,
        activity: CallableSyncNoParam[ReturnType],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload  # type: ignore[overload-overlap]
    async def execute_activity(
        self,
        activity: CallableAsyncSingleParam[ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload
    async def execute_activity(
        self,
        activity: CallableSyncSingleParam[ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload  # type: ignore[overload-overlap]
    async def execute_activity(
        self,
        activity: Callable[..., Awaitable[ReturnType]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload
    async def execute_activity(
        self,
        activity: Callable[..., ReturnType],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload
    async def execute_activity(
        self,
        activity: str,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        result_type: type[ReturnType] | None = None,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    async def execute_activity(
        self,
        activity: str | Callable[..., Awaitable[ReturnType]] | Callable[..., ReturnType],
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        result_type: type | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        schedule_to_start_timeout: timedelta | None = None,
        start_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
        id_reuse_policy: temporalio.common.ActivityIDReusePolicy = (
            temporalio.common.ActivityIDReusePolicy.ALLOW_DUPLICATE
        ),
        id_conflict_policy: temporalio.common.ActivityIDConflictPolicy = (
            temporalio.common.ActivityIDConflictPolicy.FAIL
        ),
        retry_policy: temporalio.common.RetryPolicy | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | None = None,
        summary: str | None = None,
        priority: temporalio.common.Priority = temporalio.common.Priority.default,
        start_delay: timedelta | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> ReturnType:
        """Starts an activity as :py:meth:`start_activity` does and waits for its result."""
        handle: ActivityHandle[Any] = await self.start_activity(
            cast(str, activity),
            arg,
            args=args,
            id=id,
            task_queue=task_queue,
            result_type=result_type,
            schedule_to_close_timeout=schedule_to_close_timeout,
            schedule_to_start_timeout=schedule_to_start_timeout,
            start_to_close_timeout=start_to_close_timeout,
            heartbeat_timeout=heartbeat_timeout,
            id_reuse_policy=id_reuse_policy,
            id_conflict_policy=id_conflict_policy,
            retry_policy=retry_policy,
            search_attributes=search_attributes,
            summary=summary,
            priority=priority,
            start_delay=start_delay,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
        )
        return await handle.result()

    @overload  # type: ignore[overload-overlap]
    async def start_activity_class(
        self,
        activity: type[CallableAsyncNoParam[ReturnType]],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload
    async def start_activity_class(
        self,
        activity: type[CallableSyncNoParam[ReturnType]],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload  # type: ignore[overload-overlap]
    async def start_activity_class(
        self,
        activity: type[CallableAsyncSingleParam[ParamType, ReturnType]],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload
    async def start_activity_class(
        self,
        activity: type[CallableSyncSingleParam[ParamType, ReturnType]],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload  # type: ignore[overload-overlap]
    async def start_activity_class(
        self,
        activity: type[Callable[..., Awaitable[ReturnType]]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload
    async def start_activity_class(
        self,
        activity: type[Callable[..., ReturnType]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    async def start_activity_class(
        self,
        activity: type[Callable],
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        result_type: type | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        schedule_to_start_timeout: timedelta | None = None,
        start_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
        id_reuse_policy: temporalio.common.ActivityIDReusePolicy = (
            temporalio.common.ActivityIDReusePolicy.ALLOW_DUPLICATE
        ),
        id_conflict_policy: temporalio.common.ActivityIDConflictPolicy = (
            temporalio.common.ActivityIDConflictPolicy.FAIL
        ),
        retry_policy: temporalio.common.RetryPolicy | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | None = None,
        summary: str | None = None,
        priority: temporalio.common.Priority = temporalio.common.Priority.default,
        start_delay: timedelta | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> ActivityHandle[Any]:
        """As :py:meth:`start_activity`, for an activity that is a class with ``__call__``."""
        return await self.start_activity(
            cast(str, activity),
            arg,
            args=args,
            id=id,
            task_queue=task_queue,
            result_type=result_type,
            schedule_to_close_timeout=schedule_to_close_timeout,
            schedule_to_start_timeout=schedule_to_start_timeout,
            start_to_close_timeout=start_to_close_timeout,
            heartbeat_timeout=heartbeat_timeout,
            id_reuse_policy=id_reuse_policy,
            id_conflict_policy=id_conflict_policy,
            retry_policy=retry_policy,
            search_attributes=search_attributes,
            summary=summary,
            priority=priority,
            start_delay=start_delay,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
        )

    @overload  # type: ignore[overload-overlap]
    async def execute_activity_class(
        self,
        activity: type[CallableAsyncNoParam[ReturnType]],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload
    async def execute_activity_class(
        self,
        activity: type[CallableSyncNoParam[ReturnType]],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload  # type: ignore[overload-overlap]
    async def execute_activity_class(
        self,
        activity: type[CallableAsyncSingleParam[ParamType, ReturnType]],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload
    async def execute_activity_class(
        self,
        activity: type[CallableSyncSingleParam[ParamType, ReturnType]],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload  # type: ignore[overload-overlap]
    async def execute_activity_class(
        self,
        activity: type[Callable[..., Awaitable[ReturnType]]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload
    async def execute_activity_class(
        self,
        activity: type[Callable[..., ReturnType]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    async def execute_activity_class(
        self,
        activity: type[Callable],
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        result_type: type | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        schedule_to_start_timeout: timedelta | None = None,
        start_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
        id_reuse_policy: temporalio.common.ActivityIDReusePolicy = (
            temporalio.common.ActivityIDReusePolicy.ALLOW_DUPLICATE
        ),
        id_conflict_policy: temporalio.common.ActivityIDConflictPolicy = (
            temporalio.common.ActivityIDConflictPolicy.FAIL
        ),
        retry_policy: temporalio.common.RetryPolicy | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | None = None,
        summary: str | None = None,
        priority: temporalio.common.Priority = temporalio.common.Priority.default,
        start_delay: timedelta | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> Any:
        """Starts an activity as :py:meth:`start_activity_class` does and waits for its result."""
        handle: ActivityHandle[Any] = await self.start_activity(
            cast(str, activity),
            arg,
            args=args,
            id=id,
            task_queue=task_queue,
            result_type=result_type,
            schedule_to_close_timeout=schedule_to_close_timeout,
            schedule_to_start_timeout=schedule_to_start_timeout,
            start_to_close_timeout=start_to_close_timeout,
            heartbeat_timeout=heartbeat_timeout,
            id_reuse_policy=id_reuse_policy,
            id_conflict_policy=id_conflict_policy,
            retry_policy=retry_policy,
            search_attributes=search_attributes,
            summary=summary,
            priority=priority,
            start_delay=start_delay,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
        )
        return await handle.result()

    @overload  # type: ignore[overload-overlap]
    async def start_activity_method(
        self,
        activity: MethodAsyncNoParam[SelfType, ReturnType],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload
    async def start_activity_method(
        self,
        activity: MethodSyncNoParam[SelfType, ReturnType],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload  # type: ignore[overload-overlap]
    async def start_activity_method(
        self,
        activity: MethodAsyncSingleParam[SelfType, ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload
    async def start_activity_method(
        self,
        activity: MethodSyncSingleParam[SelfType, ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload  # type: ignore[overload-overlap]
    async def start_activity_method(
        self,
        activity: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[ReturnType]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    @overload
    async def start_activity_method(
        self,
        activity: Callable[Concatenate[SelfType, MultiParamSpec], ReturnType],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ActivityHandle[ReturnType]: ...

    async def start_activity_method(
        self,
        activity: Callable,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        result_type: type | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        schedule_to_start_timeout: timedelta | None = None,
        start_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
        id_reuse_policy: temporalio.common.ActivityIDReusePolicy = (
            temporalio.common.ActivityIDReusePolicy.ALLOW_DUPLICATE
        ),
        id_conflict_policy: temporalio.common.ActivityIDConflictPolicy = (
            temporalio.common.ActivityIDConflictPolicy.FAIL
        ),
        retry_policy: temporalio.common.RetryPolicy | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | None = None,
        summary: str | None = None,
        priority: temporalio.common.Priority = temporalio.common.Priority.default,
        start_delay: timedelta | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> ActivityHandle[Any]:
        """As :py:meth:`start_activity`, for an activity that is a method taken from its class."""
        return await self.start_activity(
            cast(str, activity),
            arg,
            args=args,
            id=id,
            task_queue=task_queue,
            result_type=result_type,
            schedule_to_close_timeout=schedule_to_close_timeout,
            schedule_to_start_timeout=schedule_to_start_timeout,
            start_to_close_timeout=start_to_close_timeout,
            heartbeat_timeout=heartbeat_timeout,
            id_reuse_policy=id_reuse_policy,
            id_conflict_policy=id_conflict_policy,
            retry_policy=retry_policy,
            search_attributes=search_attributes,
            summary=summary,
            priority=priority,
            start_delay=start_delay,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
        )

    @overload  # type: ignore[overload-overlap]
    async def execute_activity_method(
        self,
        activity: MethodAsyncNoParam[SelfType, ReturnType],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload
    async def execute_activity_method(
        self,
        activity: MethodSyncNoParam[SelfType, ReturnType],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload  # type: ignore[overload-overlap]
    async def execute_activity_method(
        self,
        activity: MethodAsyncSingleParam[SelfType, ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload
    async def execute_activity_method(
        self,
        activity: MethodSyncSingleParam[SelfType, ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload  # type: ignore[overload-overlap]
    async def execute_activity_method(
        self,
        activity: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[ReturnType]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    @overload
    async def execute_activity_method(
        self,
        activity: Callable[Concatenate[SelfType, MultiParamSpec], ReturnType],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityOptions],
    ) -> ReturnType: ...

    async def execute_activity_method(
        self,
        activity: Callable,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        result_type: type | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        schedule_to_start_timeout: timedelta | None = None,
        start_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
        id_reuse_policy: temporalio.common.ActivityIDReusePolicy = (
            temporalio.common.ActivityIDReusePolicy.ALLOW_DUPLICATE
        ),
        id_conflict_policy: temporalio.common.ActivityIDConflictPolicy = (
            temporalio.common.ActivityIDConflictPolicy.FAIL
        ),
        retry_policy: temporalio.common.RetryPolicy | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | None = None,
        summary: str | None = None,
        priority: temporalio.common.Priority = temporalio.common.Priority.default,
        start_delay: timedelta | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> Any:
        """Starts an activity as :py:meth:`start_activity_method` does and waits for its result."""
        handle: ActivityHandle[Any] = await self.start_activity(
            cast(str, activity),
            arg,
            args=args,
            id=id,
            task_queue=task_queue,
            result_type=result_type,
            schedule_to_close_timeout=schedule_to_close_timeout,
            schedule_to_start_timeout=schedule_to_start_timeout,
            start_to_close_timeout=start_to_close_timeout,
            heartbeat_timeout=heartbeat_timeout,
            id_reuse_policy=id_reuse_policy,
            id_conflict_policy=id_conflict_policy,
            retry_policy=retry_policy,
            search_attributes=search_attributes,
            summary=summary,
            priority=priority,
            start_delay=start_delay,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
        )
        return await handle.result()

    @overload
    def get_activity_handle(self, activity_id: str, *, run_id: str | None = None) -> ActivityHandle[Any]: ...

    @overload
    def get_activity_handle(
        self, activity_id: str, *, run_id: str | None = None, result_type: type[ReturnType]
    ) -> ActivityHandle[ReturnType]: ...

    def get_activity_handle(
        self, activity_id: str, *, run_id: str | None = None, result_type: type | None = None
    ) -> ActivityHandle[Any]:
        """Makes a handle to a standalone activity there is; asks nobody whether it is.

        Args:
            activity_id: Its id.
            run_id: Its run; the latest if None.
            result_type: The type of its result.
        """
        from temporalio.client._activity import ActivityHandle

        return ActivityHandle(cast("Client", self), activity_id, run_id=run_id, result_type=result_type)

    def list_activities(
        self,
        query: str,
        *,
        limit: int | None = None,
        page_size: int = 1000,
        next_page_token: bytes | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> ActivityExecutionAsyncIterator:
        """Lists standalone activities. Nothing is asked before the first step of the iterator.

        Args:
            query: A list filter.
            limit: How many to give at most.
            page_size: How many to ask for at a time.
            next_page_token: Where to go on, of an earlier iterator.
            rpc_metadata: Headers for each call.
            rpc_timeout: How long to wait for each call.
        """
        from temporalio.client._interceptor import ListActivitiesInput

        return self._impl.list_activities(
            ListActivitiesInput(
                query=query,
                page_size=page_size,
                next_page_token=next_page_token,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
                limit=limit,
            )
        )

    async def count_activities(
        self,
        query: str | None = None,
        *,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> ActivityExecutionCount:
        """Counts standalone activities, in groups if the filter says so.

        Args:
            query: A list filter; all activities if None.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import CountActivitiesInput

        return await self._impl.count_activities(
            CountActivitiesInput(query=query, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)
        )

    @overload
    def get_async_activity_handle(
        self, *, workflow_id: str, run_id: str | None, activity_id: str
    ) -> AsyncActivityHandle: ...

    @overload
    def get_async_activity_handle(self, *, activity_id: str, run_id: str | None = None) -> AsyncActivityHandle: ...

    @overload
    def get_async_activity_handle(self, *, task_token: bytes) -> AsyncActivityHandle: ...

    def get_async_activity_handle(
        self,
        *,
        workflow_id: str | None = None,
        run_id: str | None = None,
        activity_id: str | None = None,
        task_token: bytes | None = None,
    ) -> AsyncActivityHandle:
        """Makes a handle to complete an activity from outside, by its task token or by its ids.

        Args:
            workflow_id: The workflow's id; None for a standalone activity.
            run_id: The workflow's run, or the standalone activity's; the latest if None.
            activity_id: The activity's id.
            task_token: What the activity found in its ``Info``; instead of the ids.
        """
        from temporalio.client._async_activity import AsyncActivityHandle, AsyncActivityIDReference

        if task_token is not None:
            if workflow_id is not None or run_id is not None or activity_id is not None:
                raise ValueError("A task token goes without ids")
            return AsyncActivityHandle(cast("Client", self), task_token)
        if activity_id is None:
            raise ValueError("A task token or an activity id is needed")
        return AsyncActivityHandle(
            cast("Client", self),
            AsyncActivityIDReference(workflow_id=workflow_id, run_id=run_id, activity_id=activity_id),
        )
