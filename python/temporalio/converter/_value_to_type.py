"""From what JSON gives to what a type hint asks for.

Each hint is compiled once into a function from the JSON value to the typed one and kept by hint, so decoding does no
introspection the second time.
"""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import enum
import sys
import types
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from temporalio import _hints
from temporalio._values import parse_datetime

if TYPE_CHECKING:
    from temporalio.converter._payload_converter import JSONTypeConverter

Decoder = Callable[[Any], Any]

_UNIONS: tuple[Any, ...] = (typing.Union, types.UnionType)
# Decoders for values without custom converters. Hints come from code, so there are as many as types in it; the bound is
# for programs that make types as they run.
_decoders: dict[int, tuple[Any, Decoder]] = {}
_DECODERS_MAX = 10_000


def decoder_for(hint: Any, custom_converters: Sequence[JSONTypeConverter] = ()) -> Decoder:
    """The function that makes values of this hint."""
    if custom_converters:
        return _Compiler(custom_converters).decoder(hint)
    # By identity: a union equals one of another order, a literal 1 equals a literal True, and both differ here.
    decoders = _decoders
    known = decoders.get(id(hint))
    if known is None:
        own = _hints.local.decoders
        if own is not None:
            # A hint of a sandbox is kept in its own cache, which goes when the sandbox goes.
            known = own.get(id(hint))
            if known is None and not _hints.is_shared(hint):
                decoders = own
    if known is None:
        if len(decoders) >= _DECODERS_MAX:
            decoders.clear()
        # The hint is kept too, so that no other can take over its identity.
        known = decoders[id(hint)] = (hint, _Compiler(()).decoder(hint))
    return known[1]


