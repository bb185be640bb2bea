"""Interceptors of a worker: chains of objects that calls into and out of activities and workflows pass through.

Each method's default passes its input on to ``next``.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Optional, TypeVar, Union

import temporalio.activity
import temporalio.common
import temporalio.workflow

if TYPE_CHECKING:
    import dataclasses
    from dataclasses import dataclass

    import nexusrpc
    import nexusrpc.handler
    from temporalio.api.common.v1 import Payload
    from temporalio.nexus.system.workflow_service import models
else:
    import dataclasses

    from temporalio._lazy import dataclass


_InputT = TypeVar("_InputT")
_OutputT = TypeVar("_OutputT")


class Interceptor:
    """What a worker is given: makes the links that go into the chains."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """The link for one activity attempt, in front of ``next``; ``next`` itself to stay out."""
        return next

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> Optional[type[WorkflowInboundInterceptor]]:
        """The class of the link for workflows; each run makes its own. ``None`` to stay out."""
        return None

    def intercept_nexus_operation(self, next: NexusOperationInboundInterceptor) -> NexusOperationInboundInterceptor:
        """The link for one Nexus operation, in front of ``next``; ``next`` itself to stay out."""
        return next


@dataclass(frozen=True)
class WorkflowInterceptorClassInput:
    """Input of :meth:`Interceptor.workflow_interceptor_class`."""

    unsafe_extern_functions: MutableMapping[str, Callable]
    """Put functions here that workflow code shall reach with ``workflow.extern_functions``; they run unsandboxed."""


# ---------------------------------------------------------------------------------------------------------- activities


@dataclass
class ExecuteActivityInput:
    """Input of :meth:`ActivityInboundInterceptor.execute_activity`."""

    fn: Callable[..., Any]
    args: Sequence[Any]
    executor: concurrent.futures.Executor | None
    headers: Mapping[str, Payload]


class ActivityInboundInterceptor:
    """Calls into an activity."""

    def __init__(self, next: ActivityInboundInterceptor) -> None:
        self.next = next

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        """Called once before the activity; wrap ``outbound`` here to see what the activity calls."""
        self.next.init(outbound)

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """Runs the activity."""
        return await self.next.execute_activity(input)


class ActivityOutboundInterceptor:
    """Calls out of an activity."""

    def __init__(self, next: ActivityOutboundInterceptor) -> None:
        self.next = next

    def info(self) -> temporalio.activity.Info:
        """Behind ``activity.info()``."""
        return self.next.info()

    def heartbeat(self, *details: Any) -> None:
        """Behind ``activity.heartbeat()``."""
        self.next.heartbeat(*details)


# ----------------------------------------------------------------------------------------------------- workflow inputs


@dataclass
class ContinueAsNewInput:
    """Input of :meth:`WorkflowOutboundInterceptor.continue_as_new`."""

    workflow: str | None
    args: Sequence[Any]
    task_queue: str | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    backoff_start_interval: timedelta | None
    retry_policy: temporalio.common.RetryPolicy | None
    memo: Mapping[str, Any] | None
    search_attributes: temporalio.common.SearchAttributes | temporalio.common.TypedSearchAttributes | None
    headers: Mapping[str, Payload]
    versioning_intent: temporalio.workflow.VersioningIntent | None
    initial_versioning_behavior: temporalio.workflow.ContinueAsNewVersioningBehavior | None
    event_groups: Sequence[temporalio.workflow.EventGroup] | None = None
    arg_types: list[type] | None = None


@dataclass
class ExecuteWorkflowInput:
    """Input of :meth:`WorkflowInboundInterceptor.execute_workflow`."""

    type: type
    run_fn: Callable[..., Awaitable[Any]]
    args: Sequence[Any]
    headers: Mapping[str, Payload]


@dataclass
class HandleSignalInput:
    """Input of :meth:`WorkflowInboundInterceptor.handle_signal`."""

    signal: str
    args: Sequence[Any]
    headers: Mapping[str, Payload]


@dataclass
class HandleQueryInput:
    """Input of :meth:`WorkflowInboundInterceptor.handle_query`."""

    id: str
    query: str
    args: Sequence[Any]
    headers: Mapping[str, Payload]


@dataclass
class HandleUpdateInput:
    """Input of an update's validator and handler."""

    id: str
    update: str
    args: Sequence[Any]
    headers: Mapping[str, Payload]


