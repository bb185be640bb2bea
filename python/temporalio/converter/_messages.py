"""Messages in two shapes: plain dicts, as the C side takes and gives them, and protobuf objects, as programs see them.

A payload as a dict is ``{"metadata": {name: bytes}, "data": bytes}``, either key left out when empty. protobuf is
imported by the functions that make or read its objects, so a program that never touches them never loads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import google.protobuf.message

    import temporalio.api.common.v1
    import temporalio.api.failure.v1

PayloadDict = dict[str, Any]
FailureDict = dict[str, Any]

FAILURE = "temporal.api.failure.v1.Failure"
# Fields of a failure's info that hold payloads, by the info's own field.
_FAILURE_DETAILS = (
    ("application_failure_info", "details"),
    ("timeout_failure_info", "last_heartbeat_details"),
    ("canceled_failure_info", "details"),
    ("reset_workflow_failure_info", "last_heartbeat_details"),
)

_payload_class: Any = None


def payload_to_proto(payload: Mapping[str, Any]) -> temporalio.api.common.v1.Payload:
    """The protobuf object of a payload."""
    global _payload_class
    if _payload_class is None:
        from temporalio.api.common.v1 import Payload

        _payload_class = Payload
    proto = _payload_class(metadata=payload.get("metadata"), data=payload.get("data", b""))
    for external in payload.get("external_payloads", ()):
        proto.external_payloads.add(**external)
    return proto


def payload_from_proto(proto: temporalio.api.common.v1.Payload) -> PayloadDict:
    """The dict of a payload."""
    payload: PayloadDict = {"metadata": dict(proto.metadata), "data": proto.data}
    if proto.external_payloads:
        payload["external_payloads"] = [{"size_bytes": e.size_bytes} for e in proto.external_payloads]
    return payload


def payloads_to_protos(payloads: Iterable[Mapping[str, Any]]) -> list[temporalio.api.common.v1.Payload]:
    """The protobuf objects of payloads."""
    return [payload_to_proto(p) for p in payloads]


def payloads_from_protos(protos: Iterable[temporalio.api.common.v1.Payload]) -> list[PayloadDict]:
    """The dicts of payloads."""
    return [payload_from_proto(p) for p in protos]


def headers_to_protos(
    fields: Mapping[str, Mapping[str, Any]] | None,
) -> Mapping[str, temporalio.api.common.v1.Payload]:
    """Header fields as interceptors see them."""
    if not fields:
        return {}
    return {name: payload_to_proto(payload) for name, payload in fields.items()}


def headers_from_protos(headers: Mapping[str, temporalio.api.common.v1.Payload] | None) -> dict[str, PayloadDict]:
    """Header fields as interceptors leave them."""
    if not headers:
        return {}
    return {name: payload_from_proto(proto) for name, proto in headers.items() if proto is not None}


def message_class(type_name: str) -> Any:
    """The generated class of a message, by the full name it has in the interface files."""
    import importlib

    package, _, name = type_name.rpartition(".")
    if package.startswith("temporal.api."):
        module = importlib.import_module("temporalio.api." + package[len("temporal.api.") :])
    elif package == "google.protobuf":
        from google.protobuf import symbol_database

        for known in ("any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers"):
            importlib.import_module(f"google.protobuf.{known}_pb2")
        return symbol_database.Default().GetSymbol(type_name)  # type: ignore[attr-defined]
    elif package == "grpc.health.v1":
        module = importlib.import_module("temporalio.api.dependencies.health.v1")
    else:
        raise LookupError(f"No message of the API is named {type_name}")
    return getattr(module, name)


def message_from_dict(type_name: str, message: Mapping[str, Any]) -> Any:
    """The protobuf object of any message."""
    from temporalio import _core

    return message_class(type_name).FromString(_core.encode(type_name, dict(message)))


def message_from_bytes(type_name: str, data: bytes) -> Any:
    """The protobuf object of a message in its encoded form."""
    return message_class(type_name).FromString(data)


def message_to_dict(proto: google.protobuf.message.Message) -> dict[str, Any]:
    """The dict of any message."""
    from temporalio import _core

    return _core.decode(proto.DESCRIPTOR.full_name, proto.SerializeToString())


def failure_payload_lists(failure: FailureDict) -> Iterable[tuple[dict[str, Any], str]]:
    """Every place in a failure and its causes that holds a list of payloads: (parent, key)."""
    current: FailureDict | None = failure
    while current:
        for info_name, field in _FAILURE_DETAILS:
            info = current.get(info_name)
            if info and info.get(field, {}).get("payloads"):
                yield info[field], "payloads"
        current = current.get("cause")


def failure_chain(failure: FailureDict) -> Iterable[FailureDict]:
    """A failure and its causes, the outermost first."""
    current: FailureDict | None = failure
    while current is not None:
        yield current
        current = current.get("cause")


def payload_list(payloads: Mapping[str, Any] | None) -> Sequence[PayloadDict]:
    """What a Payloads message, or its absence, holds."""
    return payloads.get("payloads", ()) if payloads else ()
