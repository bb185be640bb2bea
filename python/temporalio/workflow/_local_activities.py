"""Local activities as workflow code calls them: they run in this worker process, without a task queue.

The six functions have the meaning of their namesakes in ``_activities``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Optional, overload

from temporalio.common import RetryPolicy, _arg_or_args
from temporalio.types import (
    CallableAsyncNoParam,
    CallableAsyncSingleParam,
    CallableSyncNoParam,
    CallableSyncSingleParam,
    MethodAsyncNoParam,
    MethodAsyncSingleParam,
    MethodSyncNoParam,
    MethodSyncSingleParam,
    MultiParamSpec,
    ParamType,
    ReturnType,
    SelfType,
)

from ._activities import ActivityCancellationType, ActivityHandle
from ._context import EventGroup, _Runtime, _unset

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._activities import _NamedLocalActivityConfig
    from ._configs import LocalActivityConfig


@overload
def start_local_activity(
    activity: CallableAsyncNoParam[ReturnType], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity(
    activity: CallableSyncNoParam[ReturnType], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity(
    activity: CallableAsyncSingleParam[ParamType, ReturnType], arg: ParamType, **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity(
    activity: CallableSyncSingleParam[ParamType, ReturnType], arg: ParamType, **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity(
    activity: Callable[..., Awaitable[ReturnType]], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity(
    activity: Callable[..., ReturnType], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity(
    activity: str, arg: Any = _unset, *, args: Sequence[Any] = [], **options: Unpack[_NamedLocalActivityConfig]
) -> ActivityHandle[Any]: ...


def start_local_activity(
    activity: Any,
    arg: Any = _unset,
    *,
    args: Sequence[Any] = [],
    result_type: Optional[type] = None,
    schedule_to_close_timeout: Optional[timedelta] = None,
    schedule_to_start_timeout: Optional[timedelta] = None,
    start_to_close_timeout: Optional[timedelta] = None,
    retry_policy: Optional[RetryPolicy] = None,
    local_retry_threshold: Optional[timedelta] = None,
    cancellation_type: ActivityCancellationType = ActivityCancellationType.TRY_CANCEL,
    activity_id: Optional[str] = None,
    summary: Optional[str] = None,
    event_groups: Optional[Sequence[EventGroup]] = None,
) -> ActivityHandle[Any]:
    """Starts an activity in this worker process, without a task queue and its round trips.

    Args:
        activity: The activity function, or its name.
        arg: Its only argument, if it has one.
        args: Its arguments, if it has several.
        result_type: What to convert the result to, for an activity given by name.
        schedule_to_close_timeout: The longest time for everything, retries included.
        schedule_to_start_timeout: The longest time before it starts.
        start_to_close_timeout: The longest time of one attempt.
        retry_policy: When to try again.
        local_retry_threshold: A pause longer than this is a timer of the workflow instead of one in the worker.
        cancellation_type: What cancelling the handle does.
        activity_id: Names the activity in the workflow; made up when absent.
        summary: One line that tools show for it.
        event_groups: Groups its events belong to.

    Returns:
        A handle to await.
    """
    return _Runtime.current().workflow_start_local_activity(
        activity,
        *_arg_or_args(arg, args),
        result_type=result_type,
        schedule_to_close_timeout=schedule_to_close_timeout,
        schedule_to_start_timeout=schedule_to_start_timeout,
        start_to_close_timeout=start_to_close_timeout,
        retry_policy=retry_policy,
        local_retry_threshold=local_retry_threshold,
        cancellation_type=cancellation_type,
        activity_id=activity_id,
        summary=summary,
        event_groups=event_groups,
    )


@overload
async def execute_local_activity(
    activity: CallableAsyncNoParam[ReturnType], **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity(
    activity: CallableSyncNoParam[ReturnType], **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity(
    activity: CallableAsyncSingleParam[ParamType, ReturnType], arg: ParamType, **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity(
    activity: CallableSyncSingleParam[ParamType, ReturnType], arg: ParamType, **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity(
    activity: Callable[..., Awaitable[ReturnType]], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity(
    activity: Callable[..., ReturnType], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity(
    activity: str, arg: Any = _unset, *, args: Sequence[Any] = [], **options: Unpack[_NamedLocalActivityConfig]
) -> Any: ...


async def execute_local_activity(
    activity: Any,
    arg: Any = _unset,
    *,
    args: Sequence[Any] = [],
    result_type: Optional[type] = None,
    schedule_to_close_timeout: Optional[timedelta] = None,
    schedule_to_start_timeout: Optional[timedelta] = None,
    start_to_close_timeout: Optional[timedelta] = None,
    retry_policy: Optional[RetryPolicy] = None,
    local_retry_threshold: Optional[timedelta] = None,
    cancellation_type: ActivityCancellationType = ActivityCancellationType.TRY_CANCEL,
    activity_id: Optional[str] = None,
    summary: Optional[str] = None,
    event_groups: Optional[Sequence[EventGroup]] = None,
) -> Any:
    """Starts an activity and waits for its result; see :func:`start_local_activity`."""
    return await _Runtime.current().workflow_start_local_activity(
        activity,
        *_arg_or_args(arg, args),
        result_type=result_type,
        schedule_to_close_timeout=schedule_to_close_timeout,
        schedule_to_start_timeout=schedule_to_start_timeout,
        start_to_close_timeout=start_to_close_timeout,
        retry_policy=retry_policy,
        local_retry_threshold=local_retry_threshold,
        cancellation_type=cancellation_type,
        activity_id=activity_id,
        summary=summary,
        event_groups=event_groups,
    )


@overload
def start_local_activity_class(
    activity: type[CallableAsyncNoParam[ReturnType]], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity_class(
    activity: type[CallableSyncNoParam[ReturnType]], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity_class(
    activity: type[CallableAsyncSingleParam[ParamType, ReturnType]], arg: ParamType, **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity_class(
    activity: type[CallableSyncSingleParam[ParamType, ReturnType]], arg: ParamType, **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity_class(
    activity: type[Callable[..., Awaitable[ReturnType]]], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity_class(
    activity: type[Callable[..., ReturnType]], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


def start_local_activity_class(
    activity: type[Callable],
    arg: Any = _unset,
    *,
    args: Sequence[Any] = [],
    schedule_to_close_timeout: Optional[timedelta] = None,
    schedule_to_start_timeout: Optional[timedelta] = None,
    start_to_close_timeout: Optional[timedelta] = None,
    retry_policy: Optional[RetryPolicy] = None,
    local_retry_threshold: Optional[timedelta] = None,
    cancellation_type: ActivityCancellationType = ActivityCancellationType.TRY_CANCEL,
    activity_id: Optional[str] = None,
    summary: Optional[str] = None,
    event_groups: Optional[Sequence[EventGroup]] = None,
) -> ActivityHandle[Any]:
    """Starts an activity that is a callable class; see :func:`start_local_activity`."""
    return _Runtime.current().workflow_start_local_activity(
        activity,
        *_arg_or_args(arg, args),
        schedule_to_close_timeout=schedule_to_close_timeout,
        schedule_to_start_timeout=schedule_to_start_timeout,
        start_to_close_timeout=start_to_close_timeout,
        retry_policy=retry_policy,
        local_retry_threshold=local_retry_threshold,
        cancellation_type=cancellation_type,
        activity_id=activity_id,
        summary=summary,
        event_groups=event_groups,
        result_type=None,
    )


@overload
async def execute_local_activity_class(
    activity: type[CallableAsyncNoParam[ReturnType]], **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity_class(
    activity: type[CallableSyncNoParam[ReturnType]], **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity_class(
    activity: type[CallableAsyncSingleParam[ParamType, ReturnType]], arg: ParamType, **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity_class(
    activity: type[CallableSyncSingleParam[ParamType, ReturnType]], arg: ParamType, **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity_class(
    activity: type[Callable[..., Awaitable[ReturnType]]], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity_class(
    activity: type[Callable[..., ReturnType]], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


async def execute_local_activity_class(
    activity: type[Callable],
    arg: Any = _unset,
    *,
    args: Sequence[Any] = [],
    schedule_to_close_timeout: Optional[timedelta] = None,
    schedule_to_start_timeout: Optional[timedelta] = None,
    start_to_close_timeout: Optional[timedelta] = None,
    retry_policy: Optional[RetryPolicy] = None,
    local_retry_threshold: Optional[timedelta] = None,
    cancellation_type: ActivityCancellationType = ActivityCancellationType.TRY_CANCEL,
    activity_id: Optional[str] = None,
    summary: Optional[str] = None,
    event_groups: Optional[Sequence[EventGroup]] = None,
) -> Any:
    """Starts an activity and waits for its result; see :func:`start_local_activity_class`."""
    return await _Runtime.current().workflow_start_local_activity(
        activity,
        *_arg_or_args(arg, args),
        schedule_to_close_timeout=schedule_to_close_timeout,
        schedule_to_start_timeout=schedule_to_start_timeout,
        start_to_close_timeout=start_to_close_timeout,
        retry_policy=retry_policy,
        local_retry_threshold=local_retry_threshold,
        cancellation_type=cancellation_type,
        activity_id=activity_id,
        summary=summary,
        event_groups=event_groups,
        result_type=None,
    )


@overload
def start_local_activity_method(
    activity: MethodAsyncNoParam[SelfType, ReturnType], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity_method(
    activity: MethodSyncNoParam[SelfType, ReturnType], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity_method(
    activity: MethodAsyncSingleParam[SelfType, ParamType, ReturnType], arg: ParamType, **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity_method(
    activity: MethodSyncSingleParam[SelfType, ParamType, ReturnType], arg: ParamType, **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity_method(
    activity: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[ReturnType]], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


@overload
def start_local_activity_method(
    activity: Callable[Concatenate[SelfType, MultiParamSpec], ReturnType], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[ReturnType]: ...


def start_local_activity_method(
    activity: Callable,
    arg: Any = _unset,
    *,
    args: Sequence[Any] = [],
    schedule_to_close_timeout: Optional[timedelta] = None,
    schedule_to_start_timeout: Optional[timedelta] = None,
    start_to_close_timeout: Optional[timedelta] = None,
    retry_policy: Optional[RetryPolicy] = None,
    local_retry_threshold: Optional[timedelta] = None,
    cancellation_type: ActivityCancellationType = ActivityCancellationType.TRY_CANCEL,
    activity_id: Optional[str] = None,
    summary: Optional[str] = None,
    event_groups: Optional[Sequence[EventGroup]] = None,
) -> ActivityHandle[Any]:
    """Starts an activity that is a method; see :func:`start_local_activity`."""
    return _Runtime.current().workflow_start_local_activity(
        activity,
        *_arg_or_args(arg, args),
        schedule_to_close_timeout=schedule_to_close_timeout,
        schedule_to_start_timeout=schedule_to_start_timeout,
        start_to_close_timeout=start_to_close_timeout,
        retry_policy=retry_policy,
        local_retry_threshold=local_retry_threshold,
        cancellation_type=cancellation_type,
        activity_id=activity_id,
        summary=summary,
        event_groups=event_groups,
        result_type=None,
    )


@overload
async def execute_local_activity_method(
    activity: MethodAsyncNoParam[SelfType, ReturnType], **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity_method(
    activity: MethodSyncNoParam[SelfType, ReturnType], **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity_method(
    activity: MethodAsyncSingleParam[SelfType, ParamType, ReturnType], arg: ParamType, **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity_method(
    activity: MethodSyncSingleParam[SelfType, ParamType, ReturnType], arg: ParamType, **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity_method(
    activity: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[ReturnType]], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


@overload
async def execute_local_activity_method(
    activity: Callable[Concatenate[SelfType, MultiParamSpec], ReturnType], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ReturnType: ...


async def execute_local_activity_method(
    activity: Callable,
    arg: Any = _unset,
    *,
    args: Sequence[Any] = [],
    schedule_to_close_timeout: Optional[timedelta] = None,
    schedule_to_start_timeout: Optional[timedelta] = None,
    start_to_close_timeout: Optional[timedelta] = None,
    retry_policy: Optional[RetryPolicy] = None,
    local_retry_threshold: Optional[timedelta] = None,
    cancellation_type: ActivityCancellationType = ActivityCancellationType.TRY_CANCEL,
    activity_id: Optional[str] = None,
    summary: Optional[str] = None,
    event_groups: Optional[Sequence[EventGroup]] = None,
) -> Any:
    """Starts an activity and waits for its result; see :func:`start_local_activity_method`."""
    return await _Runtime.current().workflow_start_local_activity(
        activity,
        *_arg_or_args(arg, args),
        schedule_to_close_timeout=schedule_to_close_timeout,
        schedule_to_start_timeout=schedule_to_start_timeout,
        start_to_close_timeout=start_to_close_timeout,
        retry_policy=retry_policy,
        local_retry_threshold=local_retry_threshold,
        cancellation_type=cancellation_type,
        activity_id=activity_id,
        summary=summary,
        event_groups=event_groups,
        result_type=None,
    )
