"""Schedules: handles, the workflow to be started, descriptions, lists."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, overload

import temporalio.common
from temporalio._values import duration_ns, to_timedelta_or_none
from temporalio.client._helpers import (
    LazyMessages,
    PagedIterator,
    call_workflow_service,
    payloads_dict,
    required_datetime,
    user_metadata_dict,
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
from temporalio.client._workflow_execution import _HasMemo
from temporalio.converter._messages import payload_from_proto, payload_to_proto, payload_list
from temporalio.types import (
    MethodAsyncNoParam,
    MethodAsyncSingleParam,
    MultiParamSpec,
    ParamType,
    ReturnType,
    SelfType,
)

if TYPE_CHECKING:
    import dataclasses
    from dataclasses import dataclass

    from typing_extensions import Concatenate, Unpack

    import temporalio.api.common.v1
    import temporalio.api.schedule.v1
    import temporalio.api.workflow.v1
    import temporalio.api.workflowservice.v1
    import temporalio.converter
    from temporalio.client._client import Client
    from temporalio.client._interceptor import ListSchedulesInput
    from temporalio.client._options import ScheduledWorkflowOptions
else:
    import dataclasses

    from temporalio._lazy import dataclass

__all__ = [
    "Schedule",
    "ScheduleAction",
    "ScheduleActionExecution",
    "ScheduleActionExecutionStartWorkflow",
    "ScheduleActionResult",
    "ScheduleActionStartWorkflow",
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
]


class ScheduleAction(ABC):
    """What a schedule does; :py:class:`ScheduleActionStartWorkflow` is the one kind there is."""

    @abstractmethod
    async def _to_dict(self, client: Client) -> dict[str, Any]: ...

    @staticmethod
    def _from_dict(message: Mapping[str, Any]) -> ScheduleAction:
        if "start_workflow" not in message:
            raise ValueError("The schedule's action is of a kind this package does not know")
        return ScheduleActionStartWorkflow._from_info(message["start_workflow"])


@dataclass
class ScheduleActionStartWorkflow(ScheduleAction):
    """Starts a workflow.

    In a schedule that was described, arguments, memo, summary and details are payloads as the server keeps them.
    """

    workflow: str
    """The workflow's type."""
    args: Sequence[Any] | Sequence[temporalio.api.common.v1.Payload]
    """Its arguments."""
    id: str
    """Its id, to which the time is appended."""
    task_queue: str
    """The queue its workers poll."""
    execution_timeout: timedelta | None
    """How long it may take in all."""
    run_timeout: timedelta | None
    """How long one run may take."""
    task_timeout: timedelta | None
    """How long one workflow task may take."""
    retry_policy: temporalio.common.RetryPolicy | None
    """Whether and how it is retried."""
    memo: Mapping[str, Any] | Mapping[str, temporalio.api.common.v1.Payload] | None
    """Values to be shown with it."""
    typed_search_attributes: temporalio.common.TypedSearchAttributes
    """Attributes to find it by."""
    untyped_search_attributes: temporalio.common.SearchAttributes
    """Attributes of which no type is known; kept when a described schedule is written back."""
    static_summary: str | temporalio.api.common.v1.Payload | None
    """One line about it."""
    static_details: str | temporalio.api.common.v1.Payload | None
    """More about it."""
    priority: temporalio.common.Priority
    """Which of the waiting tasks are handed out first."""
    headers: Mapping[str, temporalio.api.common.v1.Payload] | None
    """Its header."""
    _from_raw: bool = dataclasses.field(compare=False, init=False)

    @overload
    def __init__(
        self,
        workflow: MethodAsyncNoParam[SelfType, ReturnType],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ScheduledWorkflowOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        workflow: MethodAsyncSingleParam[SelfType, ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ScheduledWorkflowOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        workflow: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[ReturnType]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ScheduledWorkflowOptions],
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
        **options: Unpack[ScheduledWorkflowOptions],
    ) -> None: ...

    @overload
    def __init__(self, workflow: str, *, raw_info: temporalio.api.workflow.v1.NewWorkflowExecutionInfo) -> None: ...

    def __init__(
        self,
        workflow: str | Callable[..., Awaitable[Any]],
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str | None = None,
        task_queue: str | None = None,
        execution_timeout: timedelta | None = None,
        run_timeout: timedelta | None = None,
        task_timeout: timedelta | None = None,
        retry_policy: temporalio.common.RetryPolicy | None = None,
        memo: Mapping[str, Any] | None = None,
        typed_search_attributes: temporalio.common.TypedSearchAttributes = (
            temporalio.common.TypedSearchAttributes.empty
        ),
        untyped_search_attributes: temporalio.common.SearchAttributes = {},
        static_summary: str | None = None,
        static_details: str | None = None,
        headers: Mapping[str, temporalio.api.common.v1.Payload] | None = None,
        raw_info: temporalio.api.workflow.v1.NewWorkflowExecutionInfo | None = None,
        priority: temporalio.common.Priority = temporalio.common.Priority.default,
    ) -> None:
        """Says what to start; the arguments are those of :py:meth:`Client.start_workflow`.

        Args:
            workflow: The run method of the workflow's class, or the name of its type.
            arg: The argument, for a workflow of one.
            args: The arguments, for one of several; not together with ``arg``.
            id: The workflow's id, to which the time is appended.
            task_queue: The queue its workers poll.
            execution_timeout: How long it may take in all.
            run_timeout: How long one run may take.
            task_timeout: How long one workflow task may take.
            retry_policy: Whether and how it is retried.
            memo: Values to be shown with it.
            typed_search_attributes: Attributes to find it by.
            untyped_search_attributes: Attributes of which no type is known.
            static_summary: One line of Markdown about it.
            static_details: More about it, likewise.
            headers: Its header.
            raw_info: The message to take everything from, instead of the other arguments.
            priority: Which of the waiting tasks are handed out first.
        """
        super().__init__()
        if raw_info is not None:
            from temporalio.converter._messages import message_to_dict

            self.__dict__.update(ScheduleActionStartWorkflow._from_info(message_to_dict(raw_info)).__dict__)
            return
        if id is None or task_queue is None:
            raise ValueError("A workflow to be started needs an id and a task queue")
        from temporalio.workflow import _Definition

        self._from_raw = False
        self.workflow, _ = _Definition.get_name_and_result_type(workflow)
        self.args = temporalio.common._arg_or_args(arg, args)
        self.id = id
        self.task_queue = task_queue
        self.execution_timeout = execution_timeout
        self.run_timeout = run_timeout
        self.task_timeout = task_timeout
        self.retry_policy = retry_policy
        self.memo = memo
        self.typed_search_attributes = typed_search_attributes
        self.untyped_search_attributes = untyped_search_attributes
        self.static_summary = static_summary
        self.static_details = static_details
        self.headers = headers
        self.priority = priority

    @staticmethod
    def _from_info(info: Mapping[str, Any]) -> ScheduleActionStartWorkflow:
        """From a NewWorkflowExecutionInfo dict."""
        from temporalio.converter._search_attributes import attributes_from_dicts, typed_attributes_from_dicts

        action = object.__new__(ScheduleActionStartWorkflow)
        fields = info.get("search_attributes", {}).get("indexed_fields") or {}
        typed = typed_attributes_from_dicts(fields)
        typed_names = {pair.key.name for pair in typed}
        memo = info.get("memo", {}).get("fields")
        metadata = info.get("user_metadata", {})
        header = info.get("header", {}).get("fields")
        action._from_raw = True
        action.workflow = info.get("workflow_type", {}).get("name", "")
        action.args = [payload_to_proto(p) for p in payload_list(info.get("input"))]
        action.id = info.get("workflow_id", "")
        action.task_queue = info.get("task_queue", {}).get("name", "")
        action.execution_timeout = to_timedelta_or_none(info.get("workflow_execution_timeout"))
        action.run_timeout = to_timedelta_or_none(info.get("workflow_run_timeout"))
        action.task_timeout = to_timedelta_or_none(info.get("workflow_task_timeout"))
        action.retry_policy = (
            temporalio.common.RetryPolicy._from_dict(info["retry_policy"]) if "retry_policy" in info else None
        )
        action.memo = {n: payload_to_proto(p) for n, p in memo.items()} if memo else None
        action.typed_search_attributes = typed
        action.untyped_search_attributes = attributes_from_dicts(
            {n: p for n, p in fields.items() if n not in typed_names}
        )
        action.static_summary = payload_to_proto(metadata["summary"]) if "summary" in metadata else None
        action.static_details = payload_to_proto(metadata["details"]) if "details" in metadata else None
        action.priority = temporalio.common.Priority._from_dict(info.get("priority"))
        action.headers = {n: payload_to_proto(p) for n, p in header.items()} if header else None
        return action

    async def _to_dict(self, client: Client) -> dict[str, Any]:
        from temporalio.client._helpers import header_dict, workflow_converter
        from temporalio.converter._search_attributes import attributes_to_dicts

        converter = workflow_converter(client, self.id, self.workflow)
        info: dict[str, Any] = {
            "workflow_id": self.id,
            "workflow_type": {"name": self.workflow},
            "task_queue": {"name": self.task_queue},
        }
        args = [await _payload_or_value(converter, a) for a in self.args]
        if args:
            info["input"] = payloads_dict(args)
        for field, value in (
            ("workflow_execution_timeout", self.execution_timeout),
            ("workflow_run_timeout", self.run_timeout),
            ("workflow_task_timeout", self.task_timeout),
        ):
            if value is not None:
                info[field] = duration_ns(value)
        if self.retry_policy is not None:
            info["retry_policy"] = self.retry_policy._to_dict()
        if self.memo:
            info["memo"] = {"fields": {n: await _payload_or_value(converter, v) for n, v in self.memo.items()}}
        attributes = {
            **attributes_to_dicts(self.untyped_search_attributes),
            **attributes_to_dicts(self.typed_search_attributes),
        }
        if attributes:
            info["search_attributes"] = {"indexed_fields": attributes}
        metadata = await user_metadata_dict(converter, self.static_summary, self.static_details)
        if metadata is not None:
            info["user_metadata"] = metadata
        priority = self.priority._to_dict()
        if priority:
            info["priority"] = priority
        header = await header_dict(client, self.headers or {})
        if header is not None:
            info["header"] = header
        return {"start_workflow": info}


