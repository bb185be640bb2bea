"""Updates of workflows: handles, and starting a workflow together with an update."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Generic, overload

import temporalio.common
from temporalio.client._errors import (
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.client._helpers import decode_result
from temporalio.converter._serialization_context import WorkflowSerializationContext
from temporalio.service import RPCError, RPCStatusCode
from temporalio.types import (
    LocalReturnType,
    MethodAsyncNoParam,
    MethodAsyncSingleParam,
    MultiParamSpec,
    ParamType,
    ReturnType,
    SelfType,
)

if TYPE_CHECKING:
    from typing_extensions import Concatenate, Unpack

    import temporalio.api.update.v1
    import temporalio.api.workflowservice.v1
    from temporalio.client._client import Client
    from temporalio.client._interceptor import UpdateWithStartStartWorkflowInput
    from temporalio.client._options import WithStartOptions
    from temporalio.client._workflow import WorkflowHandle


class WorkflowUpdateStage(IntEnum):
    """How far an update has come. Values are those on the wire."""

    ADMITTED = 1
    ACCEPTED = 2
    COMPLETED = 3


class WorkflowUpdateHandle(Generic[LocalReturnType]):
    """A handle to an update; made by the methods of a workflow's handle."""

    def __init__(
        self,
        client: Client,
        id: str,
        workflow_id: str,
        *,
        workflow_run_id: str | None = None,
        result_type: type | None = None,
        known_outcome: temporalio.api.update.v1.Outcome | None = None,
    ):
        """Makes a handle; programs use the methods of a workflow's handle."""
        self._client = client
        self._id = id
        self._workflow_id = workflow_id
        self._workflow_run_id = workflow_run_id
        self._result_type = result_type
        self._outcome: dict[str, Any] | None = None
        if known_outcome is not None:
            from temporalio.converter._messages import message_to_dict

            self._outcome = message_to_dict(known_outcome)

    @property
    def id(self) -> str:
        """The update's id."""
        return self._id

    @property
    def workflow_id(self) -> str:
        """The workflow's id."""
        return self._workflow_id

    @property
    def workflow_run_id(self) -> str | None:
        """The workflow's run."""
        return self._workflow_run_id

    async def result(
        self,
        *,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> LocalReturnType:
        """Waits for the update's result.

        Args:
            rpc_metadata: Headers for each call.
            rpc_timeout: How long to wait for each call; the whole may take longer.

        Returns:
            The result.

        Raises:
            WorkflowUpdateFailedError: The update was refused or failed.
            WorkflowUpdateRPCTimeoutOrCancelledError: The time of a call ran out, or the task was cancelled.
            RPCError: There is no such update, or the server refused.
        """
        await self._poll_until_outcome(rpc_metadata, rpc_timeout)
        assert self._outcome is not None
        converter = self._client.data_converter.with_context(
            WorkflowSerializationContext(namespace=self._client.namespace, workflow_id=self._workflow_id)
        )
        failure = self._outcome.get("failure")
        if failure is not None:
            raise WorkflowUpdateFailedError(await converter._decode_failure_dict(failure))
        return await decode_result(converter, self._outcome.get("success"), self._result_type)

    async def _poll_until_outcome(
        self, rpc_metadata: Mapping[str, str | bytes] = {}, rpc_timeout: timedelta | None = None
    ) -> None:
        from temporalio.service import _call_dict

        request: dict[str, Any] = {
            "namespace": self._client.namespace,
            "update_ref": {
                "workflow_execution": {"workflow_id": self._workflow_id, "run_id": self._workflow_run_id or ""},
                "update_id": self._id,
            },
            "identity": self._client.identity,
            "wait_policy": {"lifecycle_stage": int(WorkflowUpdateStage.COMPLETED)},
        }
        while self._outcome is None:
            try:
                reply = await _call_dict(
                    self._client.workflow_service,
                    "poll_workflow_execution_update",
                    request,
                    retry=True,
                    metadata=rpc_metadata,
                    timeout=rpc_timeout,
                )
            except RPCError as err:
                raise_if_given_up(err)
                raise
            except asyncio.CancelledError as err:
                raise WorkflowUpdateRPCTimeoutOrCancelledError() from err
            # Without an outcome the server only wants to be asked again.
            self._outcome = reply.get("outcome")


def raise_if_given_up(err: RPCError) -> None:
    """Raises the error of an update's call whose time ran out, if that is what happened."""
    if err.status in (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
        raise WorkflowUpdateRPCTimeoutOrCancelledError() from err


class WithStartWorkflowOperation(Generic[SelfType, ReturnType]):
    """The workflow to be started together with an update, if it does not run. For one call only."""

    @overload
    def __init__(
        self,
        workflow: MethodAsyncNoParam[SelfType, ReturnType],
        *,
        id: str,
        task_queue: str,
        id_conflict_policy: temporalio.common.WorkflowIDConflictPolicy,
        **options: Unpack[WithStartOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        workflow: MethodAsyncSingleParam[SelfType, ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        id_conflict_policy: temporalio.common.WorkflowIDConflictPolicy,
        **options: Unpack[WithStartOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        workflow: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[ReturnType]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        id_conflict_policy: temporalio.common.WorkflowIDConflictPolicy,
        **options: Unpack[WithStartOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        workflow: str,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        id_conflict_policy: temporalio.common.WorkflowIDConflictPolicy,
        result_type: type[ReturnType] | None = None,
        **options: Unpack[WithStartOptions],
    ) -> None: ...

    def __init__(
        self,
        workflow: str | Callable[..., Awaitable[Any]],
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        id_conflict_policy: temporalio.common.WorkflowIDConflictPolicy,
        result_type: type | None = None,
        execution_timeout: timedelta | None = None,
        run_timeout: timedelta | None = None,
        task_timeout: timedelta | None = None,
        id_reuse_policy: temporalio.common.WorkflowIDReusePolicy = (
            temporalio.common.WorkflowIDReusePolicy.ALLOW_DUPLICATE
        ),
        retry_policy: temporalio.common.RetryPolicy | None = None,
        cron_schedule: str = "",
        memo: Mapping[str, Any] | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | temporalio.common.SearchAttributes | None = None,
        static_summary: str | None = None,
        static_details: str | None = None,
        start_delay: timedelta | None = None,
        priority: temporalio.common.Priority = temporalio.common.Priority.default,
        versioning_override: temporalio.common.VersioningOverride | None = None,
        stack_level: int = 2,
    ) -> None:
        """Says what to start; the arguments are those of :py:meth:`Client.start_workflow`.

        The conflict policy has to be given: to update a workflow that runs already it is ``USE_EXISTING``.
        """
        temporalio.common._warn_on_deprecated_search_attributes(search_attributes, stack_level=stack_level)
        if id_conflict_policy == temporalio.common.WorkflowIDConflictPolicy.UNSPECIFIED:
            raise ValueError("WorkflowIDConflictPolicy is required")
        from temporalio.client._interceptor import UpdateWithStartStartWorkflowInput
        from temporalio.workflow import _Definition

        name, hinted_type = _Definition.get_name_and_result_type(workflow)
        self._start_workflow_input: UpdateWithStartStartWorkflowInput = UpdateWithStartStartWorkflowInput(
            workflow=name,
            args=temporalio.common._arg_or_args(arg, args),
            id=id,
            task_queue=task_queue,
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
            headers={},
            ret_type=result_type or hinted_type,
            priority=priority,
            versioning_override=versioning_override,
        )
        self._workflow_handle: asyncio.Future[WorkflowHandle[SelfType, ReturnType]] = asyncio.Future()
        self._is_used = False

    async def workflow_handle(self) -> WorkflowHandle[SelfType, ReturnType]:
        """A handle to the workflow, once it is known to run; raises what kept it from starting."""
        return await self._workflow_handle

    def _use(self) -> None:
        if self._is_used:
            raise RuntimeError("WithStartWorkflowOperation cannot be reused: it is for one call")
        self._is_used = True


async def start_update_with_start(
    client: Client,
    update: str | Callable,
    args: Sequence[Any],
    operation: WithStartWorkflowOperation[Any, Any],
    *,
    wait_for_stage: WorkflowUpdateStage,
    update_id: str | None,
    result_type: type | None,
    rpc_metadata: Mapping[str, str | bytes],
    rpc_timeout: timedelta | None,
) -> WorkflowUpdateHandle[Any]:
    """Sends an update through the interceptors, and tells the operation what became of its workflow."""
    from temporalio.client._interceptor import StartWorkflowUpdateWithStartInput, UpdateWithStartUpdateWorkflowInput
    from temporalio.client._workflow import WorkflowHandle
    from temporalio.workflow import _UpdateDefinition

    if wait_for_stage == WorkflowUpdateStage.ADMITTED:
        raise ValueError("ADMITTED wait stage not supported")
    operation._use()
    name, hinted_type = _UpdateDefinition.get_name_and_result_type(update)
    start = operation._start_workflow_input

    def on_start(response: temporalio.api.workflowservice.v1.StartWorkflowExecutionResponse) -> None:
        if not operation._workflow_handle.done():
            operation._workflow_handle.set_result(
                WorkflowHandle(
                    client,
                    start.id,
                    first_execution_run_id=response.run_id,
                    result_run_id=response.run_id,
                    result_type=start.ret_type,
                )
            )

    def on_start_error(error: BaseException) -> None:
        if not operation._workflow_handle.done():
            operation._workflow_handle.set_exception(error)
            operation._workflow_handle.exception()  # whoever asks for the handle gets it; nobody has to

    return await client._impl.start_update_with_start_workflow(
        StartWorkflowUpdateWithStartInput(
            start_workflow_input=start,
            update_workflow_input=UpdateWithStartUpdateWorkflowInput(
                update_id=update_id,
                update=name,
                args=args,
                headers={},
                ret_type=result_type or hinted_type,
                wait_for_stage=wait_for_stage,
            ),
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
            _on_start=on_start,
            _on_start_error=on_start_error,
        )
    )
