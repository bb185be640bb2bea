"""Finds workflow code that does not give its thread back.

One watchdog thread per worker looks at the threads that run activations. Three things tell a deadlock from a machine
that is merely busy:

* time is counted by the watchdog's own ticks, each at most half as long again as asked for, so that time in which the
  whole process got no CPU counts for nobody;
* a thread that stays at the very same instruction is blocked;
* a thread that moves has to have used the CPU for half of the limit, or to go on for four times the limit.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Optional

_TICK = 0.1


class Slot:
    """A thread that runs activations, as the watchdog sees it."""

    __slots__ = (
        "thread_id",
        "run_id",
        "number",
        "asked_number",
        "is_busy",
        "is_eviction",
        "is_abandoned",
        "was_interrupted",
        "on_finish",
        "seen_number",
        "charged",
        "cpu_start",
        "place",
        "place_since",
    )

    def __init__(self) -> None:
        self.thread_id = threading.get_ident()
        self.run_id = ""
        self.number = 0  # of the activation; tells one from the next
        self.asked_number = 0  # the activation it was at when C last asked for one more thread
        self.is_busy = False
        self.is_eviction = False
        self.is_abandoned = False  # answered by the watchdog
        self.was_interrupted = False
        self.on_finish: Optional[Callable[[], None]] = None
        self.seen_number = -1
        self.charged = 0.0
        self.cpu_start = 0.0
        self.place: Any = None
        self.place_since = 0.0

    def begin(self, run_id: str, *, is_eviction: bool = False) -> None:
        self.run_id = run_id
        self.is_eviction = is_eviction
        self.number += 1
        self.is_abandoned = False
        self.is_busy = True

    def end(self) -> None:
        self.is_busy = False


class Watchdog:
    """See the module's description.

    limit        seconds; None switches it off.
    on_deadlock  called on the watchdog's thread with the slot and the workflow's stack.
    on_tick      called on the watchdog's thread while any slot is busy.
    """

    def __init__(
        self,
        limit: Callable[[], Optional[float]],
        on_deadlock: Callable[[Slot, float, str], None],
        on_tick: Callable[[], None],
    ) -> None:
        self._limit = limit
        self._on_deadlock = on_deadlock
        self._on_tick = on_tick
        self._slots: dict[int, Slot] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread: Optional[threading.Thread] = None

    def add(self, slot: Slot) -> None:
        """A thread begins to run activations."""
        with self._lock:
            self._slots[slot.thread_id] = slot
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="temporal_workflow_watchdog", daemon=True)
                self._thread.start()
        self._wake.set()

    def remove(self, slot: Slot) -> None:
        """It ends."""
        with self._lock:
            self._slots.pop(slot.thread_id, None)

    def slots(self) -> list[Slot]:
        """The threads at work."""
        with self._lock:
            return list(self._slots.values())

    def stop(self) -> None:
        """Ends the watchdog and waits for its thread."""
        self._stopped.set()
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        before = time.monotonic()
        while not self._stopped.is_set():
            if self._slots:
                self._stopped.wait(_TICK)
            else:
                self._wake.wait()
                self._wake.clear()
            now = time.monotonic()
            elapsed, before = min(now - before, _TICK * 1.5), now
            is_busy = False
            for slot in self.slots():
                if slot.is_busy:
                    is_busy = True
                    self._look_at(slot, elapsed)
            if is_busy:
                self._on_tick()

    def _look_at(self, slot: Slot, elapsed: float) -> None:
        limit = self._limit()
        if limit is None or slot.is_abandoned:
            return
        if slot.seen_number != slot.number:
            slot.seen_number = slot.number
            slot.charged = 0.0
            slot.cpu_start = _cpu_seconds(slot.thread_id)
            slot.place = None
            return
        slot.charged += elapsed
        frame = sys._current_frames().get(slot.thread_id)
        if frame is None:
            return
        place = (id(frame), frame.f_lasti)
        if place != slot.place:
            slot.place, slot.place_since = place, slot.charged
        if slot.charged < limit:
            return
        is_blocked = slot.charged - slot.place_since >= limit / 2
        is_computing = _cpu_seconds(slot.thread_id) - slot.cpu_start >= limit / 2
        if is_blocked or is_computing or slot.charged >= 4 * limit:
            self._on_deadlock(slot, limit, "".join(traceback.format_stack(frame)))


def _cpu_seconds(thread_id: int) -> float:
    """CPU time of a thread of this process; 0 where the platform does not tell."""
    try:
        return time.clock_gettime(time.pthread_getcpuclockid(thread_id))
    except (AttributeError, OSError):
        return 0.0
