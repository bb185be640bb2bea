"""The client: starting workflows and all else that a server offers to programs.

Start with :py:meth:`Client.connect`. What is rarely used is imported when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio._lazy import lazy_attributes
from temporalio.client._client import Client
from temporalio.client._plugin import Plugin

if TYPE_CHECKING:
    from temporalio.activity import ActivityCancellationDetails
    from temporalio.client._activity import (
        ActivityExecution,
        ActivityExecutionAsyncIterator,
        ActivityExecutionCount,
        ActivityExecutionCountAggregationGroup,
        ActivityExecutionDescription,
        ActivityExecutionOptions,
        ActivityExecutionStatus,
        ActivityHandle,
        ActivityOptionsKey,
        ActivityOptionsKeys,
        ActivityOptionsUpdate,
        PendingActivityState,
    )
    from temporalio.client._async_activity import AsyncActivityHandle, AsyncActivityIDReference
    from temporalio.client._build_id import (
        BuildIdOp,
        BuildIdOpAddNewCompatible,
        BuildIdOpAddNewDefault,
        BuildIdOpMergeSets,
        BuildIdOpPromoteBuildIdWithinSet,
        BuildIdOpPromoteSetByBuildId,
        BuildIdReachability,
        BuildIdVersionSet,
        TaskReachabilityType,
        WorkerBuildIdVersionSets,
        WorkerTaskReachability,
    )
    from temporalio.client._cloud import CloudOperationsClient
    from temporalio.client._configs import ClientConfig, ClientConnectConfig
    from temporalio.client._errors import (
        ActivityFailureError,
        AsyncActivityCancelledError,
        NexusOperationFailureError,
        RPCTimeoutOrCancelledError,
        ScheduleAlreadyRunningError,
        WorkflowContinuedAsNewError,
        WorkflowFailureError,
        WorkflowQueryFailedError,
        WorkflowQueryRejectedError,
        WorkflowUpdateFailedError,
        WorkflowUpdateRPCTimeoutOrCancelledError,
    )
    from temporalio.client._history import (
        WorkflowHistory,
        WorkflowHistoryEventAsyncIterator,
        WorkflowHistoryEventFilterType,
    )
    from temporalio.client._interceptor import (
        BackfillScheduleInput,
        CancelActivityInput,
        CancelNexusOperationInput,
        CancelWorkflowInput,
        CompleteAsyncActivityInput,
        CountActivitiesInput,
        CountNexusOperationsInput,
        CountWorkflowsInput,
        CreateScheduleInput,
        DeleteScheduleInput,
        DescribeActivityInput,
        DescribeNexusOperationInput,
        DescribeScheduleInput,
        DescribeWorkflowInput,
        FailAsyncActivityInput,
        FetchWorkflowHistoryEventsInput,
        GetNexusOperationResultInput,
        GetWorkerBuildIdCompatibilityInput,
        GetWorkerTaskReachabilityInput,
        HeartbeatAsyncActivityInput,
        Interceptor,
        ListActivitiesInput,
        ListNexusOperationsInput,
        ListSchedulesInput,
        ListWorkflowsInput,
        OutboundInterceptor,
        PauseActivityInput,
        PauseScheduleInput,
        QueryWorkflowInput,
        ReportCancellationAsyncActivityInput,
        SignalWorkflowInput,
        StartActivityInput,
        StartNexusOperationInput,
        StartWorkflowInput,
        StartWorkflowUpdateInput,
        StartWorkflowUpdateWithStartInput,
        TerminateActivityInput,
        TerminateNexusOperationInput,
        TerminateWorkflowInput,
        TriggerScheduleInput,
        UnpauseActivityInput,
        UnpauseScheduleInput,
        UpdateActivityOptionsInput,
        UpdateScheduleInput,
        UpdateWithStartStartWorkflowInput,
        UpdateWithStartUpdateWorkflowInput,
        UpdateWorkerBuildIdCompatibilityInput,
    )
    from temporalio.client._nexus import (
        Callback,
        NexusClient,
        NexusOperationExecution,
        NexusOperationExecutionAsyncIterator,
        NexusOperationExecutionCancellationInfo,
        NexusOperationExecutionCount,
        NexusOperationExecutionCountAggregationGroup,
        NexusOperationExecutionDescription,
        NexusOperationHandle,
    )
    from temporalio.client._schedule import (
        Schedule,
        ScheduleAction,
        ScheduleActionStartWorkflow,
        ScheduleAsyncIterator,
        ScheduleDescription,
        ScheduleHandle,
        ScheduleListAction,
        ScheduleListActionStartWorkflow,
        ScheduleListDescription,
        ScheduleListInfo,
        ScheduleListSchedule,
        ScheduleListState,
        ScheduleUpdate,
        ScheduleUpdateInput,
    )
    from temporalio.client._schedule_spec import (
        ScheduleActionExecution,
        ScheduleActionExecutionStartWorkflow,
        ScheduleActionResult,
        ScheduleBackfill,
        ScheduleCalendarSpec,
        ScheduleInfo,
        ScheduleIntervalSpec,
        ScheduleOverlapPolicy,
        SchedulePolicy,
        ScheduleRange,
        ScheduleSpec,
        ScheduleState,
    )
    from temporalio.client._update import WithStartWorkflowOperation, WorkflowUpdateHandle, WorkflowUpdateStage
    from temporalio.client._workflow import WorkflowHandle
    from temporalio.client._workflow_execution import (
        WorkflowExecution,
        WorkflowExecutionAsyncIterator,
        WorkflowExecutionCount,
        WorkflowExecutionCountAggregationGroup,
        WorkflowExecutionDescription,
        WorkflowExecutionStatus,
    )
    from temporalio.common import HeaderCodecBehavior
    from temporalio.converter import (
        ActivitySerializationContext,
        DataConverter,
        SerializationContext,
        StorageDriverActivityInfo,
        StorageDriverSelectContext,
        StorageDriverStoreContext,
        StorageDriverWorkflowInfo,
        WithSerializationContext,
        WorkflowSerializationContext,
    )
    from temporalio.service import (
        ConnectConfig,
        DnsLoadBalancingConfig,
        GrpcCompression,
        HttpConnectProxyConfig,
        KeepAliveConfig,
        PayloadLimitsConfig,
        RPCError,
        RPCStatusCode,
        RetryConfig,
        ServiceClient,
        TLSConfig,
    )
    from temporalio.types import (
        AnyType,
        CallableAsyncNoParam,
        CallableAsyncSingleParam,
        CallableSyncNoParam,
        CallableSyncSingleParam,
        LocalReturnType,
        MethodAsyncNoParam,
        MethodAsyncSingleParam,
        MethodSyncOrAsyncNoParam,
        MethodSyncOrAsyncSingleParam,
        MultiParamSpec,
        ParamType,
        ReturnType,
        SelfType,
    )
    from temporalio.client._history import _history_from_json
    from temporalio.client._impl import _ClientImpl
else:
    _HOMES = {
        "temporalio.activity": """
            ActivityCancellationDetails
        """,
        "._activity": """
            ActivityExecution ActivityExecutionAsyncIterator ActivityExecutionCount
            ActivityExecutionCountAggregationGroup ActivityExecutionDescription ActivityExecutionOptions
            ActivityExecutionStatus ActivityHandle ActivityOptionsKey ActivityOptionsKeys ActivityOptionsUpdate
            PendingActivityState
        """,
        "._async_activity": """
            AsyncActivityHandle AsyncActivityIDReference
        """,
        "._build_id": """
            BuildIdOp BuildIdOpAddNewCompatible BuildIdOpAddNewDefault BuildIdOpMergeSets
            BuildIdOpPromoteBuildIdWithinSet BuildIdOpPromoteSetByBuildId BuildIdReachability BuildIdVersionSet
            TaskReachabilityType WorkerBuildIdVersionSets WorkerTaskReachability
        """,
        "._cloud": """
            CloudOperationsClient
        """,
        "._configs": """
            ClientConfig ClientConnectConfig
        """,
        "._errors": """
            ActivityFailureError AsyncActivityCancelledError NexusOperationFailureError RPCTimeoutOrCancelledError
            ScheduleAlreadyRunningError WorkflowContinuedAsNewError WorkflowFailureError WorkflowQueryFailedError
            WorkflowQueryRejectedError WorkflowUpdateFailedError WorkflowUpdateRPCTimeoutOrCancelledError
        """,
        "._interceptor": """
            BackfillScheduleInput CancelActivityInput CancelNexusOperationInput CancelWorkflowInput
            CompleteAsyncActivityInput CountActivitiesInput CountNexusOperationsInput CountWorkflowsInput
            CreateScheduleInput DeleteScheduleInput DescribeActivityInput DescribeNexusOperationInput
            DescribeScheduleInput DescribeWorkflowInput FailAsyncActivityInput FetchWorkflowHistoryEventsInput
            GetNexusOperationResultInput GetWorkerBuildIdCompatibilityInput GetWorkerTaskReachabilityInput
            HeartbeatAsyncActivityInput Interceptor ListActivitiesInput ListNexusOperationsInput ListSchedulesInput
            ListWorkflowsInput OutboundInterceptor PauseActivityInput PauseScheduleInput QueryWorkflowInput
            ReportCancellationAsyncActivityInput SignalWorkflowInput StartActivityInput StartNexusOperationInput
            StartWorkflowInput StartWorkflowUpdateInput StartWorkflowUpdateWithStartInput TerminateActivityInput
            TerminateNexusOperationInput TerminateWorkflowInput TriggerScheduleInput UnpauseActivityInput
            UnpauseScheduleInput UpdateActivityOptionsInput UpdateScheduleInput UpdateWithStartStartWorkflowInput
            UpdateWithStartUpdateWorkflowInput UpdateWorkerBuildIdCompatibilityInput
        """,
        "._nexus": """
            Callback NexusClient NexusOperationExecution NexusOperationExecutionAsyncIterator
            NexusOperationExecutionCancellationInfo NexusOperationExecutionCount
            NexusOperationExecutionCountAggregationGroup NexusOperationExecutionDescription NexusOperationHandle
        """,
        "._schedule": """
            Schedule ScheduleAction ScheduleActionStartWorkflow ScheduleAsyncIterator ScheduleDescription
            ScheduleHandle ScheduleListAction ScheduleListActionStartWorkflow ScheduleListDescription
            ScheduleListInfo ScheduleListSchedule ScheduleListState ScheduleUpdate ScheduleUpdateInput
        """,
        "._schedule_spec": """
            ScheduleActionExecution ScheduleActionExecutionStartWorkflow ScheduleActionResult ScheduleBackfill
            ScheduleCalendarSpec ScheduleInfo ScheduleIntervalSpec ScheduleOverlapPolicy SchedulePolicy ScheduleRange
            ScheduleSpec ScheduleState
        """,
        "._update": """
            WithStartWorkflowOperation WorkflowUpdateHandle WorkflowUpdateStage
        """,
        "._workflow": """
            WorkflowHandle
        """,
        "._workflow_execution": """
            WorkflowExecution WorkflowExecutionAsyncIterator WorkflowExecutionCount
            WorkflowExecutionCountAggregationGroup WorkflowExecutionDescription WorkflowExecutionStatus
        """,
        "temporalio.common": """
            HeaderCodecBehavior
        """,
        "temporalio.converter": """
            ActivitySerializationContext DataConverter SerializationContext StorageDriverActivityInfo
            StorageDriverSelectContext StorageDriverStoreContext StorageDriverWorkflowInfo WithSerializationContext
            WorkflowSerializationContext
        """,
        "temporalio.service": """
            ConnectConfig DnsLoadBalancingConfig GrpcCompression HttpConnectProxyConfig KeepAliveConfig
            PayloadLimitsConfig RPCError RPCStatusCode RetryConfig ServiceClient TLSConfig
        """,
        "temporalio.types": """
            AnyType CallableAsyncNoParam CallableAsyncSingleParam CallableSyncNoParam CallableSyncSingleParam
            LocalReturnType MethodAsyncNoParam MethodAsyncSingleParam MethodSyncOrAsyncNoParam
            MethodSyncOrAsyncSingleParam MultiParamSpec ParamType ReturnType SelfType
        """,
        "._history": (
            "WorkflowHistory WorkflowHistoryEventAsyncIterator WorkflowHistoryEventFilterType _history_from_json"
        ),
        "._impl": "_ClientImpl",
    }
    __getattr__ = lazy_attributes(__name__, {name: home for home, names in _HOMES.items() for name in names.split()})

__all__ = [
    "ActivityCancellationDetails",
    "ActivityExecution",
    "ActivityExecutionAsyncIterator",
    "ActivityExecutionCount",
    "ActivityExecutionCountAggregationGroup",
    "ActivityExecutionDescription",
    "ActivityExecutionOptions",
    "ActivityExecutionStatus",
    "ActivityFailureError",
    "ActivityHandle",
    "ActivityOptionsKey",
    "ActivityOptionsKeys",
    "ActivityOptionsUpdate",
    "ActivitySerializationContext",
    "AnyType",
    "AsyncActivityCancelledError",
    "AsyncActivityHandle",
    "AsyncActivityIDReference",
    "BackfillScheduleInput",
    "BuildIdOp",
    "BuildIdOpAddNewCompatible",
    "BuildIdOpAddNewDefault",
    "BuildIdOpMergeSets",
    "BuildIdOpPromoteBuildIdWithinSet",
    "BuildIdOpPromoteSetByBuildId",
    "BuildIdReachability",
    "BuildIdVersionSet",
    "CallableAsyncNoParam",
    "CallableAsyncSingleParam",
    "CallableSyncNoParam",
    "CallableSyncSingleParam",
    "Callback",
    "CancelActivityInput",
    "CancelNexusOperationInput",
    "CancelWorkflowInput",
    "Client",
    "ClientConfig",
    "ClientConnectConfig",
    "CloudOperationsClient",
    "CompleteAsyncActivityInput",
    "ConnectConfig",
    "CountActivitiesInput",
    "CountNexusOperationsInput",
    "CountWorkflowsInput",
    "CreateScheduleInput",
    "DataConverter",
    "DeleteScheduleInput",
    "DescribeActivityInput",
    "DescribeNexusOperationInput",
    "DescribeScheduleInput",
    "DescribeWorkflowInput",
    "DnsLoadBalancingConfig",
    "FailAsyncActivityInput",
    "FetchWorkflowHistoryEventsInput",
    "GetNexusOperationResultInput",
    "GetWorkerBuildIdCompatibilityInput",
    "GetWorkerTaskReachabilityInput",
    "GrpcCompression",
    "HeaderCodecBehavior",
    "HeartbeatAsyncActivityInput",
    "HttpConnectProxyConfig",
    "Interceptor",
    "KeepAliveConfig",
    "ListActivitiesInput",
    "ListNexusOperationsInput",
    "ListSchedulesInput",
    "ListWorkflowsInput",
    "LocalReturnType",
    "MethodAsyncNoParam",
    "MethodAsyncSingleParam",
    "MethodSyncOrAsyncNoParam",
    "MethodSyncOrAsyncSingleParam",
    "MultiParamSpec",
    "NexusClient",
    "NexusOperationExecution",
    "NexusOperationExecutionAsyncIterator",
    "NexusOperationExecutionCancellationInfo",
    "NexusOperationExecutionCount",
    "NexusOperationExecutionCountAggregationGroup",
    "NexusOperationExecutionDescription",
    "NexusOperationFailureError",
    "NexusOperationHandle",
    "OutboundInterceptor",
    "ParamType",
    "PauseActivityInput",
    "PauseScheduleInput",
    "PayloadLimitsConfig",
    "PendingActivityState",
    "Plugin",
    "QueryWorkflowInput",
    "RPCError",
    "RPCStatusCode",
    "RPCTimeoutOrCancelledError",
    "ReportCancellationAsyncActivityInput",
    "RetryConfig",
    "ReturnType",
    "Schedule",
    "ScheduleAction",
    "ScheduleActionExecution",
    "ScheduleActionExecutionStartWorkflow",
    "ScheduleActionResult",
    "ScheduleActionStartWorkflow",
    "ScheduleAlreadyRunningError",
    "ScheduleAsyncIterator",
    "ScheduleBackfill",
    "ScheduleCalendarSpec",
    "ScheduleDescription",
    "ScheduleHandle",
    "ScheduleInfo",
    "ScheduleIntervalSpec",
    "ScheduleListAction",
    "ScheduleListActionStartWorkflow",
    "ScheduleListDescription",
    "ScheduleListInfo",
    "ScheduleListSchedule",
    "ScheduleListState",
    "ScheduleOverlapPolicy",
    "SchedulePolicy",
    "ScheduleRange",
    "ScheduleSpec",
    "ScheduleState",
    "ScheduleUpdate",
    "ScheduleUpdateInput",
    "SelfType",
    "SerializationContext",
    "ServiceClient",
    "SignalWorkflowInput",
    "StartActivityInput",
    "StartNexusOperationInput",
    "StartWorkflowInput",
    "StartWorkflowUpdateInput",
    "StartWorkflowUpdateWithStartInput",
    "StorageDriverActivityInfo",
    "StorageDriverSelectContext",
    "StorageDriverStoreContext",
    "StorageDriverWorkflowInfo",
    "TLSConfig",
    "TaskReachabilityType",
    "TerminateActivityInput",
    "TerminateNexusOperationInput",
    "TerminateWorkflowInput",
    "TriggerScheduleInput",
    "UnpauseActivityInput",
    "UnpauseScheduleInput",
    "UpdateActivityOptionsInput",
    "UpdateScheduleInput",
    "UpdateWithStartStartWorkflowInput",
    "UpdateWithStartUpdateWorkflowInput",
    "UpdateWorkerBuildIdCompatibilityInput",
    "WithSerializationContext",
    "WithStartWorkflowOperation",
    "WorkerBuildIdVersionSets",
    "WorkerTaskReachability",
    "WorkflowContinuedAsNewError",
    "WorkflowExecution",
    "WorkflowExecutionAsyncIterator",
    "WorkflowExecutionCount",
    "WorkflowExecutionCountAggregationGroup",
    "WorkflowExecutionDescription",
    "WorkflowExecutionStatus",
    "WorkflowFailureError",
    "WorkflowHandle",
    "WorkflowHistory",
    "WorkflowHistoryEventAsyncIterator",
    "WorkflowHistoryEventFilterType",
    "WorkflowQueryFailedError",
    "WorkflowQueryRejectedError",
    "WorkflowSerializationContext",
    "WorkflowUpdateFailedError",
    "WorkflowUpdateHandle",
    "WorkflowUpdateRPCTimeoutOrCancelledError",
    "WorkflowUpdateStage",
]
