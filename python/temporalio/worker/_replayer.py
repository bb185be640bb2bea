"""The replayer: runs workflow code against histories, to find out whether it still does what it did."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Optional

import temporalio.common
import temporalio.converter
import temporalio.workflow
from temporalio import _core

from ._interceptor import Interceptor
from ._options import load_default_build_id
from ._plugin import Plugin
from ._worker import _sdk_version, runner_for_debugging, settle
from ._workflow import WorkflowWorker
from ._workflow_instance import UnsandboxedWorkflowRunner, WorkflowRunner, _WorkflowLogicFlag
from .workflow_sandbox._runner import default_runner

if TYPE_CHECKING:
    from dataclasses import dataclass

    import temporalio.runtime
    import temporalio.worker
    from temporalio.client import WorkflowHistory

    from ._configs import ReplayerConfig
else:
    from temporalio._lazy import dataclass

# RemovalReason of perdure.core.v1
_NONDETERMINISM, _TASK_FAILED, _SDK_FAILURE, _PAGINATION = 3, 4, 5, 10
_FAILED = {
    _NONDETERMINISM: "Non-determinism",
    _TASK_FAILED: "Workflow task failure",
    _SDK_FAILURE: "Completion refused",
    _PAGINATION: "Incomplete history",
}


@dataclass(frozen=True)
class WorkflowReplayResult:
    """How the replay of one history went."""

    history: WorkflowHistory
    replay_failure: Exception | None
    """Why it failed: a ``NondeterminismError`` where code and history differ, another error where the code raised."""


@dataclass(frozen=True)
class WorkflowReplayResults:
    """How the replay of many histories went."""

    replay_failures: Mapping[str, Exception]
    """The failures by run id."""


class Replayer:
    """Replays histories of workflows. No server is involved, and nothing a workflow asks for is done."""

    def __init__(
        self,
        *,
        workflows: Sequence[type],
        workflow_task_executor: Optional[concurrent.futures.ThreadPoolExecutor] = None,
        workflow_runner: WorkflowRunner = default_runner(),
        unsandboxed_workflow_runner: WorkflowRunner = UnsandboxedWorkflowRunner(),
        namespace: str = "ReplayNamespace",
        data_converter: temporalio.converter.DataConverter = temporalio.converter.DataConverter.default,
        interceptors: Sequence[Interceptor] = [],
        plugins: Sequence[Plugin] = [],
        build_id: Optional[str] = None,
        identity: Optional[str] = None,
        workflow_failure_exception_types: Sequence[type[BaseException]] = [],
        debug_mode: bool = False,
        runtime: Optional[temporalio.runtime.Runtime] = None,
        disable_safe_workflow_eviction: bool = False,
        header_codec_behavior: temporalio.common.HeaderCodecBehavior = temporalio.common.HeaderCodecBehavior.NO_CODEC,
    ) -> None:
        """Makes a replayer; the options mean what they mean to a :class:`Worker`."""
        config: ReplayerConfig = {
            "workflows": workflows,
            "workflow_task_executor": workflow_task_executor,
            "workflow_runner": workflow_runner,
            "unsandboxed_workflow_runner": unsandboxed_workflow_runner,
            "namespace": namespace,
            "data_converter": data_converter,
            "interceptors": interceptors,
            "build_id": build_id,
            "identity": identity,
            "workflow_failure_exception_types": workflow_failure_exception_types,
            "debug_mode": debug_mode,
            "runtime": runtime,
            "disable_safe_workflow_eviction": disable_safe_workflow_eviction,
            "header_codec_behavior": header_codec_behavior,
        }
        self._initial_config = config.copy()
        self.plugins = plugins
        for plugin in plugins:
            config = plugin.configure_replayer(config)
        self._config = config
        self._flags: dict[_WorkflowLogicFlag, bool] = {}
        if not config.get("workflows"):
            raise ValueError("A replayer needs the workflows that the histories are of: workflows is empty")

    def config(self, *, active_config: bool = False) -> temporalio.worker.ReplayerConfig:
        """What this replayer was made with, as a new dictionary.

        Args:
            active_config: Whether to give what the plugins made of it, rather than what the caller gave.
        """
        return (self._config if active_config else self._initial_config).copy()

    def _set_default_workflow_logic_flag(self, flag: _WorkflowLogicFlag, *, enabled: bool) -> None:
        self._flags[flag] = enabled

    async def replay_workflow(
        self, history: WorkflowHistory, *, raise_on_replay_failure: bool = True
    ) -> WorkflowReplayResult:
        """Replays one history.

        Args:
            history: The history.
            raise_on_replay_failure: Whether to raise the failure instead of returning it.
        """

        async def histories() -> AsyncIterator[WorkflowHistory]:
            yield history

        async with self.workflow_replay_iterator(histories()) as results:
            async for result in results:
                if raise_on_replay_failure and result.replay_failure is not None:
                    raise result.replay_failure
                return result
        raise RuntimeError("No histories")

    async def replay_workflows(
        self, histories: AsyncIterator[WorkflowHistory], *, raise_on_replay_failure: bool = True
    ) -> WorkflowReplayResults:
        """Replays many histories.

        Args:
            histories: The histories.
            raise_on_replay_failure: Whether to raise the first failure instead of going on.
        """
        failures: dict[str, Exception] = {}
        async with self.workflow_replay_iterator(histories) as results:
            async for result in results:
                if result.replay_failure is not None:
                    if raise_on_replay_failure:
                        raise result.replay_failure
                    failures[result.history.run_id] = result.replay_failure
        return WorkflowReplayResults(replay_failures=failures)

    def workflow_replay_iterator(
        self, histories: AsyncIterator[WorkflowHistory]
    ) -> AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]]:
        """Replays histories one by one, each when its result is asked for."""

        def replay(
            replayer: Replayer, histories: AsyncIterator[WorkflowHistory]
        ) -> AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]]:
            return replayer._workflow_replay_iterator(histories)

        next: Callable[
            [Replayer, AsyncIterator[WorkflowHistory]],
            AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]],
        ] = replay
        for plugin in reversed(self.plugins):
            next = _with_plugin(plugin, next)
        return next(self, histories)

    @contextlib.asynccontextmanager
    async def _workflow_replay_iterator(
        self, histories: AsyncIterator[WorkflowHistory]
    ) -> AsyncIterator[AsyncIterator[WorkflowReplayResult]]:
        session = _Session(self._config, self._flags)
        try:
            yield session.results(histories)
        finally:
            await session.close()


def _with_plugin(plugin: Plugin, next: Any) -> Any:
    return lambda replayer, histories: plugin.run_replayer(replayer, histories, next)


class _Session:
    """One replayer of C and the workflow worker around it."""

    def __init__(self, config: ReplayerConfig, flags: Mapping[_WorkflowLogicFlag, bool]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._fatal: Optional[BaseException] = None
        task_queue = "replay"
        self._workflows = WorkflowWorker(
            namespace=config["namespace"],
            task_queue=task_queue,
            workflows=config["workflows"],
            workflow_task_executor=config["workflow_task_executor"],
            max_concurrent_workflow_tasks=5,
            workflow_runner=runner_for_debugging(config["workflow_runner"], config["debug_mode"]),
            unsandboxed_workflow_runner=config["unsandboxed_workflow_runner"],
            data_converter=config["data_converter"],
            interceptors=config["interceptors"],
            workflow_failure_exception_types=config["workflow_failure_exception_types"],
            debug_mode=config["debug_mode"],
            disable_eager_activity_execution=False,
            metric_meter=lambda: temporalio.common.MetricMeter.noop,
            patch_activation_callback=None,
            disable_safe_eviction=config["disable_safe_workflow_eviction"],
            should_enforce_versioning_behavior=False,
            assert_local_activity_valid=lambda name: None,
            encode_headers=config["header_codec_behavior"] != temporalio.common.HeaderCodecBehavior.NO_CODEC,
            on_fatal=self._on_fatal,
            on_eviction=self._on_eviction,
        )
        for flag, enabled in flags.items():
            self._workflows.set_flag(flag, enabled)
        self._core = _core.Replayer(
            {
                "namespace": config["namespace"],
                "task_queue": task_queue,
                "identity": config["identity"] or "replayer",
                "build_id": config["build_id"] or load_default_build_id(),
                "max_cached_workflows": 1,
                "is_replayer": True,
                "sdk_name": "temporal-python",
                "sdk_version": _sdk_version(),
                "nondeterminism_as_workflow_fail": self._workflows.nondeterminism_as_workflow_fail(),
                "nondeterminism_as_workflow_fail_types": self._workflows.nondeterminism_as_workflow_fail_types(),
            }
        )
        self._workflows.start(self._core, self._loop)
        self._core.on_activation_waiting(self._workflows.activation_waiting)

    async def results(self, histories: AsyncIterator[WorkflowHistory]) -> AsyncIterator[WorkflowReplayResult]:
        async for history in histories:
            yield await self._replay(history)

    async def _replay(self, history: WorkflowHistory) -> WorkflowReplayResult:
        run_id = history.run_id
        ended: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._ended[run_id] = ended
        self._core.push_history(history.workflow_id, history._to_bytes())
        try:
            while not ended.done():
                await asyncio.wait([ended], timeout=1.0)
                if self._fatal is not None:
                    raise RuntimeError("the replayer failed") from self._fatal
        finally:
            self._ended.pop(run_id, None)
        return WorkflowReplayResult(history=history, replay_failure=_failure_of(ended.result()))

    def _on_eviction(self, run_id: str, job: dict[str, Any]) -> None:
        """On a pump's thread."""

        def end() -> None:
            ended = self._ended.get(run_id)
            if ended is not None and not ended.done():
                ended.set_result(job)

        self._loop.call_soon_threadsafe(end)

    def _on_fatal(self, err: BaseException) -> None:
        self._fatal = err

    async def close(self) -> None:
        self._core.close()
        stopped = self._loop.create_future()

        def stop() -> None:
            self._workflows.stop()
            self._loop.call_soon_threadsafe(settle, stopped)

        threading.Thread(target=stop, name="temporal_stop").start()
        await stopped


def _failure_of(job: Mapping[str, Any]) -> Optional[Exception]:
    reason = job.get("reason", 0)
    if reason not in _FAILED:
        return None
    message = job.get("message", "")
    if reason == _NONDETERMINISM:
        return temporalio.workflow.NondeterminismError(message)
    return RuntimeError(f"{_FAILED[reason]}: {message}")
