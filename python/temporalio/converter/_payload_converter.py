"""Payload converters: between Python values and payloads.

Every converter has two faces. The public one takes and gives protobuf ``Payload`` objects; that is what programs
override and call. The private one, ``_to_dict`` and ``_from_dict`` and their plurals, does the same with plain dicts
(see _messages.py) and is what the package itself uses. A subclass that overrides a public method gets the private one
derived from it, so it sees protobuf objects as documented and nobody else pays for them.
"""

from __future__ import annotations

import json
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NewType, TypeVar, overload

from temporalio.converter._messages import (
    PayloadDict,
    payload_from_proto,
    payload_to_proto,
    payloads_from_protos,
    payloads_to_protos,
)
from temporalio.converter._serialization_context import SerializationContext, WithSerializationContext

if TYPE_CHECKING:
    from typing_extensions import Self

    import temporalio.api.common.v1
    import temporalio.types

# Metadata of the dicts made here. Shared: nobody changes a payload dict in place.
_NULL: PayloadDict = {"metadata": {"encoding": b"binary/null"}}
_BINARY_METADATA = {"encoding": b"binary/plain"}
_JSON_METADATA = {"encoding": b"json/plain"}
_NO_METADATA: dict[str, bytes] = {}


def _defining_class(cls: type, name: str) -> int:
    """How near in the method resolution order the class lies that defines this attribute."""
    for distance, base in enumerate(cls.__mro__):
        if name in base.__dict__:
            return distance
    return len(cls.__mro__)


def _derive_private(cls: type, pairs: Iterable[tuple[str, str, Any]]) -> None:
    """Where a class overrides a public method nearer than its private twin, takes the twin derived from it."""
    for public, private, derived in pairs:
        if _defining_class(cls, public) < _defining_class(cls, private):
            setattr(cls, private, derived)


def _not_derived(instance: Any, private: str, derived: Any) -> Callable[..., Any]:
    """The private method a public one of the same class is made of, past those derived from overridden public ones.

    So a subclass's public method may call the one it overrides.
    """
    for cls in type(instance).__mro__:
        found = cls.__dict__.get(private)
        if found is not None and found is not derived:
            return found.__get__(instance)
    raise NotImplementedError(f"{type(instance).__qualname__} has no conversion of its own to call")


class PayloadConverter(ABC):
    """Turns Python values into payloads and back.

    Workflows use it on their own thread, so it must not block, and must give the same payload for the same value.
    """

    default: ClassVar[PayloadConverter]
    """The converter of a client that names none."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Lets a subclass's own methods be used throughout."""
        super().__init_subclass__(**kwargs)
        _derive_private(
            cls,
            (
                ("to_payloads", "_to_dicts", PayloadConverter._to_dicts),
                ("from_payloads", "_from_dicts", PayloadConverter._from_dicts),
            ),
        )

    @abstractmethod
    def to_payloads(self, values: Sequence[Any]) -> list[temporalio.api.common.v1.Payload]:
        """Turns values into payloads.

        Args:
            values: The values.

        Returns:
            The payloads. A converter may join several values in one, but a lone value must give a lone payload.

        Raises:
            Exception: Whatever goes wrong while converting.
        """
        ...

    @abstractmethod
    def from_payloads(
        self,
        payloads: Sequence[temporalio.api.common.v1.Payload],
        type_hints: list[type] | None = None,
    ) -> list[Any]:
        """Turns payloads back into values.

        Args:
            payloads: The payloads.
            type_hints: The types wanted, in order; there may be more or fewer of them than payloads.

        Returns:
            The values.

        Raises:
            Exception: Whatever goes wrong while converting.
        """
        ...

    def to_payloads_wrapper(self, values: Sequence[Any]) -> temporalio.api.common.v1.Payloads:
        """As :py:meth:`to_payloads`, in one message."""
        import temporalio.api.common.v1

        return temporalio.api.common.v1.Payloads(payloads=self.to_payloads(values))

    def from_payloads_wrapper(self, payloads: temporalio.api.common.v1.Payloads | None) -> list[Any]:
        """As :py:meth:`from_payloads`, of one message; none for None."""
        if not payloads or not payloads.payloads:
            return []
        return self.from_payloads(payloads.payloads)

    def to_payload(self, value: Any) -> temporalio.api.common.v1.Payload:
        """Turns one value into one payload."""
        return self.to_payloads([value])[0]

    @overload
    def from_payload(self, payload: temporalio.api.common.v1.Payload) -> Any: ...

    @overload
    def from_payload(
        self, payload: temporalio.api.common.v1.Payload, type_hint: type[temporalio.types.AnyType]
    ) -> temporalio.types.AnyType: ...

    def from_payload(self, payload: temporalio.api.common.v1.Payload, type_hint: type | None = None) -> Any:
        """Turns one payload into one value."""
        return self.from_payloads([payload], [type_hint] if type_hint is not None else None)[0]

    def _to_dicts(self, values: Sequence[Any]) -> list[PayloadDict]:
        return payloads_from_protos(self.to_payloads(values))

    def _from_dicts(self, payloads: Sequence[PayloadDict], type_hints: Sequence[Any] | None = None) -> list[Any]:
        hints = None if type_hints is None else list(type_hints)
        return self.from_payloads(payloads_to_protos(payloads), hints)

    def _to_dict(self, value: Any) -> PayloadDict:
        return self._to_dicts((value,))[0]

    def _from_dict(self, payload: PayloadDict, type_hint: Any = None) -> Any:
        return self._from_dicts((payload,), None if type_hint is None else (type_hint,))[0]


