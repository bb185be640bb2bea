"""Workflows as lists and descriptions show them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, overload

import temporalio.common
from temporalio._values import to_datetime_or_none
from temporalio.client._helpers import LazyMessages, PagedIterator, count_groups, required_datetime
from temporalio.client._history import WorkflowHistory, WorkflowHistoryEventFilterType
from temporalio.converter._serialization_context import WorkflowSerializationContext
from temporalio.types import AnyType, ParamType

if TYPE_CHECKING:
    from dataclasses import dataclass

    import temporalio.api.workflow.v1
    import temporalio.api.workflowservice.v1
    import temporalio.converter
    from temporalio.client._client import Client
    from temporalio.client._interceptor import ListWorkflowsInput
else:
    from temporalio._lazy import dataclass


class WorkflowExecutionStatus(IntEnum):
    """How far a workflow has come. Values are those on the wire."""

    RUNNING = 1
    COMPLETED = 2
    FAILED = 3
    CANCELED = 4
    TERMINATED = 5
    CONTINUED_AS_NEW = 6
    TIMED_OUT = 7


class _HasMemo:
    """Part of what has a memo."""

    def _memo_fields(self) -> Mapping[str, Any]:
        raise NotImplementedError

    def _memo_converter(self) -> temporalio.converter.DataConverter:
        raise NotImplementedError

    async def memo(self) -> Mapping[str, Any]:
        """The memo's values, converted without type hints."""
        return await self._memo_converter()._decode_memo_dict(self._memo_fields())

    @overload
    async def memo_value(self, key: str, default: Any = temporalio.common._arg_unset) -> Any: ...

    @overload
    async def memo_value(self, key: str, *, type_hint: type[ParamType]) -> ParamType: ...

    @overload
    async def memo_value(self, key: str, default: AnyType, *, type_hint: type[ParamType]) -> AnyType | ParamType: ...

    async def memo_value(
        self, key: str, default: Any = temporalio.common._arg_unset, *, type_hint: type | None = None
    ) -> Any:
        """One of the memo's values.

        Args:
            key: Its key.
            default: What to give if there is none.
            type_hint: The type wanted.

        Raises:
            KeyError: There is none, and no default.
        """
        payload = self._memo_fields().get(key)
        if payload is None:
            if default is temporalio.common._arg_unset:
                raise KeyError(f"The memo has no key {key}")
            return default
        return (await self._memo_converter()._decode_dicts([payload], [type_hint] if type_hint else None))[0]


@dataclass
class WorkflowExecution(_HasMemo, LazyMessages):
    """A workflow run as a list shows it."""

    close_time: datetime | None
    """When it closed."""
    execution_time: datetime | None
    """When it began, or will; later than its start for one that is delayed."""
    history_length: int
    """How many events its history has."""
    id: str
    """The workflow's id."""
    namespace: str
    """Its namespace."""
    parent_id: str | None
    """The id of the workflow it is a child of."""
    parent_run_id: str | None
    """That workflow's run."""
    root_id: str | None
    """The id of the workflow at the top of its ancestors."""
    root_run_id: str | None
    """That workflow's run."""
    raw_info: temporalio.api.workflow.v1.WorkflowExecutionInfo
    """What the server sent."""
    run_id: str
    """This run."""
    search_attributes: temporalio.common.SearchAttributes
    """Its search attributes as lists; :py:attr:`typed_search_attributes` is preferred."""
    start_time: datetime
    """When it was started."""
    status: WorkflowExecutionStatus | None
    """How far it has come."""
    task_queue: str
    """Its task queue."""
    typed_search_attributes: temporalio.common.TypedSearchAttributes
    """Its search attributes."""
    workflow_type: str
    """Its type."""
    _context_free_data_converter: temporalio.converter.DataConverter

    @property
    def data_converter(self) -> temporalio.converter.DataConverter:
        """The converter for its values."""
        return self._context_free_data_converter.with_context(
            WorkflowSerializationContext(namespace=self.namespace, workflow_id=self.id)
        )

    @classmethod
    def _from_info(
        cls,
        info: dict[str, Any],
        namespace: str,
        converter: temporalio.converter.DataConverter,
        lazy: Mapping[str, Any] | None = None,
        **additional: Any,
    ) -> Any:
        from temporalio.converter._search_attributes import attributes_from_dicts, typed_attributes_from_dicts

        execution = info.get("execution", {})
        parent, root = info.get("parent_execution", {}), info.get("root_execution", {})
        attributes = info.get("search_attributes", {}).get("indexed_fields")
        status = info.get("status", 0)
        return cls._make(
            {"raw_info": ("temporal.api.workflow.v1.WorkflowExecutionInfo", info), **(lazy or {})},
            close_time=to_datetime_or_none(info.get("close_time")),
            execution_time=to_datetime_or_none(info.get("execution_time")),
            history_length=info.get("history_length", 0),
            id=execution.get("workflow_id", ""),
            namespace=namespace,
            parent_id=parent.get("workflow_id") or None,
            parent_run_id=parent.get("run_id") or None,
            root_id=root.get("workflow_id") or None,
            root_run_id=root.get("run_id") or None,
            run_id=execution.get("run_id", ""),
            search_attributes=attributes_from_dicts(attributes),
            start_time=required_datetime(info.get("start_time")),
            status=WorkflowExecutionStatus(status) if status else None,
            task_queue=info.get("task_queue", ""),
            typed_search_attributes=typed_attributes_from_dicts(attributes),
            workflow_type=info.get("type", {}).get("name", ""),
            _context_free_data_converter=converter,
            **additional,
        )

    def _memo_fields(self) -> Mapping[str, Any]:
        return self._lazy_dict("raw_info").get("memo", {}).get("fields", {})

    def _memo_converter(self) -> temporalio.converter.DataConverter:
        return self.data_converter


