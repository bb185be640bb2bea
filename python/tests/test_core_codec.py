"""Messages as dicts, beside the official protobuf runtime."""

from __future__ import annotations

import random
from typing import Any

import google.protobuf.json_format as json_format
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

import temporalio.api.command.v1
import temporalio.api.common.v1
import temporalio.api.history.v1
import temporalio.api.schedule.v1
import temporalio.api.workflowservice.v1
from temporalio import _core

PAYLOAD = "temporal.api.common.v1.Payload"
TIMES = ("google.protobuf.Timestamp", "google.protobuf.Duration")


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def is_list(field: FieldDescriptor) -> bool:
    new = getattr(field, "is_repeated", None)  # which replaces `label` in newer releases of protobuf
    return field.label == FieldDescriptor.LABEL_REPEATED if new is None else new


def random_scalar(r: random.Random, field: FieldDescriptor) -> Any:
    kind = field.type
    if kind == FieldDescriptor.TYPE_STRING:
        return r.choice(("", "x", "ä😀", "y" * 50))
    if kind == FieldDescriptor.TYPE_BYTES:
        return r.randbytes(r.choice((0, 3, 200)))
    if kind == FieldDescriptor.TYPE_BOOL:
        return r.random() < 0.5
    if kind == FieldDescriptor.TYPE_ENUM:
        return r.choice([v.number for v in field.enum_type.values])
    if kind in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return r.choice((0.0, 0.5, -2.0))
    return r.choice((0, 1, 2**31 - 1))


def random_message(r: random.Random, kind: Descriptor, depth: int = 0) -> dict[str, Any]:
    """A dict of the form that the extension takes and gives: nothing in it that would be left out."""
    out: dict[str, Any] = {}
    taken: set[str] = set()
    for field in kind.fields:
        oneof = field.containing_oneof.name if field.containing_oneof else ""
        if r.random() < 0.4 or oneof in taken or (field.message_type is not None and depth > 3):
            continue
        if is_map(field):
            key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
            out[field.name] = {random_scalar(r, key): random_value(r, value, depth) for _ in range(r.randrange(1, 4))}
        elif is_list(field):
            out[field.name] = [random_value(r, field, depth) for _ in range(r.randrange(1, 4))]
        else:
            value = random_value(r, field, depth)
            if field.message_type is None and not oneof and not value:
                continue
            out[field.name] = value
            taken.add(oneof or "-")
    return out


def random_value(r: random.Random, field: FieldDescriptor, depth: int) -> Any:
    if field.message_type is None:
        return random_scalar(r, field)
    if field.message_type.full_name == "google.protobuf.Any":  # in JSON it has to hold something that is known
        return {"type_url": "type.googleapis.com/google.protobuf.StringValue", "value": b"\x0a\x01x"}
    if field.message_type.full_name in TIMES:
        return r.choice((0, 1, 1_500_000_000, 1_700_000_000_123_456_789))
    return random_message(r, field.message_type, depth + 1)


TYPES: list[type[Message]] = [
    temporalio.api.workflowservice.v1.StartWorkflowExecutionRequest,
    temporalio.api.workflowservice.v1.PollWorkflowTaskQueueResponse,
    temporalio.api.workflowservice.v1.RespondWorkflowTaskCompletedRequest,
    temporalio.api.history.v1.HistoryEvent,
    temporalio.api.command.v1.Command,
    temporalio.api.schedule.v1.Schedule,
    temporalio.api.common.v1.Payload,
]


@pytest.mark.parametrize("cls", TYPES, ids=lambda cls: cls.DESCRIPTOR.name)
def test_dicts_cross_in_both_directions(cls: type[Message]) -> None:
    r = random.Random(7)
    name = cls.DESCRIPTOR.full_name
    for _ in range(60):
        given = random_message(r, cls.DESCRIPTOR)
        data = _core.encode(name, given)
        assert _core.decode(name, data) == given
        official = cls.FromString(data)
        assert _core.decode(name, official.SerializeToString()) == given
        text = _core.to_json(name, data)
        assert json_format.Parse(text, cls()) == official
        assert cls.FromString(_core.from_json(name, json_format.MessageToJson(official))) == official


@pytest.mark.parametrize(
    "given, error, words",
    [
        ({"nope": 1}, ValueError, "no field 'nope'"),
        ({"data": "text"}, TypeError, "data of .* is bytes, not str"),
        ({"metadata": [1]}, TypeError, "metadata of .* is a dict, not list"),
        ({"metadata": {1: b""}}, TypeError, "key of .* is a str, not int"),
        ({1: 2}, TypeError, "a key of .* is a str"),
        ([], TypeError, "given as a dict"),
    ],
)
def test_what_does_not_fit_is_named(given: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        _core.encode(PAYLOAD, given)


@pytest.mark.parametrize("data", [b"\x12", b"\x12\x05x", b"\x0a\x03\x0a\x01\xff", b"\x00\x00", b"\x7b"])
def test_broken_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        _core.decode(PAYLOAD, data)


def test_none_stands_for_absent() -> None:
    assert _core.encode(PAYLOAD, {"data": None, "metadata": None}) == b""


def test_buffers_are_bytes() -> None:
    for data in (bytearray(b"abc"), memoryview(b"abc")):
        assert _core.decode(PAYLOAD, _core.encode(PAYLOAD, {"data": data})) == {"data": b"abc"}
        assert _core.decode(PAYLOAD, memoryview(b"\x12\x01x")) == {"data": b"x"}


def test_times_are_nanoseconds() -> None:
    name = "temporal.api.workflowservice.v1.StartWorkflowExecutionRequest"
    for ns in (0, 1, -1, 1_500_000_000, -1_500_000_000, 2**62, 2**63, 300_000_000_000 * 10**9):
        assert _core.decode(name, _core.encode(name, {"workflow_run_timeout": ns})) == {"workflow_run_timeout": ns}
    with pytest.raises(ValueError, match="out of range"):
        _core.encode(name, {"workflow_run_timeout": 10**40})
    # Beyond 64 bits of nanoseconds: as a number all the same.
    data = temporalio.api.history.v1.HistoryEvent(event_time={"seconds": 253402300799}).SerializeToString()
    assert _core.decode("temporal.api.history.v1.HistoryEvent", data)["event_time"] == 253402300799 * 10**9


def test_nesting_is_bounded() -> None:
    failure: dict[str, Any] = {}
    for _ in range(200):
        failure = {"cause": failure}
    with pytest.raises(ValueError, match="nested too deep"):
        _core.encode("temporal.api.failure.v1.Failure", failure)
    data = b""
    for _ in range(101):
        size = len(data)
        data = b"\x22" + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + data
    with pytest.raises(ValueError):
        _core.decode("temporal.api.failure.v1.Failure", data)


def test_of_a_oneof_the_last_stays() -> None:
    first = _core.encode("temporal.api.failure.v1.Failure", {"timeout_failure_info": {"timeout_type": 1}})
    second = _core.encode("temporal.api.failure.v1.Failure", {"terminated_failure_info": {}})
    assert _core.decode("temporal.api.failure.v1.Failure", first + second) == {"terminated_failure_info": {}}


def test_json_says_where_it_is_wrong() -> None:
    with pytest.raises(ValueError, match="line 2, column 9"):
        _core.from_json(PAYLOAD, '{\n "nope": 1}')
    assert _core.from_json(PAYLOAD, '{"nope": 1}', ignore_unknown_fields=True) == b""
    with pytest.raises(ValueError, match="no message type"):
        _core.decode("temporal.api.Nope", b"")
