"""The client that handlers of temporal_operation are handed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, Literal, TypeVar, cast, overload

import nexusrpc
from nexusrpc import HandlerErrorType

import temporalio.client
import temporalio.common
from temporalio.nexus._operation_context import _backing, _OperationCallContext, start_backing_workflow
from temporalio.nexus._token import OperationToken, OperationTokenType
from temporalio.types import MethodAsyncNoParam, MethodAsyncSingleParam, MultiParamSpec, ParamType, ReturnType, SelfType

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    import temporalio.workflow
    from temporalio.client._options import ActivityOptions, RPCOptions, WorkflowOptions
    from temporalio.types import (
        CallableAsyncNoParam,
        CallableAsyncSingleParam,
        CallableSyncNoParam,
        CallableSyncSingleParam,
    )

_ResultT = TypeVar("_ResultT")
_unset = object()


@dataclass(frozen=True)
class TemporalOperationResult(Generic[_ResultT]):
    """What starting an operation comes to: its result at once, or a token for one to come."""

    value: _ResultT | object = _unset
    """The result."""

    token: str | None = None
    """The token."""

    def __post_init__(self) -> None:
        """Refuses both and neither."""
        if (self.value is _unset) == (self.token is None):
            raise ValueError("TemporalOperationResult needs exactly one of value or token")
        if self.token is not None and (not isinstance(self.token, str) or not self.token):
            raise ValueError("The token of a TemporalOperationResult must be a non-empty string")

    @classmethod
    def sync(cls, value: _ResultT) -> Self:
        """The operation is done, with this result."""
        return cls(value=value)

    @classmethod
    def async_token(cls, token: str) -> Self:
        """The operation goes on under this token."""
        return cls(token=token)


class TemporalNexusClient(ABC):
    """Starts what stands behind an operation. One thing for each operation."""

    @property
    @abstractmethod
    def client(self) -> temporalio.client.Client:
        """The worker's client, for all else; what it starts has nothing to do with the operation."""
        ...

    @overload
    @abstractmethod
    async def start_workflow(
        self,
        workflow: MethodAsyncNoParam[SelfType, ReturnType],
        *,
        id: str,
        task_queue: str | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @overload
    @abstractmethod
    async def start_workflow(
        self,
        workflow: MethodAsyncSingleParam[SelfType, ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @overload
    @abstractmethod
    async def start_workflow(
        self,
        workflow: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[ReturnType]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @overload
    @abstractmethod
    async def start_workflow(
        self,
        workflow: str,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str | None = None,
        result_type: type[ReturnType] | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @abstractmethod
    async def start_workflow(
        self,
        workflow: str | Callable[..., Awaitable[ReturnType]],
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str | None = None,
        result_type: type | None = None,
        execution_timeout: timedelta | None = None,
        run_timeout: timedelta | None = None,
        task_timeout: timedelta | None = None,
        id_reuse_policy: temporalio.common.WorkflowIDReusePolicy = (
            temporalio.common.WorkflowIDReusePolicy.ALLOW_DUPLICATE
        ),
        id_conflict_policy: temporalio.common.WorkflowIDConflictPolicy = (
            temporalio.common.WorkflowIDConflictPolicy.UNSPECIFIED
        ),
        retry_policy: temporalio.common.RetryPolicy | None = None,
        cron_schedule: str = "",
        memo: Mapping[str, Any] | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | temporalio.common.SearchAttributes | None = None,
        static_summary: str | None = None,
        static_details: str | None = None,
        start_delay: timedelta | None = None,
        start_signal: str | None = None,
        start_signal_args: Sequence[Any] = [],
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
        request_eager_start: bool = False,
        priority: temporalio.common.Priority = temporalio.common.Priority.default,
        versioning_override: temporalio.common.VersioningOverride | None = None,
    ) -> TemporalOperationResult[ReturnType]:
        """Starts a workflow whose result becomes the operation's.

        The arguments are those of :py:meth:`temporalio.client.Client.start_workflow`; the task queue is the handler's own
        unless given.
        """
        ...

    @overload  # type: ignore[overload-overlap]
    @abstractmethod
    async def start_activity(
        self,
        activity: CallableAsyncNoParam[ReturnType],
        *,
        id: str,
        task_queue: str | None = None,
        **options: Unpack[ActivityOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @overload
    @abstractmethod
    async def start_activity(
        self,
        activity: CallableSyncNoParam[ReturnType],
        *,
        id: str,
        task_queue: str | None = None,
        **options: Unpack[ActivityOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @overload  # type: ignore[overload-overlap]
    @abstractmethod
    async def start_activity(
        self,
        activity: CallableAsyncSingleParam[ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str | None = None,
        **options: Unpack[ActivityOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @overload
    @abstractmethod
    async def start_activity(
        self,
        activity: CallableSyncSingleParam[ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str | None = None,
        **options: Unpack[ActivityOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @overload  # type: ignore[overload-overlap]
    @abstractmethod
    async def start_activity(
        self,
        activity: Callable[..., Awaitable[ReturnType]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str | None = None,
        **options: Unpack[ActivityOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @overload
    @abstractmethod
    async def start_activity(
        self,
        activity: Callable[..., ReturnType],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str | None = None,
        **options: Unpack[ActivityOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @overload
    @abstractmethod
    async def start_activity(
        self,
        activity: str,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str | None = None,
        result_type: type[ReturnType] | None = None,
        **options: Unpack[ActivityOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @abstractmethod
    async def start_activity(
        self,
        activity: str | Callable[..., Awaitable[ReturnType]] | Callable[..., ReturnType],
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str | None = None,
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
    ) -> TemporalOperationResult[ReturnType]:
        """Starts a standalone activity whose result becomes the operation's.

        The arguments are those of :py:meth:`temporalio.client.Client.start_activity`; the task queue is the handler's own
        unless given.
        """
        ...

    @overload
    @abstractmethod
    async def start_workflow_update(
        self,
        workflow_id: str,
        update: temporalio.workflow.UpdateMethodMultiParam[[Any], ReturnType],
        *,
        wait_for_stage: Literal[temporalio.client.WorkflowUpdateStage.ACCEPTED],
        update_id: str | None = None,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
        **options: Unpack[RPCOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @overload
    @abstractmethod
    async def start_workflow_update(
        self,
        workflow_id: str,
        update: temporalio.workflow.UpdateMethodMultiParam[[Any, ParamType], ReturnType],
        arg: ParamType,
        *,
        wait_for_stage: Literal[temporalio.client.WorkflowUpdateStage.ACCEPTED],
        update_id: str | None = None,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
        **options: Unpack[RPCOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @overload
    @abstractmethod
    async def start_workflow_update(
        self,
        workflow_id: str,
        update: temporalio.workflow.UpdateMethodMultiParam[MultiParamSpec, ReturnType],
        *,
        args: MultiParamSpec.args,  # type: ignore[valid-type]
        wait_for_stage: Literal[temporalio.client.WorkflowUpdateStage.ACCEPTED],
        update_id: str | None = None,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
        **options: Unpack[RPCOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @overload
    @abstractmethod
    async def start_workflow_update(
        self,
        workflow_id: str,
        update: str,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        wait_for_stage: Literal[temporalio.client.WorkflowUpdateStage.ACCEPTED],
        update_id: str | None = None,
        result_type: type[ReturnType] | None = None,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
        **options: Unpack[RPCOptions],
    ) -> TemporalOperationResult[ReturnType]: ...

    @abstractmethod
    async def start_workflow_update(
        self,
        workflow_id: str,
        update: str | Callable,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        wait_for_stage: temporalio.client.WorkflowUpdateStage,
        update_id: str | None = None,
        result_type: type | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
    ) -> TemporalOperationResult[Any]:
        """Sends an update whose result becomes the operation's.

        Args:
            workflow_id: The workflow's id.
            update: The workflow's update method, or the update's name.
            arg: The argument, for an update of one.
            args: The arguments, for one of several; not together with ``arg``.
            wait_for_stage: ACCEPTED; the result comes through the operation.
            update_id: The update's id; the operation's request id if None.
            result_type: The type of the result, where the update is given by name.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
            run_id: The workflow's run; the latest if None.
            first_execution_run_id: The first run of its chain.
        """
        ...


class _TemporalNexusClient(TemporalNexusClient):
    """The one kind of client there is."""

    _messages: ClassVar[str] = "An operation can start one thing only, and this one has started something already"

    def __init__(self, call: _OperationCallContext) -> None:
        self._call = call
        self._is_used = False

    @property
    def client(self) -> temporalio.client.Client:
        return self._call.client

    def _use(self) -> None:
        if self._is_used:
            raise nexusrpc.HandlerError(self._messages, type=HandlerErrorType.INTERNAL, retryable_override=False)
        self._is_used = True

    async def start_workflow(  # type: ignore[override]
        self,
        workflow: str | Callable[..., Awaitable[ReturnType]],
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str | None = None,
        result_type: type | None = None,
        execution_timeout: timedelta | None = None,
        run_timeout: timedelta | None = None,
        task_timeout: timedelta | None = None,
        id_reuse_policy: temporalio.common.WorkflowIDReusePolicy = (
            temporalio.common.WorkflowIDReusePolicy.ALLOW_DUPLICATE
        ),
        id_conflict_policy: temporalio.common.WorkflowIDConflictPolicy = (
            temporalio.common.WorkflowIDConflictPolicy.UNSPECIFIED
        ),
        retry_policy: temporalio.common.RetryPolicy | None = None,
        cron_schedule: str = "",
        memo: Mapping[str, Any] | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | temporalio.common.SearchAttributes | None = None,
        static_summary: str | None = None,
        static_details: str | None = None,
        start_delay: timedelta | None = None,
        start_signal: str | None = None,
        start_signal_args: Sequence[Any] = [],
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
        request_eager_start: bool = False,
        priority: temporalio.common.Priority = temporalio.common.Priority.default,
        versioning_override: temporalio.common.VersioningOverride | None = None,
    ) -> TemporalOperationResult[ReturnType]:
        self._use()
        try:
            handle = await start_backing_workflow(
                self._call,
                workflow,
                temporalio.common._arg_or_args(arg, args),
                id=id,
                task_queue=task_queue,
                result_type=result_type,
                execution_timeout=execution_timeout,
                run_timeout=run_timeout,
                task_timeout=task_timeout,
                id_reuse_policy=id_reuse_policy,
                id_conflict_policy=id_conflict_policy,
                retry_policy=retry_policy,
                cron_schedule=cron_schedule,
                memo=memo,
                search_attributes=search_attributes,
                static_summary=static_summary,
                static_details=static_details,
                start_delay=start_delay,
                start_signal=start_signal,
                start_signal_args=start_signal_args,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
                request_eager_start=request_eager_start,
                priority=priority,
                versioning_override=versioning_override,
            )
        except BaseException:
            self._is_used = False
            raise
        return TemporalOperationResult.async_token(handle.to_token())

    async def start_activity(  # type: ignore[override]
        self,
        activity: str | Callable[..., Awaitable[ReturnType]] | Callable[..., ReturnType],
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str | None = None,
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
    ) -> TemporalOperationResult[ReturnType]:
        self._use()
        token = OperationToken(type=OperationTokenType.ACTIVITY, namespace=self.client.namespace, activity_id=id)
        try:
            with _backing(self._call, token.encode()):
                handle: temporalio.client.ActivityHandle[Any] = await self.client.start_activity(
                    cast(str, activity),
                    args=temporalio.common._arg_or_args(arg, args),
                    id=id,
                    task_queue=task_queue or self._call.info().task_queue,
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
        except BaseException:
            self._is_used = False
            raise
        return TemporalOperationResult.async_token(
            OperationToken(
                type=OperationTokenType.ACTIVITY,
                namespace=self.client.namespace,
                activity_id=id,
                run_id=handle.run_id,
            ).encode()
        )

    async def start_workflow_update(  # type: ignore[override]
        self,
        workflow_id: str,
        update: str | Callable,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        wait_for_stage: temporalio.client.WorkflowUpdateStage,
        update_id: str | None = None,
        result_type: type | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
    ) -> TemporalOperationResult[Any]:
        self._use()
        context = self._call.nexus_context
        update_id = update_id or getattr(context, "request_id", "")
        token = OperationToken(
            type=OperationTokenType.UPDATE_WORKFLOW,
            namespace=self.client.namespace,
            workflow_id=workflow_id,
            run_id=run_id,
            update_id=update_id,
        ).encode()
        handle = self.client.get_workflow_handle(
            workflow_id, run_id=run_id, first_execution_run_id=first_execution_run_id
        )
        try:
            with _backing(self._call, token):
                update_handle = await handle._start_update(
                    update,
                    temporalio.common._arg_unset,
                    args=temporalio.common._arg_or_args(arg, args),
                    wait_for_stage=wait_for_stage,
                    id=update_id,
                    result_type=result_type,
                    rpc_metadata=rpc_metadata,
                    rpc_timeout=rpc_timeout,
                )
        except BaseException:
            self._is_used = False
            raise
        if update_handle._outcome is not None:
            # Done already: nobody will call back.
            return TemporalOperationResult.sync(await update_handle.result())
        return TemporalOperationResult.async_token(token)