async def _payload_or_value(converter: temporalio.converter.DataConverter, value: Any) -> dict[str, Any]:
    """A payload as it is, anything else converted."""
    if getattr(getattr(value, "DESCRIPTOR", None), "full_name", None) == "temporal.api.common.v1.Payload":
        return payload_from_proto(value)
    return await converter._encode_value_dict(value)


@dataclass
class Schedule:
    """What a schedule does and when."""

    action: ScheduleAction
    """What it does."""

    spec: ScheduleSpec
    """When."""

    policy: SchedulePolicy = dataclasses.field(default_factory=SchedulePolicy)
    """What it does in special cases."""

    state: ScheduleState = dataclasses.field(default_factory=ScheduleState)
    """Whether it acts at all."""

    async def _to_dict(self, client: Client) -> dict[str, Any]:
        return {
            "spec": self.spec._to_dict(),
            "action": await self.action._to_dict(client),
            "policies": self.policy._to_dict(),
            "state": self.state._to_dict(),
        }

    @staticmethod
    def _from_dict(message: Mapping[str, Any]) -> Schedule:
        return Schedule(
            action=ScheduleAction._from_dict(message.get("action", {})),
            spec=ScheduleSpec._from_dict(message.get("spec", {})),
            policy=SchedulePolicy._from_dict(message.get("policies", {})),
            state=ScheduleState._from_dict(message.get("state", {})),
        )


