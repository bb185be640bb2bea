"""Signals a workflow from a workflow, starting it if it does not run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import temporalio.common
from temporalio.nexus.system import TEMPORAL_SYSTEM_ENDPOINT
from temporalio.nexus.system.workflow_service.models import (
    SignalWithStartWorkflowRequest,
    SignalWithStartWorkflowResponse,
    UserMetadata,
)

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple

    import temporalio.workflow

    WorkflowArgs = TypeVarTuple("WorkflowArgs")
else:
    import typing_extensions

    WorkflowArgs = typing_extensions.TypeVarTuple("WorkflowArgs")

SelfType = TypeVar("SelfType")
SignalArg = TypeVar("SignalArg")
WorkflowResult = TypeVar("WorkflowResult")


async def signal_with_start_workflow(
    workflow: str | Callable[..., Awaitable[object]],
    *positional_args: object,
    args: list[Any] | None = None,
    id: str,
    task_queue: str,
    signal: str | Callable[..., None | Awaitable[None]],
    signal_args: object | list[Any] | None = None,
    execution_timeout: timedelta | None = None,
    run_timeout: timedelta | None = None,
    task_timeout: timedelta | None = None,
    id_reuse_policy: temporalio.common.WorkflowIDReusePolicy = temporalio.common.WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    id_conflict_policy: temporalio.common.WorkflowIDConflictPolicy | None = None,
    retry_policy: temporalio.common.RetryPolicy | None = None,
    cron_schedule: str | None = None,
    memo: Mapping[str, Any] | None = None,
    search_attributes: temporalio.common.TypedSearchAttributes | None = None,
    priority: temporalio.common.Priority | None = None,
    versioning_override: temporalio.common.VersioningOverride | None = None,
    start_delay: timedelta | None = None,
    static_summary: str | None = None,
    static_details: str | None = None,
) -> temporalio.workflow.ExternalWorkflowHandle[Any]:
    """Signals a workflow, starting it if it does not run. For workflow code.

    Args:
        workflow: The workflow's run method, or the name of its type.
        positional_args: Its arguments.
        args: Its arguments; not together with ``positional_args``.
        id: Its id.
        task_queue: The queue its workers poll.
        signal: The workflow's signal method, or the signal's name.
        signal_args: The signal's argument, or a list of its arguments.
        execution_timeout: How long the workflow may take in all.
        run_timeout: How long one run may take.
        task_timeout: How long one workflow task may take.
        id_reuse_policy: What to do when a closed workflow has the id.
        id_conflict_policy: What to do when a running workflow has the id.
        retry_policy: Whether and how it is retried.
        cron_schedule: When to run it again and again.
        memo: Values to be shown with it.
        search_attributes: Attributes to find it by.
        priority: Which of the waiting tasks are handed out first.
        versioning_override: The version of its worker deployment to run on.
        start_delay: How long to wait before its first task.
        static_summary: One line about it, for user interfaces.
        static_details: More about it, likewise.

    Returns:
        A handle to the workflow.
    """
    import temporalio.workflow
    from temporalio.nexus.system.workflow_service.services import WorkflowService

    if positional_args and args is not None:
        raise ValueError("Give the arguments either one by one or as args")
    if signal_args is not None and not isinstance(signal_args, list):
        signal_args = [signal_args]
    metadata = None
    if static_summary is not None or static_details is not None:
        metadata = UserMetadata(static_summary, static_details)
    request = SignalWithStartWorkflowRequest(
        workflow=workflow,
        args=list(positional_args) if positional_args else args,
        id=id,
        task_queue=task_queue,
        signal=signal,
        signal_args=signal_args,
        execution_timeout=execution_timeout,
        run_timeout=run_timeout,
        task_timeout=task_timeout,
        id_reuse_policy=id_reuse_policy,
        id_conflict_policy=id_conflict_policy,
        retry_policy=retry_policy,
        cron_schedule=cron_schedule,
        memo=memo,
        search_attributes=search_attributes,
        priority=priority,
        versioning_override=versioning_override,
        start_delay=start_delay,
        user_metadata=metadata,
    )
    client = temporalio.workflow.create_nexus_client(service=WorkflowService, endpoint=TEMPORAL_SYSTEM_ENDPOINT)
    response: SignalWithStartWorkflowResponse = await client.execute_operation(
        WorkflowService.signal_with_start_workflow, request
    )
    return temporalio.workflow.get_external_workflow_handle(id, run_id=response.run_id)
