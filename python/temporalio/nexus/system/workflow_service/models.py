"""What the server's own workflow service takes and gives.

On the wire these are the requests and replies of the RPC of the same purpose.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import temporalio.common
from temporalio._values import duration_ns
from temporalio.converter import TransferTypeConverter, transfer_type_convertible
from temporalio.nexus.system import workflow_namespace

if TYPE_CHECKING:
    import temporalio.api.workflowservice.v1

_REQUEST = "temporal.api.workflowservice.v1.SignalWithStartWorkflowExecutionRequest"


class _RequestConverter(TransferTypeConverter["SignalWithStartWorkflowRequest", Any]):
    def to_transfer_type(
        self, value: SignalWithStartWorkflowRequest
    ) -> temporalio.api.workflowservice.v1.SignalWithStartWorkflowExecutionRequest:
        from temporalio.converter._messages import message_from_dict

        return message_from_dict(_REQUEST, value._to_dict())

    def from_transfer_type(self, value: Any, type_hint: type[SignalWithStartWorkflowRequest]) -> Any:
        raise TypeError("The request of a system operation is only ever sent")


class _ResponseConverter(TransferTypeConverter["SignalWithStartWorkflowResponse", Any]):
    def to_transfer_type(self, value: SignalWithStartWorkflowResponse) -> Any:
        raise TypeError("The response of a system operation is only ever received")

    def from_transfer_type(
        self, value: Any, type_hint: type[SignalWithStartWorkflowResponse]
    ) -> SignalWithStartWorkflowResponse:
        return SignalWithStartWorkflowResponse(run_id=value.run_id or None, started=value.started)


@dataclass(slots=True)
class UserMetadata:
    """What user interfaces show of a workflow."""

    static_summary: Any | None = None
    """One line about it."""

    static_details: Any | None = None
    """More about it."""


@transfer_type_convertible(_RequestConverter)
@dataclass(slots=True)
class SignalWithStartWorkflowRequest:
    """Signals a workflow, starting it if it does not run."""

    workflow: str | Callable[..., Awaitable[object]] = field(kw_only=True)
    """The workflow's run method, or the name of its type."""
    args: list[Any] | None = field(default=None, kw_only=True)
    """Its arguments."""
    id: str = field(kw_only=True)
    """Its id."""
    task_queue: str = field(kw_only=True)
    """The queue its workers poll."""
    signal: str | Callable[..., None | Awaitable[None]] = field(kw_only=True)
    """The workflow's signal method, or the signal's name."""
    signal_args: list[Any] | None = field(default=None, kw_only=True)
    """The signal's arguments."""
    execution_timeout: timedelta | None = field(default=None, kw_only=True)
    """How long the workflow may take in all."""
    run_timeout: timedelta | None = field(default=None, kw_only=True)
    """How long one run may take."""
    task_timeout: timedelta | None = field(default=None, kw_only=True)
    """How long one workflow task may take."""
    id_reuse_policy: temporalio.common.WorkflowIDReusePolicy = field(
        default=temporalio.common.WorkflowIDReusePolicy.ALLOW_DUPLICATE, kw_only=True
    )
    """What to do when a closed workflow has the id."""
    id_conflict_policy: temporalio.common.WorkflowIDConflictPolicy | None = field(default=None, kw_only=True)
    """What to do when a running workflow has the id."""
    retry_policy: temporalio.common.RetryPolicy | None = field(default=None, kw_only=True)
    """Whether and how it is retried."""
    cron_schedule: str | None = field(default=None, kw_only=True)
    """When to run it again and again."""
    memo: Mapping[str, Any] | None = field(default=None, kw_only=True)
    """Values to be shown with it."""
    search_attributes: temporalio.common.TypedSearchAttributes | None = field(default=None, kw_only=True)
    """Attributes to find it by."""
    priority: temporalio.common.Priority | None = field(default=None, kw_only=True)
    """Which of the waiting tasks are handed out first."""
    versioning_override: temporalio.common.VersioningOverride | None = field(default=None, kw_only=True)
    """The version of its worker deployment to run on."""
    start_delay: timedelta | None = field(default=None, kw_only=True)
    """How long to wait before its first task."""
    user_metadata: UserMetadata | None = field(default=None, kw_only=True)
    """What user interfaces show of it."""
    namespace: str = field(default_factory=workflow_namespace, kw_only=True)
    """Its namespace; the caller's."""
    headers: Mapping[str, Any] | None = field(default=None, kw_only=True)
    """Its header, as payloads."""

    def _to_dict(self) -> dict[str, Any]:
        import temporalio.workflow
        from temporalio.converter._messages import headers_from_protos
        from temporalio.converter._search_attributes import attributes_to_dicts

        converter = temporalio.workflow.payload_converter()
        workflow_type, _ = temporalio.workflow._Definition.get_name_and_result_type(self.workflow)
        request: dict[str, Any] = {
            "namespace": self.namespace,
            "workflow_id": self.id,
            "workflow_type": {"name": workflow_type},
            "task_queue": {"name": self.task_queue},
            "signal_name": temporalio.workflow._SignalDefinition.must_name_from_fn_or_str(self.signal),
            "request_id": str(temporalio.workflow.uuid4()),
            "workflow_id_reuse_policy": int(self.id_reuse_policy),
            "workflow_id_conflict_policy": int(self.id_conflict_policy or 0),
            "cron_schedule": self.cron_schedule or "",
        }
        for name, values in (("input", self.args), ("signal_input", self.signal_args)):
            if values:
                request[name] = {"payloads": converter._to_dicts(values)}
        for name, timeout in (
            ("workflow_execution_timeout", self.execution_timeout),
            ("workflow_run_timeout", self.run_timeout),
            ("workflow_task_timeout", self.task_timeout),
            ("workflow_start_delay", self.start_delay),
        ):
            if timeout is not None:
                request[name] = duration_ns(timeout)
        if self.retry_policy is not None:
            request["retry_policy"] = self.retry_policy._to_dict()
        if self.memo:
            request["memo"] = {"fields": {n: converter._to_dict(v) for n, v in self.memo.items()}}
        if self.search_attributes:
            request["search_attributes"] = {"indexed_fields": attributes_to_dicts(self.search_attributes)}
        if self.priority is not None:
            request["priority"] = self.priority._to_dict()
        if self.versioning_override is not None:
            request["versioning_override"] = self.versioning_override._to_dict()
        if self.user_metadata is not None:
            texts = {"summary": self.user_metadata.static_summary, "details": self.user_metadata.static_details}
            request["user_metadata"] = {n: converter._to_dict(v) for n, v in texts.items() if v is not None}
        if self.headers:
            request["header"] = {"fields": headers_from_protos(self.headers)}
        return request


@transfer_type_convertible(_ResponseConverter)
@dataclass(slots=True)
class SignalWithStartWorkflowResponse:
    """What became of it."""

    run_id: str | None = None
    """The workflow's run."""

    started: bool | None = None
    """Whether it was started, rather than running already."""
