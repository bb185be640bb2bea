"""Handlers of operations behind which something of Temporal stands, and the decorators that make them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, overload

import nexusrpc
from nexusrpc import HandlerErrorType, InputT, OutputT
from nexusrpc.handler import (
    CancelOperationContext,
    OperationHandler,
    StartOperationContext,
    StartOperationResultAsync,
    StartOperationResultSync,
)

from temporalio.nexus._operation_context import (
    TemporalCancelOperationContext,
    TemporalStartOperationContext,
    WorkflowRunOperationContext,
    _call_context,
)
from temporalio.nexus._temporal_client import TemporalNexusClient, TemporalOperationResult, _TemporalNexusClient
from temporalio.nexus._token import OperationToken, OperationTokenType, WorkflowHandle
from temporalio.nexus._util import (
    get_callable_name,
    input_and_output_types,
    is_async_callable,
    set_operation_factory,
)
from temporalio.types import NexusServiceType

TemporalOperationStartHandlerFunc: TypeAlias = Callable[
    [NexusServiceType, TemporalStartOperationContext, TemporalNexusClient, InputT],
    Awaitable[TemporalOperationResult[OutputT]],
]
"""What :py:func:`temporal_operation` decorates."""


@dataclass(frozen=True)
class CancelWorkflowRunOptions:
    """The workflow behind an operation that is to stop."""

    workflow_id: str
    """Its id."""


@dataclass(frozen=True)
class CancelUpdateWorkflowOptions:
    """The update behind an operation that is to stop."""

    workflow_id: str
    """The workflow's id."""

    update_id: str
    """The update's id."""

    run_id: str
    """The workflow's run, empty for the latest."""


@dataclass(frozen=True)
class CancelActivityOptions:
    """The standalone activity behind an operation that is to stop."""

    activity_id: str
    """Its id."""

    run_id: str
    """Its run, empty for the latest."""


class WorkflowRunOperationHandler(OperationHandler[InputT, OutputT]):
    """Runs operations behind which a workflow stands."""

    def __init__(self, start: Callable[[StartOperationContext, InputT], Awaitable[WorkflowHandle[OutputT]]]) -> None:
        """Makes a handler of a function that starts the workflow."""
        if not is_async_callable(start):
            raise RuntimeError(f"{start} is not an async function: a workflow run operation needs one")
        self._start = start

    async def start(self, ctx: StartOperationContext, input: InputT) -> StartOperationResultAsync:
        """Starts the workflow."""
        handle = await self._start(ctx, input)
        if not isinstance(handle, WorkflowHandle):
            raise RuntimeError(
                f"Expected {handle} to be a nexus.WorkflowHandle, got {type(handle)}. Return what "
                "WorkflowRunOperationContext.start_workflow gives."
            )
        return StartOperationResultAsync(handle.to_token())

    async def cancel(self, ctx: CancelOperationContext, token: str) -> None:
        """Asks the workflow to stop."""
        await _cancel_workflow_of(token)


async def _cancel_workflow_of(token: str) -> None:
    try:
        handle: WorkflowHandle[Any] = WorkflowHandle.from_token(token)
        workflow = handle._to_client_workflow_handle(_call_context().client)
    except (TypeError, ValueError) as err:
        raise nexusrpc.HandlerError(
            "The operation's token is not that of a workflow", type=HandlerErrorType.BAD_REQUEST
        ) from err
    await workflow.cancel()


class TemporalOperationHandler(OperationHandler[InputT, OutputT]):
    """Runs operations that start something of Temporal or give their result at once.

    :py:func:`temporal_operation` makes one of a function; a subclass may also say how such things are stopped.
    """

    @abstractmethod
    async def start_operation(
        self, ctx: TemporalStartOperationContext, client: TemporalNexusClient, input: InputT
    ) -> TemporalOperationResult[OutputT]:
        """Starts an operation.

        Args:
            ctx: The call.
            client: Starts what is to stand behind the operation.
            input: The operation's input.

        Returns:
            What the client gave, or a result.
        """
        ...

    async def start(
        self, ctx: StartOperationContext, input: InputT
    ) -> StartOperationResultSync[OutputT] | StartOperationResultAsync:
        """Starts an operation, as the Nexus package calls it."""
        result = await self.start_operation(
            TemporalStartOperationContext._from_start_operation_context(ctx),
            _TemporalNexusClient(_call_context()),
            input,
        )
        if not isinstance(result, TemporalOperationResult):
            raise RuntimeError(f"Expected a TemporalOperationResult, got {type(result)}")
        if result.token is not None:
            return StartOperationResultAsync(result.token)
        return StartOperationResultSync(result.value)  # type: ignore[arg-type]

    async def cancel(self, ctx: CancelOperationContext, token: str) -> None:
        """Stops what stands behind an operation, as the Nexus package calls it."""
        context = TemporalCancelOperationContext._from_cancel_operation_context(ctx)
        try:
            parts = OperationToken.decode(token)
            if parts.type == OperationTokenType.ACTIVITY and not parts.run_id:
                raise TypeError("expected non-empty run id for token type `ACTIVITY`")
        except TypeError as err:
            # The caller's server kept the token as it was given: a bad one is this side's doing, and stays bad
            raise nexusrpc.HandlerError(
                "The operation's token cannot be read", type=HandlerErrorType.INTERNAL, retryable_override=False
            ) from err
        if parts.type == OperationTokenType.WORKFLOW:
            await self.cancel_workflow_run(context, CancelWorkflowRunOptions(parts.workflow_id or ""))
        elif parts.type == OperationTokenType.ACTIVITY:
            await self.cancel_activity(context, CancelActivityOptions(parts.activity_id or "", parts.run_id or ""))
        else:
            await self.cancel_workflow_update(
                context,
                CancelUpdateWorkflowOptions(parts.workflow_id or "", parts.update_id or "", parts.run_id or ""),
            )

    async def cancel_workflow_run(self, ctx: TemporalCancelOperationContext, options: CancelWorkflowRunOptions) -> None:
        """Asks the workflow behind an operation to stop."""
        await _call_context().client.get_workflow_handle(options.workflow_id).cancel()

    async def cancel_workflow_update(
        self, ctx: TemporalCancelOperationContext, options: CancelUpdateWorkflowOptions
    ) -> None:
        """Refuses, since updates cannot be stopped; a subclass may know better.

        Raises:
            nexusrpc.HandlerError: Always.
        """
        raise nexusrpc.HandlerError(
            "An operation behind which an update stands cannot be cancelled", type=HandlerErrorType.NOT_IMPLEMENTED
        )

    async def cancel_activity(self, ctx: TemporalCancelOperationContext, options: CancelActivityOptions) -> None:
        """Asks the standalone activity behind an operation to stop."""
        handle = _call_context().client.get_activity_handle(options.activity_id, run_id=options.run_id or None)
        await handle.cancel()