@dataclass
class SignalChildWorkflowInput:
    """Input of :meth:`WorkflowOutboundInterceptor.signal_child_workflow`."""

    signal: str
    args: Sequence[Any]
    child_workflow_id: str
    headers: Mapping[str, Payload]
    event_groups: Sequence[temporalio.workflow.EventGroup] | None = None


@dataclass
class SignalExternalWorkflowInput:
    """Input of :meth:`WorkflowOutboundInterceptor.signal_external_workflow`."""

    signal: str
    args: Sequence[Any]
    namespace: str
    workflow_id: str
    workflow_run_id: str | None
    headers: Mapping[str, Payload]
    event_groups: Sequence[temporalio.workflow.EventGroup] | None = None


@dataclass
class StartActivityInput:
    """Input of :meth:`WorkflowOutboundInterceptor.start_activity`."""

    activity: str
    args: Sequence[Any]
    activity_id: str | None
    task_queue: str | None
    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    heartbeat_timeout: timedelta | None
    retry_policy: temporalio.common.RetryPolicy | None
    cancellation_type: temporalio.workflow.ActivityCancellationType
    headers: Mapping[str, Payload]
    disable_eager_execution: bool
    versioning_intent: temporalio.workflow.VersioningIntent | None
    summary: str | None
    event_groups: Sequence[temporalio.workflow.EventGroup] | None = dataclasses.field(kw_only=True, default=None)
    priority: temporalio.common.Priority
    arg_types: list[type] | None
    ret_type: type | None


@dataclass
class StartLocalActivityInput:
    """Input of :meth:`WorkflowOutboundInterceptor.start_local_activity`."""

    activity: str
    args: Sequence[Any]
    activity_id: str | None
    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    retry_policy: temporalio.common.RetryPolicy | None
    local_retry_threshold: timedelta | None
    cancellation_type: temporalio.workflow.ActivityCancellationType
    headers: Mapping[str, Payload]
    summary: str | None
    event_groups: Sequence[temporalio.workflow.EventGroup] | None = None
    arg_types: list[type] | None = None
    ret_type: type | None = None


@dataclass
class StartChildWorkflowInput:
    """Input of :meth:`WorkflowOutboundInterceptor.start_child_workflow`."""

    workflow: str
    args: Sequence[Any]
    id: str
    task_queue: str | None
    cancellation_type: temporalio.workflow.ChildWorkflowCancellationType
    parent_close_policy: temporalio.workflow.ParentClosePolicy
    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    id_reuse_policy: temporalio.common.WorkflowIDReusePolicy
    retry_policy: temporalio.common.RetryPolicy | None
    cron_schedule: str
    memo: Mapping[str, Any] | None
    search_attributes: temporalio.common.SearchAttributes | temporalio.common.TypedSearchAttributes | None
    headers: Mapping[str, Payload]
    versioning_intent: temporalio.workflow.VersioningIntent | None
    static_summary: str | None
    static_details: str | None
    versioning_override: temporalio.common.VersioningOverride | None = dataclasses.field(kw_only=True, default=None)
    event_groups: Sequence[temporalio.workflow.EventGroup] | None = dataclasses.field(kw_only=True, default=None)
    priority: temporalio.common.Priority
    arg_types: list[type] | None
    ret_type: type | None


@dataclass
class StartNexusOperationInput(Generic[_InputT, _OutputT]):
    """Input of :meth:`WorkflowOutboundInterceptor.start_nexus_operation`."""

    endpoint: str
    service: str
    operation: nexusrpc.Operation[_InputT, _OutputT] | str | Callable[..., Any]
    input: _InputT
    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    cancellation_type: temporalio.workflow.NexusOperationCancellationType
    headers: Mapping[str, str] | None
    summary: str | None
    event_groups: Sequence[temporalio.workflow.EventGroup] | None = None
    output_type: type[_OutputT] | None = None

    def __post_init__(self) -> None:
        """Finds the operation's name and, unless given, the type of its result."""
        self._operation_name: str
        if isinstance(self.operation, str):
            self._operation_name = self.operation
            return
        import nexusrpc

        operation: Any = self.operation
        if not isinstance(operation, nexusrpc.Operation):
            operation = nexusrpc.get_operation(operation)
        if operation is None:
            raise ValueError(f"{self.operation!r} is not a Nexus operation")
        self._operation_name = operation.name
        if self.output_type is None:
            self.output_type = operation.output_type

    @property
    def operation_name(self) -> str:
        """The operation's name at its service."""
        return self._operation_name


