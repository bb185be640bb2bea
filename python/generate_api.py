#!/usr/bin/env python3
"""Makes the package temporalio.api from the pinned interface files.

    generate_api.py --protos DIR [--out python/temporalio/api]

DIR is the unpacked protos folder that scripts/fetch_api.sh leaves behind. Needs protoc; writes typing stubs as well when
mypy-protobuf is installed beside the Python that runs this. The result is never committed: it belongs into the wheel.

What is changed on the way: comments and HTTP annotations are dropped (the wheel gets smaller and needs no further
package), imports are moved below temporalio.api, and each package re-exports the messages of its modules. The code that
protoc 3.21 writes checks no runtime version, so it serves protobuf 3.20 to 7.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Folders of interface files, and where their files lie below the import root.
SOURCES = [
    ("api_upstream/temporal/api", "temporal/api"),
    ("api_cloud_upstream/temporal/api/cloud", "temporal/api/cloud"),
    ("testsrv_upstream/temporal/api/testservice", "temporal/api/testservice"),
    ("api_upstream/nexusannotations", "nexusannotations"),
    ("protoc-gen-openapiv2/options", "protoc-gen-openapiv2/options"),
    ("grpc/health", "grpc/health"),
]
# Services that programs call through temporalio.service, where its class has another name.
CLASS_NAMES = {"Health": "HealthService"}
# Import paths in generated Python, and what they become. The first match counts.
MOVES = [
    ("temporal.api", "temporalio.api"),
    ("nexusannotations", "temporalio.api.dependencies.nexusannotations"),
    ("protoc_gen_openapiv2", "temporalio.api.dependencies.protoc_gen_openapiv2"),
    ("grpc.health", "temporalio.api.dependencies.health"),
]
# The one well-known type that the pinned archive leaves to protoc's own files, which not every protoc brings along.
FIELD_MASK = 'syntax = "proto3"; package google.protobuf; message FieldMask { repeated string paths = 1; }'
# The status of a failed call. The API has no name for it of its own; SDKs call it this, with google.rpc.Status's fields.
GRPC_STATUS = """syntax = "proto3";
package temporal.api.common.v1;
import "google/protobuf/any.proto";
message GrpcStatus { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3; }
"""
HTTP_IMPORT = re.compile(r'^import "(google/api|protoc-gen-openapiv2)/[^"]+";\n', re.M)


def strip_comments(text: str) -> str:
    """Removes // and /* */ comments, leaving string literals alone."""
    pattern = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.S)
    return pattern.sub(lambda m: m.group(0) if m.group(0).startswith('"') else "", text)


def strip_option(text: str, name: str) -> str:
    """Removes every ``option (name) = { … };``."""
    start = re.compile(r"\boption\s*\(" + re.escape(name) + r"\)[^={;]*=\s*")
    while match := start.search(text):
        position, depth, quoted = match.end(), 0, False
        while True:
            char = text[position]
            if char == '"' and text[position - 1] != "\\":
                quoted = not quoted
            elif not quoted and char in "{}":
                depth += 1 if char == "{" else -1
            elif not quoted and char == ";" and depth == 0:
                break
            position += 1
        text = text[: match.start()] + text[position + 1 :]
    return text


def stage_sources(protos: Path, root: Path) -> list[str]:
    """Copies the cleaned interface files below root; returns their paths relative to it."""
    known = root / "google" / "protobuf"
    shutil.copytree(protos / "api_upstream" / "google" / "protobuf", known)
    (known / "field_mask.proto").write_text(FIELD_MASK, encoding="utf-8")
    staged = []
    for folder, target in SOURCES:
        for path in sorted((protos / folder).rglob("*.proto")):
            relative = Path(target) / path.relative_to(protos / folder)
            text = strip_comments(path.read_text(encoding="utf-8"))
            keeps_http = target.startswith("protoc-gen")
            if not keeps_http:
                text = HTTP_IMPORT.sub("", text)
                for option in (
                    "google.api.http",
                    "grpc.gateway.protoc_gen_openapiv2.options.openapiv2_swagger",
                    "grpc.gateway.protoc_gen_openapiv2.options.openapiv2_operation",
                ):
                    text = strip_option(text, option)
            destination = root / relative
            destination.parent.mkdir(parents=True, exist_ok=True)
            destination.write_text(text, encoding="utf-8")
            staged.append(str(relative))
    status = "temporal/api/common/v1/grpc_status.proto"
    (root / status).write_text(GRPC_STATUS, encoding="utf-8")
    return [*staged, status]


