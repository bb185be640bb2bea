"""A plugin for clients, workers and replayers made of plain values."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias, TypeVar, cast

import temporalio.client
import temporalio.converter
import temporalio.worker
from temporalio.client import ClientConfig, WorkflowHistory
from temporalio.service import ConnectConfig, ServiceClient
from temporalio.worker import (
    Replayer,
    ReplayerConfig,
    Worker,
    WorkerConfig,
    WorkflowReplayResult,
    WorkflowRunner,
)

T = TypeVar("T")

PluginParameter: TypeAlias = None | T | Callable[[T | None], T]
"""What to set, or a function from what is set to what to set; None leaves it."""


class SimplePlugin(temporalio.client.Plugin, temporalio.worker.Plugin):
    """A plugin that adds to, or replaces, what clients, workers and replayers are made with.

    Lists are appended to what is there, other values replace it; a function is given what is there and says what shall be.

    Attributes:
        data_converter: For clients and replayers.
        interceptors: For clients, workers and replayers, each as far as it is one of their interceptors.
        activities: For workers.
        nexus_service_handlers: For workers.
        workflows: For workers and replayers.
        workflow_runner: For workers and replayers.
        workflow_failure_exception_types: For workers and replayers.
        run_context: Entered while a worker or replayer runs.
    """

    def __init__(
        self,
        name: str,
        *,
        data_converter: PluginParameter[temporalio.converter.DataConverter] = None,
        interceptors: Sequence[temporalio.client.Interceptor | temporalio.worker.Interceptor] | None = None,
        activities: PluginParameter[Sequence[Callable]] = None,
        nexus_service_handlers: PluginParameter[Sequence[Any]] = None,
        workflows: PluginParameter[Sequence[type]] = None,
        workflow_runner: PluginParameter[WorkflowRunner] = None,
        workflow_failure_exception_types: PluginParameter[Sequence[type[BaseException]]] = None,
        run_context: Callable[[], AbstractAsyncContextManager[None]] | None = None,
    ) -> None:
        """Makes a plugin; see the class for what each value does.

        Args:
            name: The plugin's name.
            data_converter: As there.
            interceptors: As there.
            activities: As there.
            nexus_service_handlers: As there.
            workflows: As there.
            workflow_runner: As there.
            workflow_failure_exception_types: As there.
            run_context: As there.
        """
        self._name = name
        self.data_converter = data_converter
        self.interceptors = interceptors
        self.activities = activities
        self.nexus_service_handlers = nexus_service_handlers
        self.workflows = workflows
        self.workflow_runner = workflow_runner
        self.workflow_failure_exception_types = workflow_failure_exception_types
        self.run_context = run_context

    def name(self) -> str:
        """The plugin's name."""
        return self._name

    def configure_client(self, config: ClientConfig) -> ClientConfig:
        """See base class."""
        converter = _resolve(config.get("data_converter"), self.data_converter)
        if converter is not None:
            config["data_converter"] = converter
        mine = [i for i in self.interceptors or () if isinstance(i, temporalio.client.Interceptor)]
        if mine:
            config["interceptors"] = [*config.get("interceptors", ()), *mine]
        return config

    async def connect_service_client(
        self,
        config: ConnectConfig,
        next: Callable[[ConnectConfig], Awaitable[ServiceClient]],
    ) -> ServiceClient:
        """See base class."""
        return await next(config)

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """See base class."""
        settings = cast(dict[str, Any], config)
        self._set_lists(settings, ("activities", "nexus_service_handlers"))
        self._configure_workflows(settings)
        # Those that are client interceptors too come to the worker through its client, which has this plugin as well.
        client = settings.get("client")
        present = client.config(active_config=True)["interceptors"] if client is not None else ()
        mine = [
            i
            for i in self.interceptors or ()
            if isinstance(i, temporalio.worker.Interceptor) and not any(i is p for p in present)
        ]
        if mine:
            settings["interceptors"] = [*(settings.get("interceptors") or ()), *mine]
        return config

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        """See base class."""
        settings = cast(dict[str, Any], config)
        converter = _resolve(settings.get("data_converter"), self.data_converter)
        if converter is not None:
            settings["data_converter"] = converter
        self._configure_workflows(settings)
        mine = [i for i in self.interceptors or () if isinstance(i, temporalio.worker.Interceptor)]
        if mine:
            settings["interceptors"] = [*(settings.get("interceptors") or ()), *mine]
        return config

    def _configure_workflows(self, settings: dict[str, Any]) -> None:
        self._set_lists(settings, ("workflows", "workflow_failure_exception_types"))
        runner = _resolve(settings.get("workflow_runner"), self.workflow_runner)
        if runner is not None:
            settings["workflow_runner"] = runner

    def _set_lists(self, settings: dict[str, Any], names: Sequence[str]) -> None:
        for name in names:
            value = _append(settings.get(name), getattr(self, name))
            if value is not None:
                settings[name] = value

    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:
        """See base class."""
        if self.run_context is None:
            await next(worker)
            return
        async with self.run_context():
            await next(worker)

    @asynccontextmanager
    async def run_replayer(
        self,
        replayer: Replayer,
        histories: AsyncIterator[WorkflowHistory],
        next: Callable[
            [Replayer, AsyncIterator[WorkflowHistory]],
            AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]],
        ],
    ) -> AsyncIterator[AsyncIterator[WorkflowReplayResult]]:
        """See base class."""
        if self.run_context is None:
            async with next(replayer, histories) as results:
                yield results
            return
        async with self.run_context():
            async with next(replayer, histories) as results:
                yield results


def _resolve(existing: T | None, parameter: PluginParameter[T]) -> T | None:
    """A value that replaces what is there, unless it is a function from that."""
    if parameter is None:
        return existing
    if callable(parameter) and not isinstance(parameter, type):
        return cast(Callable[[T | None], T], parameter)(existing)
    return cast(T, parameter)


def _append(existing: Sequence[T] | None, parameter: PluginParameter[Sequence[T]]) -> Sequence[T] | None:
    """A list that is appended to what is there, unless it is a function from that."""
    if parameter is None:
        return existing
    if callable(parameter):
        return cast(Callable[[Any], Sequence[T]], parameter)(existing)
    return [*(existing or ()), *parameter]
