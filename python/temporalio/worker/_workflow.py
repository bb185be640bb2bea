"""The workflow side of a worker: takes activations from C on threads of the executor and gives completions back.

A pump is a function on a thread of the workflow task executor: it waits for an activation in C (without the GIL), runs
it, hands the completion over and waits for the next, so that a workflow task costs no change of threads in Python. Pumps
end when there is nothing to do and C asks for one when an activation waits, so that an executor may be shared.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import logging
import os
import threading
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Protocol

import temporalio.common
import temporalio.workflow
from temporalio import _lazy
from temporalio._core import raise_in_thread
from temporalio._values import to_datetime, to_timedelta, to_timedelta_or_none
from temporalio.converter._messages import headers_to_protos
from temporalio.exceptions import ApplicationError, FailureError

from ._activation_codec import ActivationCodec
from ._deadlock import Slot, Watchdog
from ._failing import bare_failure, complain
from ._interceptor import Interceptor, WorkflowInboundInterceptor, WorkflowInterceptorClassInput
from ._workflow_instance import (
    PatchActivationInput,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
    _WorkflowLogicFlag,
)

if TYPE_CHECKING:
    from temporalio.converter import DataConverter, PayloadConverter

logger = logging.getLogger(__name__)

Message = dict[str, Any]

_PUMP_IDLE_SECONDS = 0.05
_ENDS = frozenset(("complete_workflow", "fail_workflow", "cancel_workflow_execution", "continue_as_new"))
DEFAULT_DEADLOCK_SECONDS = 2.0


class ActivationSource(Protocol):
    """``_core.Worker`` or ``_core.Replayer``."""

    def next_activation(self, timeout: Optional[float]) -> Optional[Message]: ...
    def complete_activation(self, completion: Message) -> None: ...


class _UndecodableError(Exception):
    """A codec or store raised a failure while payloads of an activation were decoded."""

    def __init__(self, reason: FailureError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class InterruptDeadlockError(BaseException):
    """Raised on the thread of a deadlocked workflow when its run leaves the cache."""


class WorkflowWorker:
    """See the module's description.

    Thread: ``start`` and ``stop`` on the event loop's; the rest on the executor's, the watchdog's or C's.
    """

    def __init__(
        self,
        *,
        namespace: str,
        task_queue: str,
        workflows: Sequence[type],
        workflow_task_executor: Optional[concurrent.futures.ThreadPoolExecutor],
        max_concurrent_workflow_tasks: Optional[int],
        workflow_runner: WorkflowRunner,
        unsandboxed_workflow_runner: WorkflowRunner,
        data_converter: DataConverter,
        interceptors: Sequence[Interceptor],
        workflow_failure_exception_types: Sequence[type[BaseException]],
        debug_mode: bool,
        disable_eager_activity_execution: bool,
        metric_meter: Callable[[], temporalio.common.MetricMeter],
        patch_activation_callback: Optional[Callable[[PatchActivationInput], bool]],
        disable_safe_eviction: bool,
        should_enforce_versioning_behavior: bool,
        assert_local_activity_valid: Callable[[str], None],
        encode_headers: bool,
        on_fatal: Callable[[BaseException], None],
        on_eviction: Optional[Callable[[str, Message], None]] = None,
    ) -> None:
        self._namespace = namespace
        self._task_queue = task_queue
        self._pump_count_max = max_concurrent_workflow_tasks or 500
        self._executor = workflow_task_executor or concurrent.futures.ThreadPoolExecutor(
            max_workers=self._pump_count_max, thread_name_prefix="temporal_workflow_"
        )
        self._executor_is_ours = workflow_task_executor is None
        self._workflow_runner = workflow_runner
        self._unsandboxed_workflow_runner = unsandboxed_workflow_runner
        self._data_converter = data_converter
        self._failure_types = list(workflow_failure_exception_types)
        self._disable_eager = disable_eager_activity_execution
        self._patch_activation_callback = patch_activation_callback
        self._disable_safe_eviction = disable_safe_eviction
        self._on_fatal = on_fatal
        self._on_eviction = on_eviction
        self._leaves_at_end = on_eviction is None and not disable_safe_eviction
        self._flags: set[_WorkflowLogicFlag] = set()
        self._deadlock_timeout_seconds = deadlock_limit(debug_mode)
        self._is_debugging = self._deadlock_timeout_seconds is None and bool(debug_mode or os.environ.get("TEMPORAL_DEBUG"))
        self._codec = ActivationCodec(data_converter, encode_headers)

        self._core: Optional[ActivationSource] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._running: dict[str, WorkflowInstance] = {}
        self._pumps = 0
        self._waiting_pumps = 0
        self._abandoned_count = 0  # of slots that the watchdog has answered for
        self._lock = threading.Lock()
        self._is_stopping = False
        self._broken: Optional[Exception] = None  # why no workflow can be run any more
        self._idle = threading.Condition(self._lock)
        self._watchdog = Watchdog(
            lambda: self._deadlock_timeout_seconds, self._deadlocked, self._start_pump_if_all_are_stuck
        )

        self._extern_functions: MutableMapping[str, Callable] = {
            "__temporal_get_metric_meter": metric_meter,
            "__temporal_assert_local_activity_valid": assert_local_activity_valid,
        }
        self._interceptor_classes: list[type[WorkflowInboundInterceptor]] = []
        class_input = WorkflowInterceptorClassInput(unsafe_extern_functions=self._extern_functions)
        for interceptor in interceptors:
            interceptor_class = interceptor.workflow_interceptor_class(class_input)
            if interceptor_class is not None:
                self._interceptor_classes.append(interceptor_class)

        self._workflows: dict[str, temporalio.workflow._Definition] = {}
        self._dynamic: Optional[temporalio.workflow._Definition] = None
        self._workflow_runner.set_worker_level_failure_exception_types(self._failure_types)
        for cls in workflows:
            self._register(cls, should_enforce_versioning_behavior)

    def _register(self, cls: type, should_enforce_versioning_behavior: bool) -> None:
        defn = temporalio.workflow._Definition.must_from_class(cls)
        if defn.name in self._workflows:
            raise ValueError(f"More than one of the workflows has the name {defn.name}")
        if should_enforce_versioning_behavior and not defn.versioning_behavior and defn.dynamic_config_fn is None:
            raise ValueError(
                f"Workflow {defn.name} must specify a versioning behavior in @workflow.defn, or the worker a default for all in its "
                "deployment_config, as it takes part in worker versioning"
            )
        runner = self._workflow_runner if defn.sandboxed else self._unsandboxed_workflow_runner
        runner.prepare_workflow(defn)
        if defn.name is not None:
            self._workflows[defn.name] = defn
        elif self._dynamic is not None:
            raise TypeError("More than one dynamic workflow")
        else:
            self._dynamic = defn

    def nondeterminism_as_workflow_fail(self) -> bool:
        """Whether a non-determinism error fails any workflow instead of its task."""
        return any(issubclass(temporalio.workflow.NondeterminismError, t) for t in self._failure_types)

    def nondeterminism_as_workflow_fail_types(self) -> list[str]:
        """The workflow types that it fails."""
        return [
            name
            for name, defn in self._workflows.items()
            if any(issubclass(temporalio.workflow.NondeterminismError, t) for t in defn.failure_exception_types)
        ]

    def set_flag(self, flag: _WorkflowLogicFlag, enabled: bool) -> None:
        """Turns a flag on or off for history that is written from now on."""
        (self._flags.add if enabled else self._flags.discard)(flag)

    # ------------------------------------------------------------------------------------------------------ start, stop

    def start(self, core: ActivationSource, loop: asyncio.AbstractEventLoop) -> None:
        """Begins to take activations."""
        self._core = core
        self._loop = loop

    def stop(self) -> None:
        """Called when C gives no more activations: waits for the pumps to end. Any thread but theirs; blocks."""
        self._is_stopping = True
        with self._lock:
            while self._pumps > len([s for s in self._watchdog.slots() if s.is_abandoned]):
                self._idle.wait(0.5)
        self._watchdog.stop()
        if self._executor_is_ours:
            self._executor.shutdown(wait=False)

    def activation_waiting(self) -> None:
        """C's call for a pump. Thread: C's, with the GIL."""
        gets_on = False
        for slot in self._watchdog.slots():
            gets_on = gets_on or slot.number != slot.asked_number
            slot.asked_number = slot.number
        # Under the GIL two that compute only take it from each other. With a codec they wait, and the more the better.
        if not gets_on or self._codec.is_needed:
            self._start_pump()

    def _start_pump(self) -> None:
        with self._lock:
            if self._waiting_pumps or self._pumps >= self._pump_count_max:
                return
            self._pumps += 1
            self._waiting_pumps += 1
        try:
            self._executor.submit(self._pump)
        except RuntimeError as err:
            # The executor was shut down. The worker ends, and until then somebody has to answer what C gives out.
            if not self._is_stopping and self._broken is None:
                self._broken = err
                self._on_fatal(err)
            try:
                threading.Thread(target=self._pump, name="temporal_workflow_end", daemon=True).start()
            except RuntimeError:
                # The interpreter is ending
                with self._lock:
                    self._pumps -= 1
                    self._waiting_pumps -= 1

    def _start_pump_if_all_are_stuck(self) -> None:
        """The watchdog's share in keeping activations moving: one more pump when none waits and each has a long job."""
        if all(slot.is_busy and slot.seen_number == slot.number and slot.charged > 0 for slot in self._watchdog.slots()):
            self._start_pump()

    # -------------------------------------------------------------------------------------------------------- the pumps

    def _pump(self) -> None:
        core = self._core
        assert core is not None
        slot = Slot()
        self._watchdog.add(slot)
        is_waiting = True
        try:
            while True:
                act = core.next_activation(_PUMP_IDLE_SECONDS)
                with self._lock:
                    self._waiting_pumps -= 1
                is_waiting = False
                if act is None:
                    break
                self._handle(act, slot)
                with self._lock:
                    if self._waiting_pumps or (self._pumps > 1 and self._is_one_too_many(slot)):
                        break
                    self._waiting_pumps += 1
                is_waiting = True
        except BaseException as err:
            self._on_fatal(err)
        finally:
            self._watchdog.remove(slot)
            with self._lock:
                if is_waiting:
                    self._waiting_pumps -= 1
                self._pumps -= 1
                self._idle.notify_all()

    def _is_one_too_many(self, own: Slot) -> bool:
        """Whether another pump computes and has got on since C last asked for one more."""
        if self._codec.is_needed:
            return False
        return any(slot.is_busy and slot.number != slot.asked_number and slot is not own for slot in self._watchdog.slots())

    def _handle(self, act: Message, slot: Slot) -> None:
        jobs: Sequence[Message] = act.get("jobs") or ()
        run_id = act["run_id"]
        if len(jobs) == 1 and "remove_from_cache" in jobs[0]:
            self._evict(act, jobs[0]["remove_from_cache"], slot)
            return
        try:
            if self._broken is not None:
                raise self._broken
            if self._codec.is_needed:
                self._decode(act, run_id)
            # As slot.begin, which is a call more
            slot.run_id = run_id
            slot.is_eviction = slot.is_abandoned = False
            slot.number += 1
            slot.is_busy = True
            try:
                instance = self._running.get(run_id)
                if instance is None:
                    instance = self._first_instance(act)
                if self._is_debugging:
                    completion = self._on_loop_thread(instance, act)
                else:
                    completion = contextvars.Context().run(instance.activate, act)
            finally:
                slot.is_busy = False
        except InterruptDeadlockError:
            completion = {"run_id": run_id}
        except _UndecodableError as err:
            # What it says cannot be had will not be had later either, so the workflow fails
            failed = self._failed(run_id, err.reason)
            completion = {"run_id": run_id, "commands": [{"fail_workflow": {"failure": failed["failure"]}}]}
        except BaseException as err:
            # Also SystemExit and the like: they end neither the worker nor the program
            completion = self._failed(run_id, err)
        with self._lock:
            is_answered = slot.is_abandoned
        if is_answered:
            self._finish(slot)
            return
        if self._codec.is_needed:
            try:
                completion = self._await(self._codec.encode(completion, self._running.get(run_id)))
            except Exception as err:
                complain(logger, f"The completion of workflow run {run_id} could not be encoded")
                completion = self._failed(run_id, err, "Failed encoding completion")
        try:
            if "commands" in completion and self._leaves_at_end and not _ENDS.isdisjoint(completion["commands"][-1]):
                self._leave(act, completion)
            self._core.complete_activation(completion)  # type: ignore[union-attr]
        except Exception as err:
            # A converter or runner made something that is no message
            complain(logger, f"The completion of workflow run {run_id} could not be sent")
            self._complete({"run_id": run_id, "failure": bare_failure(err, "Failed converting activation completion")})

    def _leave(self, act: Message, completion: Message) -> None:
        """Lets go of a run whose workflow has just ended. Most have nothing to unwind, and need not be told to leave the cache."""
        if act.get("is_replaying") or act.get("queries_follow") or self._codec.is_needed:
            return
        if self._running[act["run_id"]].leave():
            del self._running[act["run_id"]]
            completion["has_left"] = True

    def _decode(self, act: Message, run_id: str) -> None:
        try:
            self._await(self._codec.decode(act, self._running.get(run_id), self._namespace))
        except FailureError as err:
            raise _UndecodableError(err) from err

    def _complete(self, completion: Message) -> None:
        assert self._core is not None
        self._core.complete_activation(completion)

    def _first_instance(self, act: Message) -> WorkflowInstance:
        for job in act.get("jobs") or ():
            if "initialize_workflow" in job:
                break
        else:
            raise RuntimeError("an activation came for a run that is not in the cache")
        # A context of its own, so that nothing leaks from run to run on the pump's thread
        instance = contextvars.Context().run(self._create_instance, act, job["initialize_workflow"])
        self._running[act["run_id"]] = instance
        return instance

    def _on_loop_thread(self, instance: WorkflowInstance, act: Message) -> Message:
        """Runs an activation on the event loop's thread, where a debugger has the terminal."""
        loop = self._loop
        assert loop is not None
        done: concurrent.futures.Future[Message] = concurrent.futures.Future()

        def activate() -> None:
            try:
                try:
                    completion = instance.activate(act)
                finally:
                    asyncio._set_running_loop(loop)
                done.set_result(completion)
            except BaseException as err:
                done.set_exception(err)

        loop.call_soon_threadsafe(activate, context=contextvars.Context())
        return done.result()

    def _failed(self, run_id: str, err: BaseException, prefix: str = "") -> Message:
        converter = self._data_converter
        try:
            failure = converter.failure_converter._to_dict(err, converter.payload_converter)
            if prefix:
                failure["message"] = f"{prefix}: {failure.get('message', '')}"
        except Exception as inner:
            complain(logger, "The failure converter failed")
            failure = bare_failure(inner, "Failed converting activation exception")
        return {"run_id": run_id, "failure": failure}

    def _await(self, coro: Any) -> Any:
        """Runs a coroutine of the data converter on the event loop and waits for it."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coro, self._loop).result()

    # --------------------------------------------------------------------------------------------------------- eviction

    def _evict(self, act: Message, job: Message, slot: Slot) -> None:
        run_id = act["run_id"]
        if self._on_eviction is not None:
            self._on_eviction(run_id, job)
        with self._lock:
            for other in self._watchdog.slots() if self._abandoned_count else ():
                if other.is_abandoned and other.run_id == run_id and other is not slot:
                    # Its thread is still in the workflow's code: it evicts itself when it is done
                    if self._disable_safe_eviction:
                        break
                    other.on_finish = lambda: self._evict_now(act, None)
                    other.was_interrupted = True
                    raise_in_thread(other.thread_id, InterruptDeadlockError)
                    return
        self._evict_now(act, None if self._disable_safe_eviction else slot)

    def _evict_now(self, act: Message, slot: Optional[Slot]) -> None:
        run_id = act["run_id"]
        instance = self._running.pop(run_id, None)
        if instance is not None and not self._disable_safe_eviction and self._broken is None:
            try:
                if slot is not None:
                    slot.begin(run_id, is_eviction=True)
                try:
                    contextvars.Context().run(instance.activate, act)
                finally:
                    if slot is not None:
                        slot.end()
            except BaseException:
                complain(logger, f"Failed running eviction job for run ID {run_id}")
            if slot is not None and self._finish(slot):
                return
        self._complete({"run_id": run_id})

    # --------------------------------------------------------------------------------------------------------- deadlock

    def _deadlocked(self, slot: Slot, limit: float, stack: str) -> None:
        """Answers for a thread that does not come back. Thread: the watchdog's."""
        run_id = slot.run_id
        with self._lock:
            if not slot.is_busy or slot.is_abandoned or slot.run_id != run_id:
                return
            slot.is_abandoned = True
            self._abandoned_count += 1
            is_eviction = slot.is_eviction
        seconds = f"{limit:g}"
        if is_eviction:
            complain(
                logger,
                f"Timed out running eviction job for run ID {run_id}: it did not end within {seconds} second(s), so "
                f"its thread is lost until it does.\n{stack}",
                exc_info=None,
            )
            self._complete({"run_id": run_id})
            return
        message = f"[TMPRL1101] Potential deadlock detected: workflow didn't yield within {seconds} second(s)."
        complain(logger, f"{message} Run ID {run_id}, stack of its thread:\n{stack}", exc_info=None, level=logging.WARNING)
        failure = {
            "message": message,
            "stack_trace": stack,
            "application_failure_info": {"type": "_DeadlockError"},
        }
        self._complete({"run_id": run_id, "failure": failure})

    def _finish(self, slot: Slot) -> bool:
        """After an activation: whether the watchdog has answered it already."""
        with self._lock:
            if not slot.is_abandoned:
                return False
            on_finish, slot.on_finish = slot.on_finish, None
            if slot.was_interrupted:
                # If the exception has not been raised yet it must not hit the next run
                raise_in_thread(slot.thread_id, None)
                slot.was_interrupted = False
            slot.is_abandoned = False
            self._abandoned_count -= 1
        if on_finish is not None:
            on_finish()
        return True

    # ------------------------------------------------------------------------------------------------------- a new run

    def _create_instance(self, act: Message, init: Message) -> WorkflowInstance:
        workflow_type = init["workflow_type"]
        defn = self._workflows.get(workflow_type) or self._dynamic
        if defn is None:
            known = ", ".join(sorted(self._workflows))
            raise ApplicationError(
                f"Workflow class {workflow_type} is not registered on this worker, "
                + (f"available workflows: {known}" if known else "no available workflows"),
                type="NotFoundError",
            )
        converter = self._data_converter
        det = _lazy.instance(
            WorkflowInstanceDetails,
            payload_converter_factory=self._payload_converter,
            failure_converter_class=converter.failure_converter_class,
            interceptor_classes=self._interceptor_classes,
            defn=defn,
            _make_info=functools.partial(self._make_info, act["run_id"], act.get("timestamp") or 0, init),
            randomness_seed=init.get("randomness_seed", 0),
            extern_functions=self._extern_functions,
            disable_eager_activity_execution=self._disable_eager,
            worker_level_failure_exception_types=self._failure_types,
            patch_activation_callback=self._patch_activation_callback,
            last_completion_result=init.get("last_completion_result") or [],
            last_failure=init.get("continued_failure"),
            default_workflow_logic_flags=frozenset(self._flags),
        )
        runner = self._workflow_runner if defn.sandboxed else self._unsandboxed_workflow_runner
        return runner.create_instance(det)

    def _payload_converter(self) -> PayloadConverter:
        return self._data_converter.payload_converter

    def _make_info(self, run_id: str, timestamp: int, init: Message) -> temporalio.workflow.Info:
        parent, root = init.get("parent"), init.get("root")
        attributes = init.get("search_attributes")
        untyped: Any = {}
        typed = temporalio.common.TypedSearchAttributes.empty
        if attributes:
            from temporalio.converter._search_attributes import attributes_from_dicts, typed_attributes_from_dicts

            untyped, typed = attributes_from_dicts(attributes), typed_attributes_from_dicts(attributes)
        started: int = init.get("start_time") or timestamp
        first_started: int = init.get("workflow_start_time") or started
        start_time = to_datetime(started)
        retry_policy, priority = init.get("retry_policy"), init.get("priority")
        return _lazy.instance(
            temporalio.workflow.Info,
            attempt=init.get("attempt", 1),
            continued_run_id=init.get("continued_from_run_id") or None,
            cron_schedule=init.get("cron_schedule") or None,
            execution_timeout=to_timedelta_or_none(init.get("execution_timeout") or None),
            first_execution_run_id=init.get("first_execution_run_id", ""),
            headers=headers_to_protos(init.get("headers")) if init.get("headers") else {},
            namespace=self._namespace,
            original_execution_run_id=init.get("original_execution_run_id", ""),
            parent=temporalio.workflow.ParentInfo(
                namespace=parent.get("namespace", ""),
                run_id=parent.get("run_id", ""),
                workflow_id=parent.get("workflow_id", ""),
            )
            if parent
            else None,
            root=temporalio.workflow.RootInfo(run_id=root.get("run_id", ""), workflow_id=root.get("workflow_id", ""))
            if root
            else None,
            priority=temporalio.common.Priority._from_dict(priority) if priority else temporalio.common.Priority.default,
            raw_memo=headers_to_protos(init.get("memo")) if init.get("memo") else {},
            retry_policy=temporalio.common.RetryPolicy._from_dict(retry_policy) if retry_policy else None,
            run_id=run_id,
            run_timeout=to_timedelta_or_none(init.get("run_timeout") or None),
            search_attributes=untyped,
            start_time=start_time,
            task_queue=init.get("task_queue") or self._task_queue,
            task_timeout=to_timedelta(init.get("task_timeout", 0)),
            typed_search_attributes=typed,
            workflow_id=init["workflow_id"],
            workflow_start_time=start_time if first_started == started else to_datetime(first_started),
            workflow_type=init["workflow_type"],
        )


def deadlock_limit(debug_mode: bool) -> Optional[float]:
    """How long workflow code may keep its thread; None while somebody debugs it.

    The environment's ``TEMPORAL_DEBUG`` means the same as ``debug_mode``; ``PERDURE_DEADLOCK_SECONDS`` sets another limit.
    """
    if debug_mode or os.environ.get("TEMPORAL_DEBUG"):
        return None
    given = os.environ.get("PERDURE_DEADLOCK_SECONDS")
    if not given:
        return DEFAULT_DEADLOCK_SECONDS
    try:
        limit = float(given)
    except ValueError:
        limit = -1.0
    if limit < 0:
        raise ValueError(f"PERDURE_DEADLOCK_SECONDS is {given!r}, expected seconds; 0 switches the check off")
    return limit or None
