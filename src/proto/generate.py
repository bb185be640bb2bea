"""Writes the C side of the API's messages: structs and descriptor tables. Run by the build; see README.md for the names.

    generate.py set    OUT.ds  API_DIR [OWN_DIR FILE.proto ...]   run protoc, keep what it says
    generate.py header OUT.h   IN.ds   api | FILE.proto           the structs of the API, or of one file of ours
    generate.py tables OUT.c   IN.ds                              the tables behind all headers

Each file of ours is a group of its own beside the group "api", so that a change to it rebuilds its users alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Sequence

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from descriptors import Enum, Field, File, Message, read_set  # noqa: E402

C_TYPES = {
    "DOUBLE": "double", "FLOAT": "float", "INT32": "int32_t", "SINT32": "int32_t", "SFIXED32": "int32_t",
    "ENUM": "int32_t", "INT64": "int64_t", "SINT64": "int64_t", "SFIXED64": "int64_t", "UINT32": "uint32_t",
    "FIXED32": "uint32_t", "UINT64": "uint64_t", "FIXED64": "uint64_t", "BOOL": "bool", "STRING": "struct str",
    "BYTES": "struct str",
}
# Words a member may not be called: keywords of C and C++, and names that gcc predefines.
RESERVED = set(
    "alignas alignof auto bool break case char class const continue default delete do double else enum explicit export "
    "extern false float for friend goto if inline int linux long mutable namespace_ new operator private protected "
    "public register restrict return short signed sizeof static struct switch template this throw true try typedef "
    "typename typeof union unix unsigned using virtual void volatile while".split()
)
SHORT = {"workflowservice": "ws", "operatorservice": "os", "testservice": "ts", "protobuf": "google"}
# Known to the reflection service but never a message of ours.
NO_STRUCTS = ("google/protobuf/descriptor.proto", "google/api/", "temporal/api/protometa/", "nexusannotations/")
SPECIAL = {
    "google.protobuf.Any": "ANY", "google.protobuf.Timestamp": "TIMESTAMP", "google.protobuf.Duration": "DURATION",
    "google.protobuf.FieldMask": "FIELD_MASK", "google.protobuf.Struct": "STRUCT", "google.protobuf.Value": "VALUE",
    "google.protobuf.ListValue": "LIST_VALUE", "temporal.api.common.v1.Payload": "PAYLOAD",
    "temporal.api.common.v1.Payloads": "PAYLOADS",
}
WRAPPERS = "Double Float Int64 UInt64 Int32 UInt32 Bool String Bytes".split()
SPECIAL.update({f"google.protobuf.{w}Value": "WRAPPER" for w in WRAPPERS})


# The one well-known type that neither the archive nor Debian's protobuf-compiler brings along.
FIELD_MASK = 'syntax = "proto3"; package google.protobuf; message FieldMask { repeated string paths = 1; }'


def make_set(out: str, api_dir: str, own_dir: str = "", *own: str) -> None:
    with tempfile.TemporaryDirectory() as extra:
        (Path(extra) / "google/protobuf").mkdir(parents=True)
        (Path(extra) / "google/protobuf/field_mask.proto").write_text(FIELD_MASK)
        run_protoc(out, Path(api_dir), [extra] + ([own_dir] if own_dir else []), own)


def run_protoc(out: str, root: Path, more: list[str], own: Sequence[str]) -> None:
    includes = [root / "api_upstream", root / "testsrv_upstream", root] + [Path(m) for m in more]
    files = [str(p.relative_to(top)) for top in includes[:2] for p in sorted(top.glob("temporal/**/*.proto"))]
    files += ["google/rpc/status.proto", "grpc/health/v1/health.proto"]
    files += [f"google/protobuf/{n}.proto" for n in "any duration empty field_mask struct timestamp wrappers".split()]
    command = ["protoc", f"--descriptor_set_out={out}", "--include_imports"]
    command += [f"-I{path}" for path in includes if path.is_dir()]
    subprocess.run(command + files + [f"perdure/{os.path.basename(name)}" for name in own], check=True)


def group_of(file: File) -> str:
    return os.path.basename(file.name)[: -len(".proto")] if file.name.startswith("perdure/") else "api"


def prefix_of(package: str) -> str:
    parts = [p for p in package.split(".") if not (p[0] == "v" and p[1:].isdigit())]
    return "pb_" + SHORT.get(parts[-1], parts[-1])


def c_name(thing: Message | Enum) -> str:
    return f"{prefix_of(thing.package)}_{thing.path}"


def member(name: str) -> str:
    return name + "_" if name in RESERVED else name


def constant(enum: Enum, value: str) -> str:
    """The name as in the interface file; nested enums, whose names are only unique inside, carry their message's."""
    outer = enum.path.rpartition("_")[0]
    return f"{prefix_of(enum.package)}_{outer}_{value}" if enum.is_nested else value