class _Compiler:
    """Makes the decoders of one hint and the hints within it; remembers them, so recursive types end."""

    def __init__(self, custom_converters: Sequence[JSONTypeConverter]) -> None:
        self._custom = tuple(custom_converters)
        self._known: dict[int, tuple[Any, Decoder | None]] = {}

    def decoder(self, hint: Any) -> Decoder:
        seen = self._known.get(id(hint))
        if seen is not None:
            found = seen[1]
            if found is not None:
                return found
            # Being compiled right now: a recursive type. Look it up when the first value comes.
            return lambda value: self.decoder(hint)(value)
        self._known[id(hint)] = (hint, None)
        try:
            made = self._with_custom(hint, self._compile(hint)) if self._custom else self._compile(hint)
        except BaseException:
            del self._known[id(hint)]
            raise
        self._known[id(hint)] = (hint, made)
        return made

    def _with_custom(self, hint: Any, otherwise: Decoder) -> Decoder:
        from temporalio.converter._payload_converter import JSONTypeConverter

        custom, unhandled = self._custom, JSONTypeConverter.Unhandled

        def decode(value: Any) -> Any:
            for converter in custom:
                typed = converter.to_typed_value(hint, value)
                if typed is not unhandled:
                    return typed
            return otherwise(value)

        return decode

    def _compile(self, hint: Any) -> Decoder:
        # What a sandbox puts in place of a restricted class stands for that class.
        hint = getattr(hint, "__temporal_guarded__", hint)
        simple = _SIMPLE.get(hint) if isinstance(hint, type) else None
        if simple is not None:
            return simple
        if hint is Any:
            return _same
        if isinstance(hint, typing.NewType):
            return self.decoder(hint.__supertype__)
        origin = typing.get_origin(hint)
        if origin is typing.Annotated or getattr(origin, "__name__", "") in ("Required", "NotRequired", "ReadOnly"):
            return self.decoder(typing.get_args(hint)[0])
        if origin is typing.Literal or getattr(hint, "_name", None) == "Literal":
            return _literal(typing.get_args(hint))
        if origin in _UNIONS:
            return self._union(hint)
        kind = origin or hint
        if isinstance(kind, type):
            for make in (self._enum, self._record, self._model, self._mapping, self._iterable):
                made = make(hint, kind)
                if made is not None:
                    return made
        return _refuse(hint)

    def _union(self, hint: Any) -> Decoder:
        members = [self.decoder(h) for h in typing.get_args(hint)]

        def decode(value: Any) -> Any:
            for member in members:
                try:
                    return member(value)
                except Exception:
                    pass
            raise TypeError(f"{value!r} is of no type in {hint}")

        return decode

    def _enum(self, hint: Any, kind: type) -> Decoder | None:
        if not issubclass(kind, enum.Enum):
            return None
        for base, words in ((int, "an integer"), (str, "a string")):
            if issubclass(kind, base):
                return _enum_decoder(kind, base, words)
        return None

    def _record(self, hint: Any, kind: type) -> Decoder | None:
        """Dataclasses, typed dicts and named tuples: one decoder a field."""
        if dataclasses.is_dataclass(kind):
            return self._dataclass(hint, kind)
        if _is_typed_dict(kind):
            return self._typed_dict(hint, kind)
        if issubclass(kind, tuple) and hasattr(kind, "_fields") and hasattr(kind, "__annotations__"):
            return self._named_tuple(hint, kind)
        return None

    def _dataclass(self, hint: Any, kind: type) -> Decoder:
        bound = dict(zip(getattr(kind, "__parameters__", ()), typing.get_args(hint), strict=False))
        hints = _hints.class_hints(kind)
        fields: list[tuple[str, Decoder, bool]] = []
        for field in dataclasses.fields(kind):
            field_hint = hints.get(field.name, Any)
            if bound:
                field_hint = _substitute(field_hint, bound)
            fields.append((field.name, self.decoder(field_hint), field.init))

        def decode(value: Any) -> Any:
            if not isinstance(value, dict):
                raise TypeError(f"{hint} is a dataclass and needs a dict, got {type(value)}")
            arguments: dict[str, Any] = {}
            others: dict[str, Any] = {}
            for name, decode_field, is_argument in fields:
                if name in value:
                    try:
                        (arguments if is_argument else others)[name] = decode_field(value[name])
                    except Exception as err:
                        raise TypeError(f"Field {name} of {hint} does not take its value") from err
            made = kind(**arguments)
            for name, typed in others.items():
                object.__setattr__(made, name, typed)  # a frozen class takes it too
            return made

        return decode

    def _typed_dict(self, hint: Any, kind: type) -> Decoder:
        fields = {name: self.decoder(h) for name, h in _hints.class_hints(kind).items()}

        def decode(value: Any) -> Any:
            if not isinstance(value, Mapping):
                raise TypeError(f"Expected {hint}, value was {type(value)}")
            made = {}
            for name, item in value.items():
                field = fields.get(name)
                try:
                    # Unknown keys stay as they are; so does any dict at run time.
                    made[name] = item if field is None else field(item)
                except Exception as err:
                    raise TypeError(f"The value of key {name!r} does not fit {hint}") from err
            return made

        return decode

    def _named_tuple(self, hint: Any, kind: Any) -> Decoder:
        hints = _hints.class_hints(kind)
        names = kind._fields
        fields = [self.decoder(hints.get(name, Any)) for name in names]

        def decode(value: Any) -> Any:
            if isinstance(value, Mapping):
                return kind(**{n: f(value[n]) for n, f in zip(names, fields, strict=True) if n in value})
            if not isinstance(value, (list, tuple)) or len(value) > len(fields):
                raise TypeError(f"Cannot convert to {hint}, expected at most {len(fields)} values")
            return kind(*[f(v) for f, v in zip(fields, value, strict=False)])

        return decode

    def _model(self, hint: Any, kind: Any) -> Decoder | None:
        """Pydantic models, by what they offer rather than by importing their package."""
        validate = getattr(kind, "model_validate", None) or getattr(kind, "parse_obj", None)
        return validate if callable(validate) else None

    def _mapping(self, hint: Any, kind: type) -> Decoder | None:
        if not issubclass(kind, collections.abc.Mapping):
            return None
        arguments = typing.get_args(hint)
        decode_key = self._key(hint, arguments[0]) if arguments else _same
        decode_item = self.decoder(arguments[1]) if len(arguments) > 1 else _same

        def decode(value: Any) -> Any:
            if not isinstance(value, Mapping):
                raise TypeError(f"Expected {hint}, value was {type(value)}")
            made = {}
            for key, item in value.items():
                typed_key = decode_key(key)
                try:
                    made[typed_key] = decode_item(item)
                except Exception as err:
                    raise TypeError(f"The value of key {key!r} does not fit {hint}") from err
            return made

        return decode

    def _key(self, hint: Any, key_hint: Any) -> Decoder:
        """Keys are text in JSON whatever they were, so numbers, booleans and None are read from text."""
        if key_hint is None:
            return _same
        convert = self.decoder(key_hint)
        read = _KEY_READERS.get(key_hint) if isinstance(key_hint, type) else None
        if read is None and isinstance(key_hint, type) and issubclass(key_hint, int):
            read = int  # integer enums

        def decode(key: Any) -> Any:
            try:
                return convert(read(key) if read and isinstance(key, str) else key)
            except Exception as err:
                raise TypeError(f"Key {key!r} is no {key_hint}, as {hint} wants it") from err

        return decode

    def _iterable(self, hint: Any, kind: type) -> Decoder | None:
        if not issubclass(kind, collections.abc.Iterable) or issubclass(kind, str):
            return None
        arguments = typing.get_args(hint)
        build: Callable[[list[Any]], Any] = _BUILDERS.get(kind, list)
        if kind is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis) and hint is not tuple:
            return self._fixed_tuple(hint, arguments)
        decode_item = self.decoder(arguments[0]) if arguments and not _is_open(arguments[0]) else _same

        def decode(value: Any) -> Any:
            if not isinstance(value, collections.abc.Iterable):
                raise TypeError(f"Expected {hint}, value was {type(value)}")
            made = []
            for index, item in enumerate(value):
                try:
                    made.append(decode_item(item))
                except Exception as err:
                    raise TypeError(f"Failed converting {hint} index {index}") from err
            return made if build is list else build(made)

        return decode

    def _fixed_tuple(self, hint: Any, arguments: tuple[Any, ...]) -> Decoder:
        items = [self.decoder(h) for h in arguments]

        def decode(value: Any) -> Any:
            if not isinstance(value, collections.abc.Iterable):
                raise TypeError(f"Expected {hint}, value was {type(value)}")
            made = []
            for index, item in enumerate(value):
                if index >= len(items):
                    raise TypeError(f"{hint} has {len(items)} items, the value has more")
                try:
                    made.append(items[index](item))
                except Exception as err:
                    raise TypeError(f"Failed converting {hint} index {index}") from err
            return tuple(made)

        return decode