def moved(module: str) -> str:
    """The import path of a generated module below temporalio.api; others stay where they are."""
    for old, new in MOVES:
        if module == old or module.startswith(old + "."):
            return new + module[len(old) :]
    return module


def move_imports(text: str) -> str:
    """Rewrites the import statements, and in stubs the dotted names, of generated code."""
    text = re.sub(r"^from ([\w.]+) import", lambda m: f"from {moved(m.group(1))} import", text, flags=re.M)
    text = re.sub(r"^import ([\w.]+)$", lambda m: f"import {moved(m.group(1))}", text, flags=re.M)
    for old, new in MOVES:
        # Names such as temporal.api.common.v1.message_pb2.Payload, which only stubs hold.
        text = re.sub(
            r"(?<![\w.\"'/])" + re.escape(old) + r"((?:\.\w+)*\.\w+_pb2)\b", lambda m, new=new: new + m.group(1), text
        )
    return text


def service_methods(text: str) -> dict[str, list[tuple[str, str, str, bool]]]:
    """Services of an interface file: name to (method, request, response, is response streamed)."""
    services = {}
    for match in re.finditer(r"\bservice\s+(\w+)\s*\{", text):
        depth, position = 1, match.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            position += 1
        services[match.group(1)] = [
            (m.group(1), m.group(2), m.group(4), bool(m.group(3)))
            for m in re.finditer(
                r"\brpc\s+(\w+)\s*\(\s*([\w.]+)\s*\)\s*returns\s*\(\s*(stream\s+)?([\w.]+)\s*\)",
                text[match.end() : position],
            )
        ]
    return services


def python_type(package: str, name: str) -> str:
    """Where Python finds a service's request or response type."""
    if name.startswith("google.protobuf."):
        return f"google.protobuf.{name.rsplit('.', 1)[1].lower()}_pb2.{name.rsplit('.', 1)[1]}"
    if "." not in name:
        return f"{moved(package)}.{name}"
    return f"{moved(name.rsplit('.', 1)[0])}.{name.rsplit('.', 1)[1]}"