class Api:
    """All files, by group, and who is called what."""

    def __init__(self, files: list[File]) -> None:
        self.files = files
        with_structs = [f for f in files if not f.name.startswith(NO_STRUCTS)]
        self.groups = ["api"] + sorted({group_of(f) for f in with_structs} - {"api"})
        self.messages: dict[str, list[Message]] = {g: [] for g in self.groups}
        self.enums: dict[str, list[Enum]] = {g: [] for g in self.groups}
        for f in with_structs:
            self.messages[group_of(f)] += f.messages
            self.enums[group_of(f)] += f.enums
        self.reference: dict[str, tuple[str, int]] = {}  # full name -> group, index
        self.by_name: dict[str, Message | Enum] = {}
        seen: dict[str, str] = {}
        for g in self.groups:
            for things in (self.messages[g], self.enums[g]):
                things.sort(key=lambda t: t.name)
                for index, t in enumerate(things):
                    self.reference[t.name] = (g, index)
                    self.by_name[t.name] = t
                    if seen.setdefault(c_name(t), t.name) != t.name:
                        raise SystemExit(f"{t.name} and {seen[c_name(t)]} would both be called {c_name(t)}")
        self.methods = [m for f in with_structs if group_of(f) == "api" for m in f.methods]
        self.methods.sort(key=lambda m: (m.name, m.service))
        self.services = sorted({m.service for m in self.methods})

    def c_type(self, f: Field) -> str:
        return f"struct {c_name(self.by_name[f.type_name])} *" if f.kind == "MESSAGE" else C_TYPES[f.kind] + " "

    def is_map(self, f: Field) -> bool:
        t = self.by_name.get(f.type_name)
        return f.repeated and isinstance(t, Message) and t.is_map_entry


def write_struct(api: Api, m: Message, out: list[str]) -> None:
    name = c_name(m)
    if any(f.oneof is not None for f in m.fields):
        tags = ", ".join(f"{name}_{f.name}_tag = {f.number}" for f in m.fields if f.oneof is not None)
        out.append(f"enum {{ {tags} }};")
    out.append(f"struct {name} {{ /* {m.name} */")
    out.append("    struct str unknown_;")
    done: set[int] = set()
    members: set[str] = set()

    def note(label: str) -> str:
        if label in members:
            raise SystemExit(f"{m.name}: two members would be called {label}")
        members.add(label)
        return label

    for f in m.fields:
        label = note(member(f.name))
        if f.oneof is not None:
            if f.oneof in done:
                continue
            done.add(f.oneof)
            out.append(f"    int32_t {note(m.oneofs[f.oneof] + '_case')};")
            out.append("    union {")
            out += [f"        {api.c_type(o)}{member(o.name)};" for o in m.fields if o.oneof == f.oneof]
            out.append("    };")
        elif f.repeated:
            out.append(f"    {api.c_type(f)}*{label};")
            out.append(f"    size_t {note(f.name + '_count')}, {note(f.name + '_capacity_')};")
        else:
            if f.optional:
                out.append(f"    bool {note('has_' + f.name)};")
            out.append(f"    {api.c_type(f)}{label};")
    out.append("};")


