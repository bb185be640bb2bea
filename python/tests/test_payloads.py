"""Payload and failure conversion: the package's own path, and what programs that override parts of it see."""

from __future__ import annotations

import collections
import dataclasses
import enum
import json
import subprocess
import sys
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Generic, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union

import pytest

from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
    JSONTypeConverter,
    PayloadCodec,
    PayloadConverter,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
    value_to_type,
)
from temporalio.converter._search_attributes import attributes_to_dicts, typed_attributes_from_dicts
from temporalio.exceptions import ActivityError, ApplicationError, ApplicationErrorCategory, RetryState, TimeoutType
from temporalio.exceptions import TimeoutError as TemporalTimeoutError

T = TypeVar("T")


@dataclasses.dataclass
class Leaf:
    n: int
    tags: tuple[str, ...] = ()


@dataclasses.dataclass
class Tree(Generic[T]):
    value: T
    children: list[Tree[T]] = dataclasses.field(default_factory=list)


class Pair(NamedTuple):
    a: int
    b: str = "x"


class Options(TypedDict, total=False):
    leaf: Leaf


class Color(str, enum.Enum):
    RED = "red"


Name = NewType("Name", str)

# hint, value, what it becomes (a JSON value stands for itself)
TYPED = [
    (str, "a", "a"),
    (float, 3, 3.0),
    (Optional[int], None, None),
    (Union[int, float], 3.5, 3),
    (Union[float, int], 3, 3.0),
    (Literal["a", 1], 1, 1),
    (datetime, "2026-01-02T03:04:05.123456789Z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=timezone.utc)),
    (uuid.UUID, str(uuid.UUID(int=5)), uuid.UUID(int=5)),
    (Color, "red", Color.RED),
    (Name, "n", "n"),
    (Leaf, {"n": 1, "tags": ["a"], "unknown": 2}, Leaf(1, ("a",))),
    (list[Leaf], [{"n": 1}], [Leaf(1)]),
    (set[int], [1, 1], {1}),
    (tuple[int, str], [1, "a"], (1, "a")),
    (collections.deque[int], [1], collections.deque([1])),
    (dict[int, Leaf], {"1": {"n": 2}}, {1: Leaf(2)}),
    (Sequence[str], ["a"], ["a"]),
    (Pair, [1, "b"], Pair(1, "b")),
    (Options, {"leaf": {"n": 1}, "more": 2}, {"leaf": Leaf(1), "more": 2}),
    (Tree[int], {"value": 1, "children": [{"value": 2}]}, Tree(1, [Tree(2)])),
]


@pytest.mark.parametrize(("hint", "value", "expected"), TYPED, ids=[str(t[0]) for t in TYPED])
def test_type_hints_direct_decoding(hint: Any, value: Any, expected: Any) -> None:
    for _ in range(2):  # compiled, then from the cache
        typed = value_to_type(hint, value)
        assert typed == expected and type(typed) is type(expected)


@pytest.mark.parametrize(
    ("hint", "value"),
    [(int, "1"), (str, None), (Leaf, {}), (Leaf, [1]), (Literal["a"], "b"), (tuple[int], [1, 2]), (list[int], ["a"])],
)
def test_values_that_do_not_fit_are_refused(hint: Any, value: Any) -> None:
    with pytest.raises(TypeError):
        value_to_type(hint, value)


@pytest.mark.parametrize(
    "value", [None, b"\x00\xff", "é", 1, 1.5, True, [1, {"b": 2, "a": None}], {"z": 1, "a": "x"}, Leaf(1, ("t",))]
)
def test_both_faces_of_the_default_converter_agree(value: Any) -> None:
    converter = DataConverter.default.payload_converter
    proto, as_dict = converter.to_payload(value), converter._to_dict(value)
    assert (dict(proto.metadata), proto.data) == (as_dict["metadata"], as_dict.get("data", b""))
    assert converter.from_payload(proto) == converter._from_dict(as_dict)


class Shouting(EncodingPayloadConverter):
    """Sees protobuf objects, as documented."""

    seen: list[Any] = []

    @property
    def encoding(self) -> str:
        return "text/loud"

    def to_payload(self, value: Any) -> Payload | None:
        if not isinstance(value, str):
            return None
        return Payload(metadata={"encoding": b"text/loud"}, data=value.upper().encode())

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        self.seen.append(payload)
        return payload.data.decode()


class LoudConverter(CompositePayloadConverter):
    def __init__(self) -> None:
        super().__init__(Shouting(), *DefaultPayloadConverter.default_encoding_payload_converters)


async def test_an_encoding_of_the_programs_own_sees_payload_objects() -> None:
    converter = DataConverter(payload_converter_class=LoudConverter)
    payloads = await converter._encode_dicts(["hi", 5])
    assert payloads[0]["data"] == b"HI" and payloads[1]["data"] == b"5"
    assert await converter._decode_dicts(payloads) == ["HI", 5]
    assert isinstance(Shouting.seen[-1], Payload)


class Wrapping(DefaultPayloadConverter):
    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        payloads = super().to_payloads(values)
        for payload in payloads:
            payload.metadata["wrapped"] = b"1"
        return payloads


def test_overriding_a_public_method_changes_the_packages_own_path() -> None:
    converter = DataConverter(payload_converter_class=Wrapping).payload_converter
    assert converter._to_dict("x")["metadata"]["wrapped"] == b"1"


class Noting(DefaultFailureConverter):
    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Any) -> None:
        super().to_failure(exception, payload_converter, failure)
        failure.message += " (noted)"

    def from_failure(self, failure: Any, payload_converter: PayloadConverter) -> BaseException:
        error = super().from_failure(failure, payload_converter)
        error.args = (f"{error.args[0]}!",)
        return error


