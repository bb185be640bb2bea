"""Where Nexus operation handlers run: what they can ask, and starting what stands behind an operation."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, overload

from nexusrpc.handler import CancelOperationContext, StartOperationContext

import temporalio.common
from temporalio.nexus._token import OperationToken, OperationTokenType, WorkflowHandle
from temporalio.types import MethodAsyncNoParam, MethodAsyncSingleParam, MultiParamSpec, ParamType, ReturnType, SelfType

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    import temporalio.client
    from temporalio.client._options import WorkflowOptions


@dataclass(frozen=True)
class Info:
    """What a running operation handler knows of its call."""

    endpoint: str
    """The endpoint that was called."""

    namespace: str
    """The worker's namespace."""

    task_queue: str
    """The worker's task queue."""


@dataclass
class _OperationCallContext:
    """What the functions of this module act on; set by the worker for each call."""

    client: temporalio.client.Client
    info: Callable[[], Info]
    nexus_context: StartOperationContext | CancelOperationContext
    runtime_metric_meter: temporalio.common.MetricMeter
    worker_shutdown_event: temporalio.common._CompositeEvent
    _metric_meter: temporalio.common.MetricMeter | None = None

    @property
    def metric_meter(self) -> temporalio.common.MetricMeter:
        if self._metric_meter is None:
            self._metric_meter = self.runtime_metric_meter.with_additional_attributes(
                {
                    "nexus_service": self.nexus_context.service,
                    "nexus_operation": self.nexus_context.operation,
                    "task_queue": self.info().task_queue,
                }
            )
        return self._metric_meter

    def set(self) -> Token[_OperationCallContext]:
        """Makes this the context of the caller and what it starts."""
        return _current.set(self)


_current: ContextVar[_OperationCallContext] = ContextVar("nexus_operation")


def _call_context() -> _OperationCallContext:
    found = _current.get(None)
    if found is None:
        raise RuntimeError("Not in Nexus operation context")
    return found


def in_operation() -> bool:
    """Whether the caller runs in a Nexus operation handler."""
    return _current.get(None) is not None


def info() -> Info:
    """What the running operation handler knows of its call."""
    return _call_context().info()


def client() -> temporalio.client.Client:
    """The worker's client."""
    return _call_context().client


def metric_meter() -> temporalio.common.MetricMeter:
    """A meter whose metrics carry the operation's service, name and task queue."""
    return _call_context().metric_meter


def is_worker_shutdown() -> bool:
    """Whether the worker is going down."""
    return _call_context().worker_shutdown_event.is_set()


async def wait_for_worker_shutdown() -> None:
    """Waits, in an async handler, until the worker is going down."""
    await _call_context().worker_shutdown_event.wait()


def wait_for_worker_shutdown_sync(timeout: timedelta | float | None = None) -> None:
    """Waits, in a plain handler, until the worker is going down.

    Args:
        timeout: How long to wait at most.
    """
    _call_context().worker_shutdown_event.wait_sync(
        timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    )


@dataclass(frozen=True)
class NexusCallback:
    """Whom to tell of an operation's end."""

    url: str
    """Where to."""

    headers: Mapping[str, str]
    """Headers to send along."""


