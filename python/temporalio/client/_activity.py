"""Standalone activities, which belong to no workflow: handles, descriptions, lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import temporalio.common
from temporalio._values import duration_ns, to_datetime_or_none, to_timedelta_or_none
from temporalio.client._errors import ActivityFailureError
from temporalio.client._helpers import (
    LazyMessages,
    PagedIterator,
    call_workflow_service,
    count_groups,
    decode_result,
    required_datetime,
)
from temporalio.converter._messages import payload_list
from temporalio.types import ReturnType

if TYPE_CHECKING:
    import dataclasses
    from dataclasses import dataclass

    import temporalio.api.activity.v1
    import temporalio.api.common.v1
    import temporalio.converter
    from temporalio.client._client import Client
    from temporalio.client._interceptor import ListActivitiesInput
else:
    import dataclasses

    from temporalio._lazy import dataclass

ActivityOptionValueType = TypeVar("ActivityOptionValueType")


class ActivityExecutionStatus(IntEnum):
    """How far a standalone activity has come. Values are those on the wire."""

    UNSPECIFIED = 0
    RUNNING = 1
    COMPLETED = 2
    FAILED = 3
    CANCELED = 4
    TERMINATED = 5
    TIMED_OUT = 6
    PAUSED = 7


class PendingActivityState(IntEnum):
    """What a running activity is doing. Values are those on the wire."""

    UNSPECIFIED = 0
    SCHEDULED = 1
    STARTED = 2
    CANCEL_REQUESTED = 3
    PAUSED = 4
    PAUSE_REQUESTED = 5


@dataclass(frozen=True, eq=False)
class ActivityExecution(LazyMessages):
    """A standalone activity as a list shows it."""

    activity_id: str = dataclasses.field(kw_only=True)
    """Its id."""
    activity_run_id: str | None = dataclasses.field(kw_only=True)
    """Its run."""
    activity_type: str = dataclasses.field(kw_only=True)
    """Its type."""
    close_time: datetime | None = dataclasses.field(kw_only=True)
    """When it closed."""
    execution_duration: timedelta | None = dataclasses.field(kw_only=True)
    """How long it took, if it has closed."""
    execution_time: datetime | None = dataclasses.field(kw_only=True)
    """When its first attempt could begin."""
    namespace: str = dataclasses.field(kw_only=True)
    """Its namespace."""
    schedule_time: datetime = dataclasses.field(kw_only=True)
    """When it was started."""
    status: ActivityExecutionStatus = dataclasses.field(kw_only=True)
    """How far it has come."""
    task_queue: str = dataclasses.field(kw_only=True)
    """Its task queue."""
    typed_search_attributes: temporalio.common.TypedSearchAttributes = dataclasses.field(kw_only=True)
    """Its search attributes."""
    raw_info: (
        temporalio.api.activity.v1.ActivityExecutionListInfo | temporalio.api.activity.v1.ActivityExecutionInfo
    ) = dataclasses.field(repr=False, kw_only=True)
    """What the server sent."""

    @staticmethod
    def _common_fields(info: Mapping[str, Any], namespace: str) -> dict[str, Any]:
        from temporalio.converter._search_attributes import typed_attributes_from_dicts

        return dict(
            activity_id=info.get("activity_id", ""),
            activity_run_id=info.get("run_id") or None,
            activity_type=info.get("activity_type", {}).get("name", ""),
            close_time=to_datetime_or_none(info.get("close_time")),
            execution_duration=to_timedelta_or_none(info.get("execution_duration")),
            execution_time=to_datetime_or_none(info.get("execution_time")),
            namespace=namespace,
            schedule_time=required_datetime(info.get("schedule_time")),
            status=ActivityExecutionStatus(info.get("status", 0)),
            task_queue=info.get("task_queue", ""),
            typed_search_attributes=typed_attributes_from_dicts(
                info.get("search_attributes", {}).get("indexed_fields")
            ),
        )

    @classmethod
    def _from_list_info(cls, info: Mapping[str, Any], namespace: str) -> ActivityExecution:
        return cls._make(
            {"raw_info": ("temporal.api.activity.v1.ActivityExecutionListInfo", info)},
            **cls._common_fields(info, namespace),
        )


@dataclass(frozen=True, eq=False)
class ActivityExecutionDescription(ActivityExecution):
    """A standalone activity described."""

    raw_info: temporalio.api.activity.v1.ActivityExecutionInfo = dataclasses.field(repr=False, kw_only=True)
    """What the server sent about it."""
    attempt: int = dataclasses.field(kw_only=True)
    """The current attempt, or the last."""
    canceled_reason: str | None = dataclasses.field(kw_only=True)
    """Why it was asked to stop."""
    current_retry_interval: timedelta | None = dataclasses.field(kw_only=True)
    """The pause before the next attempt."""
    expiration_time: datetime | None = dataclasses.field(kw_only=True)
    """When it times out."""
    heartbeat_timeout: timedelta | None = dataclasses.field(kw_only=True)
    """How long it may stay silent."""
    last_attempt_complete_time: datetime | None = dataclasses.field(kw_only=True)
    """When the last attempt ended."""
    last_deployment_version: temporalio.common.WorkerDeploymentVersion | None = dataclasses.field(kw_only=True)
    """The version of the worker deployment that had it last."""
    last_heartbeat_time: datetime | None = dataclasses.field(kw_only=True)
    """When it heartbeat last."""
    last_started_time: datetime | None = dataclasses.field(kw_only=True)
    """When an attempt started last."""
    last_worker_identity: str | None = dataclasses.field(kw_only=True)
    """The worker that had it last."""
    next_attempt_schedule_time: datetime | None = dataclasses.field(kw_only=True)
    """When the next attempt is due."""
    priority: temporalio.common.Priority = dataclasses.field(kw_only=True)
    """Its priority."""
    retry_policy: temporalio.common.RetryPolicy | None = dataclasses.field(kw_only=True)
    """Its retry policy."""
    run_state: PendingActivityState | None = dataclasses.field(kw_only=True)
    """What it is doing, if it runs."""
    schedule_to_close_timeout: timedelta | None = dataclasses.field(kw_only=True)
    """How long it may take in all."""
    schedule_to_start_timeout: timedelta | None = dataclasses.field(kw_only=True)
    """How long it may wait for a worker."""
    start_to_close_timeout: timedelta | None = dataclasses.field(kw_only=True)
    """How long one attempt may take."""
    start_delay: timedelta | None = dataclasses.field(kw_only=True)
    """How long the first attempt is held back."""
    total_heartbeat_count: int = dataclasses.field(kw_only=True)
    """How often it heartbeat, over all attempts."""
    raw_callbacks: Sequence[temporalio.api.activity.v1.CallbackInfo] = dataclasses.field(repr=False, kw_only=True)
    """Whom its end is reported to."""
    raw_input: temporalio.api.common.v1.Payloads | None = dataclasses.field(repr=False, kw_only=True)
    """Its arguments, if they were asked for."""
    raw_outcome: temporalio.api.activity.v1.ActivityExecutionOutcome | None = dataclasses.field(
        repr=False, kw_only=True
    )
    """Its result or failure, if they were asked for and it has closed."""
    data_converter: temporalio.converter.DataConverter = dataclasses.field(repr=False, kw_only=True)
    """The converter for its values."""

    @classmethod
    def _from_reply(
        cls, reply: Mapping[str, Any], namespace: str, converter: temporalio.converter.DataConverter
    ) -> ActivityExecutionDescription:
        info = reply.get("info", {})
        version = info.get("last_deployment_version")
        state = info.get("run_state", 0)
        return cls._make(
            {
                "raw_info": ("temporal.api.activity.v1.ActivityExecutionInfo", info),
                "raw_callbacks": ("temporal.api.activity.v1.CallbackInfo", reply.get("callbacks", [])),
                "raw_input": ("temporal.api.common.v1.Payloads", reply.get("input")),
                "raw_outcome": ("temporal.api.activity.v1.ActivityExecutionOutcome", reply.get("outcome")),
            },
            **cls._common_fields(info, namespace),
            attempt=info.get("attempt", 0),
            canceled_reason=info.get("canceled_reason") or None,
            current_retry_interval=to_timedelta_or_none(info.get("current_retry_interval")),
            expiration_time=to_datetime_or_none(info.get("expiration_time")),
            heartbeat_timeout=to_timedelta_or_none(info.get("heartbeat_timeout")),
            last_attempt_complete_time=to_datetime_or_none(info.get("last_attempt_complete_time")),
            last_deployment_version=temporalio.common.WorkerDeploymentVersion(
                version.get("deployment_name", ""), version.get("build_id", "")
            )
            if version
            else None,
            last_heartbeat_time=to_datetime_or_none(info.get("last_heartbeat_time")),
            last_started_time=to_datetime_or_none(info.get("last_started_time")),
            last_worker_identity=info.get("last_worker_identity") or None,
            next_attempt_schedule_time=to_datetime_or_none(info.get("next_attempt_schedule_time")),
            priority=temporalio.common.Priority._from_dict(info.get("priority")),
            retry_policy=temporalio.common.RetryPolicy._from_dict(info["retry_policy"])
            if "retry_policy" in info
            else None,
            run_state=PendingActivityState(state) if state else None,
            schedule_to_close_timeout=to_timedelta_or_none(info.get("schedule_to_close_timeout")),
            schedule_to_start_timeout=to_timedelta_or_none(info.get("schedule_to_start_timeout")),
            start_to_close_timeout=to_timedelta_or_none(info.get("start_to_close_timeout")),
            start_delay=to_timedelta_or_none(info.get("start_delay")),
            total_heartbeat_count=info.get("total_heartbeat_count", 0),
            data_converter=converter,
        )

    def has_input(self) -> bool:
        """Whether there are arguments to be read."""
        return bool(payload_list(self._lazy_dict("raw_input")))

    async def input(self, type_hints: list[type] | None = None) -> list[Any] | None:
        """The arguments, None if they were not asked for or there are none.

        Args:
            type_hints: The types wanted.
        """
        payloads = payload_list(self._lazy_dict("raw_input"))
        return await self.data_converter._decode_dicts(payloads, type_hints) if payloads else None

    def has_heartbeat_details(self) -> bool:
        """Whether there are details of the last heartbeat to be read."""
        return bool(payload_list(self._lazy_dict("raw_info").get("heartbeat_details")))

    async def heartbeat_details(self, type_hints: list[type] | None = None) -> list[Any] | None:
        """The details of the last heartbeat, None if they were not asked for or there are none.

        Args:
            type_hints: The types wanted.
        """
        payloads = payload_list(self._lazy_dict("raw_info").get("heartbeat_details"))
        return await self.data_converter._decode_dicts(payloads, type_hints) if payloads else None

    def has_last_failure(self) -> bool:
        """Whether there is a failure of the last attempt to be read."""
        return "last_failure" in self._lazy_dict("raw_info")

    async def last_failure(self) -> BaseException | None:
        """The failure of the last attempt, None if it was not asked for or there is none."""
        failure = self._lazy_dict("raw_info").get("last_failure")
        return None if failure is None else await self.data_converter._decode_failure_dict(failure)

    def has_result(self) -> bool:
        """Whether there is a result to be read."""
        return "result" in (self._lazy_dict("raw_outcome") or {})

    async def result(self, type_hint: type | None = None) -> Any | None:
        """The result, None if it was not asked for or there is none.

        Args:
            type_hint: The type wanted.
        """
        outcome = self._lazy_dict("raw_outcome") or {}
        return await decode_result(self.data_converter, outcome.get("result"), type_hint)

    def has_outcome_failure(self) -> bool:
        """Whether there is a failure of the whole to be read."""
        return "failure" in (self._lazy_dict("raw_outcome") or {})

    async def outcome_failure(self) -> BaseException | None:
        """The failure of the whole, None if it was not asked for or there is none."""
        failure = (self._lazy_dict("raw_outcome") or {}).get("failure")
        return None if failure is None else await self.data_converter._decode_failure_dict(failure)


@dataclass(frozen=True)
class ActivityExecutionCountAggregationGroup:
    """How many standalone activities have these values in common."""

    count: int
    """How many."""
    group_values: Sequence[temporalio.common.SearchAttributeValue]
    """The values."""


@dataclass(frozen=True)
class ActivityExecutionCount:
    """How many standalone activities a filter finds."""

    count: int
    """How many; near enough for a large number."""
    groups: Sequence[ActivityExecutionCountAggregationGroup]
    """Groups of them, if the filter asks for groups."""

    @staticmethod
    def _from_dict(reply: Mapping[str, Any]) -> ActivityExecutionCount:
        return ActivityExecutionCount(
            reply.get("count", 0),
            [ActivityExecutionCountAggregationGroup(count, values) for count, values in count_groups(reply)],
        )


@dataclass(frozen=True)
class ActivityExecutionOptions:
    """The options a standalone activity has now."""

    task_queue: str | None
    """Its task queue."""
    schedule_to_close_timeout: timedelta | None
    """How long it may take in all."""
    schedule_to_start_timeout: timedelta | None
    """How long it may wait for a worker."""
    start_to_close_timeout: timedelta | None
    """How long one attempt may take."""
    heartbeat_timeout: timedelta | None
    """How long it may stay silent."""
    start_delay: timedelta | None
    """How long the first attempt is held back."""
    retry_policy: temporalio.common.RetryPolicy | None
    """Its retry policy."""
    priority: temporalio.common.Priority | None
    """Its priority."""

    @staticmethod
    def _from_dict(options: Mapping[str, Any]) -> ActivityExecutionOptions:
        return ActivityExecutionOptions(
            task_queue=options.get("task_queue", {}).get("name") or None,
            schedule_to_close_timeout=to_timedelta_or_none(options.get("schedule_to_close_timeout")),
            schedule_to_start_timeout=to_timedelta_or_none(options.get("schedule_to_start_timeout")),
            start_to_close_timeout=to_timedelta_or_none(options.get("start_to_close_timeout")),
            heartbeat_timeout=to_timedelta_or_none(options.get("heartbeat_timeout")),
            start_delay=to_timedelta_or_none(options.get("start_delay")),
            retry_policy=temporalio.common.RetryPolicy._from_dict(options["retry_policy"])
            if "retry_policy" in options
            else None,
            priority=temporalio.common.Priority._from_dict(options["priority"]) if "priority" in options else None,
        )


@dataclass(frozen=True)
class ActivityOptionsKey(Generic[ActivityOptionValueType]):
    """An option of a standalone activity that can be changed; see :py:class:`ActivityOptionsKeys`."""

    name: str
    """Its path in the options' message."""

    def value_set(self, value: ActivityOptionValueType) -> ActivityOptionsUpdate[ActivityOptionValueType]:
        """An update that gives the option this value."""
        return ActivityOptionsUpdate(self, value)

    def value_unset(self) -> ActivityOptionsUpdate[ActivityOptionValueType]:
        """An update that takes the option's value away."""
        return ActivityOptionsUpdate(self, None)