def write_header(api: Api, group: str) -> str:
    guard = f"PROTO_GENERATED_{group.upper()}_H"
    out = [f"/* Generated by src/proto/generate.py: the messages of {group}. */", f"#ifndef {guard}", f"#define {guard}", ""]
    out += ['#include "proto/pb.h"'] + (['#include "proto/api.h"'] if group != "api" else []) + [""]
    used = {f.type_name for m in api.messages[group] for f in m.fields if f.kind == "MESSAGE"}
    foreign = sorted({c_name(api.by_name[n]) for n in used if api.reference[n][0] != group})
    out += [f"struct {name};" for name in foreign]
    for m in api.messages[group]:
        out.append(f"typedef struct {c_name(m)} {c_name(m)};")
    out += ["", "#pragma GCC visibility push(hidden)", f"extern const struct pb_message pb_messages_{group}[];"]
    out += [f"extern const struct pb_enum pb_enums_{group}[];", "#pragma GCC visibility pop"]
    for index, m in enumerate(api.messages[group]):
        out.append(f"#define {c_name(m)}_type (pb_messages_{group}[{index}])")
    out.append("")
    for index, e in enumerate(api.enums[group]):
        out.append(f"enum {{ /* {e.name} */")
        out += [f"    {constant(e, name)} = {number if number != -(1 << 31) else 'INT32_MIN'}," for name, number in e.values]
        out += ["};", f"#define {c_name(e)}_enum (pb_enums_{group}[{index}])"]
    out.append("")
    for m in api.messages[group]:
        write_struct(api, m, out)
    if group == "api":
        out += ["", "/* Indexes into pb_methods. */", "enum {"]
        out += [f"    {method_constant(m)} = {index}," for index, m in enumerate(api.methods)]
        out += [f"    PB_METHOD_COUNT = {len(api.methods)}", "};"]
    return "\n".join(out + ["", "#endif", ""])


def method_constant(m) -> str:
    return f"{prefix_of(m.service.rpartition('.')[0])}_{m.name}_method"


class Names:
    """One pool of length-prefixed, terminated strings."""

    def __init__(self) -> None:
        self.at: dict[str, int] = {}
        self.data = bytearray()

    def __call__(self, text: str) -> int:
        if text not in self.at:
            raw = text.encode()
            if len(raw) > 255:
                raise SystemExit(f"a name of more than 255 bytes: {text}")
            self.at[text] = len(self.data)
            self.data += bytes([len(raw)]) + raw + b"\0"
        return self.at[text]


def c_bytes(data: bytes) -> str:
    rows = [data[i : i + 32] for i in range(0, len(data), 32)]
    return "\n".join("    " + "".join(f"{b}," for b in row) for row in rows)


def field_row(api: Api, m: Message, f: Field, names: Names) -> str:
    c = f"struct {c_name(m)}"
    label, aux = "PB_SINGULAR", "0"
    if f.oneof is not None:
        label, aux = "PB_ONEOF", f"offsetof({c}, {m.oneofs[f.oneof]}_case)"
    elif f.repeated:
        label = "PB_MAP" if api.is_map(f) else "PB_PACKED" if f.packed else "PB_REPEATED"
        aux = f"offsetof({c}, {f.name}_count)"
    elif f.optional:
        label, aux = "PB_OPTIONAL", f"offsetof({c}, has_{f.name})"
    group, index = api.reference.get(f.type_name, ("api", 0))
    at, run = m.fields.index(f), 0
    while f.oneof is not None and run < min(at, 255) and m.fields[at - run - 1].oneof == f.oneof:
        run += 1
    return (
        f"    {{{f.number}, {names(f.name)}, {names(f.json_name)}, offsetof({c}, {member(f.name)}), {aux}, {index}, "
        f"{api.groups.index(group)}, PB_{f.kind}, {label}, {run}}},"
    )


def write_tables(api: Api) -> str:
    names = Names()
    names("")
    file_index = {f.name: i for i, f in enumerate(api.files)}
    out = ["/* Generated by src/proto/generate.py: the tables behind the structs. */"]
    out += [f'#include "proto/{"" if g == "api" else "perdure/"}{g}.h"' for g in api.groups]
    out += ["", "const struct pb_field pb_fields[] = {"]
    messages: dict[str, list[str]] = {g: [] for g in api.groups}
    first = 0
    for g in api.groups:
        for m in api.messages[g]:
            dense = 0
            while dense < len(m.fields) and m.fields[dense].number == dense + 1:
                dense += 1
            special = "PB_" + SPECIAL.get(m.name, "PLAIN")
            messages[g].append(
                f"    {{{names(m.name)}, {first}, {len(m.fields)}, {dense}, sizeof(struct {c_name(m)}), {file_index[m.file]}, "
                f"{special}, {int(m.is_map_entry)}}},"
            )
            out += [field_row(api, m, f, names) for f in m.fields]
            first += len(m.fields)
    out += ["    {0}", "};"]
    for g in api.groups:
        out += [f"const struct pb_message pb_messages_{g}[] = {{"] + messages[g] + ["    {0}", "};"]
    write_enums(api, names, file_index, out)
    out.append("const struct pb_group pb_groups[] = {")
    for g in api.groups:
        out.append(f"    {{pb_messages_{g}, pb_enums_{g}, {len(api.messages[g])}, {len(api.enums[g])}}},")
    out += ["};", f"const size_t pb_group_count = {len(api.groups)};"]
    write_methods(api, names, file_index, out)
    write_files(api, names, out)
    out += ["const uint8_t pb_names[] = {", c_bytes(bytes(names.data)), "};", ""]
    return "\n".join(out)