class EncodingPayloadConverter(ABC):
    """Converts the values of one encoding; part of a :py:class:`CompositePayloadConverter`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Lets a subclass's own methods be used throughout."""
        super().__init_subclass__(**kwargs)
        _derive_private(
            cls,
            (
                ("to_payload", "_to_dict", EncodingPayloadConverter._to_dict),
                ("from_payload", "_from_dict", EncodingPayloadConverter._from_dict),
            ),
        )

    @property
    @abstractmethod
    def encoding(self) -> str:
        """The encoding's name, as the payload's metadata has it."""
        ...

    @abstractmethod
    def to_payload(self, value: Any) -> temporalio.api.common.v1.Payload | None:
        """Turns a value into a payload, or gives None for a value that is another converter's business."""
        ...

    @abstractmethod
    def from_payload(self, payload: temporalio.api.common.v1.Payload, type_hint: type | None = None) -> Any:
        """Turns a payload of this encoding into a value.

        Raises:
            RuntimeError: The payload cannot be read.
        """
        ...

    def _to_dict(self, value: Any) -> PayloadDict | None:
        proto = self.to_payload(value)
        return None if proto is None else payload_from_proto(proto)

    def _from_dict(self, payload: PayloadDict, type_hint: Any = None) -> Any:
        return self.from_payload(payload_to_proto(payload), type_hint)


class _DictEncodingPayloadConverter(EncodingPayloadConverter):
    """Base of the converters here: the public face is derived from the private one."""

    def to_payload(self, value: Any) -> temporalio.api.common.v1.Payload | None:
        """See base class."""
        payload = _not_derived(self, "_to_dict", EncodingPayloadConverter._to_dict)(value)
        return None if payload is None else payload_to_proto(payload)

    def from_payload(self, payload: temporalio.api.common.v1.Payload, type_hint: type | None = None) -> Any:
        """See base class."""
        convert = _not_derived(self, "_from_dict", EncodingPayloadConverter._from_dict)
        return convert(payload_from_proto(payload), type_hint)


