"""Slots: how many tasks of each kind a worker takes at a time, and who decides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Optional, Protocol, TypeAlias, Union, runtime_checkable

from temporalio._values import duration_ns

if TYPE_CHECKING:
    from dataclasses import dataclass

    from temporalio.common import WorkerDeploymentVersion
else:
    from temporalio._lazy import dataclass

_DEFAULT_SLOTS = 100


@dataclass(frozen=True)
class FixedSizeSlotSupplier:
    """So many slots and no more."""

    num_slots: int


@dataclass(frozen=True)
class ResourceBasedTunerConfig:
    """How much of the machine a worker may use before it takes no more tasks. All its suppliers share one."""

    target_memory_usage: float
    """Between 0 and 1; 0.8 is a good value."""
    target_cpu_usage: float
    """Between 0 and 1; 0.9 is a good value."""


@dataclass(frozen=True)
class ResourceBasedSlotConfig:
    """Bounds for one kind of task of a worker that looks at the machine's load."""

    minimum_slots: int | None = None
    """Given out whatever the load: 5 for workflow tasks, 1 for others, when absent."""
    maximum_slots: int | None = None
    """Never more than these: 500 when absent."""
    ramp_throttle: timedelta | None = None
    """How long to look at the effect of one slot before giving out the next: 50 ms for activities, none for workflow
    tasks, when absent."""


@dataclass(frozen=True)
class ResourceBasedSlotSupplier:
    """As many slots as memory and CPU allow."""

    slot_config: ResourceBasedSlotConfig
    tuner_config: ResourceBasedTunerConfig


class SlotPermit:
    """The right to take one task. A supplier may subclass it to find its own data again."""


class SlotReserveContext(Protocol):
    """Who asks for a slot."""

    slot_type: Literal["workflow", "activity", "local-activity"]
    task_queue: str
    worker_identity: str
    worker_build_id: str
    worker_deployment_version: Optional[WorkerDeploymentVersion]
    is_sticky: bool


@runtime_checkable
class WorkflowSlotInfo(Protocol):
    """A slot used by a workflow task."""

    workflow_type: str
    is_sticky: bool


@runtime_checkable
class ActivitySlotInfo(Protocol):
    """A slot used by an activity."""

    activity_type: str


@runtime_checkable
class LocalActivitySlotInfo(Protocol):
    """A slot used by a local activity."""

    activity_type: str


@runtime_checkable
class NexusSlotInfo(Protocol):
    """A slot used by a Nexus operation."""

    service: str
    operation: str


SlotInfo: TypeAlias = Union[WorkflowSlotInfo, ActivitySlotInfo, LocalActivitySlotInfo, NexusSlotInfo]


@dataclass(frozen=True)
class SlotMarkUsedContext(Protocol):
    """A slot that has got its task."""

    slot_info: SlotInfo
    permit: SlotPermit


@dataclass(frozen=True)
class SlotReleaseContext:
    """A slot that is given back; without info when it was never used."""

    slot_info: SlotInfo | None
    permit: SlotPermit


class CustomSlotSupplier(ABC):
    """Decides about slots in Python.

    All but ``reserve_slot`` are called from threads of the worker and must return at once.
    """

    @abstractmethod
    async def reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit:
        """Waits until there is a slot. Cancelled when the worker shuts down."""

    @abstractmethod
    def try_reserve_slot(self, ctx: SlotReserveContext) -> Optional[SlotPermit]:
        """A slot, if there is one right now."""

    @abstractmethod
    def mark_slot_used(self, ctx: SlotMarkUsedContext) -> None:
        """A slot has got its task."""

    @abstractmethod
    def release_slot(self, ctx: SlotReleaseContext) -> None:
        """A slot is free again."""


SlotSupplier: TypeAlias = Union[FixedSizeSlotSupplier, ResourceBasedSlotSupplier, CustomSlotSupplier]


