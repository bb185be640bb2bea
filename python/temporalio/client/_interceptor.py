"""Client interceptors: every call of the client passes through them, as one input value each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass

    import temporalio.api.common.v1
    import temporalio.api.workflowservice.v1
    import temporalio.common
    import temporalio.converter
    from temporalio.client._activity import (
        ActivityExecutionAsyncIterator,
        ActivityExecutionCount,
        ActivityExecutionDescription,
        ActivityExecutionOptions,
        ActivityHandle,
        ActivityOptionsUpdate,
    )
    from temporalio.client._async_activity import AsyncActivityIDReference
    from temporalio.client._build_id import (
        BuildIdOp,
        TaskReachabilityType,
        WorkerBuildIdVersionSets,
        WorkerTaskReachability,
    )
    from temporalio.client._history import WorkflowHistoryEventAsyncIterator, WorkflowHistoryEventFilterType
    from temporalio.client._nexus import (
        NexusOperationExecutionAsyncIterator,
        NexusOperationExecutionCount,
        NexusOperationExecutionDescription,
        NexusOperationHandle,
    )
    from temporalio.client._schedule import (
        Schedule,
        ScheduleAsyncIterator,
        ScheduleBackfill,
        ScheduleDescription,
        ScheduleHandle,
        ScheduleOverlapPolicy,
        ScheduleUpdate,
        ScheduleUpdateInput,
    )
    from temporalio.client._update import WorkflowUpdateHandle, WorkflowUpdateStage
    from temporalio.client._workflow import WorkflowHandle
    from temporalio.client._workflow_execution import (
        WorkflowExecutionAsyncIterator,
        WorkflowExecutionCount,
        WorkflowExecutionDescription,
    )
else:
    from temporalio._lazy import dataclass


@dataclass
class StartWorkflowInput:
    """Input of :py:meth:`OutboundInterceptor.start_workflow`."""

    workflow: str
    args: Sequence[Any]
    id: str
    task_queue: str
    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    id_reuse_policy: temporalio.common.WorkflowIDReusePolicy
    id_conflict_policy: temporalio.common.WorkflowIDConflictPolicy
    retry_policy: temporalio.common.RetryPolicy | None
    cron_schedule: str
    memo: Mapping[str, Any] | None
    search_attributes: temporalio.common.SearchAttributes | temporalio.common.TypedSearchAttributes | None
    start_delay: timedelta | None
    headers: Mapping[str, temporalio.api.common.v1.Payload]
    start_signal: str | None
    start_signal_args: Sequence[Any]
    static_summary: str | None
    static_details: str | None
    ret_type: type | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None
    request_eager_start: bool
    priority: temporalio.common.Priority
    versioning_override: temporalio.common.VersioningOverride | None = None
    time_skipping_config: temporalio.api.common.v1.TimeSkippingConfig | None = None


@dataclass
class CancelWorkflowInput:
    """Input of :py:meth:`OutboundInterceptor.cancel_workflow`."""

    id: str
    run_id: str | None
    first_execution_run_id: str | None
    reason: str
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class DescribeWorkflowInput:
    """Input of :py:meth:`OutboundInterceptor.describe_workflow`."""

    id: str
    run_id: str | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class FetchWorkflowHistoryEventsInput:
    """Input of :py:meth:`OutboundInterceptor.fetch_workflow_history_events`."""

    id: str
    run_id: str | None
    page_size: int | None
    next_page_token: bytes | None
    wait_new_event: bool
    event_filter_type: WorkflowHistoryEventFilterType
    skip_archival: bool
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class ListWorkflowsInput:
    """Input of :py:meth:`OutboundInterceptor.list_workflows`."""

    query: str | None
    page_size: int
    next_page_token: bytes | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None
    limit: int | None


@dataclass
class CountWorkflowsInput:
    """Input of :py:meth:`OutboundInterceptor.count_workflows`."""

    query: str | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class QueryWorkflowInput:
    """Input of :py:meth:`OutboundInterceptor.query_workflow`."""

    id: str
    run_id: str | None
    query: str
    args: Sequence[Any]
    reject_condition: temporalio.common.QueryRejectCondition | None
    headers: Mapping[str, temporalio.api.common.v1.Payload]
    ret_type: type | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class SignalWorkflowInput:
    """Input of :py:meth:`OutboundInterceptor.signal_workflow`."""

    id: str
    run_id: str | None
    signal: str
    args: Sequence[Any]
    headers: Mapping[str, temporalio.api.common.v1.Payload]
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class TerminateWorkflowInput:
    """Input of :py:meth:`OutboundInterceptor.terminate_workflow`."""

    id: str
    run_id: str | None
    first_execution_run_id: str | None
    args: Sequence[Any]
    reason: str | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class StartActivityInput:
    """Input of :py:meth:`OutboundInterceptor.start_activity`."""

    activity_type: str
    args: Sequence[Any]
    id: str
    task_queue: str
    result_type: type | None
    schedule_to_close_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    heartbeat_timeout: timedelta | None
    id_reuse_policy: temporalio.common.ActivityIDReusePolicy
    id_conflict_policy: temporalio.common.ActivityIDConflictPolicy
    retry_policy: temporalio.common.RetryPolicy | None
    priority: temporalio.common.Priority
    search_attributes: temporalio.common.TypedSearchAttributes | None
    summary: str | None
    start_delay: timedelta | None
    headers: Mapping[str, temporalio.api.common.v1.Payload]
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class CancelActivityInput:
    """Input of :py:meth:`OutboundInterceptor.cancel_activity`."""

    activity_id: str
    activity_run_id: str | None
    reason: str | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class TerminateActivityInput:
    """Input of :py:meth:`OutboundInterceptor.terminate_activity`."""

    activity_id: str
    activity_run_id: str | None
    reason: str | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class PauseActivityInput:
    """Input of :py:meth:`OutboundInterceptor.pause_activity`."""

    activity_id: str
    activity_run_id: str | None
    reason: str | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class UnpauseActivityInput:
    """Input of :py:meth:`OutboundInterceptor.unpause_activity`."""

    activity_id: str
    activity_run_id: str | None
    reason: str | None
    jitter: timedelta | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class UpdateActivityOptionsInput:
    """Input of :py:meth:`OutboundInterceptor.update_activity_options`."""

    activity_id: str
    activity_run_id: str | None
    updates: Sequence[ActivityOptionsUpdate[Any]]
    restore_original: bool
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class DescribeActivityInput:
    """Input of :py:meth:`OutboundInterceptor.describe_activity`."""

    activity_id: str
    activity_run_id: str | None
    include_input: bool
    include_outcome: bool
    include_heartbeat_details: bool
    include_last_failure: bool
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class ListActivitiesInput:
    """Input of :py:meth:`OutboundInterceptor.list_activities`."""

    query: str | None
    page_size: int
    next_page_token: bytes | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None
    limit: int | None


@dataclass
class CountActivitiesInput:
    """Input of :py:meth:`OutboundInterceptor.count_activities`."""

    query: str | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class StartWorkflowUpdateInput:
    """Input of :py:meth:`OutboundInterceptor.start_workflow_update`."""

    id: str
    run_id: str | None
    first_execution_run_id: str | None
    update_id: str | None
    update: str
    args: Sequence[Any]
    wait_for_stage: WorkflowUpdateStage
    headers: Mapping[str, temporalio.api.common.v1.Payload]
    ret_type: type | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class UpdateWithStartUpdateWorkflowInput:
    """The update half of a :py:class:`StartWorkflowUpdateWithStartInput`."""

    update_id: str | None
    update: str
    args: Sequence[Any]
    wait_for_stage: WorkflowUpdateStage
    headers: Mapping[str, temporalio.api.common.v1.Payload]
    ret_type: type | None


@dataclass
class UpdateWithStartStartWorkflowInput:
    """The start half of a :py:class:`StartWorkflowUpdateWithStartInput`."""

    workflow: str
    args: Sequence[Any]
    id: str
    task_queue: str
    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    id_reuse_policy: temporalio.common.WorkflowIDReusePolicy
    id_conflict_policy: temporalio.common.WorkflowIDConflictPolicy
    retry_policy: temporalio.common.RetryPolicy | None
    cron_schedule: str
    memo: Mapping[str, Any] | None
    search_attributes: temporalio.common.SearchAttributes | temporalio.common.TypedSearchAttributes | None
    start_delay: timedelta | None
    headers: Mapping[str, temporalio.api.common.v1.Payload]
    static_summary: str | None
    static_details: str | None
    ret_type: type | None
    priority: temporalio.common.Priority
    versioning_override: temporalio.common.VersioningOverride | None = None
    time_skipping_config: temporalio.api.common.v1.TimeSkippingConfig | None = None


@dataclass
class StartWorkflowUpdateWithStartInput:
    """Input of :py:meth:`OutboundInterceptor.start_update_with_start_workflow`."""

    start_workflow_input: UpdateWithStartStartWorkflowInput
    update_workflow_input: UpdateWithStartUpdateWorkflowInput
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None
    _on_start: Callable[[temporalio.api.workflowservice.v1.StartWorkflowExecutionResponse], None]
    _on_start_error: Callable[[BaseException], None]


@dataclass
class HeartbeatAsyncActivityInput:
    """Input of :py:meth:`OutboundInterceptor.heartbeat_async_activity`."""

    id_or_token: AsyncActivityIDReference | bytes
    details: Sequence[Any]
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None
    data_converter_override: temporalio.converter.DataConverter | None = None


@dataclass
class CompleteAsyncActivityInput:
    """Input of :py:meth:`OutboundInterceptor.complete_async_activity`."""

    id_or_token: AsyncActivityIDReference | bytes
    result: Any | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None
    data_converter_override: temporalio.converter.DataConverter | None = None


@dataclass
class FailAsyncActivityInput:
    """Input of :py:meth:`OutboundInterceptor.fail_async_activity`."""

    id_or_token: AsyncActivityIDReference | bytes
    error: Exception
    last_heartbeat_details: Sequence[Any]
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None
    data_converter_override: temporalio.converter.DataConverter | None = None


@dataclass
class ReportCancellationAsyncActivityInput:
    """Input of :py:meth:`OutboundInterceptor.report_cancellation_async_activity`."""

    id_or_token: AsyncActivityIDReference | bytes
    details: Sequence[Any]
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None
    data_converter_override: temporalio.converter.DataConverter | None = None


@dataclass
class CreateScheduleInput:
    """Input of :py:meth:`OutboundInterceptor.create_schedule`."""

    id: str
    schedule: Schedule
    trigger_immediately: bool
    backfill: Sequence[ScheduleBackfill]
    memo: Mapping[str, Any] | None
    search_attributes: temporalio.common.SearchAttributes | temporalio.common.TypedSearchAttributes | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class ListSchedulesInput:
    """Input of :py:meth:`OutboundInterceptor.list_schedules`."""

    page_size: int
    next_page_token: bytes | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None
    query: str | None = None


@dataclass
class BackfillScheduleInput:
    """Input of :py:meth:`OutboundInterceptor.backfill_schedule`."""

    id: str
    backfills: Sequence[ScheduleBackfill]
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class DeleteScheduleInput:
    """Input of :py:meth:`OutboundInterceptor.delete_schedule`."""

    id: str
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class DescribeScheduleInput:
    """Input of :py:meth:`OutboundInterceptor.describe_schedule`."""

    id: str
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class PauseScheduleInput:
    """Input of :py:meth:`OutboundInterceptor.pause_schedule`."""

    id: str
    note: str | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class TriggerScheduleInput:
    """Input of :py:meth:`OutboundInterceptor.trigger_schedule`."""

    id: str
    overlap: ScheduleOverlapPolicy | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class UnpauseScheduleInput:
    """Input of :py:meth:`OutboundInterceptor.unpause_schedule`."""

    id: str
    note: str | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class UpdateScheduleInput:
    """Input of :py:meth:`OutboundInterceptor.update_schedule`."""

    id: str
    updater: Callable[[ScheduleUpdateInput], ScheduleUpdate | None | Awaitable[ScheduleUpdate | None]]
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class StartNexusOperationInput:
    """Input of :py:meth:`OutboundInterceptor.start_nexus_operation`."""

    operation: str
    arg: Any
    id: str
    endpoint: str
    service: str
    result_type: type | None
    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    id_reuse_policy: temporalio.common.NexusOperationIDReusePolicy
    id_conflict_policy: temporalio.common.NexusOperationIDConflictPolicy
    search_attributes: temporalio.common.TypedSearchAttributes | None
    summary: str | None
    headers: Mapping[str, str]
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class GetNexusOperationResultInput:
    """Input of :py:meth:`OutboundInterceptor.get_nexus_operation_result`."""

    operation_id: str
    run_id: str | None
    endpoint: str
    service: str
    operation: str
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None
    result_type: type[Any] | None


@dataclass
class CancelNexusOperationInput:
    """Input of :py:meth:`OutboundInterceptor.cancel_nexus_operation`."""

    operation_id: str
    run_id: str | None
    reason: str | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class TerminateNexusOperationInput:
    """Input of :py:meth:`OutboundInterceptor.terminate_nexus_operation`."""

    operation_id: str
    run_id: str | None
    reason: str | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class DescribeNexusOperationInput:
    """Input of :py:meth:`OutboundInterceptor.describe_nexus_operation`."""

    operation_id: str
    run_id: str | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class ListNexusOperationsInput:
    """Input of :py:meth:`OutboundInterceptor.list_nexus_operations`."""

    query: str | None
    page_size: int
    next_page_token: bytes | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None
    limit: int | None


@dataclass
class CountNexusOperationsInput:
    """Input of :py:meth:`OutboundInterceptor.count_nexus_operations`."""

    query: str | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class UpdateWorkerBuildIdCompatibilityInput:
    """Input of :py:meth:`OutboundInterceptor.update_worker_build_id_compatibility`."""

    task_queue: str
    operation: BuildIdOp
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class GetWorkerBuildIdCompatibilityInput:
    """Input of :py:meth:`OutboundInterceptor.get_worker_build_id_compatibility`."""

    task_queue: str
    max_sets: int | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class GetWorkerTaskReachabilityInput:
    """Input of :py:meth:`OutboundInterceptor.get_worker_task_reachability`."""

    build_ids: Sequence[str]
    task_queues: Sequence[str]
    reachability: TaskReachabilityType | None
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


@dataclass
class Interceptor:
    """Base of client interceptors.

    A worker made with the client takes those of them that are worker interceptors too.
    """

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        """Puts something before the rest of the chain.

        Args:
            next: The rest of the chain.

        Returns:
            What calls shall go through; commonly a subclass of :py:class:`OutboundInterceptor` made with ``next``.
        """
        return next


class OutboundInterceptor:
    """Base of what calls go through; each method hands on to the next unless overridden.

    Attributes:
        next: The rest of the chain.
    """

    def __init__(self, next: OutboundInterceptor) -> None:
        """Makes a link of the chain before this one."""
        super().__init__()
        self.next = next

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        """Starts a workflow."""
        return await self.next.start_workflow(input)

    async def cancel_workflow(self, input: CancelWorkflowInput) -> None:
        """Asks a workflow to stop."""
        await self.next.cancel_workflow(input)

    async def describe_workflow(self, input: DescribeWorkflowInput) -> WorkflowExecutionDescription:
        """Describes a workflow."""
        return await self.next.describe_workflow(input)

    def fetch_workflow_history_events(
        self, input: FetchWorkflowHistoryEventsInput
    ) -> WorkflowHistoryEventAsyncIterator:
        """Reads the events of a workflow."""
        return self.next.fetch_workflow_history_events(input)

    def list_workflows(self, input: ListWorkflowsInput) -> WorkflowExecutionAsyncIterator:
        """Lists workflows."""
        return self.next.list_workflows(input)

    async def count_workflows(self, input: CountWorkflowsInput) -> WorkflowExecutionCount:
        """Counts workflows."""
        return await self.next.count_workflows(input)

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:
        """Queries a workflow."""
        return await self.next.query_workflow(input)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        """Signals a workflow."""
        await self.next.signal_workflow(input)

    async def terminate_workflow(self, input: TerminateWorkflowInput) -> None:
        """Terminates a workflow."""
        await self.next.terminate_workflow(input)

    async def start_activity(self, input: StartActivityInput) -> ActivityHandle[Any]:
        """Starts a standalone activity."""
        return await self.next.start_activity(input)

    async def cancel_activity(self, input: CancelActivityInput) -> None:
        """Asks a standalone activity to stop."""
        await self.next.cancel_activity(input)

    async def terminate_activity(self, input: TerminateActivityInput) -> None:
        """Terminates a standalone activity."""
        await self.next.terminate_activity(input)

    async def pause_activity(self, input: PauseActivityInput) -> None:
        """Pauses a standalone activity."""
        await self.next.pause_activity(input)

    async def unpause_activity(self, input: UnpauseActivityInput) -> None:
        """Lets a paused standalone activity go on."""
        await self.next.unpause_activity(input)

    async def update_activity_options(self, input: UpdateActivityOptionsInput) -> ActivityExecutionOptions:
        """Changes the options of a standalone activity."""
        return await self.next.update_activity_options(input)

    async def describe_activity(self, input: DescribeActivityInput) -> ActivityExecutionDescription:
        """Describes a standalone activity."""
        return await self.next.describe_activity(input)

    def list_activities(self, input: ListActivitiesInput) -> ActivityExecutionAsyncIterator:
        """Lists standalone activities."""
        return self.next.list_activities(input)

    async def count_activities(self, input: CountActivitiesInput) -> ActivityExecutionCount:
        """Counts standalone activities."""
        return await self.next.count_activities(input)

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:
        """Starts an update of a workflow."""
        return await self.next.start_workflow_update(input)

    async def start_update_with_start_workflow(
        self, input: StartWorkflowUpdateWithStartInput
    ) -> WorkflowUpdateHandle[Any]:
        """Starts an update and, if need be, its workflow."""
        return await self.next.start_update_with_start_workflow(input)

    async def heartbeat_async_activity(self, input: HeartbeatAsyncActivityInput) -> None:
        """Heartbeats for an activity that is completed from outside."""
        await self.next.heartbeat_async_activity(input)

    async def complete_async_activity(self, input: CompleteAsyncActivityInput) -> None:
        """Completes an activity from outside."""
        await self.next.complete_async_activity(input)

    async def fail_async_activity(self, input: FailAsyncActivityInput) -> None:
        """Fails an activity from outside."""
        await self.next.fail_async_activity(input)

    async def report_cancellation_async_activity(self, input: ReportCancellationAsyncActivityInput) -> None:
        """Says from outside that an activity has stopped."""
        await self.next.report_cancellation_async_activity(input)

    async def create_schedule(self, input: CreateScheduleInput) -> ScheduleHandle:
        """Creates a schedule."""
        return await self.next.create_schedule(input)

    def list_schedules(self, input: ListSchedulesInput) -> ScheduleAsyncIterator:
        """Lists schedules."""
        return self.next.list_schedules(input)

    async def backfill_schedule(self, input: BackfillScheduleInput) -> None:
        """Makes a schedule act for a time past."""
        await self.next.backfill_schedule(input)

    async def delete_schedule(self, input: DeleteScheduleInput) -> None:
        """Deletes a schedule."""
        await self.next.delete_schedule(input)

    async def describe_schedule(self, input: DescribeScheduleInput) -> ScheduleDescription:
        """Describes a schedule."""
        return await self.next.describe_schedule(input)

    async def pause_schedule(self, input: PauseScheduleInput) -> None:
        """Pauses a schedule."""
        await self.next.pause_schedule(input)

    async def trigger_schedule(self, input: TriggerScheduleInput) -> None:
        """Makes a schedule act now."""
        await self.next.trigger_schedule(input)

    async def unpause_schedule(self, input: UnpauseScheduleInput) -> None:
        """Lets a paused schedule go on."""
        await self.next.unpause_schedule(input)

    async def update_schedule(self, input: UpdateScheduleInput) -> None:
        """Changes a schedule."""
        await self.next.update_schedule(input)

    async def start_nexus_operation(self, input: StartNexusOperationInput) -> NexusOperationHandle[Any]:
        """Starts a standalone Nexus operation."""
        return await self.next.start_nexus_operation(input)

    async def get_nexus_operation_result(self, input: GetNexusOperationResultInput) -> Any:
        """Waits for the result of a standalone Nexus operation."""
        return await self.next.get_nexus_operation_result(input)

    async def cancel_nexus_operation(self, input: CancelNexusOperationInput) -> None:
        """Asks a standalone Nexus operation to stop."""
        await self.next.cancel_nexus_operation(input)

    async def terminate_nexus_operation(self, input: TerminateNexusOperationInput) -> None:
        """Terminates a standalone Nexus operation."""
        await self.next.terminate_nexus_operation(input)

    async def describe_nexus_operation(self, input: DescribeNexusOperationInput) -> NexusOperationExecutionDescription:
        """Describes a standalone Nexus operation."""
        return await self.next.describe_nexus_operation(input)

    def list_nexus_operations(self, input: ListNexusOperationsInput) -> NexusOperationExecutionAsyncIterator:
        """Lists standalone Nexus operations."""
        return self.next.list_nexus_operations(input)

    async def count_nexus_operations(self, input: CountNexusOperationsInput) -> NexusOperationExecutionCount:
        """Counts standalone Nexus operations."""
        return await self.next.count_nexus_operations(input)

    async def update_worker_build_id_compatibility(self, input: UpdateWorkerBuildIdCompatibilityInput) -> None:
        """Changes the build ids of a task queue."""
        await self.next.update_worker_build_id_compatibility(input)

    async def get_worker_build_id_compatibility(
        self, input: GetWorkerBuildIdCompatibilityInput
    ) -> WorkerBuildIdVersionSets:
        """Reads the build ids of a task queue."""
        return await self.next.get_worker_build_id_compatibility(input)

    async def get_worker_task_reachability(self, input: GetWorkerTaskReachabilityInput) -> WorkerTaskReachability:
        """Tells which build ids may still get tasks."""
        return await self.next.get_worker_task_reachability(input)
