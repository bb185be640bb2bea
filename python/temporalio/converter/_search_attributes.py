"""Search attributes on the wire: one payload each, with the attribute's type in its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from temporalio._values import parse_datetime
from temporalio.common import (
    SearchAttributeIndexedValueType,
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributes,
    SearchAttributeValue,
    SearchAttributeValues,
    SearchAttributeValueType,
    TypedSearchAttributes,
)
from temporalio.converter._messages import PayloadDict, payload_from_proto, payload_to_proto
from temporalio.converter._payload_converter import DefaultPayloadConverter

if TYPE_CHECKING:
    import temporalio.api.common.v1

_converter = DefaultPayloadConverter()


def encode_search_attributes(
    attributes: SearchAttributes | TypedSearchAttributes,
    api: temporalio.api.common.v1.SearchAttributes,
) -> None:
    """Writes search attributes into a message.

    Args:
        attributes: What to write.
        api: The message.
    """
    for name, payload in attributes_to_dicts(attributes).items():
        api.indexed_fields[name].CopyFrom(payload_to_proto(payload))


def attributes_to_dicts(attributes: SearchAttributes | TypedSearchAttributes) -> dict[str, PayloadDict]:
    """Search attributes as payload dicts by name, the ``indexed_fields`` of their message."""
    if isinstance(attributes, TypedSearchAttributes):
        return {pair.key.name: typed_value_to_dict(pair.key, pair.value) for pair in attributes}
    return {name: values_to_dict(values) for name, values in attributes.items()}


def encode_typed_search_attribute_value(
    key: SearchAttributeKey[SearchAttributeValueType],
    value: SearchAttributeValue | None,
) -> temporalio.api.common.v1.Payload:
    """Makes the payload of a typed search attribute.

    Args:
        key: The attribute.
        value: Its value, None for the payload that removes it.

    Raises:
        TypeError: The value is not of the attribute's type.
        ValueError: A datetime has no time zone.
    """
    return payload_to_proto(typed_value_to_dict(key, value))


def typed_value_to_dict(key: SearchAttributeKey, value: SearchAttributeValue | None) -> PayloadDict:
    """As encode_typed_search_attribute_value, giving a dict."""
    if value is None:
        return _converter._to_dict(None)
    if not isinstance(value, key.origin_value_type):
        raise TypeError(f"Search attribute {key.name} is a {key.indexed_value_type.name}, which {value!r} is not")
    if key.indexed_value_type == SearchAttributeIndexedValueType.KEYWORD_LIST:
        if not all(isinstance(v, str) for v in value):  # type: ignore[union-attr]
            raise TypeError(f"Search attribute {key.name} is a keyword list: it holds nothing but strings")
    elif isinstance(value, datetime):
        value = _datetime_text(value)
    payload = _converter._to_dict(value)
    return {**payload, "metadata": {**payload["metadata"], "type": key._metadata_type.encode()}}


def encode_search_attribute_values(vals: SearchAttributeValues) -> temporalio.api.common.v1.Payload:
    """Makes the payload of an untyped search attribute.

    Args:
        vals: Its values, all of one type.

    Raises:
        TypeError: The values are of several types, or of one that has no index.
        ValueError: A datetime has no time zone.
    """
    return payload_to_proto(values_to_dict(vals))


def values_to_dict(vals: SearchAttributeValues) -> PayloadDict:
    """As encode_search_attribute_values, giving a dict."""
    if not isinstance(vals, list):
        raise TypeError(f"Search attribute values must be a list, not {type(vals).__name__}")
    safe: list[Any] = []
    kind: type | None = None
    for value in vals:
        if not isinstance(value, (str, int, float, bool, datetime)):
            raise TypeError(
                f"A search attribute is of type {type(value).__name__} not one of those it can have: str, int, float, bool, datetime"
            )
        if kind is not None and type(value) is not kind:
            raise TypeError("All values of a search attribute must have the same type")
        kind = type(value)
        safe.append(_datetime_text(value) if isinstance(value, datetime) else value)
    return _converter._to_dict(safe)


def _datetime_text(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("Timezone must be present in the datetime of a search attribute")
    return value.isoformat()


def decode_search_attributes(api: temporalio.api.common.v1.SearchAttributes) -> SearchAttributes:
    """Reads the search attributes of a message, each as a list of values.

    Args:
        api: The message.
    """
    return attributes_from_dicts({n: payload_from_proto(p) for n, p in api.indexed_fields.items()})


def attributes_from_dicts(fields: Mapping[str, PayloadDict] | None) -> SearchAttributes:
    """As decode_search_attributes, of payload dicts by name."""
    attributes: dict[str, Any] = {}
    for name, payload in (fields or {}).items():
        value = _read(payload)
        values = value if isinstance(value, list) else [value]
        if payload.get("metadata", {}).get("type") == b"Datetime":
            values = [parse_datetime(v) if isinstance(v, str) else v for v in values]
        attributes[name] = values
    return attributes


def decode_typed_search_attributes(api: temporalio.api.common.v1.SearchAttributes) -> TypedSearchAttributes:
    """Reads the search attributes of a message with their types. Those of an unknown type are passed over.

    Args:
        api: The message.
    """
    return typed_attributes_from_dicts({n: payload_from_proto(p) for n, p in api.indexed_fields.items()})


def typed_attributes_from_dicts(fields: Mapping[str, PayloadDict] | None) -> TypedSearchAttributes:
    """As decode_typed_search_attributes, of payload dicts by name."""
    if not fields:
        return TypedSearchAttributes.empty
    pairs: list[SearchAttributePair] = []
    for name, payload in fields.items():
        metadata_type = payload.get("metadata", {}).get("type")
        if not metadata_type:
            continue
        key = SearchAttributeKey._from_metadata_type(name, metadata_type.decode(errors="replace"))
        if key is None:
            continue
        value = _typed_value(key, _read(payload))
        if value is not None:
            pairs.append(SearchAttributePair(key, value))
    return TypedSearchAttributes(pairs)


def _typed_value(key: SearchAttributeKey, value: Any) -> Any:
    """The value if it fits the key, else None. Servers may send a lone value as a list of one."""
    if key.indexed_value_type != SearchAttributeIndexedValueType.KEYWORD_LIST and isinstance(value, list):
        if len(value) != 1:
            return None
        value = value[0]
    if key.indexed_value_type == SearchAttributeIndexedValueType.DATETIME and isinstance(value, str):
        try:
            value = parse_datetime(value)
        except ValueError:
            return None
    if key.indexed_value_type == SearchAttributeIndexedValueType.DOUBLE and isinstance(value, int):
        value = float(value)
    return value if isinstance(value, key.origin_value_type) else None


def _read(payload: PayloadDict) -> Any:
    data = payload.get("data")
    if payload.get("metadata", {}).get("encoding") == b"json/plain":
        return json.loads(data or b"null")
    return _converter._from_dict(payload)


def grouped_value(payload: PayloadDict) -> Any:
    """A value by which a count was grouped, typed where its metadata say of what type it is."""
    value = _read(payload)
    if payload.get("metadata", {}).get("type") == b"Datetime" and isinstance(value, str):
        return parse_datetime(value)
    return value
