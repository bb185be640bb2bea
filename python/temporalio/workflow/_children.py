"""Child workflows, other workflows, and continuing as a new run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NoReturn, Optional, Union, overload

import temporalio.common
from temporalio.common import (
    Priority,
    RetryPolicy,
    SearchAttributes,
    TypedSearchAttributes,
    VersioningOverride,
    WorkflowIDReusePolicy,
    _arg_or_args,
)
from temporalio.types import (
    MethodAsyncNoParam,
    MethodAsyncSingleParam,
    MethodSyncOrAsyncNoParam,
    MethodSyncOrAsyncSingleParam,
    MultiParamSpec,
    ParamType,
    ReturnType,
    SelfType,
)

from ._activities import VersioningIntent, _AsyncioTask
from ._context import EventGroup, _Runtime, _unset

if TYPE_CHECKING:
    from typing import TypedDict

    from typing_extensions import Unpack

    from ._configs import ChildWorkflowConfig


class ChildWorkflowCancellationType(IntEnum):
    """What cancelling a child workflow's handle does."""

    ABANDON = 0
    """Do not tell the child; raise in the parent at once."""
    TRY_CANCEL = 1
    """Ask the child to cancel, and raise in the parent at once."""
    WAIT_CANCELLATION_COMPLETED = 2
    """Ask the child to cancel, and wait for how it ends."""
    WAIT_CANCELLATION_REQUESTED = 3
    """Ask the child to cancel, and wait until it has been asked."""


class ParentClosePolicy(IntEnum):
    """What happens to a child workflow when its parent ends."""

    UNSPECIFIED = 0
    TERMINATE = 1
    """The child is terminated."""
    ABANDON = 2
    """The child goes on."""
    REQUEST_CANCEL = 3
    """The child is asked to cancel."""


class ContinueAsNewVersioningBehavior(IntEnum):
    """Where a continued run of a pinned workflow starts."""

    UNSPECIFIED = 0
    AUTO_UPGRADE = 1
    """On the deployment's current version."""
    USE_RAMPING_VERSION = 2
    """On the deployment's ramping version."""


if TYPE_CHECKING:

    class _NamedChildWorkflowConfig(ChildWorkflowConfig, total=False):
        result_type: Optional[type]

    class _ContinueConfig(TypedDict, total=False):
        task_queue: Optional[str]
        run_timeout: Optional[timedelta]
        task_timeout: Optional[timedelta]
        backoff_start_interval: Optional[timedelta]
        retry_policy: Optional[RetryPolicy]
        memo: Optional[Mapping[str, Any]]
        search_attributes: Optional[Union[SearchAttributes, TypedSearchAttributes]]
        versioning_intent: Optional[VersioningIntent]
        initial_versioning_behavior: Optional[ContinueAsNewVersioningBehavior]
        event_groups: Optional[Sequence[EventGroup]]


