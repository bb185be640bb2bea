"""Reads a protobuf FileDescriptorSet into plain objects.

The build must not need a protobuf runtime for Python, so the few fields of descriptor.proto that the generator uses are
decoded here by hand. Field numbers are those of google/protobuf/descriptor.proto.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Iterator, Optional, Union

HTTP_RULE = 72295728  # the extension google.api.http of MethodOptions

KINDS = {
    1: "DOUBLE", 2: "FLOAT", 3: "INT64", 4: "UINT64", 5: "INT32", 6: "FIXED64", 7: "FIXED32", 8: "BOOL", 9: "STRING",
    11: "MESSAGE", 12: "BYTES", 13: "UINT32", 14: "ENUM", 15: "SFIXED32", 16: "SFIXED64", 17: "SINT32", 18: "SINT64",
}
NOT_PACKABLE = {"STRING", "BYTES", "MESSAGE"}


def wire(data: bytes) -> Iterator[tuple[int, Union[int, bytes]]]:
    """The (field number, value) pairs of one encoded message."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        kind = tag & 7
        if kind == 0:
            yield tag >> 3, varint()
        elif kind == 1:
            yield tag >> 3, struct.unpack_from("<Q", data, at)[0]
            at += 8
        elif kind == 2:
            size = varint()
            yield tag >> 3, data[at : at + size]
            at += size
        elif kind == 5:
            yield tag >> 3, struct.unpack_from("<I", data, at)[0]
            at += 4
        else:
            raise ValueError(f"wire type {kind} in a descriptor set")


def signed32(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


@dataclass
class Field:
    name: str = ""
    json_name: str = ""
    number: int = 0
    repeated: bool = False
    kind: str = ""
    type_name: str = ""  # of messages and enums, without the leading dot
    oneof: Optional[int] = None
    optional: bool = False
    packed: bool = True


@dataclass
class Message:
    name: str = ""  # full name
    path: str = ""  # name inside its package, parts joined by underscores
    package: str = ""
    file: str = ""
    fields: list[Field] = field(default_factory=list)
    oneofs: list[str] = field(default_factory=list)
    is_map_entry: bool = False


@dataclass
class Enum:
    name: str = ""
    path: str = ""
    package: str = ""
    file: str = ""
    is_nested: bool = False
    values: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class HttpRule:
    verb: str = ""
    path: str = ""
    body: str = ""


@dataclass
class Method:
    service: str = ""  # full name
    name: str = ""
    input: str = ""
    output: str = ""
    client_streaming: bool = False
    server_streaming: bool = False
    rules: list[HttpRule] = field(default_factory=list)


@dataclass
class File:
    name: str = ""
    package: str = ""
    raw: bytes = b""
    dependencies: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    enums: list[Enum] = field(default_factory=list)
    services: list[str] = field(default_factory=list)
    methods: list[Method] = field(default_factory=list)


def read_field(data: bytes) -> Field:
    f = Field()
    for number, value in wire(data):
        if number == 1:
            f.name = value.decode()
        elif number == 3:
            f.number = value
        elif number == 4:
            f.repeated = value == 3
        elif number == 5:
            if value not in KINDS:
                raise ValueError("groups are not supported")
            f.kind = KINDS[value]
        elif number == 6:
            f.type_name = value.decode().lstrip(".")
        elif number == 8:
            f.packed = dict(wire(value)).get(2, 1) == 1
        elif number == 9:
            f.oneof = value
        elif number == 10:
            f.json_name = value.decode()
        elif number == 17:
            f.optional = value == 1
    if f.kind in NOT_PACKABLE:
        f.packed = False
    return f


def read_enum(data: bytes, file: File, outer: list[str]) -> None:
    e = Enum(package=file.package, file=file.name, is_nested=bool(outer))
    for number, value in wire(data):
        if number == 1:
            path = outer + [value.decode()]
            e.name, e.path = ".".join([file.package] + path), "_".join(path)
        elif number == 2:
            parts = dict(wire(value))
            e.values.append((parts[1].decode(), signed32(parts.get(2, 0))))
    file.enums.append(e)


def read_message(data: bytes, file: File, outer: list[str]) -> None:
    m = Message(package=file.package, file=file.name)
    path = outer + [dict(wire(data))[1].decode()]
    m.name, m.path = ".".join([file.package] + path), "_".join(path)
    file.messages.append(m)
    for number, value in wire(data):
        if number == 2:
            m.fields.append(read_field(value))
        elif number == 3:
            read_message(value, file, path)
        elif number == 4:
            read_enum(value, file, path)
        elif number == 7:
            m.is_map_entry = dict(wire(value)).get(7, 0) == 1
        elif number == 8:
            m.oneofs.append(dict(wire(value))[1].decode())
    m.fields.sort(key=lambda f: f.number)
    for f in m.fields:
        if f.optional:  # stands in a oneof of its own in the descriptor only
            f.oneof = None


def read_rule(data: bytes) -> list[HttpRule]:
    rule, rules = HttpRule(), []
    verbs = {2: "GET", 3: "PUT", 4: "POST", 5: "DELETE", 6: "PATCH"}
    for number, value in wire(data):
        if number in verbs:
            rule.verb, rule.path = verbs[number], value.decode()
        elif number == 7:
            rule.body = value.decode()
        elif number == 11:
            rules += read_rule(value)
    return [rule] + rules


def read_service(data: bytes, file: File) -> None:
    service = f"{file.package}.{dict(wire(data))[1].decode()}"
    file.services.append(service)
    for number, value in wire(data):
        if number != 2:
            continue
        m = Method(service=service)
        for inner, part in wire(value):
            if inner == 1:
                m.name = part.decode()
            elif inner == 2:
                m.input = part.decode().lstrip(".")
            elif inner == 3:
                m.output = part.decode().lstrip(".")
            elif inner == 4:
                for option, rule in wire(part):
                    if option == HTTP_RULE:
                        m.rules += read_rule(rule)
            elif inner == 5:
                m.client_streaming = part == 1
            elif inner == 6:
                m.server_streaming = part == 1
        file.methods.append(m)


def read_file(data: bytes) -> File:
    file = File(raw=data)
    parts = list(wire(data))
    for number, value in parts:
        if number == 1:
            file.name = value.decode()
        elif number == 2:
            file.package = value.decode()
        elif number == 3:
            file.dependencies.append(value.decode())
    for number, value in parts:
        if number == 4:
            read_message(value, file, [])
        elif number == 5:
            read_enum(value, file, [])
        elif number == 6:
            read_service(value, file)
    return file


def read_set(data: bytes) -> list[File]:
    return [read_file(value) for number, value in wire(data) if number == 1]


def screaming(name: str) -> str:
    """EventType -> EVENT_TYPE"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).upper()