@dataclass
class WorkflowExecutionDescription(WorkflowExecution):
    """A workflow run described."""

    raw_description: temporalio.api.workflowservice.v1.DescribeWorkflowExecutionResponse
    """What the server sent."""
    _static_summary: str | None = None
    _static_details: str | None = None
    _metadata_decoded: bool = False

    async def static_summary(self) -> str | None:
        """The line about it that it was started with."""
        await self._decode_metadata()
        return self._static_summary

    async def static_details(self) -> str | None:
        """What more about it it was started with."""
        await self._decode_metadata()
        return self._static_details

    async def _decode_metadata(self) -> None:
        if self._metadata_decoded:
            return
        from temporalio.client._helpers import decode_user_metadata

        metadata = self._lazy_dict("raw_description").get("execution_config", {}).get("user_metadata")
        self._static_summary, self._static_details = await decode_user_metadata(self.data_converter, metadata)
        self._metadata_decoded = True


@dataclass
class WorkflowExecutionCountAggregationGroup:
    """How many workflows have these values in common."""

    count: int
    """How many."""
    group_values: Sequence[temporalio.common.SearchAttributeValue]
    """The values."""


@dataclass
class WorkflowExecutionCount:
    """How many workflows a filter finds."""

    count: int
    """How many; near enough for a large number."""
    groups: Sequence[WorkflowExecutionCountAggregationGroup]
    """Groups of them, if the filter asks for groups."""

    @staticmethod
    def _from_dict(reply: Mapping[str, Any]) -> WorkflowExecutionCount:
        return WorkflowExecutionCount(
            reply.get("count", 0),
            [WorkflowExecutionCountAggregationGroup(count, values) for count, values in count_groups(reply)],
        )


class WorkflowExecutionAsyncIterator(PagedIterator[WorkflowExecution]):
    """Iterates over workflows; made by :py:meth:`Client.list_workflows`."""

    def __init__(self, client: Client, input: ListWorkflowsInput) -> None:
        """Makes an iterator; asks nothing yet."""
        super().__init__(input.next_page_token, input.page_size, input.limit)
        self._client = client
        self._input = input

    @property
    def current_page_index(self) -> int:
        """Where in the current page the next workflow is."""
        return self._current_page_index

    @property
    def current_page(self) -> Sequence[WorkflowExecution] | None:
        """The current page, None before the first."""
        return self._current_page

    @property
    def next_page_token(self) -> bytes | None:
        """Where to go on after the current page, None if it is the last."""
        return self._next_page_token

    async def _fetch(self, page_size: int | None) -> tuple[Sequence[WorkflowExecution], bytes | None]:
        from temporalio.client._helpers import call_workflow_service

        reply = await call_workflow_service(
            self._client,
            "list_workflow_executions",
            {
                "namespace": self._client.namespace,
                "page_size": page_size or 0,
                "next_page_token": self._next_page_token or b"",
                "query": self._input.query or "",
            },
            self._input,
        )
        page = [
            WorkflowExecution._from_info(info, self._client.namespace, self._client.data_converter)
            for info in reply.get("executions", ())
        ]
        return page, reply.get("next_page_token")

    async def fetch_next_page(self, *, page_size: int | None = None) -> None:
        """Fetches the next page, whatever is left of the current one.

        Args:
            page_size: How many to ask for, instead of what the iterator was made with.
        """
        await self._fetch_next_page(page_size)

    def __aiter__(self) -> WorkflowExecutionAsyncIterator:
        """Itself."""
        return self

    async def __anext__(self) -> WorkflowExecution:
        """The next workflow; fetches a page if need be."""
        return await self._step()

    async def map_histories(
        self,
        *,
        event_filter_type: WorkflowHistoryEventFilterType = WorkflowHistoryEventFilterType.ALL_EVENT,
        skip_archival: bool = False,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> AsyncIterator[WorkflowHistory]:
        """Fetches the history of each workflow that is left.

        Args:
            event_filter_type: Which events.
            skip_archival: Whether not to look into the archive.
            rpc_metadata: Headers for each call.
            rpc_timeout: How long to wait for each call.
        """
        async for workflow in self:
            yield await self._client.get_workflow_handle(workflow.id, run_id=workflow.run_id).fetch_history(
                event_filter_type=event_filter_type,
                skip_archival=skip_archival,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