class CompositePayloadConverter(PayloadConverter, WithSerializationContext):
    """Asks several encodings in turn; the first that takes a value converts it.

    Attributes:
        converters: The converters by encoding, in the order they are asked.
    """

    converters: Mapping[bytes, EncodingPayloadConverter]
    _plain_json_reader: JSONPlainPayloadConverter | None = None

    def __init__(self, *converters: EncodingPayloadConverter) -> None:
        """Makes a converter of these encodings, to be asked in this order."""
        self._set_converters(converters)

    def _set_converters(self, converters: Iterable[EncodingPayloadConverter]) -> None:
        self.converters = {c.encoding.encode(): c for c in converters}
        self._wants_context = any(isinstance(c, WithSerializationContext) for c in self.converters.values())
        # What the stock set makes of values that only JSON takes can be written without asking anybody.
        self._takes_plain_json = [type(c) for c in self.converters.values()] == _stock_classes and all(
            c._is_stock for c in self.converters.values() if isinstance(c, JSONPlainPayloadConverter)
        )
        reader = self.converters.get(b"json/plain")
        is_stock = type(reader) is JSONPlainPayloadConverter and reader._decode is _decode_json
        self._plain_json_reader = reader if is_stock else None  # type: ignore[assignment]

    def to_payloads(self, values: Sequence[Any]) -> list[temporalio.api.common.v1.Payload]:
        """See base class.

        Raises:
            RuntimeError: No converter takes a value.
        """
        return payloads_to_protos(_not_derived(self, "_to_dicts", PayloadConverter._to_dicts)(values))

    def from_payloads(
        self,
        payloads: Sequence[temporalio.api.common.v1.Payload],
        type_hints: list[type] | None = None,
    ) -> list[Any]:
        """See base class.

        Raises:
            KeyError: There is no converter for a payload's encoding.
            RuntimeError: A converter could not read its payload.
        """
        convert = _not_derived(self, "_from_dicts", PayloadConverter._from_dicts)
        return convert(payloads_from_protos(payloads), type_hints)

    def get_converters_with_context(self, context: SerializationContext) -> list[EncodingPayloadConverter] | None:
        """The converters for values of this context, or None if it makes no difference to any of them."""
        if not self._wants_context:
            return None
        changed = False
        converters: list[EncodingPayloadConverter] = []
        for converter in self.converters.values():
            replacement = converter
            if isinstance(converter, WithSerializationContext):
                replacement = converter.with_context(context)
                changed = changed or replacement is not converter
            converters.append(replacement)
        return converters if changed else None

    def with_context(self, context: SerializationContext) -> Self:
        """This converter for values of this context; itself if no encoding cares."""
        converters = self.get_converters_with_context(context)
        if converters is None:
            return self
        # Not through the subclass's constructor, whose parameters are unknown here.
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy._set_converters(converters)
        return copy

    def _to_dicts(self, values: Sequence[Any]) -> list[PayloadDict]:
        plain = self._takes_plain_json
        payloads: list[PayloadDict] = []
        for index, value in enumerate(values):
            if plain:
                kind = type(value)
                if kind is str:
                    payloads.append(
                        {"metadata": _JSON_METADATA, "data": encode_basestring_ascii(value).encode("ascii")}
                    )
                    continue
                if kind in _PLAIN_JSON_TYPES:
                    payloads.append({"metadata": _JSON_METADATA, "data": _encode_json(value).encode()})
                    continue
            payloads.append(self._value_to_dict(index, value))
        return payloads

    def _value_to_dict(self, index: int, value: Any) -> PayloadDict:
        from temporalio.common import RawValue

        if isinstance(value, RawValue):
            return payload_from_proto(value.payload)
        for converter in self.converters.values():
            payload = converter._to_dict(value)
            if payload is not None:
                return payload
        raise RuntimeError(f"No payload converter takes value {index}, which is of type {type(value)}")

    def _from_dicts(self, payloads: Sequence[PayloadDict], type_hints: Sequence[Any] | None = None) -> list[Any]:
        hint_count = len(type_hints) if type_hints else 0
        values: list[Any] = []
        for index, payload in enumerate(payloads):
            hint = type_hints[index] if type_hints and index < hint_count else None
            encoding = payload.get("metadata", _NO_METADATA).get("encoding", b"<unknown>")
            is_plain = hint is None or hint is str or hint is int or hint is float or hint is bool
            if not is_plain and hint is _raw_value_class():
                values.append(hint(payload_to_proto(payload)))
                continue
            converter = self.converters.get(encoding)
            if is_plain and converter is not None and converter is self._plain_json_reader:
                # What that converter does with most values; it is asked where anything is out of the ordinary
                try:
                    text = payload.get("data", b"").decode()
                    value, end = _scan_json(text, 0)
                except (ValueError, RuntimeError, StopIteration):  # not UTF-8, not JSON, nested too deep
                    end = -1
                if end >= 0 and end == len(text):
                    if hint is None or (hint is type(value) and not self._plain_json_reader._custom_type_converters):
                        values.append(value)
                        continue
            if converter is None:
                raise KeyError(f"Unknown payload encoding {encoding.decode(errors='replace')}")
            try:
                values.append(converter._from_dict(payload, hint))
            except RuntimeError as err:
                raise RuntimeError(
                    f"Payload {index}, encoded as {encoding.decode()}, is not what its encoding promises"
                ) from err
        return values