@dataclass
class ScheduleDescription(_HasMemo, LazyMessages):
    """A schedule described."""

    id: str
    """Its id."""
    schedule: Schedule
    """What it does and when."""
    info: ScheduleInfo
    """What it has done and will do."""
    typed_search_attributes: temporalio.common.TypedSearchAttributes
    """Its search attributes."""
    search_attributes: temporalio.common.SearchAttributes
    """The same as lists; :py:attr:`typed_search_attributes` is preferred."""
    data_converter: temporalio.converter.DataConverter
    """The converter for its values."""
    raw_description: temporalio.api.workflowservice.v1.DescribeScheduleResponse
    """What the server sent."""

    @staticmethod
    def _from_reply(
        id: str, reply: Mapping[str, Any], converter: temporalio.converter.DataConverter
    ) -> ScheduleDescription:
        from temporalio.converter._search_attributes import attributes_from_dicts, typed_attributes_from_dicts

        attributes = reply.get("search_attributes", {}).get("indexed_fields")
        return ScheduleDescription._make(
            {"raw_description": ("temporal.api.workflowservice.v1.DescribeScheduleResponse", reply)},
            id=id,
            schedule=Schedule._from_dict(reply.get("schedule", {})),
            info=ScheduleInfo._from_dict(reply.get("info", {})),
            typed_search_attributes=typed_attributes_from_dicts(attributes),
            search_attributes=attributes_from_dicts(attributes),
            data_converter=converter,
        )

    def _memo_fields(self) -> Mapping[str, Any]:
        return self._lazy_dict("raw_description").get("memo", {}).get("fields", {})

    def _memo_converter(self) -> temporalio.converter.DataConverter:
        return self.data_converter


