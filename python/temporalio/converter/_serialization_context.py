"""What a converter or codec may know about the value it is handed: whose it is."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass

    from typing_extensions import Self
else:
    from temporalio._lazy import dataclass


class SerializationContext(ABC):
    """Base of the contexts in which values are converted."""


@dataclass(frozen=True)
class WorkflowSerializationContext(SerializationContext):
    """A value of a workflow: argument, result, signal, query, update, memo.

    For values that a workflow sends to a child or to another workflow this names the receiver.
    """

    namespace: str
    """The workflow's namespace."""

    workflow_id: str
    """Its id; for a schedule's workflows the id in the schedule, to which the server appends a time."""


@dataclass(frozen=True)
class ActivitySerializationContext(SerializationContext):
    """A value of an activity: argument, result, heartbeat."""

    namespace: str
    """The activity's namespace."""

    activity_id: str | None
    """Its id; None where it is not known, as in a workflow before the activity has one."""

    activity_type: str | None
    """Its type; None for one that is completed from elsewhere by its id."""

    activity_task_queue: str | None
    """Its task queue; None for one that is completed from elsewhere by its id."""

    workflow_id: str | None
    """The id of the workflow it belongs to; None for one that stands alone."""

    workflow_type: str | None
    """That workflow's type; None for one that stands alone."""

    is_local: bool
    """Whether it is a local activity."""


@dataclass(frozen=True)
class NexusSerializationContext(SerializationContext):
    """A value of a Nexus operation, on the caller's side: argument and result."""

    endpoint: str
    """The endpoint that is called."""

    service: str
    """The service that is called."""

    operation: str
    """The operation that is called."""


class WithSerializationContext(ABC):
    """Mixed into a converter or codec that wants to know the context of each value."""

    def with_context(self, context: SerializationContext) -> Self:
        """A converter or codec for values of this context; called often, so it ought to be cheap.

        Args:
            context: What the values belong to.

        Returns:
            The object to use; it may be ``self``.
        """
        raise NotImplementedError()
