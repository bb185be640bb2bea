"""What runs a workflow: the runner a worker is given and the instance it makes for each run in the cache.

An instance takes activations and answers each with a completion. Both are plain dicts of the messages of
``perdure.core.v1``; no protobuf object and no other event loop is involved.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Optional

import temporalio.workflow

if TYPE_CHECKING:
    import dataclasses
    from dataclasses import dataclass

    import temporalio.api.common.v1
    import temporalio.api.failure.v1
    import temporalio.converter

    from ._command_aware_visitor import CommandInfo
    from ._interceptor import WorkflowInboundInterceptor
else:
    import dataclasses

    from temporalio._lazy import dataclass

logger = logging.getLogger(__name__)


class _WorkflowLogicFlag(IntEnum):
    """Changes to the order of things that a run keeps for its life; they are noted in its history when first used."""

    RAISE_ON_CANCELLING_COMPLETED_ACTIVITY = 1
    PROCESS_WORKFLOW_ACTIVATION_JOBS_AS_SINGLE_BATCH = 2


# Of the flags that a worker may turn on or off; the first one is in force for every new piece of history.
_DEFAULT_ENABLED_WORKFLOW_LOGIC_FLAGS: frozenset[_WorkflowLogicFlag] = frozenset()


@dataclass(frozen=True)
class PatchActivationInput:
    """What a ``patch_activation_callback`` is asked: whether this workflow shall take this patch's new way."""

    workflow_info: temporalio.workflow.Info
    patch_id: str


@dataclass(frozen=True)
class WorkflowInstanceDetails:
    """What an instance is made from."""

    payload_converter_factory: Callable[[], temporalio.converter.PayloadConverter]
    failure_converter_class: type[temporalio.converter.FailureConverter]
    interceptor_classes: Sequence[type[WorkflowInboundInterceptor]]
    defn: temporalio.workflow._Definition
    info: temporalio.workflow.Info
    randomness_seed: int
    extern_functions: Mapping[str, Callable]
    disable_eager_activity_execution: bool
    worker_level_failure_exception_types: Sequence[type[BaseException]]
    patch_activation_callback: Callable[[PatchActivationInput], bool] | None
    last_completion_result: temporalio.api.common.v1.Payloads
    last_failure: temporalio.api.failure.v1.Failure | None
    default_workflow_logic_flags: frozenset[_WorkflowLogicFlag] = dataclasses.field(
        default_factory=lambda: _DEFAULT_ENABLED_WORKFLOW_LOGIC_FLAGS
    )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Most runs never look at it
            if name != "info" or "_make_info" not in self.__dict__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            self.__dict__["info"] = info = self.__dict__.pop("_make_info")()
            return info


class WorkflowInstance(ABC):
    """One run of a workflow in the cache of a worker."""

    @abstractmethod
    def activate(self, act: dict[str, Any]) -> dict[str, Any]:
        """Takes an activation, lets the workflow run until it can go no further, and returns the completion.

        Called on threads of the workflow task executor, one call at a time. The thread's running event loop is the workflow's
        meanwhile; afterwards it has none.
        """
        raise NotImplementedError

    @abstractmethod
    def get_serialization_context(
        self, command_info: Optional[CommandInfo]
    ) -> Optional[temporalio.converter.SerializationContext]:
        """What a payload belongs to: that of a command, or of the workflow itself."""
        raise NotImplementedError

    @abstractmethod
    def get_external_store_context(
        self, command_info: Optional[CommandInfo]
    ) -> temporalio.converter.StorageDriverStoreContext:
        """The same for payloads that are kept in an external store."""
        raise NotImplementedError

    @abstractmethod
    def get_info(self) -> temporalio.workflow.Info:
        """What is known of the run."""
        raise NotImplementedError

    def leave(self) -> bool:
        """Asked when the workflow has ended: true when nothing of it is left to unwind, and the run has let go of everything.

        False: it stays as it is, and is told later to leave the cache.
        """
        return False

    def get_thread_id(self) -> Optional[int]:
        """The thread that runs an activation right now."""
        return None


class WorkflowRunner(ABC):
    """Makes workflow instances for a worker."""

    @abstractmethod
    def prepare_workflow(self, defn: temporalio.workflow._Definition) -> None:
        """Called once for each workflow of a worker; raises when it cannot be run."""
        raise NotImplementedError

    @abstractmethod
    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Makes the instance for a run. Called on a thread of the workflow task executor."""
        raise NotImplementedError

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:
        """Tells the exceptions that the worker lets fail any workflow."""


class UnsandboxedWorkflowRunner(WorkflowRunner):
    """Runs workflow code as it is, without a sandbox."""

    def prepare_workflow(self, defn: temporalio.workflow._Definition) -> None:
        """Nothing to prepare."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Makes the instance for a run."""
        global _run_class
        if _run_class is None:
            from ._workflow_run import WorkflowRun

            _run_class = WorkflowRun
        made: WorkflowInstance = _run_class(det)
        return made


_run_class: Any = None  # which needs this module
