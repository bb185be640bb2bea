"""What a worker shares with the processes of a pool: events that cancel, and a way back for heartbeats."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    import multiprocessing.managers
    import queue

# (task token, details); None ends the reader
_Heartbeat = Optional[tuple[bytes, Sequence[Any]]]


class SharedHeartbeatSender(ABC):
    """Sends heartbeats from a pool's process to the worker. Instances are pickled."""

    @abstractmethod
    def send_heartbeat(self, task_token: bytes, *details: Any) -> None:
        """Sends one heartbeat; the details are pickled."""
        raise NotImplementedError


class SharedStateManager(ABC):
    """Gives a worker what it needs to run activities in a pool of processes."""

    @staticmethod
    def create_from_multiprocessing(
        mgr: multiprocessing.managers.SyncManager,
        queue_poller_executor: Optional[concurrent.futures.Executor] = None,
    ) -> SharedStateManager:
        """Makes one from a manager of the multiprocessing module.

        Args:
            mgr: The manager; it has to live as long as the workers that use this.
            queue_poller_executor: Has one thread to spare for reading heartbeats; its own when absent.
        """
        return _MultiprocessingStateManager(mgr, queue_poller_executor)

    @abstractmethod
    def new_event(self) -> threading.Event:
        """Makes an event that can be pickled to the processes."""
        raise NotImplementedError

    @abstractmethod
    async def register_heartbeater(self, task_token: bytes, heartbeat: Callable[..., None]) -> SharedHeartbeatSender:
        """Makes a sender whose heartbeats for this task reach ``heartbeat``.

        ``heartbeat`` may be called on any thread.
        """
        raise NotImplementedError

    @abstractmethod
    async def unregister_heartbeater(self, task_token: bytes) -> None:
        """Ends that; heartbeats already sent are delivered first."""
        raise NotImplementedError


class _MultiprocessingStateManager(SharedStateManager):
    """One queue for all heartbeats, read by one thread while any activity is registered."""

    def __init__(
        self,
        mgr: multiprocessing.managers.SyncManager,
        queue_poller_executor: Optional[concurrent.futures.Executor],
    ) -> None:
        self._mgr = mgr
        self._queue: queue.Queue[_Heartbeat] = mgr.Queue(1000)
        self._executor = queue_poller_executor
        self._own_executor: Optional[concurrent.futures.ThreadPoolExecutor] = None
        self._lock = threading.Lock()
        self._heartbeaters: dict[bytes, Callable[..., None]] = {}
        self._endings: dict[bytes, Callable[[], object]] = {}
        self._is_reading = False

    def new_event(self) -> threading.Event:
        return self._mgr.Event()

    async def register_heartbeater(self, task_token: bytes, heartbeat: Callable[..., None]) -> SharedHeartbeatSender:
        with self._lock:
            if task_token in self._heartbeaters:
                raise RuntimeError("this activity task has a heartbeater already")
            self._heartbeaters[task_token] = heartbeat
            if not self._is_reading:
                self._is_reading = True
                self._reader_executor().submit(self._read)
        return _MultiprocessingHeartbeatSender(self._queue)

    async def unregister_heartbeater(self, task_token: bytes) -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        with self._lock:
            if task_token not in self._heartbeaters:
                return
            self._endings[task_token] = lambda: loop.call_soon_threadsafe(_settle, done)
        # Behind the heartbeats of the activity, which has returned by now
        await loop.run_in_executor(None, self._queue.put, (task_token, _END))
        await done

    def _reader_executor(self) -> concurrent.futures.Executor:
        if self._executor is not None:
            return self._executor
        if self._own_executor is None:
            self._own_executor = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="temporal_heartbeats")
        return self._own_executor

    def _read(self) -> None:
        """Delivers heartbeats until no activity is registered. A broken manager ends it, and nothing arrives any more."""
        try:
            while True:
                item = self._queue.get()
                if item is None:
                    return
                token, details = item
                if details == _END:
                    if self._end(token):
                        return
                    continue
                heartbeat = self._heartbeaters.get(token)
                if heartbeat is not None:
                    heartbeat(*details)
        except (EOFError, OSError):
            with self._lock:
                self._is_reading = False
                endings, self._endings = list(self._endings.values()), {}
                self._heartbeaters.clear()
            for ending in endings:
                ending()

    def _end(self, token: bytes) -> bool:
        with self._lock:
            self._heartbeaters.pop(token, None)
            ending = self._endings.pop(token, None)
            is_last = not self._heartbeaters
            if is_last:
                self._is_reading = False
        if ending is not None:
            ending()
        return is_last


_END = "__temporal_end_of_heartbeats"


class _MultiprocessingHeartbeatSender(SharedHeartbeatSender):
    def __init__(self, heartbeats: queue.Queue[_Heartbeat]) -> None:
        self._queue = heartbeats

    def send_heartbeat(self, task_token: bytes, *details: Any) -> None:
        self._queue.put((task_token, details), True, 5)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