@dataclass
class ScheduleUpdateInput:
    """What an updater of a schedule is given."""

    description: ScheduleDescription
    """The schedule as it is."""


@dataclass
class ScheduleUpdate:
    """What an updater of a schedule gives back."""

    schedule: Schedule
    """The schedule as it shall be."""

    search_attributes: temporalio.common.TypedSearchAttributes | None = None
    """Its search attributes; None leaves them, an empty set takes all away."""


class ScheduleListAction(ABC):
    """What a schedule does, as a list shows it."""


@dataclass
class ScheduleListActionStartWorkflow(ScheduleListAction):
    """Starts a workflow."""

    workflow: str
    """The workflow's type."""


@dataclass
class ScheduleListState:
    """Whether a schedule acts, as a list shows it."""

    note: str | None
    """A remark."""

    paused: bool
    """Whether it is paused."""


@dataclass
class ScheduleListSchedule:
    """What a schedule does and when, as a list shows it."""

    action: ScheduleListAction
    """What it does."""

    spec: ScheduleSpec
    """When."""

    state: ScheduleListState
    """Whether it acts at all."""


@dataclass
class ScheduleListInfo:
    """What a schedule has done and will do, as a list shows it."""

    recent_actions: Sequence[ScheduleActionResult]
    """The latest actions, the oldest first."""

    next_action_times: Sequence[datetime]
    """When it will act next."""


@dataclass
class ScheduleListDescription(_HasMemo, LazyMessages):
    """A schedule as a list shows it."""

    id: str
    """Its id."""
    schedule: ScheduleListSchedule | None
    """What it does and when; None where the server does not say."""
    info: ScheduleListInfo | None
    """What it has done and will do; None where the server does not say."""
    typed_search_attributes: temporalio.common.TypedSearchAttributes
    """Its search attributes."""
    search_attributes: temporalio.common.SearchAttributes
    """The same as lists; :py:attr:`typed_search_attributes` is preferred."""
    data_converter: temporalio.converter.DataConverter
    """The converter for its values."""
    raw_entry: temporalio.api.schedule.v1.ScheduleListEntry
    """What the server sent."""

    @staticmethod
    def _from_entry(entry: Mapping[str, Any], converter: temporalio.converter.DataConverter) -> ScheduleListDescription:
        from temporalio.converter._search_attributes import attributes_from_dicts, typed_attributes_from_dicts

        attributes = entry.get("search_attributes", {}).get("indexed_fields")
        info = entry.get("info")
        schedule: ScheduleListSchedule | None = None
        list_info: ScheduleListInfo | None = None
        if info is not None:
            schedule = ScheduleListSchedule(
                action=ScheduleListActionStartWorkflow(workflow=info.get("workflow_type", {}).get("name", "")),
                spec=ScheduleSpec._from_dict(info.get("spec", {})),
                state=ScheduleListState(note=info.get("notes") or None, paused=info.get("paused", False)),
            )
            list_info = ScheduleListInfo(
                recent_actions=[ScheduleActionResult._from_dict(r) for r in info.get("recent_actions", ())],
                next_action_times=[required_datetime(t) for t in info.get("future_action_times", ())],
            )
        return ScheduleListDescription._make(
            {"raw_entry": ("temporal.api.schedule.v1.ScheduleListEntry", entry)},
            id=entry.get("schedule_id", ""),
            schedule=schedule,
            info=list_info,
            typed_search_attributes=typed_attributes_from_dicts(attributes),
            search_attributes=attributes_from_dicts(attributes),
            data_converter=converter,
        )

    def _memo_fields(self) -> Mapping[str, Any]:
        return self._lazy_dict("raw_entry").get("memo", {}).get("fields", {})

    def _memo_converter(self) -> temporalio.converter.DataConverter:
        return self.data_converter