class LoggerAdapter(logging.LoggerAdapter):
    """Adds to every record which operation's handler wrote it."""

    def __init__(self, logger: logging.Logger, extra: Mapping[str, Any] | None):
        """Makes an adapter of this logger."""
        super().__init__(logger, extra or {})

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Adds to a record, inside an operation handler."""
        found = _current.get(None)
        if found is not None:
            extra = {
                "service": found.nexus_context.service,
                "operation": found.nexus_context.operation,
                "task_queue": found.info().task_queue,
            }
            kwargs["extra"] = {**(self.extra or {}), **extra, **(kwargs.get("extra") or {})}
        return msg, kwargs


logger = LoggerAdapter(logging.getLogger("temporalio.nexus"), None)
"""For operation handlers; see :py:class:`LoggerAdapter`."""


def _fields_of(context: Any) -> dict[str, Any]:
    return {f.name: getattr(context, f.name) for f in dataclasses.fields(context) if f.init}


class TemporalStartOperationContext(StartOperationContext):
    """What a handler of :py:func:`temporal_operation` is handed when an operation is started."""

    @classmethod
    def _from_start_operation_context(cls, ctx: StartOperationContext) -> Self:
        return cls(**_fields_of(ctx))


class TemporalCancelOperationContext(CancelOperationContext):
    """What a :py:class:`TemporalOperationHandler` is handed when an operation is to stop."""

    @classmethod
    def _from_cancel_operation_context(cls, ctx: CancelOperationContext) -> Self:
        return cls(**_fields_of(ctx))


class WorkflowRunOperationContext(StartOperationContext):
    """What a handler of :py:func:`workflow_run_operation` is handed when an operation is started."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Made by the decorator, in an operation handler only."""
        super().__init__(*args, **kwargs)
        self._call = _call_context()

    @classmethod
    def _from_start_operation_context(cls, ctx: StartOperationContext) -> WorkflowRunOperationContext:
        return cls(**_fields_of(ctx))

    @property
    def metric_meter(self) -> temporalio.common.MetricMeter:
        """A meter whose metrics carry the operation's service, name and task queue."""
        return self._call.metric_meter

    @overload
    async def start_workflow(
        self,
        workflow: MethodAsyncNoParam[SelfType, ReturnType],
        *,
        id: str,
        task_queue: str | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> WorkflowHandle[ReturnType]: ...

    @overload
    async def start_workflow(
        self,
        workflow: MethodAsyncSingleParam[SelfType, ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> WorkflowHandle[ReturnType]: ...

    @overload
    async def start_workflow(
        self,
        workflow: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[ReturnType]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> WorkflowHandle[ReturnType]: ...

    @overload
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
    ) -> WorkflowHandle[ReturnType]: ...

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
    ) -> WorkflowHandle[ReturnType]:
        """Starts the workflow whose result becomes the operation's.

        The arguments are those of :py:meth:`temporalio.client.Client.start_workflow`; the task queue is the handler's own
        unless given.

        Returns:
            What the handler is to return.
        """
        return await start_backing_workflow(
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


async def start_backing_workflow(
    call: _OperationCallContext,
    workflow: str | Callable[..., Awaitable[Any]],
    args: Sequence[Any],
    *,
    id: str,
    task_queue: str | None,
    **options: Any,
) -> WorkflowHandle[Any]:
    """Starts a workflow that reports its end to the operation's caller."""
    token = OperationToken(type=OperationTokenType.WORKFLOW, namespace=call.client.namespace, workflow_id=id).encode()
    with _backing(call, token):
        handle: temporalio.client.WorkflowHandle[Any, Any] = await call.client.start_workflow(
            workflow,  # type: ignore[arg-type]
            args=args,
            id=id,
            task_queue=task_queue or call.info().task_queue,
            **options,
        )
    return WorkflowHandle._unsafe_from_client_workflow_handle(handle)


class _backing:
    """Within the block, what the client starts gets the operation's request id, callback and links."""

    def __init__(self, call: _OperationCallContext, token: str) -> None:
        context = call.nexus_context
        if not isinstance(context, StartOperationContext):
            raise RuntimeError("Only starting an operation can start what stands behind it")
        fields: dict[str, Any] = {"request_id": context.request_id}
        if context.callback_url:
            header = {**context.callback_headers, "nexus-operation-token": token}
            fields["completion_callbacks"] = [{"nexus": {"url": context.callback_url, "header": header}}]
            fields["on_conflict_options"] = {
                "attach_request_id": True,
                "attach_completion_callbacks": True,
                "attach_links": True,
            }
        self._fields = fields

    def __enter__(self) -> None:
        from temporalio.client._helpers import start_extras

        self._token = start_extras.set(self._fields)

    def __exit__(self, *args: Any) -> None:
        from temporalio.client._helpers import start_extras

        start_extras.reset(self._token)