def write_enums(api: Api, names: Names, file_index: dict[str, int], out: list[str]) -> None:
    rows: dict[str, list[str]] = {g: [] for g in api.groups}
    values: list[str] = []
    for g in api.groups:
        for e in api.enums[g]:
            prefix = os.path.commonprefix([name for name, _ in e.values]) if len(e.values) > 1 else ""
            cut = prefix.rfind("_") + 1
            rows[g].append(f"    {{{names(e.name)}, {len(values)}, {len(e.values)}, {file_index[e.file]}, {cut}}},")
            values += [f"    {{{number if number != -(1 << 31) else 'INT32_MIN'}, {names(name)}}}," for name, number in e.values]
    out += ["const struct pb_enum_value pb_enum_values[] = {"] + values + ["    {0}", "};"]
    for g in api.groups:
        out += [f"const struct pb_enum pb_enums_{g}[] = {{"] + rows[g] + ["    {0}", "};"]


def write_methods(api: Api, names: Names, file_index: dict[str, int], out: list[str]) -> None:
    home = {s: file_index[f.name] for f in api.files for s in f.services}
    out.append("const struct pb_service pb_services[] = {")
    out += [f"    {{{names(s)}, {home[s]}}}," for s in api.services]
    out += ["};", f"const size_t pb_service_count = {len(api.services)};", "const struct pb_method pb_methods[] = {"]
    rules: list[str] = []
    for m in api.methods:
        (_, given), (_, answer) = api.reference[m.input], api.reference[m.output]
        out.append(
            f"    {{{names(m.name)}, {api.services.index(m.service)}, {given}, {answer}, {len(rules)}, {len(m.rules)}, "
            f"{int(m.client_streaming)}, {int(m.server_streaming)}}},"
        )
        rules += [f"    {{{names(r.verb)}, {names(r.path)}, {names(r.body)}}}," for r in m.rules]
    out += ["};", f"const size_t pb_method_count = {len(api.methods)};", "const struct pb_http_rule pb_http_rules[] = {"] + rules + ["    {0}", "};"]


def write_files(api: Api, names: Names, out: list[str]) -> None:
    """The files' own descriptors, for the reflection service, each compressed alone."""
    blob, rows, dependencies = bytearray(), [], []
    index = {f.name: i for i, f in enumerate(api.files)}
    for f in api.files:
        packed = zlib.compress(f.raw, 9)
        is_open = int(not f.name.startswith("perdure/"))
        rows.append(f"    {{{names(f.name)}, {len(blob)}, {len(packed)}, {len(f.raw)}, {len(dependencies)}, {len(f.dependencies)}, {is_open}}},")
        dependencies += [f"    {index[d]}," for d in f.dependencies]
        blob += packed
    out += ["const struct pb_file pb_files[] = {"] + rows + ["};", f"const size_t pb_file_count = {len(api.files)};"]
    out += ["const uint16_t pb_file_dependencies[] = {"] + dependencies + ["    0", "};"]
    out += ["const uint8_t pb_file_bytes[] = {", c_bytes(bytes(blob)), "};"]


def main(mode: str, out: str, *rest: str) -> None:
    if mode == "set":
        make_set(out, *rest)
        return
    api = Api(read_set(Path(rest[0]).read_bytes()))
    text = write_header(api, "api" if rest[1] == "api" else os.path.basename(rest[1])[: -len(".proto")]) if mode == "header" else write_tables(api)
    Path(out).write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