class Marked(JSONPlainPayloadConverter):
    def to_payload(self, value: Any) -> Payload | None:
        payload = super().to_payload(value)
        assert payload is not None
        payload.metadata["marked"] = b"1"
        return payload


def test_overrides_may_call_what_they_override() -> None:
    failures = DataConverter(failure_converter_class=Noting).failure_converter
    try:
        raise ValueError("outer") from KeyError("inner")
    except ValueError as err:
        failure = failures._to_dict(err, PayloadConverter.default)
    assert failure["message"] == "outer (noted)" and failure["cause"]["message"] == "'inner' (noted)"
    assert str(failures._from_dict(failure, PayloadConverter.default)).endswith("!")
    assert CompositePayloadConverter(Marked())._to_dict(1)["metadata"]["marked"] == b"1"


class Celsius:
    def __init__(self, degrees: float) -> None:
        self.degrees = degrees


class CelsiusConverter(JSONTypeConverter):
    def to_typed_value(self, hint: type, value: Any) -> Any:
        return Celsius(value) if hint is Celsius else JSONTypeConverter.Unhandled


def test_custom_type_converters_are_asked_for_nested_values() -> None:
    converter = JSONPlainPayloadConverter(custom_type_converters=[CelsiusConverter()])
    payload = Payload(metadata={"encoding": b"json/plain"}, data=b"[1.5]")
    assert converter.from_payload(payload, list[Celsius])[0].degrees == 1.5  # type: ignore[arg-type]


class Reversing(PayloadCodec):
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata={"encoding": b"reversed"}, data=p.SerializeToString()[::-1]) for p in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(p.data[::-1]) for p in payloads]


async def test_a_codec_sees_every_payload_of_values_and_failures() -> None:
    converter = DataConverter(payload_codec=Reversing())
    payloads = await converter._encode_dicts(["a", RawValue(Payload(metadata={"encoding": b"x"}, data=b"y"))])
    assert all(p["metadata"]["encoding"] == b"reversed" for p in payloads)
    assert (await converter._decode_dicts(payloads[:1])) == ["a"]

    error = ApplicationError("m", "detail", type="T", next_retry_delay=timedelta(seconds=2))
    error.__cause__ = TemporalTimeoutError("t", type=TimeoutType.HEARTBEAT, last_heartbeat_details=[1, 2])
    failure = await converter._encode_failure_dict(error)
    details = failure["application_failure_info"]["details"]["payloads"]
    beats = failure["cause"]["timeout_failure_info"]["last_heartbeat_details"]["payloads"]
    assert {p["metadata"]["encoding"] for p in [*details, *beats]} == {b"reversed"}
    back = await converter._decode_failure_dict(failure)
    assert isinstance(back, ApplicationError) and back.details == ("detail",) and back.type == "T"
    assert isinstance(back.__cause__, TemporalTimeoutError) and back.__cause__.last_heartbeat_details == [1, 2]


class CountingContext(DefaultPayloadConverter, WithSerializationContext):
    context: SerializationContext | None = None

    def with_context(self, context: SerializationContext) -> CountingContext:
        copy = CountingContext()
        copy.context = context
        return copy


def test_contexts_reach_converters_that_ask_for_them() -> None:
    context = WorkflowSerializationContext("n", "w")
    plain = DataConverter.default
    assert plain.with_context(context) is plain
    converter = DataConverter(payload_converter_class=CountingContext).with_context(context)
    assert converter.payload_converter._inner_payload_converter.context == context  # type: ignore[attr-defined]


def test_failures_keep_what_they_carry() -> None:
    failures, payloads = DefaultFailureConverter(), PayloadConverter.default
    error = ActivityError(
        "a",
        scheduled_event_id=5,
        started_event_id=6,
        identity="i",
        activity_type="t",
        activity_id="x",
        retry_state=RetryState.TIMEOUT,
    )
    error.__cause__ = ApplicationError("m", {"k": 1}, non_retryable=True, category=ApplicationErrorCategory.BENIGN)
    as_dict = failures._to_dict(error, payloads)
    back = failures._from_dict(as_dict, payloads)
    assert isinstance(back, ActivityError) and back.retry_state is RetryState.TIMEOUT and back.activity_id == "x"
    cause = back.__cause__
    assert isinstance(cause, ApplicationError) and cause.non_retryable and cause.details == ({"k": 1},)
    assert cause.category is ApplicationErrorCategory.BENIGN
    # What came over the wire goes on as it came, and shows as a message.
    assert failures._to_dict(back, payloads) == as_dict
    assert back.failure is not None and back.failure.cause.application_failure_info.non_retryable


