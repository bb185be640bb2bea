"""The worker: one task queue, its workflows and activities, from start to shutdown."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import threading
import warnings
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Optional, cast

import temporalio.common
from temporalio import _core
from temporalio._values import duration_ns

from ._activity import ActivityWorker, unknown_activity
from ._failing import complain
from ._interceptor import Interceptor
from ._loop_watchdog import LoopWatchdog
from ._options import (
    PollerBehavior,
    PollerBehaviorSimpleMaximum,
    WorkerDeploymentConfig,
    load_default_build_id,
    poller_message,
)
from ._plugin import Plugin
from ._shared_state import SharedStateManager
from ._slots import CustomSlots
from ._tuning import WorkerTuner, slot_supplier_message
from ._workflow import WorkflowWorker, deadlock_limit
from ._workflow_instance import (
    PatchActivationInput,
    UnsandboxedWorkflowRunner,
    WorkflowRunner,
    _WorkflowLogicFlag,
)
from .workflow_sandbox import SandboxedWorkflowRunner
from .workflow_sandbox._runner import default_runner
from .workflow_sandbox._sandbox import DEBUGGERS

if TYPE_CHECKING:
    import temporalio.worker
    from temporalio.client import Client

    from ._configs import WorkerConfig

logger = logging.getLogger(__name__)

_PLUGIN_SHUTDOWN = timedelta(seconds=60)


class Worker:
    """Runs workflows and activities of one task queue.

    Use :meth:`run` and :meth:`shutdown`, or ``async with``.
    """

    def __init__(
        self,
        client: Client,
        *,
        task_queue: str,
        activities: Sequence[Callable] = [],
        nexus_service_handlers: Sequence[Any] = [],
        workflows: Sequence[type] = [],
        activity_executor: Optional[concurrent.futures.Executor] = None,
        workflow_task_executor: Optional[concurrent.futures.ThreadPoolExecutor] = None,
        nexus_task_executor: Optional[concurrent.futures.ThreadPoolExecutor] = None,
        workflow_runner: WorkflowRunner = default_runner(),
        unsandboxed_workflow_runner: WorkflowRunner = UnsandboxedWorkflowRunner(),
        plugins: Sequence[Plugin] = [],
        interceptors: Sequence[Interceptor] = [],
        build_id: Optional[str] = None,
        identity: Optional[str] = None,
        max_cached_workflows: int = 1000,
        max_concurrent_workflow_tasks: Optional[int] = None,
        max_concurrent_activities: Optional[int] = None,
        max_concurrent_local_activities: Optional[int] = None,
        max_concurrent_nexus_tasks: Optional[int] = None,
        tuner: Optional[WorkerTuner] = None,
        max_concurrent_workflow_task_polls: Optional[int] = None,
        nonsticky_to_sticky_poll_ratio: float = 0.2,
        max_concurrent_activity_task_polls: Optional[int] = None,
        no_remote_activities: bool = False,
        sticky_queue_schedule_to_start_timeout: timedelta = timedelta(seconds=10),
        max_heartbeat_throttle_interval: timedelta = timedelta(seconds=60),
        default_heartbeat_throttle_interval: timedelta = timedelta(seconds=30),
        max_activities_per_second: Optional[float] = None,
        max_task_queue_activities_per_second: Optional[float] = None,
        max_eager_activity_reservations_per_workflow_task: int = 3,
        graceful_shutdown_timeout: timedelta = timedelta(),
        plugin_shutdown_timeout: Optional[timedelta] = _PLUGIN_SHUTDOWN,
        workflow_failure_exception_types: Sequence[type[BaseException]] = [],
        shared_state_manager: Optional[SharedStateManager] = None,
        debug_mode: bool = False,
        disable_eager_activity_execution: bool = False,
        on_fatal_error: Optional[Callable[[BaseException], Awaitable[None]]] = None,
        use_worker_versioning: bool = False,
        disable_safe_workflow_eviction: bool = False,
        deployment_config: Optional[WorkerDeploymentConfig] = None,
        patch_activation_callback: Optional[Callable[[PatchActivationInput], bool]] = None,
        workflow_task_poller_behavior: PollerBehavior = PollerBehaviorSimpleMaximum(maximum=5),
        activity_task_poller_behavior: PollerBehavior = PollerBehaviorSimpleMaximum(maximum=5),
        nexus_task_poller_behavior: PollerBehavior = PollerBehaviorSimpleMaximum(maximum=5),
        disable_payload_error_limit: bool = False,
        max_workflow_task_external_storage_concurrency: int = 3,
    ) -> None:
        """Makes a worker; it does nothing until it is run.

        Args:
            client: The connection and namespace.
            task_queue: The task queue.
            activities: Functions, methods and objects decorated with ``activity.defn``.
            nexus_service_handlers: Instances of Nexus service handlers.
            workflows: Classes decorated with ``workflow.defn``.
            activity_executor: Runs activities that are not ``async def``: a thread pool, or a process pool with a
                ``shared_state_manager``. Needed when there are such activities; shut it down after the worker.
            workflow_task_executor: The threads workflow code runs on; an own pool when absent.
            nexus_task_executor: Runs Nexus operations that are not ``async def``.
            workflow_runner: Runs workflows, by default in the sandbox.
            unsandboxed_workflow_runner: Runs workflows defined with ``sandboxed=False``.
            plugins: Change the worker's options and take part in running it; after those of the client.
            interceptors: See calls to and from workflows and activities; after those of the client.
            build_id: Names the version of the worker's code; made from the loaded modules when absent.
            identity: Names the worker to the server; the client's when absent.
            max_cached_workflows: How many runs are kept in memory between their tasks. With none, each task replays the
                run's history.
            max_concurrent_workflow_tasks: How many workflow tasks run at once; 100 when absent.
            max_concurrent_activities: How many activities run at once; 100 when absent.
            max_concurrent_local_activities: How many local activities run at once; 100 when absent.
            max_concurrent_nexus_tasks: How many Nexus tasks run at once; 100 when absent.
            tuner: Decides about all four in place of the numbers.
            max_concurrent_workflow_task_polls: Deprecated, use ``workflow_task_poller_behavior``.
            nonsticky_to_sticky_poll_ratio: The share of workflow polls that look for runs that are not in the cache.
            max_concurrent_activity_task_polls: Deprecated, use ``activity_task_poller_behavior``.
            no_remote_activities: Run local activities alone.
            sticky_queue_schedule_to_start_timeout: How long a workflow task waits for the worker that has its run in
                memory.
            max_heartbeat_throttle_interval: The longest time between two heartbeats sent for an activity.
            default_heartbeat_throttle_interval: That time for an activity without a heartbeat timeout.
            max_activities_per_second: How many activities this worker starts a second.
            max_task_queue_activities_per_second: How many the server hands out a second to all workers of the queue.
            max_eager_activity_reservations_per_workflow_task: How many slots a workflow task keeps for activities that
                it starts on this worker at once.
            graceful_shutdown_timeout: How long running activities may go on after shutdown began, before they are
                cancelled.
            plugin_shutdown_timeout: How long to wait for plugins at the end; for ever when ``None``.
            workflow_failure_exception_types: Exceptions that fail any workflow of this worker instead of its task.
            shared_state_manager: Carries events and heartbeats to and from processes.
            debug_mode: Switches deadlock detection off and lets debuggers into the sandbox.
            disable_eager_activity_execution: Do not ask for activities to be started on this worker at once.
            on_fatal_error: Called with the error that is about to end the worker.
            use_worker_versioning: Deprecated, use ``deployment_config``.
            disable_safe_workflow_eviction: Do not unwind the coroutines of runs that leave the cache, but leave them to
                the garbage collector, on whatever thread that runs.
            deployment_config: The worker deployment version this worker is.
            patch_activation_callback: Asked when a workflow meets a patch for the first time; false makes it go the old
                way.
            workflow_task_poller_behavior: How many workflow polls there are.
            activity_task_poller_behavior: How many activity polls there are.
            nexus_task_poller_behavior: How many Nexus polls there are.
            disable_payload_error_limit: Send payloads that are larger than the server takes, which ends the workflow, rather
                than failing the workflow task, which leaves time to mend its code.
            max_workflow_task_external_storage_concurrency: How many external storage calls a workflow task makes at
                once.
        """
        given = dict(locals())
        del given["self"]
        config = cast("WorkerConfig", given)
        self._initial_config = config.copy()

        client_plugins: list[Plugin] = [p for p in client.config(active_config=True)["plugins"] if isinstance(p, Plugin)]
        for plugin in client_plugins:
            if type(plugin) in [type(p) for p in plugins]:
                warnings.warn(
                    f"The same plugin type {type(plugin)} is present on both the client and the worker; it acts twice"
                )
        self._plugins = [*client_plugins, *plugins]
        config["plugins"] = self._plugins
        for plugin in self._plugins:
            config = plugin.configure_worker(config)
        self._config = config
        self._init_from_config(client, config)

    def _init_from_config(self, client: Client, config: WorkerConfig) -> None:
        client = config["client"]
        self._process = os.getpid()
        self._started = False
        self._shut_down = False
        self._is_finished = False
        self._shutdown_begun: Optional[asyncio.Event] = None
        self._finished: Optional[asyncio.Event] = None
        self._fatal: Optional[asyncio.Future[None]] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._inner_task: Optional[asyncio.Task[Any]] = None
        self._run_task: Optional[asyncio.Task[None]] = None
        self._early_fatal: Optional[BaseException] = None
        if not (config["activities"] or config["nexus_service_handlers"] or config["workflows"]):
            raise ValueError("This worker would have nothing to do: give it workflows, activities or nexus_service_handlers")
        if config["max_eager_activity_reservations_per_workflow_task"] <= 0:
            raise ValueError(
                "max_eager_activity_reservations_per_workflow_task must be positive; "
                "use disable_eager_activity_execution=True to disable eager activity execution"
            )
        self._check_versioning(config)
        if config["nexus_service_handlers"]:
            warnings.warn("Nexus operations are not polled for by this worker, its nexus_service_handlers stay unused", stacklevel=3)
        interceptors: list[Interceptor] = [
            i for i in client.config(active_config=True)["interceptors"] if isinstance(i, Interceptor)
        ]
        interceptors += config["interceptors"]
        self._client = client
        self._interceptors = interceptors
        self._tuner = self._make_tuner(config)
        self._warn_of_small_executors(config)
        self._activity_worker = self._make_activity_worker(config)
        self._workflow_worker = self._make_workflow_worker(config)
        self._core = _core.Worker(client.service_client.worker_service_client.connection, self._options(config))
        self._custom_slots = CustomSlots(self._tuner)
        self._watchdog: Optional[LoopWatchdog] = None

    # ------------------------------------------------------------------------------------------------------ the options

    def _check_versioning(self, config: WorkerConfig) -> None:
        deployment = config["deployment_config"]
        if deployment is not None:
            if config["build_id"] is not None or config["use_worker_versioning"]:
                raise ValueError("deployment_config says it all: leave out build_id and use_worker_versioning, which it replaces")
            if not deployment.use_worker_versioning and deployment.default_versioning_behavior:
                raise ValueError("default_versioning_behavior must be UNSPECIFIED, since the deployment does not use_worker_versioning")
        elif config["use_worker_versioning"] and not config["build_id"]:
            raise ValueError("use_worker_versioning needs a build_id")

    def _make_tuner(self, config: WorkerConfig) -> WorkerTuner:
        counts = (
            config["max_concurrent_workflow_tasks"],
            config["max_concurrent_activities"],
            config["max_concurrent_local_activities"],
            config["max_concurrent_nexus_tasks"],
        )
        tuner = config["tuner"]
        if tuner is None:
            return WorkerTuner.create_fixed(
                workflow_slots=counts[0], activity_slots=counts[1], local_activity_slots=counts[2], nexus_slots=counts[3]
            )
        if any(count is not None for count in counts):
            raise ValueError(
                "Cannot specify how many tasks run at once (max_concurrent_workflow_tasks and the like) when also specifying tuner, "
                "which decides that"
            )
        return tuner

    def _warn_of_small_executors(self, config: WorkerConfig) -> None:
        for name, executor, count in (
            ("activities", config["activity_executor"], self._tuner._activities_max()),
            ("nexus_tasks", config["nexus_task_executor"], self._tuner._nexus_max()),
        ):
            if config["activities" if name == "activities" else "nexus_service_handlers"]:
                size = getattr(executor, "_max_workers", None)
                if isinstance(size, int) and count is not None and size < count:
                    kind = "activity_executor" if name == "activities" else "nexus_task_executor"
                    warnings.warn(
                        f"Worker max_concurrent_{name} is {count} but {kind}'s max_workers is only {size}",
                        stacklevel=4,
                    )

    def _make_activity_worker(self, config: WorkerConfig) -> Optional[ActivityWorker]:
        if not config["activities"]:
            return None
        return ActivityWorker(
            core=lambda: self._core,
            client=lambda: self._client,
            task_queue=config["task_queue"],
            activities=config["activities"],
            activity_executor=config["activity_executor"],
            shared_state_manager=config["shared_state_manager"],
            data_converter=self._client.data_converter,
            interceptors=self._interceptors,
            metric_meter=self._metric_meter,
            encode_headers=self._client.config(active_config=True)["header_codec_behavior"]
            == temporalio.common.HeaderCodecBehavior.CODEC,
            on_fatal=self._on_fatal,
        )

    def _make_workflow_worker(self, config: WorkerConfig) -> Optional[WorkflowWorker]:
        if not config["workflows"]:
            return None
        deployment = config["deployment_config"]
        behavior = self._client.config(active_config=True)["header_codec_behavior"]
        return WorkflowWorker(
            namespace=self._client.namespace,
            task_queue=config["task_queue"],
            workflows=config["workflows"],
            workflow_task_executor=config["workflow_task_executor"],
            max_concurrent_workflow_tasks=config["max_concurrent_workflow_tasks"],
            workflow_runner=runner_for_debugging(config["workflow_runner"], config["debug_mode"]),
            unsandboxed_workflow_runner=config["unsandboxed_workflow_runner"],
            data_converter=self._client.data_converter,
            interceptors=self._interceptors,
            workflow_failure_exception_types=config["workflow_failure_exception_types"],
            debug_mode=config["debug_mode"],
            disable_eager_activity_execution=config["disable_eager_activity_execution"],
            metric_meter=self._metric_meter,
            patch_activation_callback=config["patch_activation_callback"],
            disable_safe_eviction=config["disable_safe_workflow_eviction"],
            should_enforce_versioning_behavior=deployment is not None
            and deployment.use_worker_versioning
            and not deployment.default_versioning_behavior,
            assert_local_activity_valid=self._assert_local_activity_valid,
            encode_headers=behavior != temporalio.common.HeaderCodecBehavior.NO_CODEC,
            on_fatal=lambda err: self._on_fatal(_wrapped("Workflow worker failed", err)),
        )

    def _assert_local_activity_valid(self, name: str) -> None:
        """Raises for a local activity that nobody here could run; not a failure, so that it fails the task alone."""
        side = self._activity_worker
        if side is None or not side.has(name):
            raise ValueError(unknown_activity(name, side.names() if side is not None else ()).message)

    def _metric_meter(self) -> temporalio.common.MetricMeter:
        runtime = self._client.service_client.config.runtime
        if runtime is None:
            from temporalio.runtime import Runtime

            runtime = Runtime.default()
        return runtime.metric_meter

    def _options(self, config: WorkerConfig) -> dict[str, Any]:
        """The WorkerOptions message."""
        deployment = config["deployment_config"]
        workflow_pollers = config["workflow_task_poller_behavior"]
        if config["max_concurrent_workflow_task_polls"]:
            workflow_pollers = PollerBehaviorSimpleMaximum(config["max_concurrent_workflow_task_polls"])
        activity_pollers = config["activity_task_poller_behavior"]
        if config["max_concurrent_activity_task_polls"]:
            activity_pollers = PollerBehaviorSimpleMaximum(config["max_concurrent_activity_task_polls"])
        if config["max_cached_workflows"] < 0:
            raise ValueError("Invalid worker config: max_cached_workflows cannot be negative")
        if config["max_cached_workflows"] and workflow_pollers.maximum < 2:
            raise ValueError(
                "Invalid worker config: with max_cached_workflows above 0, workflow_task_poller_behavior needs two polls"
            )
        has_activities = bool(config["activities"])
        options: dict[str, Any] = {
            "namespace": self._client.namespace,
            "task_queue": config["task_queue"],
            "identity": config["identity"] or self._client.identity,
            "build_id": config["build_id"] or load_default_build_id(),
            "use_worker_versioning": config["use_worker_versioning"],
            "no_workflows": not config["workflows"],
            "no_remote_activities": not has_activities or config["no_remote_activities"],
            "no_local_activities": not has_activities or not config["workflows"],
            "max_cached_workflows": config["max_cached_workflows"],
            "workflow_slots": slot_supplier_message(self._tuner._get_workflow_task_slot_supplier(), "workflow", 1),
            "activity_slots": slot_supplier_message(self._tuner._get_activity_task_slot_supplier(), "activity", 2),
            "local_activity_slots": slot_supplier_message(
                self._tuner._get_local_activity_task_slot_supplier(), "local-activity", 3
            ),
            "workflow_pollers": poller_message(workflow_pollers, "workflow_task_poller_behavior"),
            "activity_pollers": poller_message(activity_pollers, "activity_task_poller_behavior"),
            "nonsticky_to_sticky_poll_ratio": config["nonsticky_to_sticky_poll_ratio"],
            "sticky_schedule_to_start_timeout": duration_ns(config["sticky_queue_schedule_to_start_timeout"]),
            "max_heartbeat_throttle_interval": duration_ns(config["max_heartbeat_throttle_interval"]),
            "default_heartbeat_throttle_interval": duration_ns(config["default_heartbeat_throttle_interval"]),
            "max_activities_per_second": config["max_activities_per_second"] or 0.0,
            "max_task_queue_activities_per_second": config["max_task_queue_activities_per_second"] or 0.0,
            "max_eager_activities": config["max_eager_activity_reservations_per_workflow_task"],
            "disable_eager_activities": config["disable_eager_activity_execution"] or not has_activities,
            "graceful_shutdown_period": duration_ns(config["graceful_shutdown_timeout"]),
            "checks_payload_size": not config["disable_payload_error_limit"],
            "sdk_name": "temporal-python",
            "sdk_version": _sdk_version(),
        }
        if deployment is not None:
            options["build_id"] = deployment.version.build_id
            options["deployment_name"] = deployment.version.deployment_name
            options["use_worker_versioning"] = deployment.use_worker_versioning
            options["default_versioning_behavior"] = int(deployment.default_versioning_behavior)
        if self._workflow_worker is not None:
            options["nondeterminism_as_workflow_fail"] = self._workflow_worker.nondeterminism_as_workflow_fail()
            options["nondeterminism_as_workflow_fail_types"] = (
                self._workflow_worker.nondeterminism_as_workflow_fail_types()
            )
        if options["no_workflows"] and options["no_remote_activities"] and not config["nexus_service_handlers"]:
            raise ValueError("Invalid worker config: it has neither workflows nor activities to poll for")
        return options

    def _set_default_workflow_logic_flag(self, flag: _WorkflowLogicFlag, *, enabled: bool) -> None:
        if self._workflow_worker is not None:
            self._workflow_worker.set_flag(flag, enabled)

    # -------------------------------------------------------------------------------------------------------- properties

    def config(self, *, active_config: bool = False) -> temporalio.worker.WorkerConfig:
        """What this worker was made with, as a new dictionary.

        Args:
            active_config: Whether to give what the plugins made of it, rather than what the caller gave.
        """
        return (self._config if active_config else self._initial_config).copy()

    @property
    def task_queue(self) -> str:
        """The task queue."""
        return self._config["task_queue"]

    @property
    def client(self) -> Client:
        """The client. Assign another one, of the same runtime and namespace, to make the worker use its connection."""
        return self._client

    @client.setter
    def client(self, value: Client) -> None:
        if value.service_client.config.runtime is not self._client.service_client.config.runtime:
            raise ValueError("New client is not on the same runtime as the existing client")
        if value.namespace != self._client.namespace:
            raise ValueError("New client is of another namespace than the existing client")
        self._core.replace_connection(value.service_client.worker_service_client.connection)
        is_offered = self.is_running and not self._shut_down
        self._offer_for_starts(False)
        self._client = value
        if is_offered:
            self._offer_for_starts(True)
        self._config["client"] = value
        self._initial_config["client"] = value

    @property
    def is_running(self) -> bool:
        """Whether the worker was started and has not finished shutting down."""
        return self._started and not self.is_shutdown

    @property
    def is_shutdown(self) -> bool:
        """Whether the worker ran and has finished shutting down."""
        return self._is_finished

    # ----------------------------------------------------------------------------------------------------------- running

    async def run(self) -> None:
        """Runs the worker until it is shut down, fails, or this call is cancelled, and shuts it down then.

        Raises:
            RuntimeError: It was started already, the server does not accept it, or it failed.
        """

        async def run_plain(worker: Worker) -> None:
            await worker._run()

        run: Callable[[Worker], Awaitable[None]] = run_plain
        for plugin in reversed(self._plugins):
            run = _with_plugin(plugin, run)
        await run(self)

    async def _run(self) -> None:
        if self._started:
            raise RuntimeError("Already started")
        if os.getpid() != self._process:
            raise AssertionError("Cannot use worker across forks: make it in the process that runs it")
        self._started = True
        self._offer_for_starts(not self._shut_down)
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._shutdown_begun = asyncio.Event()
        self._finished = asyncio.Event()
        if self._shut_down:
            self._shutdown_begun.set()
        self._fatal = loop.create_future()
        try:
            await self._validate(loop)
            if self._early_fatal is not None:
                raise self._early_fatal
            self._start(loop)
        except BaseException:
            self._offer_for_starts(False)
            await self._finish(loop)
            raise
        cancelled: Optional[asyncio.CancelledError] = None
        waiter = asyncio.ensure_future(self._shutdown_begun.wait())
        try:
            awaited: list[asyncio.Future[Any]] = [waiter, self._fatal]
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError as err:
            cancelled = err
        waiter.cancel()
        error = self._fatal.exception() if self._fatal.done() else None
        if error is not None:
            await self._report_fatal(error)
            if self._inner_task is not None and not self._shutdown_begun.is_set():
                self._inner_task.cancel()
        await self._stop(loop)
        if error is None and self._fatal.done():
            error = self._fatal.exception()
        if error is not None:
            raise error
        if cancelled is not None:
            raise cancelled

    async def _validate(self, loop: asyncio.AbstractEventLoop) -> None:
        from temporalio.service import _core_loop

        future: asyncio.Future[None] = loop.create_future()
        self._core.validate(_core_loop(), future)
        try:
            await future
        except _core.RPCFailure as err:
            raise RuntimeError(f"Worker validation failed: {err.args[1] if len(err.args) > 1 else err}") from err

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        from temporalio.service import _core_loop

        self._custom_slots.start(self._core, loop)
        self._core.on_fatal(lambda err: self._on_fatal(_wrapped("Worker failed: the server refuses it", err)))
        if self._activity_worker is not None:
            self._activities_ended = loop.create_future()
            self._activity_worker.start(loop)
            self._watchdog = LoopWatchdog(loop, self._while_loop_is_blocked)
            self._watchdog.start()
            self._core.on_activity_task(_core_loop(), self._on_activity_task)
        if self._workflow_worker is not None:
            self._workflow_worker.start(self._core, loop)
            self._core.on_activation_waiting(self._workflow_worker.activation_waiting)
        self._core.start()

    def _offer_for_starts(self, is_offered: bool) -> None:
        """Lets starts over the same connection hand their first task to this worker, or no longer."""
        workers = getattr(self._client.service_client.worker_service_client, "_workers", None)
        if workers is None or self._workflow_worker is None:
            return
        key = (self._client.namespace, self.task_queue)
        offered = [w for w in workers.get(key, ()) if w is not self._core] + ([self._core] if is_offered else [])
        if offered:
            workers[key] = offered
        else:
            workers.pop(key, None)

    def _on_activity_task(self, task: Any) -> None:
        """C's call for each activity task, ``None`` after the last. On the loop's thread, or the watchdog's."""
        if task is None:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(settle, self._activities_ended)
            return
        assert self._activity_worker is not None
        try:
            self._activity_worker.handle_task(task)
        except Exception as err:
            self._on_fatal(_wrapped("Activity worker failed", err))

    def _while_loop_is_blocked(self, current: Optional[asyncio.Task[Any]]) -> None:
        """Does what cannot wait for the loop. On the watchdog's thread."""
        assert self._activity_worker is not None
        self._core.hand_over_activity_tasks()
        self._activity_worker.keep_alive(current)

    def _on_fatal(self, err: BaseException) -> None:
        """Ends the worker with an error. Any thread."""
        loop = self._loop
        if loop is None:
            self._early_fatal = err
            return

        def fail() -> None:
            if self._fatal is not None and not self._fatal.done():
                self._fatal.set_exception(err)
                self._fatal.exception()

        try:
            loop.call_soon_threadsafe(fail)
        except RuntimeError:
            # The loop is gone, and so is everybody who could be told
            complain(logger, "The worker failed after its event loop was closed", exc_info=err)

    async def _report_fatal(self, error: BaseException) -> None:
        complain(logger, "Worker failed, shutting down", exc_info=(type(error), error, error.__traceback__))
        callback = self._config["on_fatal_error"]
        if callback is not None:
            try:
                await callback(error)
            except Exception:
                complain(logger, "The worker's on_fatal_error failed")

    async def _stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Shuts down whatever happens to this task meanwhile: a cancellation is passed on at the end."""
        logger.debug("Beginning worker shutdown")
        self._offer_for_starts(False)
        self._core.initiate_shutdown()
        if self._activity_worker is not None:
            self._activity_worker.notify_shutdown()
        await _to_the_end(loop.create_task(self._finish(loop)))

    async def _finish(self, loop: asyncio.AbstractEventLoop) -> None:
        from temporalio.service import _core_loop

        try:
            self._core.initiate_shutdown()
            if self._watchdog is not None and self._activity_worker is not None:
                await self._activities_ended
                await self._activity_worker.wait_all_completed()
            future: asyncio.Future[None] = loop.create_future()
            self._core.finalize_shutdown(_core_loop(), future)
            try:
                await future
            except Exception:
                complain(logger, "The worker could not be shut down properly")
            if self._workflow_worker is not None:
                stopped = loop.create_future()
                threading.Thread(
                    target=self._stop_workflows, args=(self._workflow_worker, loop, stopped), name="temporal_stop"
                ).start()
                await stopped
        finally:
            if self._watchdog is not None:
                self._watchdog.stop()
            self._custom_slots.stop()
            self._is_finished = True
            if self._finished is not None:
                self._finished.set()

    @staticmethod
    def _stop_workflows(workflows: WorkflowWorker, loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
        workflows.stop()
        loop.call_soon_threadsafe(settle, done)

    async def shutdown(self) -> None:
        """Shuts the worker down and waits for the end of it. May be called again, and before the worker is run."""
        self._shut_down = True
        if not self._started:
            return
        assert self._shutdown_begun is not None and self._finished is not None
        self._shutdown_begun.set()
        await self._finished.wait()

    async def __aenter__(self) -> Worker:
        """Starts the worker; a failure of it cancels the task that is in the block."""
        if self._inner_task is not None:
            raise RuntimeError("Already started")
        self._inner_task = asyncio.current_task()
        if self._inner_task is None:
            raise RuntimeError("a worker's async with needs a task")
        self._offer_for_starts(True)
        self._run_task = asyncio.create_task(self.run())
        self._run_task.add_done_callback(self._on_run_done)
        return self

    def _on_run_done(self, task: asyncio.Task[None]) -> None:
        """A worker that ends before its block does, cancels the block."""
        if self._shut_down or task.cancelled():
            return
        if task.exception() is not None and self._inner_task is not None:
            self._inner_task.cancel()

    async def __aexit__(self, exc_type: Optional[type[BaseException]], *args: Any) -> None:
        """Shuts the worker down and raises what failed it."""
        run_task = self._run_task
        if run_task is None:
            return
        self._offer_for_starts(False)
        self._inner_task = None
        timeout = self._config["plugin_shutdown_timeout"]
        if run_task.done() and not run_task.cancelled() and run_task.exception() is not None:
            # Unless the block raised something else than the cancellation that told of it
            if exc_type is None or exc_type is asyncio.CancelledError:
                error = run_task.exception()
                assert error is not None
                raise error
            return
        self._shut_down = True
        if self._shutdown_begun is not None:
            self._shutdown_begun.set()
        if self._finished is not None:
            await self._finished.wait()
        # What plugins do after the worker's own end has a limit of its own
        limit = None if timeout is None or not self._plugins else timeout.total_seconds()
        done, _ = await asyncio.wait([run_task], timeout=limit)
        if not done:
            run_task.cancel()
            logger.warning("A plugin did not end within plugin_shutdown_timeout and was cancelled")
            return
        if exc_type is None or exc_type is asyncio.CancelledError:
            if not run_task.cancelled() and run_task.exception() is not None:
                raise cast(BaseException, run_task.exception())


def settle(future: asyncio.Future[None]) -> None:
    """Sets a future that somebody may have cancelled."""
    if not future.done():
        future.set_result(None)


async def _to_the_end(task: asyncio.Task[None]) -> None:
    """Waits for a task; a cancellation of the waiter does not reach it, and is raised when it is done."""
    cancelled: Optional[asyncio.CancelledError] = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as err:
            if task.cancelled():
                raise
            cancelled = err
    task.result()
    if cancelled is not None:
        raise cancelled


def _with_plugin(
    plugin: Plugin, next: Callable[[Worker], Awaitable[None]]
) -> Callable[[Worker], Awaitable[None]]:
    return lambda worker: plugin.run_worker(worker, next)


def _wrapped(message: str, err: BaseException) -> BaseException:
    wrapped = RuntimeError(message)
    wrapped.__cause__ = err
    return wrapped


def _sdk_version() -> str:
    from temporalio.service import __version__

    return __version__


def runner_for_debugging(runner: WorkflowRunner, debug_mode: bool) -> WorkflowRunner:
    """The runner itself, or while somebody debugs one whose sandbox lets the debugger's modules in."""
    if deadlock_limit(debug_mode) is not None or not isinstance(runner, SandboxedWorkflowRunner):
        return runner
    import dataclasses

    return dataclasses.replace(runner, restrictions=runner.restrictions.with_passthrough_modules(*DEBUGGERS))
