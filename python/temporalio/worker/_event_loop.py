"""The event loop that workflow code runs on.

It has no selector, no clock and no threads: callbacks run in the order in which they were scheduled, time stands still
within an activation, and a timer is a command whose answer comes from history. What a workflow must not do (threads,
sockets, executors) is left to ``asyncio.AbstractEventLoop``, whose methods raise ``NotImplementedError``.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import types
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, Optional

from temporalio._core import Turns
from temporalio.workflow import ReadOnlyContextError

logger = logging.getLogger("temporalio.worker")

_OWN_NAMES = sys.version_info >= (3, 11)


class WorkflowBeingEvictedError(BaseException):
    """Unwinds the coroutines of a run that leaves the cache. No ``except Exception`` stops it."""


WorkflowBeingEvictedError.__name__ = WorkflowBeingEvictedError.__qualname__ = "_WorkflowBeingEvictedError"


class _Handle(asyncio.Handle):
    """A callback that waits for its turn. C makes it."""

    __slots__ = ()


class WorkflowTimerHandle(asyncio.TimerHandle):
    """A timer; its command has been added by the time it exists."""

    def __init__(
        self,
        seq: int,
        when: float,
        callback: Callable[..., Any],
        args: Any,
        loop: asyncio.AbstractEventLoop,
        context: Optional[contextvars.Context],
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self.seq = seq

    def __repr__(self) -> str:
        return f"<WorkflowTimerHandle {self.seq} when={self.when()}>"


def _type_of_task_steps() -> Optional[type]:
    """The type of what a task in C gives to ``call_soon`` to go on; no task makes use of the handle."""
    seen: list[Any] = []

    class Seeing(asyncio.AbstractEventLoop):
        def get_debug(self) -> bool:
            return False

        def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
            seen.append(callback)

    async def nothing() -> None:
        pass

    coro = nothing()
    task = asyncio.Task(coro, loop=Seeing())  # type: ignore[abstract]
    # It is never run: where an import happens another task may be at work
    coro.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    # In Python it is a method like any other
    return None if isinstance(seen[0], types.MethodType) else type(seen[0])


Turns._prepare(_type_of_task_steps(), _Handle)


class WorkflowLoop(Turns, asyncio.AbstractEventLoop):  # type: ignore[misc]
    """See the module's description. The workflow instance is a subclass that turns timers into commands."""

    _exception_handler: Optional[Callable[..., Any]] = None

    # ------------------------------------------------------------------------------------------------------- for us

    @contextmanager
    def _as_read_only(self) -> Iterator[None]:
        before = self._read_only
        self._read_only = True
        try:
            yield
        finally:
            self._read_only = before

    def _refuse(self, action: str) -> NoReturn:
        """Called by _assert_not_read_only when it is, or when the run is leaving the cache."""
        if self._is_evicting:
            raise WorkflowBeingEvictedError("the workflow is leaving the cache")
        raise ReadOnlyContextError(f"While in read-only function, action attempted: {action}")

    def _evict_tasks(self) -> list[asyncio.Task[Any]]:
        """Unwinds every coroutine. Returns the tasks that would not end."""
        self._is_evicting = True
        self._conditions = []
        self._timers = {}
        for _ in range(16):
            for task in list(self._tasks):
                self._unwind(task)
            self._run_what_is_left()
            if not self._tasks:
                break
        return list(self._tasks)

    def _run_what_is_left(self) -> None:
        """Runs callbacks until there are none. What one raises concerns nobody any more."""
        while True:
            try:
                return self._run_until_idle(check_conditions=False)
            except (Exception, WorkflowBeingEvictedError):
                # Such as asyncio.TaskGroup, from Python 3.13 on, when a task of a group that has been unwound ends
                pass

    def _unwind(self, task: asyncio.Task[Any]) -> None:
        waiter = task._fut_waiter  # type: ignore[attr-defined]
        if waiter is None or waiter.done():
            return
        if isinstance(waiter, asyncio.Task):
            # It ends by itself when what it waits for has; a task of another loop never does
            if waiter not in self._tasks:
                waiter.cancel()
            return
        waiter.set_exception(WorkflowBeingEvictedError("the workflow is leaving the cache"))

    def _timer_start(
        self, delay: float, callback: Callable[..., Any], args: Any, context: Optional[contextvars.Context]
    ) -> asyncio.TimerHandle:
        raise NotImplementedError

    def _timer_fired(self, seq: int) -> None:
        handle = self._timers.pop(seq, None)
        if handle is not None:
            self._push_handle(handle)

    # ------------------------------------------------------------------------------------- AbstractEventLoop's methods

    def set_debug(self, enabled: bool) -> None:
        pass

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def time(self) -> float:
        return self._time_ns / 1e9

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Optional[contextvars.Context] = None
    ) -> asyncio.TimerHandle:
        return self._timer_start(delay, callback, args, context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Optional[contextvars.Context] = None
    ) -> asyncio.TimerHandle:
        return self._timer_start(when - self.time(), callback, args, context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any] | Awaitable[Any],
        *,
        name: Optional[str] = None,
        context: Optional[contextvars.Context] = None,
        **kwargs: Any,
    ) -> asyncio.Task[Any]:
        self._assert_not_read_only("schedule task")
        if context is not None and _OWN_NAMES:
            kwargs["context"] = context
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, **kwargs)  # type: ignore[arg-type]
        self._track(task)
        return task

    def get_exception_handler(self) -> Optional[Callable[..., Any]]:
        return self._exception_handler

    def set_exception_handler(self, handler: Optional[Callable[..., Any]]) -> None:
        self._exception_handler = handler

    def default_exception_handler(self, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, WorkflowBeingEvictedError):
            return
        lines = [context.get("message") or "Unhandled exception in the workflow's event loop"]
        lines += [f"{key}: {context[key]!r}" for key in sorted(context) if key not in ("message", "exception")]
        exc_info = (type(error), error, error.__traceback__) if error is not None else None
        logger.error("\n".join(lines), exc_info=exc_info)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._is_evicting:
            return
        if self._exception_handler is None:
            self.default_exception_handler(context)
            return
        try:
            self._exception_handler(self, context)
        except Exception as err:
            self.default_exception_handler(
                {"message": "The exception handler itself failed", "exception": err, "context": context}
            )
