"""Operation tokens: what names a started operation to its handler, as text that travels through the caller's history.

A token is JSON in base64url without padding: ``t`` its type, ``ns`` the namespace, ``wid``, ``aid``, ``rid`` and ``uid``
the ids of workflow, activity, run and update, ``v`` the version, which is 0 or absent. All SDKs read and write it so.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Generic

from nexusrpc import OutputT

if TYPE_CHECKING:
    from typing_extensions import Self

    import temporalio.client


class OperationTokenType(IntEnum):
    """What stands behind an operation."""

    WORKFLOW = 1
    ACTIVITY = 2
    UPDATE_WORKFLOW = 3


# Fields by their names in JSON, and what they are called in errors.
_IDS = {"wid": ("workflow_id", "workflow id"), "aid": ("activity_id", "activity id"), "uid": ("update_id", "update_id")}
_NEEDED = {
    OperationTokenType.WORKFLOW: ("wid",),
    OperationTokenType.ACTIVITY: ("aid",),
    OperationTokenType.UPDATE_WORKFLOW: ("wid", "uid"),
}


@dataclass(frozen=True, kw_only=True)
class OperationToken:
    """A token taken apart."""

    version: int | None = None
    type: OperationTokenType
    namespace: str
    workflow_id: str | None = None
    activity_id: str | None = None
    run_id: str | None = None
    update_id: str | None = None

    def encode(self) -> str:
        """The token as text."""
        values: dict[str, Any] = {"t": int(self.type), "ns": self.namespace}
        for key, value in (
            ("wid", self.workflow_id),
            ("aid", self.activity_id),
            ("rid", self.run_id),
            ("uid", self.update_id),
            ("v", self.version),
        ):
            if value is not None:
                values[key] = value
        return _base64url_encode_no_padding(json.dumps(values, separators=(",", ":")).encode())

    @classmethod
    def decode(cls, token: str) -> Self:
        """Takes a token apart.

        Raises:
            TypeError: It is none.
        """
        if not token:
            raise TypeError("invalid token: token is empty")
        try:
            data = _base64url_decode_no_padding(token)
        except ValueError as err:
            raise TypeError("failed to decode token as base64url") from err
        try:
            values = json.loads(data)
        except ValueError as err:
            raise TypeError("failed to unmarshal operation token") from err
        if not isinstance(values, dict):
            raise TypeError(f"invalid token: expected dict, not {type(values).__name__}")
        return cls._from_values(values)

    @classmethod
    def _from_values(cls, values: dict[str, Any]) -> Self:
        kind = values.get("t")
        if not isinstance(kind, int) or isinstance(kind, bool):
            raise TypeError(f"expected token type to be an int, not {type(kind).__name__}")
        try:
            kind = OperationTokenType(kind)
        except ValueError:
            raise TypeError(f"invalid token: unknown token type, got {kind}") from None
        version = values.get("v")
        if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
            raise TypeError(f"expected version to be an int or null, not {type(version).__name__}")
        namespace = values.get("ns")
        if not isinstance(namespace, str):
            raise TypeError(f"expected namespace to be a string, not {type(namespace).__name__}")
        ids: dict[str, str | None] = {}
        for key, (field, words) in _IDS.items():
            value = values.get(key)
            if value is not None and not isinstance(value, str):
                raise TypeError(f"expected {words} to be a string, not {type(value).__name__}")
            if key in _NEEDED[kind] and not value:
                raise TypeError(f"invalid token: expected non-empty {words} for token type `{kind.name}`")
            ids[field] = value
        run_id = values.get("rid")
        if run_id is not None and not isinstance(run_id, str):
            raise TypeError(f"expected run_id to be a string, not {type(run_id).__name__}")
        return cls(type=kind, version=version, namespace=namespace, run_id=run_id, **ids)


@dataclass(frozen=True)
class WorkflowHandle(Generic[OutputT]):
    """A workflow that was started for an operation, as :py:func:`workflow_run_operation` returns it.

    Not to be confused with the client's handles. Made by :py:meth:`WorkflowRunOperationContext.start_workflow`.
    """

    namespace: str
    workflow_id: str
    # None and 0 are the same version.
    version: int | None = None

    def _to_client_workflow_handle(
        self, client: temporalio.client.Client, result_type: type[OutputT] | None = None
    ) -> temporalio.client.WorkflowHandle[Any, OutputT]:
        if client.namespace != self.namespace:
            raise ValueError(f"The workflow is in namespace {self.namespace}, the client in {client.namespace}")
        return client.get_workflow_handle(self.workflow_id, result_type=result_type)

    @classmethod
    def _unsafe_from_client_workflow_handle(
        cls, workflow_handle: temporalio.client.WorkflowHandle[Any, OutputT]
    ) -> WorkflowHandle[OutputT]:
        """Only for a workflow that was started with the operation's callback."""
        return cls(namespace=workflow_handle._client.namespace, workflow_id=workflow_handle.id)

    def to_token(self) -> str:
        """The operation's token."""
        return OperationToken(
            type=OperationTokenType.WORKFLOW, namespace=self.namespace, workflow_id=self.workflow_id
        ).encode()

    @classmethod
    def from_token(cls, token: str) -> WorkflowHandle[OutputT]:
        """From an operation's token.

        Raises:
            TypeError: It is none, or not that of a workflow.
        """
        parts = OperationToken.decode(token)
        if parts.type != OperationTokenType.WORKFLOW:
            raise TypeError(f"invalid workflow token type: it is one of {parts.type.name}")
        if parts.version:
            raise TypeError("invalid workflow token: 'v' field, if present, must be 0, the only version there is")
        assert parts.workflow_id is not None
        return cls(namespace=parts.namespace, workflow_id=parts.workflow_id, version=parts.version)


_BASE64URL = re.compile(r"[A-Za-z0-9_-]*\Z")


def _base64url_encode_no_padding(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _base64url_decode_no_padding(s: str) -> bytes:
    if not _BASE64URL.match(s):
        raise ValueError("not base64url without padding")
    try:
        return base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))
    except binascii.Error as err:
        raise ValueError(str(err)) from err