class ScheduleHandle:
    """A handle to a schedule; made by the client's ``create_schedule`` and ``get_schedule_handle``.

    Attributes:
        id: The schedule's id.
    """

    def __init__(self, client: Client, id: str) -> None:
        """Makes a handle; programs use the client's methods."""
        self._client = client
        self.id = id

    async def backfill(
        self,
        *backfill: ScheduleBackfill,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Makes the schedule act for times past.

        Args:
            backfill: The times.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        if not backfill:
            raise ValueError("At least one backfill required")
        from temporalio.client._interceptor import BackfillScheduleInput

        await self._client._impl.backfill_schedule(
            BackfillScheduleInput(id=self.id, backfills=backfill, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)
        )

    async def delete(
        self, *, rpc_metadata: Mapping[str, str | bytes] = {}, rpc_timeout: timedelta | None = None
    ) -> None:
        """Deletes the schedule; what it has started goes on.

        Args:
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import DeleteScheduleInput

        await self._client._impl.delete_schedule(
            DeleteScheduleInput(id=self.id, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)
        )

    async def describe(
        self, *, rpc_metadata: Mapping[str, str | bytes] = {}, rpc_timeout: timedelta | None = None
    ) -> ScheduleDescription:
        """Describes the schedule as it is now.

        Args:
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import DescribeScheduleInput

        return await self._client._impl.describe_schedule(
            DescribeScheduleInput(id=self.id, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)
        )

    async def pause(
        self,
        *,
        note: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Pauses the schedule.

        Args:
            note: A remark to leave.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import PauseScheduleInput

        await self._client._impl.pause_schedule(
            PauseScheduleInput(id=self.id, note=note, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)
        )

    async def trigger(
        self,
        *,
        overlap: ScheduleOverlapPolicy | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Makes the schedule act now.

        Args:
            overlap: What to do if an action runs; the schedule's own policy if None.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import TriggerScheduleInput

        await self._client._impl.trigger_schedule(
            TriggerScheduleInput(id=self.id, overlap=overlap, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)
        )

    async def unpause(
        self,
        *,
        note: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Lets the schedule go on.

        Args:
            note: A remark to leave.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import UnpauseScheduleInput

        await self._client._impl.unpause_schedule(
            UnpauseScheduleInput(id=self.id, note=note, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)
        )

    @overload
    async def update(
        self,
        updater: Callable[[ScheduleUpdateInput], ScheduleUpdate | None],
        *,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None: ...

    @overload
    async def update(
        self,
        updater: Callable[[ScheduleUpdateInput], Awaitable[ScheduleUpdate | None]],
        *,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None: ...

    async def update(
        self,
        updater: Callable[[ScheduleUpdateInput], ScheduleUpdate | None | Awaitable[ScheduleUpdate | None]],
        *,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Changes the schedule.

        Args:
            updater: Is given the schedule as it is, and gives back what it shall be, None to leave it. Called again
                if somebody else has changed it meanwhile.
            rpc_metadata: Headers for each call.
            rpc_timeout: How long to wait for each call.
        """
        from temporalio.client._interceptor import UpdateScheduleInput

        await self._client._impl.update_schedule(
            UpdateScheduleInput(id=self.id, updater=updater, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)
        )


class ScheduleAsyncIterator(PagedIterator[ScheduleListDescription]):
    """Iterates over schedules; made by :py:meth:`Client.list_schedules`."""

    def __init__(self, client: Client, input: ListSchedulesInput) -> None:
        """Makes an iterator; asks nothing yet."""
        super().__init__(input.next_page_token, input.page_size, None)
        self._client = client
        self._input = input

    @property
    def current_page_index(self) -> int:
        """Where in the current page the next one is."""
        return self._current_page_index

    @property
    def current_page(self) -> Sequence[ScheduleListDescription] | None:
        """The current page, None before the first."""
        return self._current_page

    @property
    def next_page_token(self) -> bytes | None:
        """Where to go on after the current page, None if it is the last."""
        return self._next_page_token

    async def _fetch(self, page_size: int | None) -> tuple[Sequence[ScheduleListDescription], bytes | None]:
        reply = await call_workflow_service(
            self._client,
            "list_schedules",
            {
                "namespace": self._client.namespace,
                "maximum_page_size": page_size or 0,
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

    def __aiter__(self) -> ScheduleAsyncIterator:
        """Itself."""
        return self

    async def __anext__(self) -> ScheduleListDescription:
        """The next one; fetches a page if need be."""
        return await self._step()

    def _read_page(self, reply: Mapping[str, Any]) -> Sequence[ScheduleListDescription]:
        return [
            ScheduleListDescription._from_entry(entry, self._client.data_converter)
            for entry in reply.get("schedules", ())
        ]
