"""Keyword options that the overloads of the client's methods share; for type checkers, never imported by a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from typing_extensions import TypedDict

import temporalio.common


class RPCOptions(TypedDict, total=False):
    """Options of every call."""

    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None


class WorkflowOptions(RPCOptions, total=False):
    """Options of starting a workflow, those apart that differ between calls."""

    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    id_reuse_policy: temporalio.common.WorkflowIDReusePolicy
    id_conflict_policy: temporalio.common.WorkflowIDConflictPolicy
    retry_policy: temporalio.common.RetryPolicy | None
    cron_schedule: str
    memo: Mapping[str, Any] | None
    search_attributes: temporalio.common.TypedSearchAttributes | temporalio.common.SearchAttributes | None
    static_summary: str | None
    static_details: str | None
    start_delay: timedelta | None
    start_signal: str | None
    start_signal_args: Sequence[Any]
    request_eager_start: bool
    priority: temporalio.common.Priority
    versioning_override: temporalio.common.VersioningOverride | None


class StartWorkflowOptions(WorkflowOptions, total=False):
    """Options of :py:meth:`Client.start_workflow`."""

    stack_level: int


class WithStartOptions(TypedDict, total=False):
    """Options of :py:class:`WithStartWorkflowOperation`."""

    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    id_reuse_policy: temporalio.common.WorkflowIDReusePolicy
    retry_policy: temporalio.common.RetryPolicy | None
    cron_schedule: str
    memo: Mapping[str, Any] | None
    search_attributes: temporalio.common.TypedSearchAttributes | temporalio.common.SearchAttributes | None
    static_summary: str | None
    static_details: str | None
    start_delay: timedelta | None
    priority: temporalio.common.Priority
    versioning_override: temporalio.common.VersioningOverride | None
    stack_level: int


class ScheduledWorkflowOptions(TypedDict, total=False):
    """Options of :py:class:`ScheduleActionStartWorkflow`."""

    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    retry_policy: temporalio.common.RetryPolicy | None
    memo: Mapping[str, Any] | None
    typed_search_attributes: temporalio.common.TypedSearchAttributes
    static_summary: str | None
    static_details: str | None
    priority: temporalio.common.Priority


class ActivityOptions(RPCOptions, total=False):
    """Options of starting a standalone activity."""

    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    heartbeat_timeout: timedelta | None
    id_reuse_policy: temporalio.common.ActivityIDReusePolicy
    id_conflict_policy: temporalio.common.ActivityIDConflictPolicy
    retry_policy: temporalio.common.RetryPolicy | None
    search_attributes: temporalio.common.TypedSearchAttributes | None
    summary: str | None
    priority: temporalio.common.Priority
    start_delay: timedelta | None


class NexusOperationOptions(RPCOptions, total=False):
    """Options of starting a standalone Nexus operation."""

    id_reuse_policy: temporalio.common.NexusOperationIDReusePolicy
    id_conflict_policy: temporalio.common.NexusOperationIDConflictPolicy
    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    search_attributes: temporalio.common.TypedSearchAttributes | None
    summary: str | None
    headers: Mapping[str, str] | None


class QueryOptions(RPCOptions, total=False):
    """Options of a query."""

    reject_condition: temporalio.common.QueryRejectCondition | None


class UpdateOptions(RPCOptions, total=False):
    """Options of an update."""

    id: str | None
