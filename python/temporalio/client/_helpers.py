"""What the client's modules share: calls, messages kept as dicts until asked for, pages of lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from temporalio._values import to_datetime_or_none
from temporalio.converter._messages import PayloadDict, headers_from_protos, message_from_dict, payload_list

if TYPE_CHECKING:
    import temporalio.api.common.v1
    from temporalio.client._client import Client
    from temporalio.converter import DataConverter

_T = TypeVar("_T")

# Fields that a Nexus operation gives the requests that start what stands behind it.
start_extras: ContextVar[Mapping[str, Any] | None] = ContextVar("start_extras", default=None)


class LazyMessages:
    """Base of classes with attributes that are protobuf messages: those are made when first read.

    An instance made by :py:meth:`_make` holds the dicts of such messages under ``_lazy_messages``.
    """

    _lazy_messages: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        """Makes a message that was not yet asked for."""
        found = self.__dict__.get("_lazy_messages", {}).get(name)
        if found is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        type_name, message = found
        if message is None:
            value: Any = None
        elif isinstance(message, (list, tuple)):
            value = [message_from_dict(type_name, m) for m in message]
        else:
            value = message_from_dict(type_name, message)
        self.__dict__[name] = value
        return value

    def _lazy_dict(self, name: str) -> Any:
        """The dict of a message, without making the message."""
        found = self.__dict__.get("_lazy_messages", {}).get(name)
        if found is not None:
            return found[1]
        from temporalio.converter._messages import message_to_dict

        value = getattr(self, name)
        return None if value is None else message_to_dict(value)

    @classmethod
    def _make(cls, lazy_messages: Mapping[str, Any], **fields: Any) -> Any:
        """An instance with these fields; the constructor is for callers who have the messages."""
        made = object.__new__(cls)
        made.__dict__.update(fields)
        made.__dict__["_lazy_messages"] = lazy_messages
        return made


async def call_workflow_service(client: Client, method: str, request: dict[str, Any], input: Any) -> dict[str, Any]:
    """One RPC, with the headers and the timeout of an interceptor's input."""
    from temporalio.service import _call_dict

    return await _call_dict(
        client.workflow_service,
        method,
        request,
        retry=True,
        metadata=input.rpc_metadata,
        timeout=input.rpc_timeout,
    )


def workflow_converter(client: Client, workflow_id: str, workflow_type: str | None = None) -> DataConverter:
    """The client's converter for values of a workflow; the type is given where it is known."""
    from temporalio.converter._serialization_context import WorkflowSerializationContext

    converter = client.data_converter.with_context(
        WorkflowSerializationContext(namespace=client.namespace, workflow_id=workflow_id)
    )
    if converter.external_storage is None:
        return converter
    from temporalio.converter import StorageDriverStoreContext, StorageDriverWorkflowInfo

    target = StorageDriverWorkflowInfo(namespace=client.namespace, id=workflow_id, type=workflow_type)
    return converter._with_store_context(StorageDriverStoreContext(target=target))


def new_request_id() -> str:
    """A random id, in the form of a UUID."""
    from uuid import uuid4

    return str(uuid4())


def payloads_dict(payloads: Sequence[PayloadDict]) -> dict[str, Any]:
    """The dict of a Payloads message."""
    return {"payloads": list(payloads)}


def set_unless_none(message: dict[str, Any], **fields: Any) -> None:
    """Sets the fields that have a value."""
    for name, value in fields.items():
        if value is not None:
            message[name] = value


async def header_dict(client: Client, headers: Mapping[str, temporalio.api.common.v1.Payload]) -> dict[str, Any] | None:
    """The dict of a Header message, None without headers; encoded if the client says so."""
    fields = headers_from_protos(headers)
    if not fields:
        return None
    from temporalio.common import HeaderCodecBehavior

    config = client.config(active_config=True)
    codec = client.data_converter.payload_codec
    if config["header_codec_behavior"] == HeaderCodecBehavior.CODEC and codec is not None:
        from temporalio.converter._messages import payload_from_proto, payload_to_proto

        for name, payload in fields.items():
            fields[name] = payload_from_proto((await codec.encode([payload_to_proto(payload)]))[0])
    return {"fields": fields}