def write_grpc(package: str, services: dict, module: Path) -> None:
    """Writes what the grpc package's own generator would: stub, servicer and registration for each service."""
    code = ["# Made by generate_api.py.", "import grpc", ""]
    stub = ["# Made by generate_api.py.", "from typing import Any", ""]
    modules = set()
    for service, methods in services.items():
        full = f"{package}.{service}"
        code += [f"class {service}Stub:", "    def __init__(self, channel):"]
        stub += [f"class {service}Stub:", "    def __init__(self, channel: Any) -> None: ..."]
        for method, request, response, streams in methods:
            request, response = python_type(package, request), python_type(package, response)
            modules |= {request.rsplit(".", 1)[0], response.rsplit(".", 1)[0]}
            code += [
                f"        self.{method} = channel.unary_{'stream' if streams else 'unary'}(",
                f'            "/{full}/{method}",',
                f"            request_serializer={request}.SerializeToString,",
                f"            response_deserializer={response}.FromString,",
                "        )",
            ]
            stub.append(f"    {method}: Any")
        code += ["", f"class {service}Servicer:"]
        stub += ["", f"class {service}Servicer:"]
        for method, _, _, _ in methods:
            code += [
                f"    def {method}(self, request, context):",
                "        context.set_code(grpc.StatusCode.UNIMPLEMENTED)",
                f'        raise NotImplementedError("{full}/{method} is not served here")',
                "",
            ]
            stub.append(f"    def {method}(self, request: Any, context: Any) -> Any: ...")
        code += [f"def add_{service}Servicer_to_server(servicer, server):", "    handlers = {"]
        stub += ["", f"def add_{service}Servicer_to_server(servicer: {service}Servicer, server: Any) -> None: ...", ""]
        for method, request, response, streams in methods:
            request, response = python_type(package, request), python_type(package, response)
            code += [
                f'        "{method}": grpc.unary_{"stream" if streams else "unary"}_rpc_method_handler(',
                f"            servicer.{method},",
                f"            request_deserializer={request}.FromString,",
                f"            response_serializer={response}.SerializeToString,",
                "        ),",
            ]
        code += [
            "    }",
            f'    handler = grpc.method_handlers_generic_handler("{full}", handlers)',
            "    server.add_generic_rpc_handlers((handler,))",
            "",
        ]
    imports = [f"import {m}" for m in sorted(modules)]
    module.write_text("\n".join(code[:2] + imports + code[2:]) + "\n", encoding="utf-8")
    module.with_suffix(".pyi").write_text("\n".join(stub) + "\n", encoding="utf-8")


def write_package(folder: Path, path: str) -> None:
    """Writes __init__.py: a package with modules re-exports their messages, enums and enum values."""
    modules = sorted(p.stem for p in folder.glob("*_pb2.py"))
    lines, exported = ["# Made by generate_api.py."], []
    for module in modules:
        names = TOP_LEVEL[str(folder / module)]
        if names:
            lines += [f"from {path}.{module} import (", *(f"    {n} as {n}," for n in names), ")"]
            exported += names
    grpc = sorted(p.stem for p in folder.glob("*_pb2_grpc.py"))
    if exported:
        lines += ["", "__all__ = [", *(f'    "{n}",' for n in sorted(exported)), "]"]
    for module in grpc:
        services = re.findall(r"^class (\w+)Stub", (folder / f"{module}.py").read_text(encoding="utf-8"), re.M)
        names = [n for s in services for n in (f"add_{s}Servicer_to_server", f"{s}Stub", f"{s}Servicer")]
        # The grpc package is no dependency; whoever has it finds the stubs here.
        lines += [
            "",
            "try:",
            f"    from {path}.{module} import (",
            *(f"        {n} as {n}," for n in names),
            "    )",
            "",
            f"    __all__ += {names!r}",
            "except ImportError:",
            "    pass",
        ]
    (folder / "__init__.py").write_text("\n".join(lines) + "\n", encoding="utf-8")