def _raw_value_class() -> Any:
    from temporalio.common import RawValue

    return RawValue


class BinaryNullPayloadConverter(_DictEncodingPayloadConverter):
    """None, as an empty payload of encoding binary/null."""

    @property
    def encoding(self) -> str:
        """See base class."""
        return "binary/null"

    def _to_dict(self, value: Any) -> PayloadDict | None:
        return _NULL if value is None else None

    def _from_dict(self, payload: PayloadDict, type_hint: Any = None) -> Any:
        if payload.get("data"):
            raise RuntimeError("A payload of encoding binary/null has data in it")
        return None


class BinaryPlainPayloadConverter(_DictEncodingPayloadConverter):
    """Bytes, as they are, in encoding binary/plain."""

    @property
    def encoding(self) -> str:
        """See base class."""
        return "binary/plain"

    def _to_dict(self, value: Any) -> PayloadDict | None:
        return {"metadata": _BINARY_METADATA, "data": value} if isinstance(value, bytes) else None

    def _from_dict(self, payload: PayloadDict, type_hint: Any = None) -> Any:
        return payload.get("data", b"")


def _as_proto_message(value: Any) -> Any:
    """The value if it is a protobuf message. Nobody can hold one before protobuf is loaded."""
    loaded = sys.modules.get("google.protobuf.message")
    return value if loaded is not None and isinstance(value, loaded.Message) else None


def _new_proto_message(payload: PayloadDict, type_hint: Any) -> Any:
    """An empty message of the type the payload names."""
    from google.protobuf import symbol_database

    name = payload["metadata"].get("messageType", b"<unknown>").decode()
    descriptor = getattr(type_hint, "DESCRIPTOR", None)
    if descriptor is not None and descriptor.full_name == name and isinstance(type_hint, type):
        return type_hint()
    if name.startswith("temporal.api."):
        from temporalio.converter._messages import message_class

        try:
            return message_class(name)()
        except (ImportError, AttributeError):
            pass
    try:
        return symbol_database.Default().GetSymbol(name)()  # type: ignore[attr-defined]
    except KeyError as err:
        raise RuntimeError(f"Unknown Protobuf type {name}") from err


class JSONProtoPayloadConverter(_DictEncodingPayloadConverter):
    """Protobuf messages, as their JSON form."""

    def __init__(self, ignore_unknown_fields: bool = False):
        """Makes a converter.

        Args:
            ignore_unknown_fields: Whether fields that the message type does not have are passed over when reading.
        """
        super().__init__()
        self._ignore_unknown_fields = ignore_unknown_fields

    @property
    def encoding(self) -> str:
        """See base class."""
        return "json/protobuf"

    def _to_dict(self, value: Any) -> PayloadDict | None:
        message = _as_proto_message(value)
        if message is None:
            return None
        from google.protobuf import json_format

        return {
            "metadata": {"encoding": b"json/protobuf", "messageType": message.DESCRIPTOR.full_name.encode()},
            "data": json.dumps(json_format.MessageToDict(message), separators=(",", ":"), sort_keys=True).encode(),
        }

    def _from_dict(self, payload: PayloadDict, type_hint: Any = None) -> Any:
        from google.protobuf import json_format

        message = _new_proto_message(payload, type_hint)
        try:
            return json_format.Parse(
                payload.get("data", b""), message, ignore_unknown_fields=self._ignore_unknown_fields
            )
        except json_format.ParseError as err:
            raise RuntimeError(f"Cannot read the JSON of {message.DESCRIPTOR.full_name}") from err


