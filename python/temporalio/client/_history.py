"""Histories: a workflow's events, one by one or as a whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from temporalio.client._helpers import LazyMessages, PagedIterator
from temporalio.converter._messages import message_from_bytes, message_from_dict, message_to_dict

if TYPE_CHECKING:
    from dataclasses import dataclass

    import temporalio.api.history.v1
    from temporalio.client._client import Client
    from temporalio.client._interceptor import FetchWorkflowHistoryEventsInput
else:
    from temporalio._lazy import dataclass

_HISTORY = "temporal.api.history.v1.History"
_EVENT = "temporal.api.history.v1.HistoryEvent"


class WorkflowHistoryEventFilterType(IntEnum):
    """Which events to fetch. Values are those on the wire."""

    ALL_EVENT = 1
    CLOSE_EVENT = 2


@dataclass(frozen=True)
class WorkflowHistory(LazyMessages):
    """The history of one workflow run."""

    workflow_id: str
    """The workflow's id."""

    events: Sequence[temporalio.api.history.v1.HistoryEvent]
    """Its events, the first one first."""

    @property
    def run_id(self) -> str:
        """The run's id, as its first event has it.

        Raises:
            RuntimeError: The history does not begin with the start of a workflow.
        """
        lazy = self.__dict__.get("_lazy_messages")
        first: Any
        if lazy is not None and "events" not in self.__dict__:
            events = lazy["events"][1]
            first = events[0].get("workflow_execution_started_event_attributes") if events else None
            if first is not None:
                return first.get("original_execution_run_id", "")
        elif self.events and self.events[0].HasField("workflow_execution_started_event_attributes"):
            return self.events[0].workflow_execution_started_event_attributes.original_execution_run_id
        raise RuntimeError("The history does not begin with the start of a workflow")

    @staticmethod
    def from_json(workflow_id: str, history: str | dict[str, Any]) -> WorkflowHistory:
        """Reads a history from the JSON that user interfaces and command lines write.

        Args:
            workflow_id: The workflow's id, which is not in it.
            history: The JSON, as text or parsed.

        Returns:
            The history, fit to be replayed.
        """
        from temporalio import _core

        text = history if isinstance(history, str) else json.dumps(history)
        parsed = _core.decode(_HISTORY, _core.from_json(_HISTORY, text, ignore_unknown_fields=True))
        return WorkflowHistory._from_dicts(workflow_id, parsed.get("events", []))

    def to_json(self) -> str:
        """Writes the history as JSON."""
        from temporalio import _core

        return _core.to_json(_HISTORY, self._to_bytes(), pretty=True)

    def to_json_dict(self) -> dict[str, Any]:
        """Writes the history as a dictionary fit for JSON."""
        return json.loads(self.to_json())

    @staticmethod
    def _from_dicts(workflow_id: str, events: Sequence[dict[str, Any]]) -> WorkflowHistory:
        return WorkflowHistory._make({"events": (_EVENT, list(events))}, workflow_id=workflow_id)

    def _to_bytes(self) -> bytes:
        """The bytes of a History message."""
        lazy = self.__dict__.get("_lazy_messages")
        if lazy is not None and "events" not in self.__dict__:
            from temporalio import _core

            return _core.encode(_HISTORY, {"events": lazy["events"][1]})
        from temporalio.api.history.v1 import History

        return History(events=self.events).SerializeToString()


@dataclass
class WorkflowHistoryEventAsyncIterator(PagedIterator["temporalio.api.history.v1.HistoryEvent"]):
    """Iterates over a workflow's events; made by :py:meth:`WorkflowHandle.fetch_history_events`."""

    # It has no fields, by which all would be equal
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, client: Client, input: FetchWorkflowHistoryEventsInput) -> None:
        """Makes an iterator; asks nothing yet."""
        super().__init__(input.next_page_token, input.page_size, None)
        self._client = client
        self._input = input
        # The current page as dicts; made into messages when somebody asks for them.
        self._dict_page: list[dict[str, Any]] | None = None

    @property
    def current_page_index(self) -> int:
        """Where in the current page the next event is."""
        return self._current_page_index

    @property
    def current_page(self) -> Sequence[temporalio.api.history.v1.HistoryEvent] | None:
        """The current page, None before the first."""
        if self._current_page is None and self._dict_page is not None:
            self._current_page = [message_from_dict(_EVENT, e) for e in self._dict_page]
        return self._current_page

    @property
    def next_page_token(self) -> bytes | None:
        """Where to go on after the current page, None if it is the last."""
        return self._next_page_token

    async def fetch_next_page(self, *, page_size: int | None = None) -> None:
        """Fetches the next page, whatever is left of the current one.

        Args:
            page_size: How many events to ask for, instead of what the iterator was made with.
        """
        from temporalio.client._helpers import call_workflow_service

        request: dict[str, Any] = {
            "namespace": self._client.namespace,
            "execution": {"workflow_id": self._input.id, "run_id": self._input.run_id or ""},
            "maximum_page_size": page_size or self._input.page_size or 0,
            "wait_new_event": self._input.wait_new_event,
            "history_event_filter_type": int(self._input.event_filter_type),
            "skip_archival": self._input.skip_archival,
        }
        if self._next_page_token:
            request["next_page_token"] = self._next_page_token
        reply = await call_workflow_service(self._client, "get_workflow_execution_history", request, self._input)
        # Servers may send events as they are stored, encoded one by one.
        events = [_decode_blob(b) for b in reply["raw_history"]] if reply.get("raw_history") else None
        self._dict_page = (
            [e for blob in events for e in blob] if events is not None else reply.get("history", {}).get("events", [])
        )
        self._current_page = None
        self._current_page_index = 0
        self._next_page_token = reply.get("next_page_token") or None

    async def _next_dict(self) -> dict[str, Any]:
        while True:
            page = self._dict_page
            if page is not None and self._current_page_index < len(page):
                self._current_page_index += 1
                return page[self._current_page_index - 1]
            if page is not None and not self._next_page_token:
                raise StopAsyncIteration
            await self.fetch_next_page()

    def __aiter__(self) -> WorkflowHistoryEventAsyncIterator:
        """Itself."""
        return self

    async def __anext__(self) -> temporalio.api.history.v1.HistoryEvent:
        """The next event; fetches a page if need be."""
        return message_from_dict(_EVENT, await self._next_dict())


def _decode_blob(blob: dict[str, Any]) -> list[dict[str, Any]]:
    from temporalio import _core

    return _core.decode(_HISTORY, blob.get("data", b"")).get("events", [])


async def next_event_dict(iterator: Any) -> dict[str, Any] | None:
    """The next event as a dict, None at the end, whatever an interceptor has put in the iterator's place."""
    try:
        if isinstance(iterator, WorkflowHistoryEventAsyncIterator):
            return await iterator._next_dict()
        return message_to_dict(await iterator.__anext__())
    except StopAsyncIteration:
        return None


def _history_from_json(history: str | dict[str, Any]) -> temporalio.api.history.v1.History:
    """A history's message from JSON, in any of the spellings servers have used for enum values."""
    from temporalio import _core

    text = history if isinstance(history, str) else json.dumps(history)
    return message_from_bytes(_HISTORY, _core.from_json(_HISTORY, text, ignore_unknown_fields=True))