@dataclass(frozen=True)
class ActivityOptionsUpdate(Generic[ActivityOptionValueType]):
    """A change of one option."""

    key: ActivityOptionsKey[ActivityOptionValueType]
    """The option."""
    value: ActivityOptionValueType | None
    """Its new value, None to take it away."""


class ActivityOptionsKeys:
    """The options that can be changed while a standalone activity runs."""

    task_queue: ClassVar[ActivityOptionsKey[str]] = ActivityOptionsKey("task_queue.name")
    schedule_to_close_timeout: ClassVar[ActivityOptionsKey[timedelta]] = ActivityOptionsKey("schedule_to_close_timeout")
    schedule_to_start_timeout: ClassVar[ActivityOptionsKey[timedelta]] = ActivityOptionsKey("schedule_to_start_timeout")
    start_to_close_timeout: ClassVar[ActivityOptionsKey[timedelta]] = ActivityOptionsKey("start_to_close_timeout")
    heartbeat_timeout: ClassVar[ActivityOptionsKey[timedelta]] = ActivityOptionsKey("heartbeat_timeout")
    start_delay: ClassVar[ActivityOptionsKey[timedelta]] = ActivityOptionsKey("start_delay")
    retry_policy: ClassVar[ActivityOptionsKey[temporalio.common.RetryPolicy]] = ActivityOptionsKey("retry_policy")
    priority: ClassVar[ActivityOptionsKey[temporalio.common.Priority]] = ActivityOptionsKey("priority")