def test_a_plain_exception_becomes_an_application_error_with_its_stack() -> None:
    try:
        json.loads("{")
    except ValueError as err:
        failure = DefaultFailureConverter()._to_dict(err, PayloadConverter.default)
    assert failure["application_failure_info"]["type"] == "JSONDecodeError"
    assert "test_payloads" in failure["stack_trace"]


def test_search_attributes_keep_their_types() -> None:
    keys = SearchAttributeKey
    attributes = TypedSearchAttributes(
        [
            SearchAttributePair(keys.for_int("i"), 3),
            SearchAttributePair(keys.for_keyword_list("l"), ["a", "b"]),
            SearchAttributePair(keys.for_datetime("d"), datetime(2026, 1, 1, tzinfo=timezone.utc)),
        ]
    )
    encoded = attributes_to_dicts(attributes)
    assert encoded["l"]["metadata"]["type"] == b"KeywordList"
    assert typed_attributes_from_dicts(encoded) == attributes
    with pytest.raises(TypeError):
        attributes_to_dicts(TypedSearchAttributes([SearchAttributePair(keys.for_int("i"), "x")]))  # type: ignore[arg-type]


def test_default_conversion_loads_no_protobuf() -> None:
    check = (
        "import sys, asyncio\n"
        "from temporalio.converter import DataConverter\n"
        "c = DataConverter.default\n"
        "async def main():\n"
        "    p = await c._encode_dicts(['a', {'b': [1]}, None, b'x'])\n"
        "    assert await c._decode_dicts(p, [str, dict, None, bytes]) == ['a', {'b': [1]}, None, b'x']\n"
        "    f = await c._encode_failure_dict(ValueError('v'))\n"
        "    assert str(await c._decode_failure_dict(f)) == 'ValueError: v'\n"
        "asyncio.run(main())\n"
        "assert 'google.protobuf' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_search_attributes_are_equal_in_any_order() -> None:
    pairs = [SearchAttributePair(SearchAttributeKey.for_int(name), n) for n, name in enumerate("bca")]
    attributes = TypedSearchAttributes(pairs)
    assert attributes == TypedSearchAttributes(pairs[::-1]) and [p.key.name for p in attributes] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="'b'"):
        TypedSearchAttributes([*pairs, pairs[0]])


TEXTS = [b'"x"', b'"\\u00e9\\n"', "\"\u00e9\"".encode(), b"7", b"-0", b"1.5", b"1e3", b"NaN", b"true", b"null", b"[1,[2]]", b'{"a":{"b":1}}', b"", b" 7", b"7 ",
         b"\n\t[1 , 2]\r\n", b"7 8", b'"open', b"[1,", b"[" * 100_000, b"\xff", b"\xef\xbb\xbf7", b"nul", b"12345678901234567890123"]  # fmt: skip


def outcome(read: Any) -> Any:
    """What a reading gives, told apart by type; of what it raises the causes too."""
    try:
        value = read()
    except Exception as err:
        causes = [err, err.__cause__, err.__cause__ and err.__cause__.__cause__]
        return [(type(e), str(e)) for e in causes if e is not None]
    return type(value), repr(value)


@pytest.mark.parametrize("hint", [None, str, int, float, bool, list, dict, list[int], Any])
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_plain_json_is_read_the_same_with_and_without_detours(text: bytes, hint: Any) -> None:
    class Asked(JSONPlainPayloadConverter):
        """Not the stock one, so it is asked for everything."""

    stock = DefaultPayloadConverter()
    others = [c for c in stock.converters.values() if c.encoding != "json/plain"]
    asked = CompositePayloadConverter(*others, Asked(decoder=json.JSONDecoder))
    payload = {"metadata": {"encoding": b"json/plain"}, "data": text}
    hints = None if hint is None else [hint]
    assert outcome(lambda: stock._from_dicts([payload], hints)[0]) == outcome(lambda: asked._from_dicts([payload], hints)[0])


def test_whoever_reads_json_otherwise_is_asked() -> None:
    class Loud(JSONPlainPayloadConverter):
        def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
            return str(super().from_payload(payload, type_hint)).upper()

    class Tens(JSONTypeConverter):
        def to_typed_value(self, hint: type, value: Any) -> Any:
            return value * 10 if hint is int else JSONTypeConverter.Unhandled

    class Decimal(json.JSONDecoder):
        def __init__(self) -> None:
            super().__init__(parse_int=lambda digits: "int " + digits)

    payload = {"metadata": {"encoding": b"json/plain"}, "data": b"7"}
    text = {"metadata": {"encoding": b"json/plain"}, "data": b'"x"'}
    assert CompositePayloadConverter(Loud())._from_dicts([text], [str]) == ["X"]
    assert CompositePayloadConverter(JSONPlainPayloadConverter(custom_type_converters=[Tens()]))._from_dicts([payload], [int]) == [70]
    assert CompositePayloadConverter(JSONPlainPayloadConverter(decoder=Decimal))._from_dicts([payload]) == ["int 7"]