def snake_case(name: str) -> str:
    """The Python method of an RPC."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def write_services(services: dict[str, tuple[str, list[tuple[str, str, str, bool]]]], out: Path) -> None:
    """Writes the table temporalio.service makes its raw service classes from, and their types for checkers."""
    code = [
        "# Made by generate_api.py.",
        "# Service class to (service, {method: (RPC, request type, response type)}).",
        "SERVICES: dict[str, tuple[str, dict[str, tuple[str, str, str]]]] = {",
    ]
    stub = ["# Made by generate_api.py.", "from collections.abc import Mapping", "from datetime import timedelta", ""]
    classes, modules = [], set()
    for name, (package, methods) in sorted(services.items()):
        code.append(f'    "{CLASS_NAMES.get(name, name)}": ("{package}.{name}", {{')
        classes += [f"class {CLASS_NAMES.get(name, name)}:", "    def __init__(self, client: object) -> None: ..."]
        for method, request, response, streams in methods:
            if streams:
                continue
            full = [t if "." in t else f"{package}.{t}" for t in (request, response)]
            types = [python_type(package, t) for t in (request, response)]
            modules |= {t.rsplit(".", 1)[0] for t in types}
            code.append(f'        "{snake_case(method)}": ("{method}", "{full[0]}", "{full[1]}"),')
            classes += [
                f"    async def {snake_case(method)}(",
                f"        self, req: {types[0]}, retry: bool = ..., metadata: Mapping[str, str | bytes] = ...,",
                "        timeout: timedelta | None = ...,",
                f"    ) -> {types[1]}: ...",
            ]
        code.append("    }),")
        classes.append("")
    code.append("}")
    stub[3:3] = [f"import {m}" for m in sorted(modules)]
    stub.append("SERVICES: dict[str, tuple[str, dict[str, tuple[str, str, str]]]]")
    (out / "_services.py").write_text("\n".join(code) + "\n", encoding="utf-8")
    (out / "_services.pyi").write_text("\n".join(stub + [""] + classes) + "\n", encoding="utf-8")


# What each generated module's package re-exports, by the module's path.
TOP_LEVEL: dict[str, list[str]] = {}


def collect_top_level(text: str) -> list[str]:
    """Names of the messages and enums at the top level of an interface file."""
    names, depth = [], 0
    for match in re.finditer(r'"(?:\\.|[^"\\])*"|[{}]|\b(message|enum)\s+(\w+)\s*\{', text):
        token = match.group(0)
        if token.startswith('"'):
            continue
        if match.group(1):
            if depth == 0:
                names.append(match.group(2))
            depth += 1
        else:
            depth += 1 if token == "{" else -1
    return names


def target_path(relative: str) -> Path:
    """Where below temporalio/api the Python of an interface file lies, without its suffix."""
    module = relative[: -len(".proto")].replace("-", "_").replace("/", ".")
    path = moved(module)
    assert path.startswith("temporalio.api."), path
    return Path(*path.split(".")[2:])


def generate(protos: Path, out: Path) -> None:
    """Does it all; replaces out."""
    with tempfile.TemporaryDirectory() as scratch:
        root, generated = Path(scratch, "protos"), Path(scratch, "python")
        generated.mkdir()
        staged = stage_sources(protos, root)
        command = [os.environ.get("PROTOC", "protoc"), f"-I{root}", f"--python_out={generated}"]
        search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        plugin = shutil.which("protoc-gen-mypy", path=search)
        if plugin:
            command += [f"--plugin=protoc-gen-mypy={plugin}", f"--mypy_out=quiet:{generated}"]
        subprocess.run([*command, *staged], check=True)
        result = Path(scratch, "api")
        services_called = {}
        for relative in staged:
            target = result / target_path(relative)
            target.parent.mkdir(parents=True, exist_ok=True)
            source = generated / (relative[: -len(".proto")].replace("-", "_") + "_pb2.py")
            for suffix in (".py", ".pyi"):
                if source.with_suffix(suffix).exists():
                    text = move_imports(source.with_suffix(suffix).read_text(encoding="utf-8"))
                    target.with_name(f"{target.name}_pb2{suffix}").write_text(text, encoding="utf-8")
            text = (root / relative).read_text(encoding="utf-8")
            TOP_LEVEL[str(target.with_name(f"{target.name}_pb2"))] = collect_top_level(text)
            services = service_methods(text)
            if services:
                package = re.search(r"^package ([\w.]+);", text, re.M)
                assert package
                write_grpc(package.group(1), services, target.with_name(f"{target.name}_pb2_grpc.py"))
                services_called |= {name: (package.group(1), methods) for name, methods in services.items()}
        for folder in [result, *(p for p in sorted(result.rglob("*")) if p.is_dir())]:
            write_package(folder, ".".join(["temporalio.api", *folder.relative_to(result).parts]))
        write_services(services_called, result)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(result, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protos", required=True, type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "temporalio" / "api")
    options = parser.parse_args()
    generate(options.protos, options.out)


if __name__ == "__main__":
    main()
