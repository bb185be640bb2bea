"""The runner that gives each run of a workflow modules of its own."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, Optional

import temporalio.workflow
from temporalio._lazy import instance

from .._workflow_instance import (
    UnsandboxedWorkflowRunner,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
)
from ._lookup import show_copies
from ._restrictions import SandboxRestrictions
from ._sandbox import ADVICE, MAIN, Sandbox, watch_imports

if TYPE_CHECKING:
    from dataclasses import dataclass

    import temporalio.converter

    from .._command_aware_visitor import CommandInfo
else:
    from temporalio._lazy import dataclass


@dataclass(frozen=True)
class SandboxedWorkflowRunner(WorkflowRunner):
    """Runs each workflow with its own copies of the modules it comes from.

    What one run changes in a module no other run sees, and what no replay could repeat is refused.
    """

    restrictions: SandboxRestrictions = SandboxRestrictions.default
    """What is passed through and what refused."""
    runner_class: type[WorkflowRunner] = UnsandboxedWorkflowRunner
    """Makes the instances inside."""
    _worker_level_failure_exception_types: Sequence[type[BaseException]] = field(default_factory=list, init=False)

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:
        """Tells the exceptions that the worker lets fail any workflow."""
        object.__setattr__(self, "_worker_level_failure_exception_types", types)

    def prepare_workflow(self, defn: temporalio.workflow._Definition) -> None:
        """Loads the workflow once, so that what is wrong with it shows before the worker runs."""
        if getattr(defn.cls, "__qualname__", "") != defn.cls.__name__ and "<locals>" in defn.cls.__qualname__:
            raise RuntimeError(f"Failed validating workflow {defn.name}: it is a local class, which no copy can have")
        show_copies()
        try:
            sandbox = Sandbox(self.restrictions)
            with sandbox.entered(is_runtime=False):
                if self._load_class(sandbox, defn.cls) is defn.cls:
                    watch_imports()
        except Exception as err:
            place = getattr(err, "_temporal_import", None) or _place(err)
            words = str(err)
            raise RuntimeError(
                f"Failed validating workflow {defn.name}: {type(err).__name__}: {words}"
                + (f" ({place})" if place and place not in words else "")
                + ". The sandbox loads the file of each workflow again for every run: it must not do at its top level "
                "what is not repeatable. `@workflow.defn(sandboxed=False)` does without a sandbox."
                + ("" if "imports_passed_through" in words else f" {ADVICE}")
            ) from err

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Makes the instance for a run."""
        sandbox = Sandbox(self.restrictions)
        with sandbox.entered(is_runtime=False):
            cls = self._load_class(sandbox, det.defn.cls)
            # Interceptors are the worker's, not the workflow's: they stay outside, with what they share with the worker
            inner = _replace(det, {"defn": self._definition(det.defn, cls)})
            instance = self.runner_class().create_instance(inner)
        return _SandboxedInstance(sandbox, instance)

    @staticmethod
    def _definition(outside: temporalio.workflow._Definition, cls: type) -> temporalio.workflow._Definition:
        if cls is outside.cls:
            return outside
        try:
            return outside.rebound(cls)
        except LookupError:
            return temporalio.workflow._Definition.must_from_class(cls)

    @staticmethod
    def _load_class(sandbox: Sandbox, cls: type) -> type:
        name = cls.__module__
        if name != "__main__" and sandbox.shared._passes_through(name):
            return cls
        module: Any = sandbox.load(name)
        if module.__name__ != (MAIN if name == "__main__" else name):
            return cls
        found: Any = module
        for part in cls.__qualname__.split("."):
            found = getattr(found, part, None)
            if found is None:
                # Made by something else than a class statement at the top level: it has no copy
                return cls
        return found  # type: ignore[no-any-return]


def default_runner() -> SandboxedWorkflowRunner:
    """``SandboxedWorkflowRunner()``, for default values: made while the class is not finished yet."""
    return instance(
        SandboxedWorkflowRunner,
        restrictions=SandboxRestrictions.default,
        runner_class=UnsandboxedWorkflowRunner,
        _worker_level_failure_exception_types=[],
    )


def _replace(det: WorkflowInstanceDetails, changes: dict[str, Any]) -> WorkflowInstanceDetails:
    copy = object.__new__(type(det))
    copy.__dict__.update(det.__dict__)
    copy.__dict__.update(changes)
    return copy


def _place(err: BaseException) -> Optional[str]:
    """At which innermost line outside of this package an error came up."""
    for frame in reversed(traceback.extract_tb(err.__traceback__)):
        if "temporalio/worker" not in frame.filename.replace("\\", "/") and not frame.filename.startswith("<"):
            return f"at {frame.filename}:{frame.lineno}"
    return None


class _SandboxedInstance(WorkflowInstance):
    """An instance whose activations run in the sandbox."""

    def __init__(self, sandbox: Sandbox, instance: WorkflowInstance) -> None:
        self._sandbox = sandbox
        self._instance = instance

    def activate(self, act: dict[str, Any]) -> dict[str, Any]:
        before = self._sandbox.enter(is_runtime=True)
        try:
            return self._instance.activate(act)
        finally:
            self._sandbox.leave(before)

    def get_serialization_context(
        self, command_info: Optional[CommandInfo]
    ) -> Optional[temporalio.converter.SerializationContext]:
        return self._instance.get_serialization_context(command_info)

    def get_external_store_context(
        self, command_info: Optional[CommandInfo]
    ) -> temporalio.converter.StorageDriverStoreContext:
        return self._instance.get_external_store_context(command_info)

    def get_info(self) -> temporalio.workflow.Info:
        return self._instance.get_info()

    def leave(self) -> bool:
        return self._instance.leave()

    def get_thread_id(self) -> Optional[int]:
        return self._instance.get_thread_id()