async def user_metadata_dict(
    converter: DataConverter, summary: Any | None, details: Any | None
) -> dict[str, Any] | None:
    """The dict of a UserMetadata message, None without content. A value may be a payload already."""
    if summary is None and details is None:
        return None
    metadata: dict[str, Any] = {}
    for name, value in (("summary", summary), ("details", details)):
        if value is not None:
            metadata[name] = await _text_or_payload(converter, value)
    return metadata


async def _text_or_payload(converter: DataConverter, value: Any) -> PayloadDict:
    if isinstance(value, str):
        return await converter._encode_value_dict(value)
    from temporalio.converter._messages import payload_from_proto

    return payload_from_proto(value)


async def decode_user_metadata(
    converter: DataConverter, metadata: Mapping[str, Any] | None
) -> tuple[str | None, str | None]:
    """Summary and details of a UserMetadata dict."""
    texts: list[str | None] = []
    for name in ("summary", "details"):
        payload = (metadata or {}).get(name)
        texts.append(None if payload is None else (await converter._decode_dicts([payload]))[0])
    return texts[0], texts[1]


async def decode_result(converter: DataConverter, payloads: Mapping[str, Any] | None, result_type: Any) -> Any:
    """The one value a result is, None if it is empty."""
    found = payload_list(payloads)
    if not found:
        return None
    values = await converter._decode_dicts(found, None if result_type is None else [result_type])
    return values[0] if values else None


def count_groups(reply: Mapping[str, Any]) -> list[tuple[int, list[Any]]]:
    """Groups of a count's reply: how many, and the values they have in common."""
    from temporalio.converter._search_attributes import grouped_value

    return [
        (group.get("count", 0), [grouped_value(v) for v in group.get("group_values", ())])
        for group in reply.get("groups", ())
    ]


class PagedIterator(Generic[_T]):
    """An async iterator over a list that a server gives in pages."""

    def __init__(self, next_page_token: bytes | None, page_size: int | None, limit: int | None) -> None:
        self._next_page_token = next_page_token
        self._page_size = page_size
        self._limit = limit
        self._current_page: Sequence[_T] | None = None
        self._current_page_index = 0
        self._yielded = 0

    @property
    def current_page_index(self) -> int:
        """Where in the current page the next element is."""
        return self._current_page_index

    @property
    def current_page(self) -> Sequence[_T] | None:
        """The current page, None before the first."""
        return self._current_page

    @property
    def next_page_token(self) -> bytes | None:
        """Where to go on after the current page, None if it is the last."""
        return self._next_page_token

    async def _fetch(self, page_size: int | None) -> tuple[Sequence[_T], bytes | None]:
        raise NotImplementedError

    async def _fetch_next_page(self, page_size: int | None) -> None:
        size = page_size or self._page_size
        if self._limit is not None and size is not None:
            # No need for more than are still to be given.
            size = max(1, min(size, self._limit - self._yielded))
        page, token = await self._fetch(size)
        self._current_page, self._next_page_token = page, token or None
        self._current_page_index = 0

    async def _step(self) -> _T:
        if self._limit is not None and self._yielded >= self._limit:
            raise StopAsyncIteration
        while True:
            page = self._current_page
            if page is not None and self._current_page_index < len(page):
                found = page[self._current_page_index]
                self._current_page_index += 1
                self._yielded += 1
                return found
            if page is not None and not self._next_page_token:
                raise StopAsyncIteration
            # An empty page with a token is not the end.
            await self._fetch_next_page(None)


def required_datetime(ns: int | None) -> Any:
    """A time that every server sends; the epoch where one does not."""
    return to_datetime_or_none(ns if ns is not None else 0)
