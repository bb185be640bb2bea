"""``asyncio.wait`` and ``asyncio.as_completed`` in an order that is the same on every replay.

The standard ones keep their futures in sets, whose order follows addresses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any, Optional, TypeVar, overload

from temporalio.types import AnyType

_FT = TypeVar("_FT", bound="asyncio.Future[Any]")


@overload
async def wait(
    fs: Iterable[_FT], *, timeout: Optional[float] = None, return_when: str = asyncio.ALL_COMPLETED
) -> tuple[list[_FT], list[_FT]]: ...


@overload
async def wait(
    fs: Iterable[asyncio.Task[AnyType]], *, timeout: Optional[float] = None, return_when: str = asyncio.ALL_COMPLETED
) -> tuple[list[asyncio.Task[AnyType]], list[asyncio.Task[AnyType]]]: ...


async def wait(fs: Iterable, *, timeout: Optional[float] = None, return_when: str = asyncio.ALL_COMPLETED) -> tuple:
    """As ``asyncio.wait``, but with lists in place of sets: done and pending, both in the order given."""
    if asyncio.isfuture(fs) or asyncio.iscoroutine(fs):
        raise TypeError(f"expect a list of futures, not {type(fs).__name__}")
    ordered = list(dict.fromkeys(fs))
    if not ordered:
        raise ValueError("there is nothing to wait for")
    if any(asyncio.iscoroutine(f) for f in ordered):
        raise TypeError("coroutines cannot be waited for here: make tasks of them")
    if return_when not in (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED):
        raise ValueError(f"return_when has no value {return_when!r}")
    return await _wait(ordered, timeout, return_when, asyncio.get_running_loop())


def _release_waiter(waiter: asyncio.Future[Any], *_args: Any) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _wait(
    fs: Iterable[Any], timeout: Optional[float], return_when: str, loop: asyncio.AbstractEventLoop
) -> tuple[list, list]:
    ordered = list(fs)
    waiter = loop.create_future()
    remaining = sum(1 for f in ordered if not f.done())

    def is_enough(f: asyncio.Future[Any]) -> bool:
        return (
            remaining == 0
            or return_when == asyncio.FIRST_COMPLETED
            or (return_when == asyncio.FIRST_EXCEPTION and not f.cancelled() and f.exception() is not None)
        )

    def on_done(f: asyncio.Future[Any]) -> None:
        nonlocal remaining
        remaining -= 1
        if is_enough(f):
            _release_waiter(waiter)

    if remaining and not any(f.done() and is_enough(f) for f in ordered):
        timer = loop.call_later(timeout, _release_waiter, waiter) if timeout is not None else None
        waiting = [f for f in ordered if not f.done()]
        for f in waiting:
            f.add_done_callback(on_done)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()
            for f in waiting:
                f.remove_done_callback(on_done)
    return [f for f in ordered if f.done()], [f for f in ordered if not f.done()]


def as_completed(fs: Iterable[Awaitable[AnyType]], *, timeout: Optional[float] = None) -> Iterator[Awaitable[AnyType]]:
    """As ``asyncio.as_completed``, but the order in which ready futures come is that in which they were given."""
    if asyncio.isfuture(fs) or asyncio.iscoroutine(fs):
        raise TypeError(f"as_completed takes several futures at once, got one {type(fs).__name__}")
    loop = asyncio.get_running_loop()
    done: asyncio.Queue[Optional[asyncio.Future[AnyType]]] = asyncio.Queue()
    todo = list(dict.fromkeys(asyncio.ensure_future(f, loop=loop) for f in fs))
    timer: Optional[asyncio.TimerHandle] = None

    def on_done(f: asyncio.Future[AnyType]) -> None:
        if f in todo:
            todo.remove(f)
            done.put_nowait(f)
            if not todo and timer is not None:
                timer.cancel()

    def on_timeout() -> None:
        for f in todo:
            f.remove_done_callback(on_done)
            done.put_nowait(None)
        todo.clear()

    async def next_done() -> AnyType:
        f = await done.get()
        if f is None:
            raise asyncio.TimeoutError
        return f.result()

    count = len(todo)
    for f in list(todo):
        f.add_done_callback(on_done)
    if todo and timeout is not None:
        timer = loop.call_later(timeout, on_timeout)
    for _ in range(count):
        yield next_done()
