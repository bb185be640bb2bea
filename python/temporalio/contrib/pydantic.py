"""Conversion of Pydantic models, and of all that Pydantic validates.

Give :py:data:`pydantic_data_converter` to the client. What a model's fields are is decided by Pydantic alone: its types,
its validators, its serializers, with dataclasses and plain types along.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import SchemaSerializer, to_json
from pydantic_core.core_schema import any_schema

from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
)
from temporalio.converter._messages import PayloadDict
from temporalio.converter._payload_converter import _DictEncodingPayloadConverter

# How many type adapters a converter keeps unless told otherwise; making one takes longer than a thousand conversions.
_DEFAULT_CACHE_SIZE = 1024
_METADATA = {"encoding": b"json/plain"}


@dataclass
class ToJsonOptions:
    """How values are written."""

    exclude_unset: bool = False
    """Whether fields that were never set are left out."""


class PydanticJSONPlainPayloadConverter(_DictEncodingPayloadConverter):
    """Writes and reads JSON by Pydantic; takes the place of the plain JSON converter, and its encoding."""

    def __init__(
        self,
        to_json_options: ToJsonOptions | None = None,
        *,
        max_cached_type_adapters: int | None = _DEFAULT_CACHE_SIZE,
    ) -> None:
        """Makes a converter.

        Args:
            to_json_options: How values are written.
            max_cached_type_adapters: For how many types validators are kept; None for no limit, 0 for none.
        """
        if max_cached_type_adapters is not None and max_cached_type_adapters < 0:
            raise ValueError("max_cached_type_adapters cannot be negative")
        self._to_json_options = to_json_options
        self._serializer = SchemaSerializer(any_schema())
        self._adapter: Callable[[Any, str], TypeAdapter[Any]] = functools.lru_cache(max_cached_type_adapters)(
            lambda hint, _key: TypeAdapter(hint)
        )

    @property
    def encoding(self) -> str:
        """See base class."""
        return "json/plain"

    def _to_dict(self, value: Any) -> PayloadDict | None:
        if self._to_json_options is not None and self._to_json_options.exclude_unset:
            data = self._serializer.to_json(value, exclude_unset=True)
        else:
            data = to_json(value)
        return {"metadata": _METADATA, "data": data}

    def _from_dict(self, payload: PayloadDict, type_hint: Any = None) -> Any:
        hint = Any if type_hint is None else type_hint
        return self._type_adapter(hint).validate_json(payload.get("data", b""))

    def _type_adapter(self, hint: Any) -> TypeAdapter[Any]:
        try:
            # Unions are equal in any order, and literals of equal values, but validate differently: the text tells.
            return self._adapter(hint, repr(hint))
        except TypeError:  # a hint that does not hash
            return TypeAdapter(hint)


class PydanticPayloadConverter(CompositePayloadConverter):
    """The default payload converter, with JSON written and read by Pydantic."""

    def __init__(
        self,
        to_json_options: ToJsonOptions | None = None,
        *,
        max_cached_type_adapters: int | None = _DEFAULT_CACHE_SIZE,
    ) -> None:
        """Makes a converter.

        Args:
            to_json_options: How values are written.
            max_cached_type_adapters: For how many types validators are kept; None for no limit, 0 for none.
        """
        json_converter = PydanticJSONPlainPayloadConverter(
            to_json_options, max_cached_type_adapters=max_cached_type_adapters
        )
        super().__init__(
            *(
                json_converter if isinstance(c, JSONPlainPayloadConverter) else c
                for c in DefaultPayloadConverter.default_encoding_payload_converters
            )
        )


pydantic_data_converter = DataConverter(payload_converter_class=PydanticPayloadConverter)
"""The data converter for programs that use Pydantic models."""

__all__ = [
    "PydanticJSONPlainPayloadConverter",
    "PydanticPayloadConverter",
    "ToJsonOptions",
    "pydantic_data_converter",
]