class BinaryProtoPayloadConverter(_DictEncodingPayloadConverter):
    """Protobuf messages, in their binary form."""

    @property
    def encoding(self) -> str:
        """See base class."""
        return "binary/protobuf"

    def _to_dict(self, value: Any) -> PayloadDict | None:
        message = _as_proto_message(value)
        if message is None:
            return None
        return {
            "metadata": {"encoding": b"binary/protobuf", "messageType": message.DESCRIPTOR.full_name.encode()},
            "data": message.SerializeToString(),
        }

    def _from_dict(self, payload: PayloadDict, type_hint: Any = None) -> Any:
        from google.protobuf.message import DecodeError

        message = _new_proto_message(payload, type_hint)
        try:
            message.ParseFromString(payload.get("data", b""))
        except DecodeError as err:
            raise RuntimeError(f"Cannot read the bytes of {message.DESCRIPTOR.full_name}") from err
        return message


class AdvancedJSONEncoder(json.JSONEncoder):
    """Writes, beside what JSON knows, dataclasses, datetimes, UUIDs, Pydantic models and any iterable."""

    def default(self, o: Any) -> Any:
        """Gives something JSON knows for something it does not.

        Raises:
            TypeError: There is no JSON form for the value.
        """
        if isinstance(o, datetime):
            return o.isoformat()
        fields = getattr(type(o), "__dataclass_fields__", None)
        if fields is not None:
            import dataclasses

            # Fields that are dataclasses themselves come here in their turn.
            return {field.name: getattr(o, field.name) for field in dataclasses.fields(o)}
        uuid = sys.modules.get("uuid")
        if uuid is not None and isinstance(o, uuid.UUID):
            return str(o)
        if not isinstance(o, type):
            if callable(getattr(o, "model_dump", None)):
                warnings.warn(
                    "Pydantic models need temporalio.contrib.pydantic.pydantic_data_converter to be converted in full"
                )
                return o.model_dump()
            if callable(getattr(o, "dict", None)):
                return o.dict()
            if isinstance(o, Iterable):
                return list(o)
        return super().default(o)


_PLAIN_JSON_TYPES = frozenset({int, float, bool, list, dict})
_encode_json: Callable[[Any], str] = AdvancedJSONEncoder(separators=(",", ":"), sort_keys=True).encode
_decoder = json.JSONDecoder()
_scan_json: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once  # type: ignore[attr-defined]


def _decode_json(text: str) -> Any:
    """As JSONDecoder.decode, which looks for white space where there is mostly none."""
    try:
        value, end = _scan_json(text, 0)
    except StopIteration:
        return _decoder.decode(text)
    return value if end == len(text) else _decoder.decode(text)


class JSONPlainPayloadConverter(_DictEncodingPayloadConverter):
    """Anything with a JSON form. With a type hint, reading gives the hinted type back."""

    _encoder: type[json.JSONEncoder] | None
    _decoder: type[json.JSONDecoder] | None

    def __init__(
        self,
        *,
        encoder: type[json.JSONEncoder] | None = AdvancedJSONEncoder,
        decoder: type[json.JSONDecoder] | None = None,
        encoding: str = "json/plain",
        custom_type_converters: Sequence[JSONTypeConverter] = [],
    ) -> None:
        """Makes a converter.

        Args:
            encoder: The class that writes.
            decoder: The class that reads.
            encoding: The encoding's name.
            custom_type_converters: Asked first when a typed value is made of what was read.
        """
        super().__init__()
        self._encoder = encoder
        self._decoder = decoder
        self._encoding = encoding
        self._custom_type_converters = custom_type_converters
        self._metadata = _JSON_METADATA if encoding == "json/plain" else {"encoding": encoding.encode()}
        self._encode: Callable[[Any], str] = (
            _encode_json
            if encoder is AdvancedJSONEncoder
            else (encoder or json.JSONEncoder)(separators=(",", ":"), sort_keys=True).encode
        )
        self._decode: Callable[[str], Any] = _decode_json if decoder is None else decoder().decode

    @property
    def encoding(self) -> str:
        """See base class."""
        return self._encoding

    @property
    def _is_stock(self) -> bool:
        return self._encode is _encode_json and self._metadata is _JSON_METADATA

    def _to_dict(self, value: Any) -> PayloadDict | None:
        return {"metadata": self._metadata, "data": self._encode(value).encode()}

    def _from_dict(self, payload: PayloadDict, type_hint: Any = None) -> Any:
        try:
            value = self._decode(payload.get("data", b"").decode())
        except ValueError as err:  # not UTF-8, or not JSON
            raise RuntimeError("The payload's data is not JSON") from err
        if type_hint is None or (type_hint is type(value) and not self._custom_type_converters):
            if type_hint is None or type_hint in (str, int, float, bool):
                return value
        from temporalio.converter._value_to_type import decoder_for

        return decoder_for(type_hint, self._custom_type_converters)(value)