class WorkerTuner(ABC):
    """The slot suppliers of a worker."""

    @classmethod
    def create_resource_based(
        cls,
        *,
        target_memory_usage: float,
        target_cpu_usage: float,
        workflow_config: Optional[ResourceBasedSlotConfig] = None,
        activity_config: Optional[ResourceBasedSlotConfig] = None,
        local_activity_config: Optional[ResourceBasedSlotConfig] = None,
        nexus_config: Optional[ResourceBasedSlotConfig] = None,
    ) -> WorkerTuner:
        """A tuner that gives out slots while memory and CPU are below their targets (0 to 1)."""
        target = ResourceBasedTunerConfig(target_memory_usage, target_cpu_usage)
        configs = (workflow_config, activity_config, local_activity_config, nexus_config)
        return _CompositeTuner(*(ResourceBasedSlotSupplier(c or ResourceBasedSlotConfig(), target) for c in configs))

    @classmethod
    def create_fixed(
        cls,
        *,
        workflow_slots: Optional[int] = None,
        activity_slots: Optional[int] = None,
        local_activity_slots: Optional[int] = None,
        nexus_slots: Optional[int] = None,
    ) -> WorkerTuner:
        """A tuner with so many slots of each kind; a hundred where not given."""
        slots = (workflow_slots, activity_slots, local_activity_slots, nexus_slots)
        return _CompositeTuner(*(FixedSizeSlotSupplier(_DEFAULT_SLOTS if n is None else n) for n in slots))

    @classmethod
    def create_composite(
        cls,
        *,
        workflow_supplier: SlotSupplier,
        activity_supplier: SlotSupplier,
        local_activity_supplier: SlotSupplier,
        nexus_supplier: SlotSupplier,
    ) -> WorkerTuner:
        """A tuner with a supplier of its own for each kind of task."""
        return _CompositeTuner(workflow_supplier, activity_supplier, local_activity_supplier, nexus_supplier)

    @abstractmethod
    def _get_workflow_task_slot_supplier(self) -> SlotSupplier: ...

    @abstractmethod
    def _get_activity_task_slot_supplier(self) -> SlotSupplier: ...

    @abstractmethod
    def _get_local_activity_task_slot_supplier(self) -> SlotSupplier: ...

    @abstractmethod
    def _get_nexus_slot_supplier(self) -> SlotSupplier: ...

    def _activities_max(self) -> Optional[int]:
        """The most activities that can run at once, when that is known beforehand."""
        return _slots_max(self._get_activity_task_slot_supplier())

    def _nexus_max(self) -> Optional[int]:
        """The same of Nexus tasks."""
        return _slots_max(self._get_nexus_slot_supplier())


@dataclass
class _CompositeTuner(WorkerTuner):
    workflow_slot_supplier: SlotSupplier
    activity_slot_supplier: SlotSupplier
    local_activity_slot_supplier: SlotSupplier
    nexus_slot_supplier: SlotSupplier

    def __post_init__(self) -> None:
        configs = {
            (s.tuner_config.target_memory_usage, s.tuner_config.target_cpu_usage)
            for s in (
                self.workflow_slot_supplier,
                self.activity_slot_supplier,
                self.local_activity_slot_supplier,
                self.nexus_slot_supplier,
            )
            if isinstance(s, ResourceBasedSlotSupplier)
        }
        if len(configs) > 1:
            raise ValueError("all resource-based slot suppliers of a worker need the same ResourceBasedTunerConfig")

    def _get_workflow_task_slot_supplier(self) -> SlotSupplier:
        return self.workflow_slot_supplier

    def _get_activity_task_slot_supplier(self) -> SlotSupplier:
        return self.activity_slot_supplier

    def _get_local_activity_task_slot_supplier(self) -> SlotSupplier:
        return self.local_activity_slot_supplier

    def _get_nexus_slot_supplier(self) -> SlotSupplier:
        return self.nexus_slot_supplier


def _slots_max(supplier: SlotSupplier) -> Optional[int]:
    if isinstance(supplier, FixedSizeSlotSupplier):
        return supplier.num_slots
    if isinstance(supplier, ResourceBasedSlotSupplier):
        return supplier.slot_config.maximum_slots or 500
    return None


def slot_supplier_message(supplier: SlotSupplier, kind: str, custom_id: int) -> dict[str, Any]:
    """The SlotSupplier message of WorkerOptions; ``custom_id`` names a custom one in callbacks."""
    if isinstance(supplier, FixedSizeSlotSupplier):
        if supplier.num_slots < 1:
            raise ValueError(f"a slot supplier needs at least one slot, not {supplier.num_slots}")
        return {"fixed_size": supplier.num_slots}
    if isinstance(supplier, ResourceBasedSlotSupplier):
        config, target = supplier.slot_config, supplier.tuner_config
        is_workflow = kind == "workflow"
        throttle = config.ramp_throttle
        if throttle is None:
            throttle = timedelta() if is_workflow else timedelta(milliseconds=50)
        return {
            "resource_based": {
                "minimum_slots": config.minimum_slots or (5 if is_workflow else 1),
                "maximum_slots": config.maximum_slots or 500,
                "ramp_throttle": duration_ns(throttle),
                "target_memory_usage": target.target_memory_usage,
                "target_cpu_usage": target.target_cpu_usage,
            }
        }
    if isinstance(supplier, CustomSlotSupplier):
        return {"custom_id": custom_id}
    raise TypeError(f"{supplier!r} is no slot supplier")
