"""The workflow loop's turns, which are kept and run in C: what asyncio promises of call_soon holds for them too."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from typing import Any, Optional

import pytest

from temporalio.worker._event_loop import WorkflowLoop, WorkflowTimerHandle
from temporalio.workflow import ReadOnlyContextError

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")


class Loop(WorkflowLoop):
    """A workflow loop whose timers are there to be fired by hand."""

    def _timer_start(
        self, delay: float, callback: Any, args: Any, context: Optional[contextvars.Context]
    ) -> asyncio.TimerHandle:
        handle = WorkflowTimerHandle(1, delay, callback, args, self, context)
        self._timers[1] = handle
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass


def test_callbacks_run_in_order_with_their_arguments_and_those_they_add_follow() -> None:
    loop, seen = Loop(), []
    loop.call_soon(lambda: (seen.append("a"), loop.call_soon(seen.append, "d")))
    loop.call_soon(seen.append, "b")
    loop._soon(seen.append, "c")
    assert loop._turns_wait()
    loop._run_turns()
    assert seen == ["a", "b", "c", "d"] and not loop._turns_wait()


def test_many_wait_at_once_and_none_is_lost_when_some_have_run() -> None:
    loop, seen = Loop(), []
    for n in range(5):
        loop.call_soon(seen.append, n)
    loop._run_turns()
    for n in range(5, 1000):
        loop.call_soon(seen.append, n)
    loop._run_turns()
    assert seen == list(range(1000))


def test_a_handle_is_asyncios_and_what_it_cancels_does_not_run() -> None:
    loop, seen = Loop(), []
    handle = loop.call_soon(seen.append, "x")
    assert isinstance(handle, asyncio.Handle) and not handle.cancelled() and "append" in repr(handle)
    handle.cancel()
    assert handle.cancelled()
    loop.call_soon(seen.append, "y")
    loop._run_turns()
    assert seen == ["y"]


def test_a_timer_that_fired_runs_in_its_turn_unless_it_is_cancelled_first() -> None:
    loop, seen = Loop(), []
    loop.call_later(1, seen.append, "kept")
    loop._timer_fired(1)
    handle = loop.call_later(1, seen.append, "cancelled")
    loop._timer_fired(1)
    handle.cancel()
    loop._run_turns()
    assert seen == ["kept"]


def test_a_callback_runs_in_the_context_it_was_given_or_a_copy_of_the_one_in_force() -> None:
    loop, seen = Loop(), []
    other = contextvars.Context()
    other.run(variable.set, "other")
    token = variable.set("here")
    loop.call_soon(lambda: (seen.append(variable.get()), variable.set("changed")))
    loop.call_soon(lambda: seen.append(variable.get()), context=other)
    loop.call_soon(lambda: seen.append(variable.get()), context=None)
    loop._soon(lambda: seen.append(variable.get()))
    variable.reset(token)
    loop._run_turns()
    assert seen == ["here", "other", "here", "here"] and variable.get() == "none"


def test_what_a_callback_raises_is_passed_on_and_the_others_wait() -> None:
    loop, seen = Loop(), []

    def fails() -> None:
        raise LookupError("no")

    loop.call_soon(fails)
    loop.call_soon(seen.append, "next")
    with pytest.raises(LookupError):
        loop._run_turns()
    assert seen == [] and loop._turns_wait()
    loop._run_turns()
    assert seen == ["next"]


def test_while_it_is_read_only_nothing_is_scheduled_but_by_an_eviction() -> None:
    loop = Loop()
    with loop._as_read_only():
        with pytest.raises(ReadOnlyContextError):
            loop.call_soon(print)
        loop._is_evicting = True
        loop.call_soon(int)
    assert loop._is_evicting and not loop._read_only and loop._turns_wait()
    loop._run_turns()


def test_tasks_of_c_and_of_python_run_on_it() -> None:
    async def steps(seen: list[Any], name: str) -> str:
        for n in range(3):
            seen.append((name, n))
            await asyncio.sleep(0)
        return name

    for kind in (asyncio.Task, asyncio.tasks._PyTask):  # type: ignore[attr-defined]
        loop, seen = Loop(), []
        asyncio._set_running_loop(loop)
        try:
            tasks = [kind(steps(seen, name), loop=loop) for name in "ab"]
            loop._run_turns()
        finally:
            asyncio._set_running_loop(None)
        assert seen == [(name, n) for n in range(3) for name in "ab"]
        assert [task.result() for task in tasks] == ["a", "b"]


def test_a_loop_with_callbacks_that_hold_it_is_collected() -> None:
    loop = Loop()
    loop.call_soon(lambda here: None, loop)
    loop._soon(loop.time)
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("call", ["call_soon()", "call_soon(print, name=1)", "_soon()", "_push_handle(1)"])
def test_wrong_arguments_are_type_errors(call: str) -> None:
    loop = Loop()
    with pytest.raises(TypeError):
        eval(f"loop.{call}", {"loop": loop})
    assert not loop._turns_wait()