JSONTypeConverterUnhandled = NewType("JSONTypeConverterUnhandled", object)
"""The type of :py:attr:`JSONTypeConverter.Unhandled`."""


class JSONTypeConverter(ABC):
    """Makes values of types that :py:class:`JSONPlainPayloadConverter` does not know."""

    Unhandled: ClassVar[JSONTypeConverterUnhandled] = JSONTypeConverterUnhandled(object())
    """What to return for a hint that is another's business."""

    @abstractmethod
    def to_typed_value(self, hint: type, value: Any) -> Any | None | JSONTypeConverterUnhandled:
        """Makes a value of the hinted type.

        Args:
            hint: The type wanted.
            value: What JSON decoding gave.

        Returns:
            The typed value, or :py:attr:`Unhandled`.
        """
        ...


_stock_classes: list[type] = [
    BinaryNullPayloadConverter,
    BinaryPlainPayloadConverter,
    JSONProtoPayloadConverter,
    BinaryProtoPayloadConverter,
    JSONPlainPayloadConverter,
]


class DefaultPayloadConverter(CompositePayloadConverter):
    """None, bytes, protobuf messages and whatever has a JSON form, in the encodings all SDKs share."""

    default_encoding_payload_converters: tuple[EncodingPayloadConverter, ...]
    """The converters it is made of, for composing others."""

    def __init__(self) -> None:
        """Makes the converter."""
        super().__init__(*DefaultPayloadConverter.default_encoding_payload_converters)


DefaultPayloadConverter.default_encoding_payload_converters = (
    BinaryNullPayloadConverter(),
    BinaryPlainPayloadConverter(),
    JSONProtoPayloadConverter(),
    BinaryProtoPayloadConverter(),
    JSONPlainPayloadConverter(),
)

ValueT = TypeVar("ValueT")
TransferTypeT = TypeVar("TransferTypeT")

_TRANSFER_TYPE_CONVERTER_ATTR = "__temporal_transfer_type_converter__"


class TransferTypeConverter(Generic[ValueT, TransferTypeT], ABC):
    """Turns values of one type into another that goes over the wire in its place, and back."""

    transfer_type: ClassVar[Any] = None
    """The type on the wire, as the hint for reading it; None to read it without one."""

    @abstractmethod
    def to_transfer_type(self, value: ValueT) -> TransferTypeT:
        """What goes over the wire for this value."""
        ...

    @abstractmethod
    def from_transfer_type(self, value: TransferTypeT, type_hint: type[ValueT]) -> ValueT:
        """The value for what came over the wire; the hint is the one the receiver gave, arguments included."""
        ...


class _TransferTypeConvertibleDecorator(Generic[ValueT, TransferTypeT]):
    """Ties a converter to the class it decorates."""

    def __init__(self, converter_type: type[TransferTypeConverter[ValueT, TransferTypeT]]) -> None:
        self._converter_type = converter_type

    def __call__(self, cls: type[ValueT]) -> type[ValueT]:
        if _TRANSFER_TYPE_CONVERTER_ATTR in cls.__dict__:
            raise TypeError(f"{cls.__qualname__} already has a transfer type converter")
        setattr(cls, _TRANSFER_TYPE_CONVERTER_ATTR, self._converter_type())
        _TemporalTransferTypePayloadConverter._is_needed = True
        return cls