# ----------------------------------------------------------------------------------------------------------- workflows


class WorkflowInboundInterceptor:
    """Calls into a workflow. One object per run, inside the sandbox."""

    def __init__(self, next: WorkflowInboundInterceptor) -> None:
        self.next = next

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        """Called once before the workflow; wrap ``outbound`` here to see what the workflow calls."""
        self.next.init(outbound)

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        """Runs the workflow."""
        return await self.next.execute_workflow(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        """Runs a signal handler."""
        return await self.next.handle_signal(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:
        """Runs a query handler."""
        return await self.next.handle_query(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        """Runs an update's validator."""
        self.next.handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        """Runs an update's handler."""
        return await self.next.handle_update_handler(input)


class WorkflowOutboundInterceptor:
    """Calls out of a workflow. One object per run, inside the sandbox."""

    def __init__(self, next: WorkflowOutboundInterceptor) -> None:
        self.next = next

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        """Behind ``workflow.continue_as_new()``; must raise what ``next`` raises."""
        self.next.continue_as_new(input)

    def info(self) -> temporalio.workflow.Info:
        """Behind ``workflow.info()``."""
        return self.next.info()

    async def signal_child_workflow(self, input: SignalChildWorkflowInput) -> None:
        """Behind ``ChildWorkflowHandle.signal``."""
        await self.next.signal_child_workflow(input)

    async def signal_external_workflow(self, input: SignalExternalWorkflowInput) -> None:
        """Behind ``ExternalWorkflowHandle.signal``."""
        await self.next.signal_external_workflow(input)

    def start_activity(self, input: StartActivityInput) -> temporalio.workflow.ActivityHandle[Any]:
        """Behind ``workflow.start_activity()`` and its kin."""
        return self.next.start_activity(input)

    async def start_child_workflow(
        self, input: StartChildWorkflowInput
    ) -> temporalio.workflow.ChildWorkflowHandle[Any, Any]:
        """Behind ``workflow.start_child_workflow()``."""
        return await self.next.start_child_workflow(input)

    def start_local_activity(self, input: StartLocalActivityInput) -> temporalio.workflow.ActivityHandle[Any]:
        """Behind ``workflow.start_local_activity()`` and its kin."""
        return self.next.start_local_activity(input)

    async def start_nexus_operation(
        self, input: StartNexusOperationInput[_InputT, _OutputT]
    ) -> temporalio.workflow.NexusOperationHandle[_OutputT]:
        """Behind ``NexusClient.start_operation``."""
        return await self.next.start_nexus_operation(input)

    async def start_system_nexus_operation(
        self, input: StartNexusOperationInput[_InputT, _OutputT]
    ) -> temporalio.workflow.NexusOperationHandle[_OutputT]:
        """An operation of the server's own endpoint, whatever it is."""
        return await self.next.start_system_nexus_operation(input)

    async def start_signal_with_start_workflow(
        self, request: models.SignalWithStartWorkflowRequest
    ) -> temporalio.workflow.NexusOperationHandle[models.SignalWithStartWorkflowResponse]:
        """Behind ``workflow.signal_with_start_workflow()``."""
        return await self.next.start_signal_with_start_workflow(request)


# --------------------------------------------------------------------------------------------------------------- nexus


@dataclass
class ExecuteNexusOperationStartInput:
    """Input of :meth:`NexusOperationInboundInterceptor.execute_nexus_operation_start`."""

    ctx: nexusrpc.handler.StartOperationContext
    input: Any


@dataclass
class ExecuteNexusOperationCancelInput:
    """Input of :meth:`NexusOperationInboundInterceptor.execute_nexus_operation_cancel`."""

    ctx: nexusrpc.handler.CancelOperationContext
    token: str


class NexusOperationInboundInterceptor:
    """Calls into a Nexus operation."""

    def __init__(self, next: NexusOperationInboundInterceptor) -> None:
        self.next = next

    async def execute_nexus_operation_start(
        self, input: ExecuteNexusOperationStartInput
    ) -> nexusrpc.handler.StartOperationResultSync[Any] | nexusrpc.handler.StartOperationResultAsync:
        """Starts the operation."""
        return await self.next.execute_nexus_operation_start(input)

    async def execute_nexus_operation_cancel(self, input: ExecuteNexusOperationCancelInput) -> None:
        """Cancels the operation."""
        return await self.next.execute_nexus_operation_cancel(input)
