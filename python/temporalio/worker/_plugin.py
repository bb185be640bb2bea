"""Plugins of workers and replayers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from temporalio.client import WorkflowHistory

    from ._configs import ReplayerConfig, WorkerConfig
    from ._replayer import Replayer, WorkflowReplayResult
    from ._worker import Worker


class Plugin(ABC):
    """Changes how workers and replayers are made and run. Those given first are asked first and wrap outermost."""

    def name(self) -> str:
        """What the plugin is called in messages."""
        return type(self).__module__ + "." + type(self).__qualname__

    @abstractmethod
    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """Returns the options a worker is to be made with, given those it would be made with."""

    @abstractmethod
    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:
        """Runs a worker: does its own work around ``await next(worker)``."""

    @abstractmethod
    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        """Returns the options a replayer is to be made with, given those it would be made with."""

    @abstractmethod
    def run_replayer(
        self,
        replayer: Replayer,
        histories: AsyncIterator[WorkflowHistory],
        next: Callable[
            [Replayer, AsyncIterator[WorkflowHistory]],
            AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]],
        ],
    ) -> AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]]:
        """Replays histories: does its own work around ``next(replayer, histories)``."""