class _FunctionOperationHandler(TemporalOperationHandler[InputT, OutputT]):
    """Made of a function."""

    def __init__(self, start: Callable[..., Awaitable[TemporalOperationResult[OutputT]]]) -> None:
        self._start = start

    async def start_operation(
        self, ctx: TemporalStartOperationContext, client: TemporalNexusClient, input: InputT
    ) -> TemporalOperationResult[OutputT]:
        return await self._start(ctx, client, input)


def _operation(method: Any, name: str | None, input_type: Any, output_type: Any) -> nexusrpc.Operation[Any, Any]:
    own_name = get_callable_name(method)
    operation = nexusrpc.Operation(name=name or own_name, input_type=input_type, output_type=output_type)
    operation.method_name = own_name
    return operation


@overload
def workflow_run_operation(
    start: Callable[[NexusServiceType, WorkflowRunOperationContext, InputT], Awaitable[WorkflowHandle[OutputT]]],
) -> Callable[[NexusServiceType, WorkflowRunOperationContext, InputT], Awaitable[WorkflowHandle[OutputT]]]: ...


@overload
def workflow_run_operation(
    *, name: str | None = None
) -> Callable[
    [Callable[[NexusServiceType, WorkflowRunOperationContext, InputT], Awaitable[WorkflowHandle[OutputT]]]],
    Callable[[NexusServiceType, WorkflowRunOperationContext, InputT], Awaitable[WorkflowHandle[OutputT]]],
]: ...


def workflow_run_operation(
    start: Callable[[NexusServiceType, WorkflowRunOperationContext, InputT], Awaitable[WorkflowHandle[OutputT]]]
    | None = None,
    *,
    name: str | None = None,
) -> Any:
    """Makes a method of a service handler an operation behind which a workflow stands.

    The method starts the workflow with its context's ``start_workflow`` and returns what that gives.

    Args:
        start: The method.
        name: The operation's name; the method's own if None.
    """

    def decorator(method: Any) -> Any:
        input_type, output_type = input_and_output_types(method, (WorkflowRunOperationContext,), WorkflowHandle)

        def factory(self: Any) -> OperationHandler[Any, Any]:
            async def start_workflow(ctx: StartOperationContext, input: Any) -> WorkflowHandle[Any]:
                return await method(self, WorkflowRunOperationContext._from_start_operation_context(ctx), input)

            return WorkflowRunOperationHandler(start_workflow)

        set_operation_factory(method, factory, _operation(method, name, input_type, output_type))
        return method

    return decorator if start is None else decorator(start)


@overload
def temporal_operation(
    start: TemporalOperationStartHandlerFunc[NexusServiceType, InputT, OutputT],
) -> TemporalOperationStartHandlerFunc[NexusServiceType, InputT, OutputT]: ...


@overload
def temporal_operation(
    *, name: str | None = None
) -> Callable[
    [TemporalOperationStartHandlerFunc[NexusServiceType, InputT, OutputT]],
    TemporalOperationStartHandlerFunc[NexusServiceType, InputT, OutputT],
]: ...


def temporal_operation(
    start: TemporalOperationStartHandlerFunc[NexusServiceType, InputT, OutputT] | None = None,
    *,
    name: str | None = None,
) -> Any:
    """Makes a method of a service handler an operation that starts something of Temporal or gives its result at once.

    Args:
        start: The method; see :py:meth:`TemporalOperationHandler.start_operation` for what it takes and returns.
        name: The operation's name; the method's own if None.
    """

    def decorator(method: Any) -> Any:
        input_type, output_type = input_and_output_types(
            method, (TemporalStartOperationContext, TemporalNexusClient), TemporalOperationResult
        )

        def factory(self: Any) -> OperationHandler[Any, Any]:
            async def start_operation(ctx: Any, client: Any, input: Any) -> TemporalOperationResult[Any]:
                return await method(self, ctx, client, input)

            return _FunctionOperationHandler(start_operation)

        set_operation_factory(method, factory, _operation(method, name, input_type, output_type))
        return method

    return decorator if start is None else decorator(start)