def transfer_type_convertible(
    converter_type: type[TransferTypeConverter[ValueT, TransferTypeT]],
) -> _TransferTypeConvertibleDecorator[ValueT, TransferTypeT]:
    """Decorates a class whose values another type stands for on the wire.

    Args:
        converter_type: The class of the converter; one instance of it is made.
    """
    return _TransferTypeConvertibleDecorator(converter_type)


def _get_transfer_type_converter(cls: Any) -> TransferTypeConverter[Any, Any] | None:
    origin = getattr(cls, "__origin__", cls)
    # Subclasses have fields the base's converter knows nothing of, so only the class's own converter counts.
    return origin.__dict__.get(_TRANSFER_TYPE_CONVERTER_ATTR) if isinstance(origin, type) else None


class _TemporalTransferTypePayloadConverter(PayloadConverter, WithSerializationContext):
    """The converter of a data converter: the program's own, with transfer types exchanged before and after."""

    # Set once any class has a transfer type; until then values are not looked at.
    _is_needed = False

    def __init__(self, inner_payload_converter: PayloadConverter) -> None:
        self._inner_payload_converter = inner_payload_converter

    def to_payloads(self, values: Sequence[Any]) -> list[temporalio.api.common.v1.Payload]:
        return self._inner_payload_converter.to_payloads(self._outgoing(values))

    def from_payloads(
        self,
        payloads: Sequence[temporalio.api.common.v1.Payload],
        type_hints: list[type] | None = None,
    ) -> list[Any]:
        inner_hints = self._inner_hints(type_hints)
        values = self._inner_payload_converter.from_payloads(payloads, inner_hints)  # type: ignore[arg-type]
        return self._incoming(values, type_hints)

    def _to_dicts(self, values: Sequence[Any]) -> list[PayloadDict]:
        return self._inner_payload_converter._to_dicts(self._outgoing(values) if self._is_needed else values)

    def _from_dicts(self, payloads: Sequence[PayloadDict], type_hints: Sequence[Any] | None = None) -> list[Any]:
        if not self._is_needed:
            return self._inner_payload_converter._from_dicts(payloads, type_hints)
        values = self._inner_payload_converter._from_dicts(payloads, self._inner_hints(type_hints))
        return self._incoming(values, type_hints)

    def _outgoing(self, values: Sequence[Any]) -> Sequence[Any]:
        if not self._is_needed:
            return values
        exchanged = []
        for value in values:
            converter = _get_transfer_type_converter(type(value))
            exchanged.append(value if converter is None else converter.to_transfer_type(value))
        return exchanged

    def _inner_hints(self, type_hints: Sequence[Any] | None) -> Sequence[Any] | None:
        if not self._is_needed or not type_hints:
            return type_hints
        hints = []
        for hint in type_hints:
            converter = _get_transfer_type_converter(hint)
            hints.append(hint if converter is None else converter.transfer_type)
        return hints

    def _incoming(self, values: list[Any], type_hints: Sequence[Any] | None) -> list[Any]:
        if not self._is_needed or not type_hints:
            return values
        for index, hint in enumerate(type_hints[: len(values)]):
            converter = _get_transfer_type_converter(hint)
            if converter is not None:
                values[index] = converter.from_transfer_type(values[index], hint)
        return values

    def with_context(self, context: SerializationContext) -> Self:
        inner = self._inner_payload_converter
        if not isinstance(inner, WithSerializationContext):
            return self
        replacement = inner.with_context(context)
        if replacement is inner:
            return self
        return type(self)(replacement)


PayloadConverter.default = _TemporalTransferTypePayloadConverter(DefaultPayloadConverter())


def value_to_type(hint: type, value: Any, custom_converters: Sequence[JSONTypeConverter] = []) -> Any:
    """Makes a value of the hinted type from what JSON decoding gave.

    Args:
        hint: The type wanted.
        value: What ``json.loads`` returned.
        custom_converters: Converters that are asked first, for the value and all values within it.

    Returns:
        The typed value.

    Raises:
        TypeError: The value does not fit the hint, or the hint is of no kind that can be made from JSON.
    """
    from temporalio.converter._value_to_type import decoder_for

    return decoder_for(hint, custom_converters)(value)
