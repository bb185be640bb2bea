"""Compares our codec with the official protobuf runtime on random messages of every type of the API.

    codec_differential.py DRIVER [SEED [ROUNDS]]

Run with a Python that has the official `temporalio` and `protobuf` packages (scripts/venv.sh official makes one). For
each message: binary -> binary is the same bytes; binary -> JSON says the same as json_format; JSON of json_format reads
back as the same message. Exits with 1 and prints the first differences when they disagree.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import random
import struct
import subprocess
import sys
from typing import Any, Iterator

import temporalio.api
from google.protobuf import any_pb2, descriptor, duration_pb2, json_format, message_factory, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.message import DecodeError, Message

F = descriptor.FieldDescriptor
LEFT_OUT = ("temporal.api.cloud.", "temporal.api.protometa.", "temporal.api.common.v1.GrpcStatus", "nexusannotations.", "grpc.gateway.")


class Driver:
    def __init__(self, path: str) -> None:
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, operation: str, name: str, data: bytes) -> tuple[int, bytes]:
        out, back = self.process.stdin, self.process.stdout
        out.write(operation.encode() + bytes([len(name)]) + name.encode() + struct.pack("<I", len(data)) + data)
        out.flush()
        status, size = struct.unpack("<BI", back.read(5))
        return status, back.read(size)


class Filler:
    """Fills messages with values that include the awkward ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.kinds = [timestamp_pb2.Timestamp, duration_pb2.Duration, wrappers_pb2.StringValue, struct_pb2.Struct]
        self.kinds += [wrappers_pb2.Int64Value, wrappers_pb2.BytesValue, wrappers_pb2.BoolValue]

    def text(self) -> str:
        letters = "abcXYZ_-./ \"\\\n\t\x01\x7fäß中𐍈<&>"
        return "".join(self.random.choice(letters) for _ in range(self.random.choice((0, 1, 7, 40))))

    def scalar(self, f: F) -> Any:
        r = self.random
        whole = {F.TYPE_INT32: 31, F.TYPE_SINT32: 31, F.TYPE_SFIXED32: 31, F.TYPE_INT64: 63, F.TYPE_SINT64: 63, F.TYPE_SFIXED64: 63}
        natural = {F.TYPE_UINT32: 32, F.TYPE_FIXED32: 32, F.TYPE_UINT64: 64, F.TYPE_FIXED64: 64}
        if f.type in whole:
            top = 1 << whole[f.type]
            return r.choice((0, 1, -1, top - 1, -top, r.randrange(-top, top), r.randrange(300)))
        if f.type in natural:
            return r.choice((0, 1, (1 << natural[f.type]) - 1, r.randrange(1 << natural[f.type])))
        if f.type == F.TYPE_ENUM:
            return r.choice([v.number for v in f.enum_type.values] + [77777])
        if f.type == F.TYPE_BOOL:
            return r.random() < 0.5
        if f.type == F.TYPE_BYTES:
            return r.randbytes(r.choice((0, 1, 2, 3, 50, 300)))
        if f.type == F.TYPE_STRING:
            return self.text()
        value = r.choice((0.0, 1.0, -0.5, 1e300, 1e-7, 123456789.125, float("inf"), r.random()))
        return struct.unpack("<f", struct.pack("<f", value))[0] if f.type == F.TYPE_FLOAT and value < 1e38 else min(value, 1e38) if f.type == F.TYPE_FLOAT else value

    def special(self, m: Message) -> bool:
        r, name = self.random, m.DESCRIPTOR.full_name
        if name == "google.protobuf.Timestamp":
            m.seconds, m.nanos = r.choice((0, -62135596800, 253402300799, r.randrange(-(10**10), 10**10))), r.choice((0, 5 * 10**8, 1000, 999999999))
        elif name == "google.protobuf.Duration":
            sign = r.choice((1, -1))
            m.seconds, m.nanos = sign * r.choice((0, 1, 315576000000, r.randrange(10**6))), sign * r.choice((0, 5 * 10**8, 1000, 999999999))
        elif name == "google.protobuf.FieldMask":
            m.paths.extend(r.choice(("foo", "foo_bar.baz", "a_b_c")) for _ in range(r.randrange(3)))
        elif name in ("google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"):
            value: Any = self.dynamic(3)
            if name.endswith("Struct"):
                value = {self.text(): self.dynamic(2) for _ in range(r.randrange(4))}
            elif name.endswith("ListValue"):
                value = [self.dynamic(2) for _ in range(r.randrange(4))]
            json_format.ParseDict(value, m)
        elif name == "google.protobuf.Any":
            inner = r.choice(self.kinds)()
            if isinstance(inner, struct_pb2.Struct):  # one key: the order of several is not comparable once packed
                inner["key"] = r.random()
            else:
                self.fill(inner, 3)
            m.Pack(inner)
        else:
            return False
        return True

    def dynamic(self, depth: int) -> Any:
        r = self.random
        leaf = [None, True, False, 0, 1.5, -3, self.text()]
        if depth == 0 or r.random() < 0.5:
            return r.choice(leaf)
        if r.random() < 0.5:
            return [self.dynamic(depth - 1) for _ in range(r.randrange(3))]
        return {self.text(): self.dynamic(depth - 1) for _ in range(r.randrange(3))}

    def fill(self, m: Message, depth: int) -> None:
        r = self.random
        if self.special(m):
            return
        share = r.choice((0.2, 0.5, 0.9)) if depth < 3 else 0.3
        for f in m.DESCRIPTOR.fields:
            if r.random() > share or (f.containing_oneof is not None and r.random() > 1.5 / len(f.containing_oneof.fields)):
                continue
            is_message = f.type == F.TYPE_MESSAGE
            if is_message and depth >= 5:
                continue
            if is_message and f.message_type.GetOptions().map_entry:
                self.fill_map(f, getattr(m, f.name), depth)
            elif f.is_repeated if hasattr(f, "is_repeated") else f.label == F.LABEL_REPEATED:
                for _ in range(r.choice((1, 2, 5))):
                    if is_message:
                        self.fill(getattr(m, f.name).add(), depth + 1)
                    else:
                        getattr(m, f.name).append(self.scalar(f))
            elif is_message:
                getattr(m, f.name).SetInParent()
                self.fill(getattr(m, f.name), depth + 1)
            else:
                setattr(m, f.name, self.scalar(f))

    def fill_map(self, f: F, target: Any, depth: int) -> None:
        key, value = f.message_type.fields_by_name["key"], f.message_type.fields_by_name["value"]
        for _ in range(self.random.choice((1, 3))):
            k = self.scalar(key)
            if value.type == F.TYPE_MESSAGE:
                self.fill(target[k], depth + 1)
            else:
                target[k] = self.scalar(value)


