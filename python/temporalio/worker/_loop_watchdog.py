"""Reports an async activity that blocks the event loop: which one, for how long, and at which line.

A thread asks the loop for a sign of life; when none comes it looks at what the loop's thread is doing. Polls, heartbeats
and completions go on meanwhile on threads of C, and this thread does the loop's share in starting and cancelling plain
activities, but nothing else on the loop goes on: other async activities, the client.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Optional

from ._failing import complain

logger = logging.getLogger("temporalio.worker")

_INTERVAL = 0.25
_PATIENCE = 0.1  # after so long without an answer the loop's work is done here, as often
_DEFAULT_LIMIT = 1.0


class LoopWatchdog:
    """See the module's description. ``PERDURE_LOOP_BLOCKED_SECONDS`` sets when to report, 0 is never.

    while_blocked is called again and again on the watchdog's thread, with the task that blocks the loop if it is one.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, while_blocked: Callable[[Optional[asyncio.Task[Any]]], None] = lambda _: None
    ) -> None:
        self._loop = loop
        self._while_blocked = while_blocked
        self._loop_thread = threading.get_ident()
        self._limit = _limit()
        self._answered = threading.Event()
        self._stopped = threading.Event()
        self._thread: Optional[threading.Thread] = None

    def start(self) -> None:
        """Begins to watch. On the loop's thread."""
        self._thread = threading.Thread(target=self._run, name="temporal_loop_watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it without waiting: on the loop's thread, which its thread may be asking."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(_INTERVAL):
            self._answered.clear()
            asked = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:
                return  # the loop is closed
            report_at, reported = self._limit, False
            while not self._answered.wait(_PATIENCE):
                if self._stopped.is_set():
                    return
                try:
                    self._while_blocked(_current_task(self._loop))
                except Exception:
                    complain(logger, "What the blocked event loop left undone could not be done")
                seconds = time.monotonic() - asked
                if 0 < report_at <= seconds:
                    try:
                        self._report(seconds)
                    except Exception:
                        complain(logger, "A blocked event loop could not be reported")
                    # Again after twice as long, and so on
                    report_at, reported = seconds * 2, True
            if reported:
                took = time.monotonic() - asked
                complain(logger, "The event loop runs again after %.1f seconds", took, exc_info=None, level=logging.WARNING)

    def _report(self, seconds: float) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        if frame is None:
            return
        task = _current_task(self._loop)
        name = task.get_name() if task is not None else "a callback"
        stack = traceback.extract_stack(frame)
        place = _own_line(stack, task)
        logger.warning(
            "The event loop has been blocked for %.1f seconds by %s, at %s:%s in %s. An async activity must not block: "
            "await, or use a plain `def` activity with an activity_executor.\n%s",
            seconds,
            name,
            place.filename,
            place.lineno,
            place.name,
            "".join(traceback.format_list(stack)),
            extra={"temporal_blocked_task": name, "temporal_blocked_seconds": seconds},
        )


def _current_task(loop: asyncio.AbstractEventLoop) -> Optional[asyncio.Task[Any]]:
    try:
        return asyncio.current_task(loop)
    except RuntimeError:
        return None


def _own_line(stack: traceback.StackSummary, task: Optional[asyncio.Task[Any]]) -> traceback.FrameSummary:
    """The innermost line of the activity's own file: what it called is in the stack below."""
    coro: Any = task.get_coro() if task is not None else None
    files: set[str] = set()
    while coro is not None:
        code = getattr(coro, "cr_code", None)
        if code is not None and os.sep + "temporalio" + os.sep not in code.co_filename:
            files.add(code.co_filename)
        coro = getattr(coro, "cr_await", None)
    for entry in reversed(stack):
        if entry.filename in files:
            return entry
    own = os.sep + "temporalio" + os.sep
    outside = [e for e in stack if own not in e.filename and not _is_asyncio(e.filename)]
    return outside[-1] if outside else stack[-1]


def _is_asyncio(path: str) -> bool:
    return os.path.dirname(path) == os.path.dirname(asyncio.__file__)


def _limit() -> float:
    given = os.environ.get("PERDURE_LOOP_BLOCKED_SECONDS")
    if not given:
        return _DEFAULT_LIMIT
    try:
        return float(given)
    except ValueError:
        raise ValueError(f"PERDURE_LOOP_BLOCKED_SECONDS is {given!r}, expected seconds; 0 switches it off") from None