class ChildWorkflowHandle(_AsyncioTask[ReturnType], Generic[SelfType, ReturnType]):  # type: ignore[type-var]
    """A started child workflow: a task that ends with its result. Cancelling it cancels the child."""

    @property
    def id(self) -> str:
        """The child's workflow id."""
        raise NotImplementedError

    @property
    def first_execution_run_id(self) -> Optional[str]:
        """The run id of the child's first run, once it has started."""
        raise NotImplementedError

    @overload
    async def signal(
        self,
        signal: MethodSyncOrAsyncNoParam[SelfType, None],
        *,
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None: ...

    @overload
    async def signal(
        self,
        signal: MethodSyncOrAsyncSingleParam[SelfType, ParamType, None],
        arg: ParamType,
        *,
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None: ...

    @overload
    async def signal(
        self,
        signal: Callable[Concatenate[SelfType, MultiParamSpec], Union[Awaitable[None], None]],
        *,
        args: Sequence[Any],
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None: ...

    @overload
    async def signal(
        self,
        signal: str,
        arg: Any = _unset,
        *,
        args: Sequence[Any] = [],
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None: ...

    async def signal(
        self,
        signal: Union[str, Callable],
        arg: Any = _unset,
        *,
        args: Sequence[Any] = [],
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None:
        """Sends the child a signal and waits until it is delivered."""
        raise NotImplementedError


class ExternalWorkflowHandle(Generic[SelfType]):
    """Another workflow of the namespace."""

    @property
    def id(self) -> str:
        """Its workflow id."""
        raise NotImplementedError

    @property
    def run_id(self) -> Optional[str]:
        """Its run id, when the handle is for one run alone."""
        raise NotImplementedError

    @overload
    async def signal(
        self,
        signal: MethodSyncOrAsyncNoParam[SelfType, None],
        *,
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None: ...

    @overload
    async def signal(
        self,
        signal: MethodSyncOrAsyncSingleParam[SelfType, ParamType, None],
        arg: ParamType,
        *,
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None: ...

    @overload
    async def signal(
        self,
        signal: str,
        arg: Any = _unset,
        *,
        args: Sequence[Any] = [],
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None: ...

    async def signal(
        self,
        signal: Union[str, Callable],
        arg: Any = _unset,
        *,
        args: Sequence[Any] = [],
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None:
        """Sends the workflow a signal and waits until it is delivered."""
        raise NotImplementedError

    async def cancel(self, *, reason: str = "", event_groups: Optional[Sequence[EventGroup]] = None) -> None:
        """Asks the workflow to cancel and waits until it has been asked."""
        raise NotImplementedError


@overload
async def start_child_workflow(
    workflow: MethodAsyncNoParam[SelfType, ReturnType], **options: Unpack[ChildWorkflowConfig]
) -> ChildWorkflowHandle[SelfType, ReturnType]: ...


@overload
async def start_child_workflow(
    workflow: MethodAsyncSingleParam[SelfType, ParamType, ReturnType],
    arg: ParamType,
    **options: Unpack[ChildWorkflowConfig],
) -> ChildWorkflowHandle[SelfType, ReturnType]: ...


@overload
async def start_child_workflow(
    workflow: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[ReturnType]],
    *,
    args: Sequence[Any],
    **options: Unpack[ChildWorkflowConfig],
) -> ChildWorkflowHandle[SelfType, ReturnType]: ...


@overload
async def start_child_workflow(
    workflow: str, arg: Any = _unset, *, args: Sequence[Any] = [], **options: Unpack[_NamedChildWorkflowConfig]
) -> ChildWorkflowHandle[Any, Any]: ...


async def start_child_workflow(
    workflow: Any,
    arg: Any = _unset,
    *,
    args: Sequence[Any] = [],
    id: Optional[str] = None,
    task_queue: Optional[str] = None,
    result_type: Optional[type] = None,
    cancellation_type: ChildWorkflowCancellationType = ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
    parent_close_policy: ParentClosePolicy = ParentClosePolicy.TERMINATE,
    execution_timeout: Optional[timedelta] = None,
    run_timeout: Optional[timedelta] = None,
    task_timeout: Optional[timedelta] = None,
    id_reuse_policy: WorkflowIDReusePolicy = WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    retry_policy: Optional[RetryPolicy] = None,
    cron_schedule: str = "",
    memo: Optional[Mapping[str, Any]] = None,
    search_attributes: Optional[Union[SearchAttributes, TypedSearchAttributes]] = None,
    versioning_intent: Optional[VersioningIntent] = None,
    static_summary: Optional[str] = None,
    static_details: Optional[str] = None,
    event_groups: Optional[Sequence[EventGroup]] = None,
    priority: Priority = Priority.default,
    versioning_override: Optional[VersioningOverride] = None,
) -> ChildWorkflowHandle[Any, Any]:
    """Starts a child workflow and waits until it has started.

    Args:
        workflow: The run method of the child's class, or the child's type.
        arg: Its only argument, if it has one.
        args: Its arguments, if it has several.
        id: Its workflow id; a random one when absent.
        task_queue: The task queue of its worker; the parent's when absent.
        result_type: What to convert the result to, for a child given by type name.
        cancellation_type: What cancelling the handle does.
        parent_close_policy: What happens to the child when the parent ends.
        execution_timeout: The longest time for everything, retries and continued runs included.
        run_timeout: The longest time of one run.
        task_timeout: The longest time of one workflow task.
        id_reuse_policy: Whether a closed workflow of the same id forbids this one.
        retry_policy: When to run the child again after it failed; never, when absent.
        cron_schedule: When to run the child again and again.
        memo: What to note beside the child.
        search_attributes: What to find the child by.
        versioning_intent: Deprecated.
        static_summary: One line that tools show for it.
        static_details: A longer text, Markdown allowed, that tools show for it.
        event_groups: Groups its events belong to.
        priority: Its place in the task queue.
        versioning_override: The deployment version to run it on.

    Returns:
        A handle to await.
    """
    temporalio.common._warn_on_deprecated_search_attributes(search_attributes)
    return await _Runtime.current().workflow_start_child_workflow(
        workflow,
        *_arg_or_args(arg, args),
        id=id,
        task_queue=task_queue,
        result_type=result_type,
        cancellation_type=cancellation_type,
        parent_close_policy=parent_close_policy,
        execution_timeout=execution_timeout,
        run_timeout=run_timeout,
        task_timeout=task_timeout,
        id_reuse_policy=id_reuse_policy,
        retry_policy=retry_policy,
        cron_schedule=cron_schedule,
        memo=memo,
        search_attributes=search_attributes,
        versioning_intent=versioning_intent,
        static_summary=static_summary,
        static_details=static_details,
        event_groups=event_groups,
        priority=priority,
        versioning_override=versioning_override,
    )


@overload
async def execute_child_workflow(
    workflow: MethodAsyncNoParam[SelfType, ReturnType], **options: Unpack[ChildWorkflowConfig]
) -> ReturnType: ...


@overload
async def execute_child_workflow(
    workflow: MethodAsyncSingleParam[SelfType, ParamType, ReturnType],
    arg: ParamType,
    **options: Unpack[ChildWorkflowConfig],
) -> ReturnType: ...


@overload
async def execute_child_workflow(
    workflow: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[ReturnType]],
    *,
    args: Sequence[Any],
    **options: Unpack[ChildWorkflowConfig],
) -> ReturnType: ...


@overload
async def execute_child_workflow(
    workflow: str, arg: Any = _unset, *, args: Sequence[Any] = [], **options: Unpack[_NamedChildWorkflowConfig]
) -> Any: ...


async def execute_child_workflow(
    workflow: Any,
    arg: Any = _unset,
    *,
    args: Sequence[Any] = [],
    id: Optional[str] = None,
    task_queue: Optional[str] = None,
    result_type: Optional[type] = None,
    cancellation_type: ChildWorkflowCancellationType = ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
    parent_close_policy: ParentClosePolicy = ParentClosePolicy.TERMINATE,
    execution_timeout: Optional[timedelta] = None,
    run_timeout: Optional[timedelta] = None,
    task_timeout: Optional[timedelta] = None,
    id_reuse_policy: WorkflowIDReusePolicy = WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    retry_policy: Optional[RetryPolicy] = None,
    cron_schedule: str = "",
    memo: Optional[Mapping[str, Any]] = None,
    search_attributes: Optional[Union[SearchAttributes, TypedSearchAttributes]] = None,
    versioning_intent: Optional[VersioningIntent] = None,
    static_summary: Optional[str] = None,
    static_details: Optional[str] = None,
    event_groups: Optional[Sequence[EventGroup]] = None,
    priority: Priority = Priority.default,
    versioning_override: Optional[VersioningOverride] = None,
) -> Any:
    """Starts a child workflow and waits for its result; see :func:`start_child_workflow`."""
    temporalio.common._warn_on_deprecated_search_attributes(search_attributes)
    handle = await _Runtime.current().workflow_start_child_workflow(
        workflow,
        *_arg_or_args(arg, args),
        id=id,
        task_queue=task_queue,
        result_type=result_type,
        cancellation_type=cancellation_type,
        parent_close_policy=parent_close_policy,
        execution_timeout=execution_timeout,
        run_timeout=run_timeout,
        task_timeout=task_timeout,
        id_reuse_policy=id_reuse_policy,
        retry_policy=retry_policy,
        cron_schedule=cron_schedule,
        memo=memo,
        search_attributes=search_attributes,
        versioning_intent=versioning_intent,
        static_summary=static_summary,
        static_details=static_details,
        event_groups=event_groups,
        priority=priority,
        versioning_override=versioning_override,
    )
    return await handle


def get_external_workflow_handle(workflow_id: str, *, run_id: Optional[str] = None) -> ExternalWorkflowHandle[Any]:
    """A handle to another workflow, to signal or cancel it.

    Args:
        workflow_id: Its workflow id.
        run_id: One run of it; whichever is current when absent.
    """
    return _Runtime.current().workflow_get_external_workflow_handle(workflow_id, run_id=run_id)


def get_external_workflow_handle_for(
    workflow: Union[MethodAsyncNoParam[SelfType, Any], MethodAsyncSingleParam[SelfType, Any, Any]],
    workflow_id: str,
    *,
    run_id: Optional[str] = None,
) -> ExternalWorkflowHandle[SelfType]:
    """As :func:`get_external_workflow_handle`, with the other workflow's run method to take its type from."""
    return get_external_workflow_handle(workflow_id, run_id=run_id)


@overload
def continue_as_new(arg: Any = _unset, *, args: Sequence[Any] = [], **options: Unpack[_ContinueConfig]) -> NoReturn: ...


@overload
def continue_as_new(*, workflow: MethodAsyncNoParam[SelfType, Any], **options: Unpack[_ContinueConfig]) -> NoReturn: ...


@overload
def continue_as_new(
    arg: ParamType,
    *,
    workflow: MethodAsyncSingleParam[SelfType, ParamType, Any],
    **options: Unpack[_ContinueConfig],
) -> NoReturn: ...


@overload
def continue_as_new(
    *,
    workflow: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[Any]],
    args: Sequence[Any],
    **options: Unpack[_ContinueConfig],
) -> NoReturn: ...


@overload
def continue_as_new(
    arg: Any = _unset, *, workflow: str, args: Sequence[Any] = [], **options: Unpack[_ContinueConfig]
) -> NoReturn: ...


def continue_as_new(
    arg: Any = _unset,
    *,
    args: Sequence[Any] = [],
    workflow: Optional[Union[Callable, str]] = None,
    task_queue: Optional[str] = None,
    run_timeout: Optional[timedelta] = None,
    task_timeout: Optional[timedelta] = None,
    backoff_start_interval: Optional[timedelta] = None,
    retry_policy: Optional[RetryPolicy] = None,
    memo: Optional[Mapping[str, Any]] = None,
    search_attributes: Optional[Union[SearchAttributes, TypedSearchAttributes]] = None,
    versioning_intent: Optional[VersioningIntent] = None,
    initial_versioning_behavior: Optional[ContinueAsNewVersioningBehavior] = None,
    event_groups: Optional[Sequence[EventGroup]] = None,
) -> NoReturn:
    """Ends this run and starts the next one of the same workflow, with an empty history. Never returns.

    Args:
        arg: The next run's only argument, if it has one.
        args: Its arguments, if it has several.
        workflow: Its workflow, when it is another: a run method or a type.
        task_queue: Its task queue, when it is another.
        run_timeout: Its run timeout, when it is another.
        task_timeout: Its task timeout, when it is another.
        backoff_start_interval: How long to wait before it starts.
        retry_policy: Its retry policy, when it is another.
        memo: Its memo, when it is another.
        search_attributes: Its search attributes, when they are others.
        versioning_intent: Deprecated.
        initial_versioning_behavior: Where it starts when the workflow is pinned to a deployment version.
        event_groups: Groups the event belongs to.
    """
    temporalio.common._warn_on_deprecated_search_attributes(search_attributes)
    _Runtime.current().workflow_continue_as_new(
        *_arg_or_args(arg, args),
        workflow=workflow,
        task_queue=task_queue,
        run_timeout=run_timeout,
        task_timeout=task_timeout,
        backoff_start_interval=backoff_start_interval,
        retry_policy=retry_policy,
        memo=memo,
        search_attributes=search_attributes,
        versioning_intent=versioning_intent,
        initial_versioning_behavior=initial_versioning_behavior,
        event_groups=event_groups,
    )