def apply_option_updates(updates: Sequence[ActivityOptionsUpdate[Any]]) -> tuple[dict[str, Any], list[str]]:
    """The dict of an ActivityOptions message and the paths of its update mask."""
    options: dict[str, Any] = {}
    paths: list[str] = []
    for update in updates:
        if update.key.name in paths:
            raise ValueError(f"Option {update.key.name} is updated more than once")
        paths.append(update.key.name)
        value = update.value
        if value is None:
            continue
        if isinstance(value, timedelta):
            options[update.key.name] = duration_ns(value)
        elif isinstance(value, (temporalio.common.RetryPolicy, temporalio.common.Priority)):
            options[update.key.name] = value._to_dict()
        else:
            options["task_queue"] = {"name": value}
    if not paths:
        raise ValueError("There is no option to update")
    return options, paths


class ActivityHandle(Generic[ReturnType]):
    """A handle to a standalone activity; made by the client's ``start_activity`` and ``get_activity_handle``."""

    def __init__(self, client: Client, id: str, *, run_id: str | None = None, result_type: type | None = None) -> None:
        """Makes a handle; programs use the client's methods."""
        self._client = client
        self._id = id
        self._run_id = run_id
        self._result_type = result_type
        self._outcome: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """The activity's id."""
        return self._id

    @property
    def run_id(self) -> str | None:
        """Its run, None for the latest."""
        return self._run_id

    async def result(
        self,
        *,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> ReturnType:
        """Waits for the activity's result.

        Args:
            rpc_metadata: Headers for each call.
            rpc_timeout: How long to wait for each call; the whole may take longer.

        Returns:
            The result.

        Raises:
            ActivityFailureError: The activity failed, timed out, was cancelled or terminated.
            RPCError: There is no such activity, or the server refused.
        """
        from temporalio.converter._serialization_context import ActivitySerializationContext
        from temporalio.service import _call_dict

        while self._outcome is None:
            reply = await _call_dict(
                self._client.workflow_service,
                "poll_activity_execution",
                {"namespace": self._client.namespace, "activity_id": self._id, "run_id": self._run_id or ""},
                retry=True,
                metadata=rpc_metadata,
                timeout=rpc_timeout,
            )
            # Without an outcome the server only wants to be asked again.
            self._outcome = reply.get("outcome")
        converter = self._client.data_converter.with_context(
            ActivitySerializationContext(
                namespace=self._client.namespace,
                activity_id=self._id,
                activity_type=None,
                activity_task_queue=None,
                workflow_id=None,
                workflow_type=None,
                is_local=False,
            )
        )
        failure = self._outcome.get("failure")
        if failure is not None:
            raise ActivityFailureError(cause=await converter._decode_failure_dict(failure))
        return await decode_result(converter, self._outcome.get("result"), self._result_type)

    async def cancel(
        self,
        *,
        reason: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Asks the activity to stop.

        Args:
            reason: Why.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import CancelActivityInput

        await self._client._impl.cancel_activity(
            CancelActivityInput(
                activity_id=self._id,
                activity_run_id=self._run_id,
                reason=reason,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    async def terminate(
        self,
        *,
        reason: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Ends the activity without asking it.

        Args:
            reason: Why.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import TerminateActivityInput

        await self._client._impl.terminate_activity(
            TerminateActivityInput(
                activity_id=self._id,
                activity_run_id=self._run_id,
                reason=reason,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    async def pause(
        self,
        *,
        reason: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Lets the activity have no further attempt until it is unpaused.

        Args:
            reason: Why.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import PauseActivityInput

        await self._client._impl.pause_activity(
            PauseActivityInput(
                activity_id=self._id,
                activity_run_id=self._run_id,
                reason=reason,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    async def unpause(
        self,
        *,
        reason: str | None = None,
        jitter: timedelta | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Lets a paused activity go on.

        Args:
            reason: Why.
            jitter: Up to how much later, at random.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import UnpauseActivityInput

        await self._client._impl.unpause_activity(
            UnpauseActivityInput(
                activity_id=self._id,
                activity_run_id=self._run_id,
                reason=reason,
                jitter=jitter,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    async def update_options(
        self,
        updates: Sequence[ActivityOptionsUpdate[Any]],
        *,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> ActivityExecutionOptions:
        """Changes options of the activity.

        Args:
            updates: The changes; see :py:class:`ActivityOptionsKeys`.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.

        Returns:
            The options as they are then.
        """
        return await self._update_options(updates, False, rpc_metadata, rpc_timeout)

    async def restore_original_options(
        self,
        *,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> ActivityExecutionOptions:
        """Gives the activity the options it was started with.

        Args:
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.

        Returns:
            The options as they are then.
        """
        return await self._update_options([], True, rpc_metadata, rpc_timeout)

    async def _update_options(
        self,
        updates: Sequence[ActivityOptionsUpdate[Any]],
        restore_original: bool,
        rpc_metadata: Mapping[str, str | bytes],
        rpc_timeout: timedelta | None,
    ) -> ActivityExecutionOptions:
        from temporalio.client._interceptor import UpdateActivityOptionsInput

        return await self._client._impl.update_activity_options(
            UpdateActivityOptionsInput(
                activity_id=self._id,
                activity_run_id=self._run_id,
                updates=updates,
                restore_original=restore_original,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    async def describe(
        self,
        *,
        include_input: bool = False,
        include_outcome: bool = False,
        include_heartbeat_details: bool = False,
        include_last_failure: bool = False,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> ActivityExecutionDescription:
        """Describes the activity as it is now.

        Args:
            include_input: Whether to fetch its arguments.
            include_outcome: Whether to fetch its result or failure.
            include_heartbeat_details: Whether to fetch the details of its last heartbeat.
            include_last_failure: Whether to fetch the failure of its last attempt.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import DescribeActivityInput

        return await self._client._impl.describe_activity(
            DescribeActivityInput(
                activity_id=self._id,
                activity_run_id=self._run_id,
                include_input=include_input,
                include_outcome=include_outcome,
                include_heartbeat_details=include_heartbeat_details,
                include_last_failure=include_last_failure,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )


class ActivityExecutionAsyncIterator(PagedIterator[ActivityExecution]):
    """Iterates over standalone activities; made by :py:meth:`Client.list_activities`."""

    def __init__(self, client: Client, input: ListActivitiesInput) -> None:
        """Makes an iterator; asks nothing yet."""
        super().__init__(input.next_page_token, input.page_size, input.limit)
        self._client = client
        self._input = input

    @property
    def current_page_index(self) -> int:
        """Where in the current page the next one is."""
        return self._current_page_index

    @property
    def current_page(self) -> Sequence[ActivityExecution] | None:
        """The current page, None before the first."""
        return self._current_page

    @property
    def next_page_token(self) -> bytes | None:
        """Where to go on after the current page, None if it is the last."""
        return self._next_page_token

    async def _fetch(self, page_size: int | None) -> tuple[Sequence[ActivityExecution], bytes | None]:
        reply = await call_workflow_service(
            self._client,
            "list_activity_executions",
            {
                "namespace": self._client.namespace,
                "page_size": page_size or 0,
                "next_page_token": self._next_page_token or b"",
                "query": self._input.query or "",
            },
            self._input,
        )
        return self._read_page(reply), reply.get("next_page_token")

    async def fetch_next_page(self, *, page_size: int | None = None) -> None:
        """Fetches the next page, whatever is left of the current one.

        Args:
            page_size: How many to ask for, instead of what the iterator was made with.
        """
        await self._fetch_next_page(page_size)

    def __aiter__(self) -> ActivityExecutionAsyncIterator:
        """Itself."""
        return self

    async def __anext__(self) -> ActivityExecution:
        """The next one; fetches a page if need be."""
        return await self._step()

    def _read_page(self, reply: Mapping[str, Any]) -> Sequence[ActivityExecution]:
        return [ActivityExecution._from_list_info(info, self._client.namespace) for info in reply.get("executions", ())]
