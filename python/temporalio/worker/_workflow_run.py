"""One run of a workflow: the workflow's event loop, and what its code can ask for.

An activation's jobs are applied in groups (patches, then signals and updates, then the rest, then queries) and the loop
runs until idle after each group: that is in C (``_core.Turns.activate``). With the single-batch flag it runs once for all
of them. Both orders are part of what a history means, so neither may change.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Optional, Union

import temporalio.common
import temporalio.workflow
from temporalio.common import RawValue, _arg_unset
from temporalio.exceptions import FailureError, is_cancelled_exception
from temporalio.workflow import ContinueAsNewError, EventGroup, Info

from ._event_loop import WorkflowBeingEvictedError, WorkflowLoop, WorkflowTimerHandle
from ._interceptor import (
    ContinueAsNewInput,
    ExecuteWorkflowInput,
    WorkflowInboundInterceptor,
    WorkflowOutboundInterceptor,
)
from ._workflow_commands import RootOutbound
from ._workflow_handlers import Handlers, RootInbound
from ._workflow_handles import (
    ActivityHandleImpl,
    ChildWorkflowHandleImpl,
    ExternalWorkflowHandleImpl,
    NexusOperationHandleImpl,
    group_markers,
    uncancel,
)
from ._workflow_instance import (
    PatchActivationInput,
    WorkflowInstance,
    WorkflowInstanceDetails,
    logger,
)
from ._workflow_state import SINGLE_BATCH

if TYPE_CHECKING:
    import temporalio.converter

    from ._command_aware_visitor import CommandInfo

Message = dict[str, Any]

_PATCHES, _SIGNALS, _REST, _QUERIES = range(4)


class _Made:
    """A field that is made when somebody asks for it."""

    def __init__(self, make: Callable[[WorkflowRun], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, run: WorkflowRun, owner: Any = None) -> Any:
        made = self._make(run)
        setattr(run, self._name, made)
        return made


class WorkflowRun(Handlers):
    """See the module's description.

    Thread: one at a time, whichever of the executor's has the activation.
    """

    _is_made = False  # or its constructor has failed the workflow
    _inbound: Any = _Made(lambda run: RootInbound(run))
    _outbound: Any = _Made(lambda run: RootOutbound(run))

    def __init__(self, det: WorkflowInstanceDetails) -> None:
        super().__init__(det)
        self._init_conversion()
        setattr(self, "__temporal_workflow_runtime", self)  # as _Runtime.set_on_loop does
        if det.interceptor_classes:
            self._chain_interceptors(det.interceptor_classes)

    def _chain_interceptors(self, classes: Sequence[type[WorkflowInboundInterceptor]]) -> None:
        root = self._inbound
        outer_loop = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            for interceptor_class in reversed(list(classes)):
                self._inbound = interceptor_class(self._inbound)
            self._inbound.init(RootOutbound(self))
        finally:
            asyncio._set_running_loop(outer_loop)
        self._outbound = root._outbound  # type: ignore[attr-defined]

    # ------------------------------------------------------------------------------------------------------ activation

    def get_thread_id(self) -> Optional[int]:
        return self._thread_id or None

    def get_info(self) -> Info:
        return self._info

    def _note_flags(self, flags: Sequence[int]) -> None:
        """Those that history says are in force."""
        self._known_flags.update(flags)
        self._may_batch = self._may_batch or SINGLE_BATCH in self._known_flags

    def _fail_task(self, err: Exception, completion: Message) -> None:
        self._commands = []
        logger.warning(
            f"Failed activation on workflow {self._info.workflow_type} with ID {self._info.workflow_id} and run ID "
            f"{self._info.run_id}",
            exc_info=err,
            extra={
                "temporal_workflow": self._info._logger_details(),
                "__temporal_error_identifier": "WorkflowTaskFailure",
            },
        )
        try:
            completion["failure"] = self._to_failure(err)
        except Exception as inner:
            logger.exception("The exception of a failed activation could not be converted")
            completion["failure"] = {
                "message": f"Failed converting activation exception: {inner}",
                "application_failure_info": {"type": type(inner).__name__},
            }
        if isinstance(err, temporalio.workflow.NondeterminismError):
            completion["failure_cause"] = 24  # WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR

    def _run_as_single_batch(self, jobs: Sequence[Message]) -> bool:
        """Applies all jobs before anything runs, if this history wants it so."""
        if not self._is_single_batch():
            return False
        ordered = sorted(jobs, key=lambda job: _JOBS[next(iter(job))][0])
        self._ensure_object(jobs)
        for job in ordered:
            ((variant, value),) = job.items()
            _JOBS[variant][1](self, value)
        self._run_until_idle(check_conditions=not all("query_workflow" in job for job in jobs))
        return True

    def _ensure_object(self, jobs: Sequence[Message]) -> None:
        """Makes the workflow's object before the first handler or the run method sees it."""
        if self._is_made:
            return
        for job in jobs:
            if "initialize_workflow" in job:
                break
        else:
            raise RuntimeError("an activation came before the run was initialized")
        self._is_made = True
        contextvars.copy_context().run(self._make_object_or_fail, job["initialize_workflow"])

    def _make_object_or_fail(self, init: Message) -> None:
        try:
            self._make_object(init)
        except (Exception, ContinueAsNewError) as err:
            self._on_workflow_error(err)

    def _make_object(self, init: Message) -> None:
        defn = self._defn
        if init.get("memo"):
            self._memo = dict(init["memo"])
        if init.get("headers"):
            self._headers = self._read_headers(init["headers"])
        if defn.name is None:
            arg_types: Optional[list[Any]] = None
            payloads = init.get("arguments") or []
            self._args = [[RawValue(self._payload_proto(p)) for p in payloads]]
        else:
            arg_types = defn.arg_types
            self._args = self._decode_args(init.get("arguments") or (), arg_types)
        init.pop("arguments", None)  # which may be large, and the rest is kept for the run's Info
        if getattr(vars(defn.cls).get("__init__"), "__temporal_workflow_init", False):
            self._object = defn.cls(*self._args)
        else:
            self._object = defn.cls()
        if defn.dynamic_config_fn is not None:
            config = defn.dynamic_config_fn(self._object)
            if config.failure_exception_types is not None:
                self._config_failure_types = tuple(config.failure_exception_types)
            if config.versioning_behavior:
                self._versioning_behavior = int(config.versioning_behavior)

    # --------------------------------------------------------------------------------------------- jobs of the workflow

    def _apply_initialize_workflow(self, init: Message) -> None:
        if self._object is None:
            # Its constructor failed the workflow
            return
        self._run_task = self.create_task(self._run_workflow(), name="run")

    async def _run_workflow(self) -> None:
        defn, args = self._defn, self._args
        try:
            if self._details.interceptor_classes:
                input = ExecuteWorkflowInput(type=defn.cls, run_fn=defn.run_fn, args=args, headers=self._headers)
                result = await self._inbound.execute_workflow(input)
            else:
                result = await defn.run_fn(self._object, *args)
            self._add_command({"complete_workflow": {"result": self._encode_one(result)}})
        except WorkflowBeingEvictedError:
            raise
        except (Exception, asyncio.CancelledError, ContinueAsNewError) as err:
            self._on_workflow_error(err)

    def _apply_cancel_workflow(self, job: Message) -> None:
        self._cancel_requested = True
        self._cancel_reason = job.get("reason", "")
        if self._run_task is not None:
            # Behind its first step, so that a workflow cancelled before it began can still notice
            self.call_soon(self._run_task.cancel)

    def _apply_notify_has_patch(self, job: Message) -> None:
        self._patches_in_history.add(job["patch_id"])

    def _apply_update_random_seed(self, job: Message) -> None:
        self._seed = job.get("randomness_seed", 0)
        if self._random is not None:
            self._random.seed(self._seed)
        for callback in self._seed_callbacks:
            callback(self._seed)

    def _apply_fire_timer(self, job: Message) -> None:
        self._timer_fired(job["seq"])

    def _apply_resolve_activity(self, job: Message) -> None:
        handle = self._activities.pop(job["seq"], None)
        if handle is None:
            raise RuntimeError(f"no activity of this run has seq {job['seq']}")
        handle.resolve(job)

    def _apply_resolve_child_start(self, job: Message) -> None:
        handle = self._children.get(job["seq"])
        if handle is None:
            raise RuntimeError(f"no child of this run has seq {job['seq']}")
        if "run_id" not in job:
            del self._children[job["seq"]]
        handle.resolve_start(job)

    def _apply_resolve_child(self, job: Message) -> None:
        handle = self._children.pop(job["seq"], None)
        if handle is None:
            raise RuntimeError(f"no child of this run has seq {job['seq']}")
        handle.resolve(job)

    def _apply_resolve_signal_external(self, job: Message) -> None:
        future, converter = self._signals_out.pop(job["seq"], (None, None))
        self._settle(future, job.get("failure"), converter)

    def _apply_resolve_cancel_external(self, job: Message) -> None:
        self._settle(self._cancels_out.pop(job["seq"], None), job.get("failure"), None)

    def _settle(self, future: Optional[asyncio.Future[None]], failure: Optional[Message], converter: Any) -> None:
        if future is None or future.done():
            return
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(self._to_exception(failure, converter))

    def _apply_resolve_nexus_start(self, job: Message) -> None:
        handle = self._nexus_operations.get(job["seq"])
        if handle is None:
            raise RuntimeError(f"no Nexus operation of this run has seq {job['seq']}")
        if "failed" in job:
            del self._nexus_operations[job["seq"]]
        handle.resolve_start(job)

    def _apply_resolve_nexus(self, job: Message) -> None:
        handle = self._nexus_operations.pop(job["seq"], None)
        if handle is not None:
            handle.resolve(job)

    def _apply_remove_from_cache(self, job: Message) -> None:
        self._is_replaying = True  # nothing that happens from here on is news
        self._is_evicting = True
        left = self._evict_tasks() if self._tasks or self._turns_wait() else ()
        self._commands = []
        if left:
            names = ", ".join(task.get_name() for task in left)
            raise RuntimeError(f"these tasks did not end when the workflow left the cache: {names}")
        self._cut()

    def leave(self) -> bool:
        if self._tasks or self._turns_wait():
            return False
        self._is_evicting = True
        self._cut()
        return True

    def _cut(self) -> None:
        """The run is a knot of references; cut, it goes without waiting for the garbage collector."""
        self._object = self._run_task = None
        self._seed_callbacks = []
        self._conditions = []
        self._timers = {}
        self._outbound = self._inbound = None  # type: ignore[assignment]
        self._drop_handlers()
        temporalio.workflow._Runtime.set_on_loop(self, None)

    # ------------------------------------------------------------------------------------- exceptions from workflow code

    def _on_workflow_error(self, err: BaseException) -> None:
        if self._is_evicting:
            return
        if isinstance(err, ContinueAsNewErrorImpl):
            try:
                self._add_continue_as_new(err.input)
            except Exception as inner:
                self._on_workflow_error(inner)
        elif self._cancel_requested and is_cancelled_exception(err):
            self._add_command({"cancel_workflow_execution": {}})
        elif self.workflow_is_failure_exception(err):
            try:
                failure = self._to_failure(err)
            except ValueError as inner:
                self._task_error = self._task_error or inner
                return
            self._add_command({"fail_workflow": {"failure": failure}})
        elif self._task_error is None:
            self._task_error = err

    def workflow_is_failure_exception(self, err: BaseException) -> bool:
        own = self._config_failure_types
        if own is None:
            own = tuple(self._defn.failure_exception_types)
        return (
            isinstance(err, (FailureError, asyncio.TimeoutError, TimeoutError))
            or isinstance(err, own)
            or isinstance(err, tuple(self._details.worker_level_failure_exception_types))
        )

    # ---------------------------------------------------------------------------------------------------------- timers

    def _timer_start(
        self, delay: float, callback: Callable[..., Any], args: Any, context: Optional[contextvars.Context]
    ) -> asyncio.TimerHandle:
        summary, event_groups = _wait_options.get((None, None))
        return self._timer_command(delay, callback, args, context, summary, event_groups)

    def _timer_command(
        self,
        delay: float,
        callback: Callable[..., Any],
        args: Any,
        context: Optional[contextvars.Context],
        summary: Optional[str],
        event_groups: Optional[Sequence[EventGroup]],
    ) -> asyncio.TimerHandle:
        self._assert_not_read_only("schedule timer")
        if delay < 0:
            raise RuntimeError("a timer cannot be set to the past")
        seq = self._next_seq("timer")
        timer = {"seq": seq, "start_to_fire_timeout": round(delay * 1e9)}
        self._add_command({"start_timer": timer}, self._metadata(summary), group_markers(event_groups))
        handle = WorkflowTimerHandle(seq, self.time() + delay, callback, args, self, context)
        self._timers[seq] = handle
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Called by asyncio when a timer handle is cancelled."""
        assert isinstance(handle, WorkflowTimerHandle)
        if self._timers.pop(handle.seq, None) is not None and not self._is_evicting:
            self._add_command({"cancel_timer": {"seq": handle.seq}})

    async def workflow_sleep(
        self, duration: float, *, summary: Optional[str] = None, event_groups: Optional[Sequence[EventGroup]] = None
    ) -> None:
        future = self.create_future()
        handle = self._timer_command(duration, _set_if_waiting, (future,), None, summary, event_groups)
        try:
            await future
        finally:
            handle.cancel()

    async def workflow_wait_condition(
        self,
        fn: Callable[[], bool],
        *,
        timeout: Optional[float] = None,
        timeout_summary: Optional[str] = None,
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None:
        self._assert_not_read_only("wait condition")
        future = self.create_future()
        self._conditions.append((fn, future, contextvars.copy_context()))
        if timeout is None:
            await future
            return
        if timeout_summary is None and not event_groups:
            await asyncio.wait_for(future, timeout)
            return
        token = _wait_options.set((timeout_summary, event_groups))
        try:
            await asyncio.wait_for(future, timeout)
        finally:
            _wait_options.reset(token)

    # --------------------------------------------------------------------------------------------------------- patches

    def workflow_patch(
        self, id: str, *, deprecated: bool, event_groups: Optional[Sequence[EventGroup]] = None
    ) -> bool:
        self._assert_not_read_only("patch")
        use = self._patches.get(id)
        if use is not None:
            return use
        in_history = id in self._patches_in_history
        use = in_history or not self._is_replaying
        decide = self._details.patch_activation_callback
        if use and not in_history and not deprecated and decide is not None:
            with self._as_read_only():
                use = decide(PatchActivationInput(self._info, id))
            if not isinstance(use, bool):
                raise RuntimeError("Patch activation callback must return true or false")
        self._patches[id] = use
        if use:
            marker = {"patch_id": id, "deprecated": deprecated}
            self._add_command({"set_patch_marker": marker}, None, group_markers(event_groups))
        return use

    # ------------------------------------------------------------------------------------------------------ information

    @property
    def logger_details(self) -> Mapping[str, Any]:
        return self.workflow_info()._logger_details()

    def workflow_info(self) -> Info:
        return self._outbound.info()

    def workflow_instance(self) -> Any:
        return self._object

    def workflow_extern_functions(self) -> Mapping[str, Callable]:
        return self._details.extern_functions

    def workflow_cancellation_reason(self) -> Optional[str]:
        return self._cancel_reason

    def workflow_get_current_build_id(self) -> str:
        return (self._deployment_version or {}).get("build_id", "")

    def workflow_get_current_deployment_version(self) -> Optional[temporalio.common.WorkerDeploymentVersion]:
        version = self._deployment_version
        if not version:
            return None
        return temporalio.common.WorkerDeploymentVersion(
            deployment_name=version.get("deployment_name", ""), build_id=version.get("build_id", "")
        )

    def workflow_get_current_details(self) -> str:
        return self._current_details

    def workflow_set_current_details(self, details: str) -> None:
        self._assert_not_read_only("set current details")
        self._current_details = details

    def workflow_get_current_history_length(self) -> int:
        return self._activation.get("history_length", 0)

    def workflow_get_current_history_size(self) -> int:
        return self._activation.get("history_size_bytes", 0)

    def workflow_is_continue_as_new_suggested(self) -> bool:
        return self._activation.get("suggest_continue_as_new", False)

    def workflow_is_target_worker_deployment_version_changed(self) -> bool:
        return self._activation.get("target_deployment_version_changed", False)

    def workflow_is_read_only(self) -> bool:
        return self._read_only

    def workflow_is_replaying(self) -> bool:
        return self._is_replaying

    def workflow_is_replaying_history_events(self) -> bool:
        return self._is_replaying and not self._in_query

    def workflow_time_ns(self) -> int:
        return self._time_ns

    def workflow_random(self) -> random.Random:
        self._assert_not_read_only("random")
        if self._random is None:
            self._random = random.Random(self._seed)
        return self._random

    def workflow_random_seed(self) -> int:
        return self._seed

    def workflow_register_random_seed_callback(self, callback: Callable[[int], None]) -> None:
        self._assert_not_read_only("register random seed callback")
        self._seed_callbacks.append(callback)

    def workflow_has_last_completion_result(self) -> bool:
        return bool(self._last_result_payloads())

    def workflow_last_completion_result(self, type_hint: Optional[type]) -> Optional[Any]:
        payloads = self._last_result_payloads()
        if not payloads:
            return None
        return self._decode_one(payloads[0], type_hint, None)

    def workflow_last_failure(self) -> Optional[BaseException]:
        failure = self._details.last_failure
        if not failure:
            return None
        return self._to_exception(self._failure_message(failure), None)

    def workflow_metric_meter(self) -> temporalio.common.MetricMeter:
        if self._metric_meter is None:
            from ._replay_safe_metrics import ReplaySafeMetricMeter

            make = self._details.extern_functions["__temporal_get_metric_meter"]
            meter = make().with_additional_attributes(
                {
                    "namespace": self._info.namespace,
                    "task_queue": self._info.task_queue,
                    "workflow_type": self._info.workflow_type,
                }
            )
            self._metric_meter = ReplaySafeMetricMeter(meter)
        return self._metric_meter

    def workflow_payload_converter(self) -> temporalio.converter.PayloadConverter:
        return self._workflow_converter

    def workflow_continue_as_new(
        self,
        *args: Any,
        workflow: Optional[Union[Callable, str]],
        task_queue: Optional[str],
        run_timeout: Any,
        task_timeout: Any,
        backoff_start_interval: Any,
        retry_policy: Any,
        memo: Optional[Mapping[str, Any]],
        search_attributes: Any,
        versioning_intent: Any,
        initial_versioning_behavior: Any,
        event_groups: Optional[Sequence[EventGroup]],
    ) -> NoReturn:
        self._assert_not_read_only("continue as new")
        name: Optional[str] = None
        arg_types: Optional[list[type]] = None
        if isinstance(workflow, str):
            name = workflow
        elif workflow is not None:
            if not callable(workflow):
                raise TypeError("A workflow is named by a string or by its run method; None stands for the one that runs")
            defn = temporalio.workflow._Definition.must_from_run_fn(workflow)
            if defn.name is None:
                raise ValueError("Cannot invoke dynamic workflow explicitly")
            name, arg_types = defn.name, defn.arg_types
        self._outbound.continue_as_new(
            ContinueAsNewInput(
                workflow=name,
                args=args,
                task_queue=task_queue,
                run_timeout=run_timeout,
                task_timeout=task_timeout,
                backoff_start_interval=backoff_start_interval,
                retry_policy=retry_policy,
                memo=memo,
                search_attributes=search_attributes,
                headers={},
                versioning_intent=versioning_intent,
                initial_versioning_behavior=initial_versioning_behavior,
                event_groups=event_groups,
                arg_types=arg_types,
            )
        )
        raise RuntimeError("an interceptor's continue_as_new returned, which it must not")

    # ------------------------------------------------------------------------------------------------------------ memo

    def workflow_memo(self) -> Mapping[str, Any]:
        if self._memo_values is None:
            self._memo_values = {key: self._decode_one(value, None, None) for key, value in self._memo.items()}
        return self._memo_values

    def workflow_memo_value(self, key: str, default: Any, *, type_hint: Optional[type]) -> Any:
        payload = self._memo.get(key)
        if payload is None:
            if default is _arg_unset:
                raise KeyError(f"The memo has no key {key}")
            return default
        return self._decode_one(payload, type_hint, None)


# What an activation can ask for: the group it belongs to, and what applies it
_JOBS: dict[str, tuple[int, Callable[[WorkflowRun, Message], None]]] = {
    "notify_has_patch": (_PATCHES, WorkflowRun._apply_notify_has_patch),
    "update_random_seed": (_PATCHES, WorkflowRun._apply_update_random_seed),
    "signal_workflow": (_SIGNALS, WorkflowRun._apply_signal_workflow),
    "do_update": (_SIGNALS, WorkflowRun._apply_do_update),
    "initialize_workflow": (_REST, WorkflowRun._apply_initialize_workflow),
    "cancel_workflow": (_REST, WorkflowRun._apply_cancel_workflow),
    "fire_timer": (_REST, WorkflowRun._apply_fire_timer),
    "resolve_activity": (_REST, WorkflowRun._apply_resolve_activity),
    "resolve_child_start": (_REST, WorkflowRun._apply_resolve_child_start),
    "resolve_child": (_REST, WorkflowRun._apply_resolve_child),
    "resolve_signal_external": (_REST, WorkflowRun._apply_resolve_signal_external),
    "resolve_cancel_external": (_REST, WorkflowRun._apply_resolve_cancel_external),
    "resolve_nexus_start": (_REST, WorkflowRun._apply_resolve_nexus_start),
    "resolve_nexus": (_REST, WorkflowRun._apply_resolve_nexus),
    "remove_from_cache": (_REST, WorkflowRun._apply_remove_from_cache),
    "query_workflow": (_QUERIES, WorkflowRun._apply_query_workflow),
}
WorkflowRun._prepare_jobs(_JOBS, (Exception, asyncio.CancelledError, ContinueAsNewError))


class ContinueAsNewErrorImpl(ContinueAsNewError):
    """Carries the next run's start from where it was asked for to the end of this run."""

    def __init__(self, input: ContinueAsNewInput) -> None:
        super().__init__("Continue as new")
        self.input = input


_wait_options: contextvars.ContextVar[tuple[Optional[str], Optional[Sequence[EventGroup]]]] = contextvars.ContextVar(
    "__temporal_wait_options"
)


def _set_if_waiting(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