def every_type() -> Iterator[descriptor.Descriptor]:
    files = {}
    for module in pkgutil.walk_packages(temporalio.api.__path__, "temporalio.api."):
        if not module.name.endswith("_pb2") or module.name.endswith("service_pb2") or ".cloud." in module.name:
            continue
        file = importlib.import_module(module.name).DESCRIPTOR
        files[file.name] = file
    for module in (any_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2):
        files[module.DESCRIPTOR.name] = module.DESCRIPTOR

    def nested(d: descriptor.Descriptor) -> Iterator[descriptor.Descriptor]:
        yield d
        for inner in d.nested_types:
            if not inner.GetOptions().map_entry:
                yield from nested(inner)

    for name in sorted(files):
        for d in files[name].message_types_by_name.values():
            yield from nested(d)


def same_json(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_json(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_json, a, b))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)) and abs(a) < 1e38:  # both may be spelled from a 32-bit float
        return a == b or struct.pack("<f", a) == struct.pack("<f", b)
    return a == b and type(a) is type(b)


class Comparison:
    def __init__(self, driver: Driver) -> None:
        self.driver, self.count, self.differences = driver, 0, 0

    def differ(self, what: str, name: str, *details: Any) -> None:
        self.differences += 1
        if self.differences <= 10:
            print(f"{what}: {name}", *(repr(d)[:1500] for d in details), sep="\n    ")

    def compare(self, m: Message) -> None:
        name, data = m.DESCRIPTOR.full_name, m.SerializeToString()
        self.count += 1
        status, back = self.driver.ask("b", name, data)
        if status != 0 or back != data:
            self.differ("binary", name, status, data, back)
        text = json_format.MessageToJson(m, indent=None)
        status, ours = self.driver.ask("j", name, data)
        if status != 0 or not same_json(json.loads(ours), json.loads(text)):
            self.differ("to JSON", name, status, text, ours)
        status, back = self.driver.ask("p", name, text.encode())
        again = type(m)()
        if status != 0 or not parses(again, back) or again != json_format.Parse(text, type(m)()):
            self.differ("from JSON", name, status, text, back)
        status, short = self.driver.ask("s", name, data)
        status_back, back = self.driver.ask("S", name, short)
        if status != 0 or status_back != 0 or not parses(again, back):
            self.differ("shorthand", name, status, status_back, text, short, back)

    def mutate(self, m: Message, r: random.Random) -> None:
        """Broken bytes: both refuse, or both read the same."""
        data = bytearray(m.SerializeToString())
        if not data:
            return
        for _ in range(r.choice((1, 1, 2, 5))):
            data[r.randrange(len(data))] = r.randrange(256)
        if r.random() < 0.3:
            del data[r.randrange(len(data)) :]
        theirs = type(m)()
        accepted = parses(theirs, bytes(data))
        status, back = self.driver.ask("b", m.DESCRIPTOR.full_name, bytes(data))
        again = type(m)()
        if accepted != (status == 0):
            self.differ("acceptance", m.DESCRIPTOR.full_name, bytes(data), accepted, back)
        elif accepted and not has_unknown(theirs):  # unknown fields inside map entries are kept elsewhere by each
            if not parses(again, back) or again.SerializeToString(deterministic=True) != theirs.SerializeToString(deterministic=True):
                self.differ("mutated", m.DESCRIPTOR.full_name, bytes(data), back)


def has_unknown(m: Message) -> bool:
    known = type(m)()
    known.CopyFrom(m)
    known.DiscardUnknownFields()
    return known.ByteSize() != m.ByteSize()


def parses(m: Message, data: bytes) -> bool:
    try:
        m.ParseFromString(data)
        return True
    except DecodeError:
        return False


def main(driver: str, seed: str = "1", rounds: str = "3") -> int:
    filler, comparison = Filler(int(seed)), Comparison(Driver(driver))
    types = [d for d in every_type() if not d.full_name.startswith(LEFT_OUT)]
    for _ in range(int(rounds)):
        for d in types:
            m = message_factory.GetMessageClass(d)()
            filler.fill(m, 0)
            if d.full_name == "google.protobuf.Value" and not m.WhichOneof("kind"):
                continue  # has no JSON
            comparison.compare(m)
            comparison.mutate(m, filler.random)
    print(f"seed {seed}: {comparison.count} messages of {len(types)} types, {comparison.differences} differences")
    return 1 if comparison.differences or comparison.count == 0 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
