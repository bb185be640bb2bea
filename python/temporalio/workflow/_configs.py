"""The types of the options that calls of activities and child workflows take.

Apart from the rest because making such a type costs what importing a module of code does, and few programs look at one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Optional, TypedDict, Union

from temporalio.common import (
    Priority,
    RetryPolicy,
    SearchAttributes,
    TypedSearchAttributes,
    VersioningOverride,
    WorkflowIDReusePolicy,
)

from ._activities import ActivityCancellationType, VersioningIntent
from ._children import ChildWorkflowCancellationType, ParentClosePolicy
from ._context import EventGroup


class ActivityConfig(TypedDict, total=False):
    """The options of an activity."""

    task_queue: Optional[str]
    schedule_to_close_timeout: Optional[timedelta]
    schedule_to_start_timeout: Optional[timedelta]
    start_to_close_timeout: Optional[timedelta]
    heartbeat_timeout: Optional[timedelta]
    retry_policy: Optional[RetryPolicy]
    cancellation_type: ActivityCancellationType
    activity_id: Optional[str]
    versioning_intent: Optional[VersioningIntent]
    summary: Optional[str]
    event_groups: Optional[Sequence[EventGroup]]
    priority: Priority


class LocalActivityConfig(TypedDict, total=False):
    """The options of a local activity."""

    schedule_to_close_timeout: Optional[timedelta]
    schedule_to_start_timeout: Optional[timedelta]
    start_to_close_timeout: Optional[timedelta]
    retry_policy: Optional[RetryPolicy]
    local_retry_threshold: Optional[timedelta]
    cancellation_type: ActivityCancellationType
    activity_id: Optional[str]
    summary: Optional[str]
    event_groups: Optional[Sequence[EventGroup]]


class ChildWorkflowConfig(TypedDict, total=False):
    """The options of a child workflow."""

    id: Optional[str]
    task_queue: Optional[str]
    cancellation_type: ChildWorkflowCancellationType
    parent_close_policy: ParentClosePolicy
    execution_timeout: Optional[timedelta]
    run_timeout: Optional[timedelta]
    task_timeout: Optional[timedelta]
    id_reuse_policy: WorkflowIDReusePolicy
    retry_policy: Optional[RetryPolicy]
    cron_schedule: str
    memo: Optional[Mapping[str, Any]]
    search_attributes: Optional[Union[SearchAttributes, TypedSearchAttributes]]
    versioning_intent: Optional[VersioningIntent]
    static_summary: Optional[str]
    static_details: Optional[str]
    event_groups: Optional[Sequence[EventGroup]]
    priority: Priority
    versioning_override: Optional[VersioningOverride]