def _same(value: Any) -> Any:
    return value


def _refuse(hint: Any) -> Decoder:
    def decode(value: Any) -> Any:
        raise TypeError(f"Unserializable type during conversion: {hint}")

    return decode


def _literal(values: tuple[Any, ...]) -> Decoder:
    def decode(value: Any) -> Any:
        if value not in values:
            raise TypeError(f"{value!r} is none of {values}")
        return value

    return decode


def _enum_decoder(kind: Any, base: type, words: str) -> Decoder:
    def decode(value: Any) -> Any:
        if not isinstance(value, base):
            raise TypeError(f"{kind} is made from {words}, got {type(value)}")
        return kind(value)

    return decode


def _exact(kind: type) -> Decoder:
    def decode(value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError(f"Expected value to be {kind.__name__}, was {type(value)}")
        return value

    return decode


def _number(kind: type) -> Decoder:
    def decode(value: Any) -> Any:
        if not isinstance(value, (int, float)):
            raise TypeError(f"Expected a number, got {type(value)}")
        return kind(value)

    return decode


def _none(value: Any) -> None:
    if value is not None:
        raise TypeError(f"Expected nothing (null), got {type(value)}")


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        raise TypeError(f"Expected value to be bytes or a list of integers, was {type(value)}")
    return bytes(value)


def _datetime(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise TypeError(f"Expected a time as text in ISO 8601, got {type(value)}")
    return parse_datetime(value)


def _uuid(value: Any) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


_SIMPLE: dict[type, Decoder] = {
    type(None): _none,
    int: _number(int),
    float: _number(float),
    bool: _exact(bool),
    str: _exact(str),
    bytes: _bytes,
    datetime: _datetime,
    uuid.UUID: _uuid,
}

_BUILDERS: dict[Any, Callable[[list[Any]], Any]] = {
    set: set,
    frozenset: frozenset,
    tuple: tuple,
    collections.deque: collections.deque,
}

_KEY_READERS: dict[type, Callable[[str], Any]] = {
    int: int,
    float: float,
    bool: {"true": True, "false": False}.__getitem__,
    type(None): {"null": None}.__getitem__,
}


def _is_open(hint: Any) -> bool:
    """A type variable stands for anything inside a container."""
    return isinstance(hint, typing.TypeVar)


def _is_typed_dict(kind: type) -> bool:
    if typing.is_typeddict(kind):
        return True
    extensions = sys.modules.get("typing_extensions")
    return extensions is not None and extensions.is_typeddict(kind)


def _substitute(hint: Any, bound: Mapping[Any, Any]) -> Any:
    """The hint with type variables replaced by what a generic class was given for them."""
    if hint in bound:
        return bound[hint]
    parameters = getattr(hint, "__parameters__", ())
    if not parameters:
        return hint
    return hint[tuple(bound.get(p, p) for p in parameters)]
