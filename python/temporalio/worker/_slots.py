"""Between slot suppliers written in Python and C, which asks them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Literal, Optional

import temporalio.common

from ._failing import complain
from ._tuning import (
    CustomSlotSupplier,
    SlotMarkUsedContext,
    SlotPermit,
    SlotReleaseContext,
    WorkerTuner,
)

if TYPE_CHECKING:
    from temporalio import _core

logger = logging.getLogger("temporalio.worker")

# After a supplier raised, before it is asked again
_PAUSE_AFTER_ERROR = 1.0


class _ReserveContext:
    """A SlotReserveContext."""

    def __init__(self, kind: Literal["workflow", "activity", "local-activity"], message: dict[str, Any]) -> None:
        self.slot_type = kind
        self.task_queue: str = message.get("task_queue", "")
        self.worker_identity: str = message.get("worker_identity", "")
        self.worker_build_id: str = message.get("worker_build_id", "")
        version = message.get("worker_deployment_version")
        self.worker_deployment_version: Optional[temporalio.common.WorkerDeploymentVersion] = (
            temporalio.common.WorkerDeploymentVersion(
                deployment_name=version.get("deployment_name", ""), build_id=version.get("build_id", "")
            )
            if version
            else None
        )
        self.is_sticky: bool = message.get("is_sticky", False)


class _WorkflowSlot:
    def __init__(self, message: dict[str, Any]) -> None:
        self.workflow_type: str = message.get("workflow_type", "")
        self.is_sticky: bool = message.get("is_sticky", False)


class _ActivitySlot:
    def __init__(self, message: dict[str, Any]) -> None:
        self.activity_type: str = message.get("activity_type", "")


class _MarkUsedContext:
    """A SlotMarkUsedContext."""

    def __init__(self, slot_info: Any, permit: SlotPermit) -> None:
        self.slot_info = slot_info
        self.permit = permit


class CustomSlots:
    """Keeps the permits of a worker's custom suppliers.

    C names each slot by a number. ``callback`` runs on C's threads with the GIL, reservations on the event loop.
    """

    def __init__(self, tuner: WorkerTuner) -> None:
        kinds: tuple[tuple[int, Any, Any], ...] = (
            (1, "workflow", tuner._get_workflow_task_slot_supplier()),
            (2, "activity", tuner._get_activity_task_slot_supplier()),
            (3, "local-activity", tuner._get_local_activity_task_slot_supplier()),
        )
        self._suppliers = {i: (kind, s) for i, kind, s in kinds if isinstance(s, CustomSlotSupplier)}
        self._permits: dict[int, tuple[CustomSlotSupplier, SlotPermit]] = {}
        self._infos: dict[int, Any] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._core: Optional[_core.Worker] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._is_stopped = False

    def start(self, core: _core.Worker, loop: asyncio.AbstractEventLoop) -> None:
        """Before polling starts. On the event loop."""
        self._core = core
        self._loop = loop
        if self._suppliers:
            core.on_slots(self.callback)

    def stop(self) -> None:
        """After the worker has ended: C, which has no slot in use by now, may tell no more. On the event loop."""
        self._is_stopped = True
        for task in list(self._tasks.values()):
            task.cancel()
        for number in list(self._permits):
            try:
                self._release(number)
            except Exception:
                complain(logger, "A custom slot supplier failed")

    def callback(self, what: str, supplier_id: int, number: int, message: dict[str, Any]) -> bool:
        """What C asks or tells: ``reserve``, ``cancel``, ``try``, ``used`` or ``release``."""
        kind, supplier = self._suppliers[supplier_id]
        try:
            if what == "reserve":
                assert self._loop is not None
                context = _ReserveContext(kind, message)
                self._loop.call_soon_threadsafe(self._begin_reserve, supplier, context, number)
            elif what == "cancel":
                assert self._loop is not None
                self._loop.call_soon_threadsafe(self._cancel_reserve, number)
            elif what == "try":
                permit = supplier.try_reserve_slot(_ReserveContext(kind, message))
                if permit is None:
                    return False
                self._permits[number] = supplier, permit
            elif what == "used":
                info = _WorkflowSlot(message) if kind == "workflow" else _ActivitySlot(message)
                self._infos[number] = info
                context_used: Any = _MarkUsedContext(info, self._permits[number][1])
                supplier.mark_slot_used(context_used)
            else:
                self._release(number)
        except Exception:
            complain(logger, "A custom slot supplier failed")
            return False
        return True

    def _release(self, number: int) -> None:
        """Once per permit, whoever comes first."""
        held = self._permits.pop(number, None)
        info = self._infos.pop(number, None)
        if held is not None:
            supplier, permit = held
            supplier.release_slot(SlotReleaseContext(slot_info=info, permit=permit))

    def _begin_reserve(self, supplier: CustomSlotSupplier, context: Any, number: int) -> None:
        assert self._loop is not None
        task = self._loop.create_task(self._reserve(supplier, context, number))
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._tasks.pop(number, None))

    def _cancel_reserve(self, number: int) -> None:
        task = self._tasks.get(number)
        if task is not None:
            task.cancel()

    async def _reserve(self, supplier: CustomSlotSupplier, context: Any, number: int) -> None:
        assert self._core is not None
        while True:
            try:
                self._permits[number] = supplier, await supplier.reserve_slot(context)
                break
            except Exception:
                complain(logger, "A custom slot supplier failed")
                await asyncio.sleep(_PAUSE_AFTER_ERROR)
        if self._is_stopped:
            self._release(number)
        else:
            self._core.grant_slot(number)
