"""The activity side of a worker: takes activity tasks from C, runs the functions, hands the results back.

An async activity is a task on the event loop. A plain one runs on a thread or process of the activity executor; on a
thread, without interceptors and codecs, it goes there and back without passing through the loop again. Heartbeats go
straight to C from whatever thread they are made on, so nothing that blocks the loop holds them up. While the loop is
blocked the watchdog's thread takes the tasks in its place: it starts and cancels plain activities, and keeps those alive
that wait for the loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Optional

import temporalio.activity
import temporalio.common
from temporalio._core import collecting_thread, note_collection, raise_in_thread
from temporalio._values import to_datetime, to_timedelta_or_none
from temporalio.common import RawValue
from temporalio.converter import ActivitySerializationContext
from temporalio.converter._messages import headers_to_protos, payload_to_proto
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, CancelledError

from ._failing import bare_failure, complain
from ._interceptor import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)
from ._shared_state import SharedHeartbeatSender, SharedStateManager
from ._workflow_commands import STORED_ELSEWHERE, is_context_free

if TYPE_CHECKING:
    from temporalio import _core
    import temporalio.converter
    from temporalio.client import Client
    from temporalio.converter import DataConverter

logger = logging.getLogger(__name__)

Message = dict[str, Any]


class _LazyEvent(temporalio.common._CompositeEvent):
    """An event that makes what threads and coroutines wait for when somebody waits. Most activities never ask."""

    def __init__(self) -> None:
        self._is_set = False
        self._lock = threading.Lock()
        super().__init__(None, None)

    def set(self) -> None:
        """On the loop's thread."""
        self.set_for_threads()
        if self._async_event is not None:
            self._async_event.set()

    def set_for_threads(self) -> None:
        """Any thread."""
        with self._lock:
            self._is_set = True
            if self._thread_event is not None:
                self._thread_event.set()

    def is_set(self) -> bool:
        return self._is_set

    async def wait(self) -> None:
        if self._is_set:
            return
        if self._async_event is None:
            self._async_event = asyncio.Event()
        await self._async_event.wait()

    def wait_sync(self, timeout: Optional[float] = None) -> None:
        with self._lock:
            if self._is_set:
                return
            if self._thread_event is None:
                self._thread_event = threading.Event()
        self._thread_event.wait(timeout)


class _OnDemand:
    """A field of a context that is found out whenever somebody asks; one that is assigned counts instead."""

    def __init__(self, find: Callable[[RunningActivity], Any]) -> None:
        self._find = find

    def __get__(self, running: RunningActivity, owner: Any = None) -> Any:
        return self._find(running)


def _make_event(running: RunningActivity) -> _LazyEvent:
    """Any thread. First the event is there, then it is asked whether it is set; whoever cancels goes the other way round."""
    event: _LazyEvent = running.__dict__.setdefault("cancelled_event", _LazyEvent())
    if running.is_cancelled:
        event.set_for_threads()
    return event


def _meter_of(running: RunningActivity) -> temporalio.common.MetricMeter:
    return running.worker._metric_meter()


def _shield_of(running: RunningActivity) -> Optional[Callable[[], AbstractContextManager[None]]]:
    return running.thread_raiser.shielded if running.thread_raiser is not None else None


class RunningActivity(temporalio.activity._Context):
    """One attempt at work, and what the functions of temporalio.activity see of it unless interceptors are in between.

    Shared by the thread that runs it and the loop's thread, which cancels it. What most activities never ask for is made
    when somebody does.
    """

    worker: ActivityWorker
    token: bytes
    start: Message
    definition: temporalio.activity._Definition
    done = False
    task: Optional[asyncio.Task[None]] = None
    details: Optional[temporalio.activity.ActivityCancellationDetails] = None
    client: Optional[Client] = None
    thread_raiser: Optional[ThreadRaiser] = None
    is_cancelled = False
    has_begun = False
    is_threaded = False  # it runs on a thread of the executor
    waits_for_loop = True  # it cannot go on, or cannot end, before the loop runs
    heartbeat_error: Optional[Exception] = None
    last_heartbeat: Optional[concurrent.futures.Future[Any]] = None
    converter: Optional[DataConverter] = None
    _info: Optional[temporalio.activity.Info] = None
    cancelled_event: Any = _OnDemand(_make_event)
    cancellation_details: Any = _OnDemand(lambda running: running)  # it has the `details`
    worker_shutdown_event: Any = _OnDemand(lambda running: running.worker._worker_shutdown_event)
    shield_thread_cancel_exception: Any = _OnDemand(_shield_of)
    payload_converter_class_or_instance: Any = _OnDemand(lambda running: running.used_converter().payload_converter)
    runtime_metric_meter: Any = _OnDemand(_meter_of)

    def __init__(
        self, worker: ActivityWorker, token: bytes, start: Message, definition: temporalio.activity._Definition
    ) -> None:
        self.worker = worker
        self.token = token
        self.start = start
        self.definition = definition

    def whole_start(self) -> Message:
        """The start with all its fields. Any thread."""
        start = self.start
        if "others" not in start:
            return start
        from temporalio import _core

        others = _core.decode("perdure.core.v1.ActivityStart", start["others"])
        self.start = whole = {**others, **start}
        del whole["others"]
        return whole

    def used_converter(self) -> DataConverter:
        return self.converter or self.worker._data_converter

    def info(self) -> temporalio.activity.Info:
        """Any thread."""
        if self._info is None:
            self._info = self.worker.make_info(self, self.used_converter())
        return self._info

    def heartbeat(self, *details: Any) -> None:
        """Any thread."""
        self.worker.heartbeat(self, self.used_converter(), details)

    def _set_cancelled(self, details: temporalio.activity.ActivityCancellationDetails) -> Any:
        """Returns the event to set, None if nobody has asked for it: whoever asks from now on sees that it is set."""
        self.details = details
        self.is_cancelled = True
        return self.__dict__.get("cancelled_event")

    def cancel(self, details: temporalio.activity.ActivityCancellationDetails) -> None:
        """Asks the activity to stop. On the loop's thread."""
        event = self._set_cancelled(details)
        if event is not None:
            event.set()
        if self.done:
            return
        if self.thread_raiser is not None:
            self.thread_raiser.raise_in_thread(_ThreadCancelled())
        elif self.definition.is_async and self.has_begun and self.task is not None:
            self.task.cancel("Activity cancelled")

    def cancel_past_loop(
        self, details: temporalio.activity.ActivityCancellationDetails, loop: asyncio.AbstractEventLoop
    ) -> None:
        """The same on any other thread, while the loop is blocked: what is of threads happens at once, the rest later."""
        if not self.is_threaded:
            loop.call_soon_threadsafe(self.cancel, details)
            return
        raiser = self.thread_raiser
        event = self._set_cancelled(details)
        if event is not None:
            event.set_for_threads()
            loop.call_soon_threadsafe(event.set)
        if raiser is not None and not self.done:
            raiser.raise_in_thread(_ThreadCancelled())

    def never_begun(self, _: asyncio.Task[None]) -> None:
        """Answers for a task that was cancelled before its first step, as at the end of ``asyncio.run``."""
        if not self.has_begun:
            self.worker._running_activities.pop(self.token, None)
            self.worker._answer(self, self.worker._outcome_or_why_not(self, asyncio.CancelledError()))


class ThreadRaiser:
    """Raises an exception on the thread of an activity, once, now or when the last shield is gone."""

    is_hearing = False
    _thread_id: Optional[int] = None
    _pending: Optional[BaseException] = None
    _shield_depth = 0
    _has_raised = False
    _has_set = False  # whether the thread may have got something to raise
    _has_left = False

    def __init__(self, loop: Optional[asyncio.AbstractEventLoop]) -> None:
        self._loop = loop
        self._lock = threading.Lock()

    def enter(self) -> None:
        """The activity begins on this thread."""
        _hear_of_lost_cancellations()
        if note_collection not in gc.callbacks:
            gc.callbacks.append(note_collection)
        with self._lock:
            self._thread_id = threading.get_ident()
            _raisers[self._thread_id] = self
            pending, self._pending = self._pending, None
        if pending is not None:
            raise pending

    def leave(self) -> None:
        """The activity has returned: nothing may be raised on this thread any more."""
        with self._lock:
            thread_id, self._thread_id = self._thread_id, None
            self._pending = None
            self._has_left = True
        if thread_id is not None:
            _raisers.pop(thread_id, None)
            if self._has_set:
                # What was set and not yet raised would hit whoever has the thread next
                raise_in_thread(thread_id, None)

    def raise_in_thread(self, error: BaseException) -> None:
        with self._lock:
            # A second one could hit what comes after the activity, which answers for it
            if self._has_left or self._has_raised:
                return
            self._has_raised = True
            if self._shield_depth or self._thread_id is None:
                self._pending = error
            elif self._would_be_lost(self._thread_id):
                self.raise_again()
            else:
                self._has_set = True
                raise_in_thread(self._thread_id, type(error))

    def raise_again(self) -> None:
        """What was raised last was lost before the activity saw it, or would be. Any thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._loop.call_later, 0.005, self._once_more)

    def can_wait(self) -> bool:
        """Whether there is a later."""
        return self._loop is not None and not self._loop.is_closed()

    def _once_more(self) -> None:
        self._has_raised = False
        self.raise_in_thread(_ThreadCancelled())

    def _would_be_lost(self, thread_id: int) -> bool:
        """Whether the thread is in a finalizer, where what is raised ends, and not in the activity that called for it."""
        if not self.can_wait():
            return False
        if self.is_hearing or collecting_thread() == thread_id:
            return True
        frame = sys._current_frames().get(thread_id)
        while frame is not None:
            if frame.f_code.co_name == "__del__":
                return True
            frame = frame.f_back
        return False

    @contextmanager
    def shielded(self) -> Iterator[None]:
        with self._lock:
            self._shield_depth += 1
        try:
            yield None
        finally:
            with self._lock:
                self._shield_depth -= 1
                pending = None
                if not self._shield_depth:
                    pending, self._pending = self._pending, None
            if pending is not None:
                raise pending


_raisers: dict[int, ThreadRaiser] = {}  # by the thread that runs the activity
_hearing: Any = None  # the hook of ours that is in place


def _hear_of_lost_cancellations() -> None:
    """A cancellation that hits a thread in the midst of a finalizer ends in Python's hook for errors nobody can catch."""
    global _hearing
    hook = sys.unraisablehook
    if hook is _hearing:
        return

    def hear(unraisable: Any) -> None:
        raiser = _raisers.get(threading.get_ident()) if unraisable.exc_type is _ThreadCancelled else None
        if raiser is None:
            hook(unraisable)
        else:
            raiser.is_hearing = True
            if raiser.can_wait():
                raiser.raise_again()
            raiser.is_hearing = False

    sys.unraisablehook = _hearing = hear


class _ThreadCancelled(CancelledError):
    """What cancellation raises on a thread: C instantiates it without arguments."""

    def __init__(self) -> None:
        super().__init__("Cancelled")


class ActivityWorker:
    """See the module's description.

    Thread: the event loop's, unless a method says otherwise.
    """

    def __init__(
        self,
        *,
        core: Callable[[], _core.Worker],
        client: Callable[[], Client],
        task_queue: str,
        activities: Sequence[Callable],
        activity_executor: Optional[concurrent.futures.Executor],
        shared_state_manager: Optional[SharedStateManager],
        data_converter: DataConverter,
        interceptors: Sequence[Interceptor],
        metric_meter: Callable[[], temporalio.common.MetricMeter],
        encode_headers: bool,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._core = core
        self._client = client
        self._task_queue = task_queue
        self._executor = activity_executor
        self._shared_state_manager = shared_state_manager
        self._data_converter = data_converter
        self._interceptors = interceptors
        self._metric_meter = metric_meter
        self._encode_headers = encode_headers
        self._on_fatal = on_fatal
        self._running_activities: dict[bytes, RunningActivity] = {}
        self._worker_shutdown_event: Any = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._loop_thread = 0
        self._activities: dict[str, temporalio.activity._Definition] = {}
        self._dynamic: Optional[temporalio.activity._Definition] = None
        self.is_fast = not interceptors and not data_converter._has_transform
        converter = data_converter.payload_converter
        parts = (converter, data_converter.failure_converter, data_converter.payload_codec)
        self._is_context_aware = not all(is_context_free(part) for part in parts)
        # Of every activity alike, None where each has one of its own
        self._common_converter = None if self._is_context_aware or data_converter.external_storage is not None else data_converter
        self._converter = converter
        for fn in activities:
            self._register(fn)

    # ---------------------------------------------------------------------------------------------------- registration

    def _register(self, fn: Callable) -> None:
        definition = temporalio.activity._Definition.must_from_callable(fn)
        name = definition.name
        if isinstance(fn, type):
            raise TypeError(f"Activity {name} is a class instead of an instance")
        if name is None:
            if self._dynamic is not None:
                raise TypeError("More than one dynamic activity")
            self._dynamic = definition
        elif name in self._activities:
            raise ValueError(f"More than one of the activities has the name {name}")
        else:
            self._activities[name] = definition
        if definition.is_async:
            return
        what = f"Activity {name}" if name is not None else "The dynamic activity"
        if self._executor is None:
            raise ValueError(
                f"{what} is not async and the worker has no activity_executor to run it: give it a ThreadPoolExecutor, or make the "
                "activity `async def` if it never blocks"
            )
        if isinstance(self._executor, concurrent.futures.ThreadPoolExecutor):
            return
        if self._shared_state_manager is None:
            raise ValueError(
                f"{what} is not async and its executor is not a ThreadPoolExecutor, so a shared_state_manager must be "
                "present"
            )
        import pickle

        try:
            pickle.dumps(fn)
        except Exception as err:
            raise TypeError(f"{what} must be picklable when using a process executor") from err

    # ------------------------------------------------------------------------------------------------------------ tasks

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called before the first task."""
        self._loop = loop
        self._loop_thread = threading.get_ident()
        thread_event: Any = threading.Event()
        if self._executor is not None and not isinstance(self._executor, concurrent.futures.ThreadPoolExecutor):
            if self._shared_state_manager is not None:
                thread_event = self._shared_state_manager.new_event()
        self._worker_shutdown_event = temporalio.common._CompositeEvent(thread_event, asyncio.Event())

    def notify_shutdown(self) -> None:
        """Tells running activities that the worker is going down."""
        if self._worker_shutdown_event is not None:
            self._worker_shutdown_event.set()

    async def wait_all_completed(self) -> None:
        """Returns when no activity runs."""
        while self._running_activities:
            tasks = [r.task for r in self._running_activities.values() if r.task is not None]
            if tasks:
                await asyncio.wait(tasks, timeout=0.05)
            else:
                await asyncio.sleep(0.005)

    def handle_task(self, task: Message) -> None:
        """Takes an ActivityTask message. Any thread, one at a time."""
        token = task["task_token"]
        is_on_loop = threading.get_ident() == self._loop_thread
        if "start" in task:
            self._start(token, task["start"], is_on_loop)
        elif "cancel" in task:
            running = self._running_activities.get(token)
            if running is None:
                return
            details = temporalio.activity.ActivityCancellationDetails._from_dict(task["cancel"])
            assert self._loop is not None
            if is_on_loop:
                running.cancel(details)
            else:
                running.cancel_past_loop(details, self._loop)

    def keep_alive(self, current: Optional[asyncio.Task[Any]]) -> None:
        """Beats for activities that the blocked loop keeps from beating; not for the one that blocks it. Any thread."""
        for running in list(self._running_activities.values()):
            encoding = running.last_heartbeat
            is_waiting = running.waits_for_loop or (encoding is not None and not encoding.done())
            if is_waiting and running.start.get("heartbeat_timeout") and (running.task is None or running.task is not current):
                self._core().keep_alive(running.token)

    def _start(self, token: bytes, start: Message, is_on_loop: bool) -> None:
        definition = self._activities.get(start["activity_type"]) or self._dynamic
        if definition is None:
            self._core().complete_activity({"task_token": token, "failed": self._unknown(start)})
            return
        running = RunningActivity(self, token, start, definition)
        self._running_activities[token] = running
        assert self._loop is not None
        if self.is_fast and not definition.is_async:
            executor = self._executor
            if isinstance(executor, concurrent.futures.ThreadPoolExecutor):
                running.waits_for_loop = False
                self._prepare_thread(running)
                try:
                    executor.submit(self._run_on_thread, running)
                except RuntimeError as err:
                    self._fail(running, err)
                    self._fatal(err)
                return
        if is_on_loop and self._loop.get_task_factory() is None:
            self._begin(running)
        else:  # a factory may have the activity begin at once, and what blocks the loop must not do so in here
            self._loop.call_soon_threadsafe(self._begin, running)

    def _begin(self, running: RunningActivity) -> None:
        assert self._loop is not None
        run = self._run_straight if self.is_fast and running.definition.is_async else self._run
        task = self._loop.create_task(run(running), name=_task_name(running))
        if not running.has_begun:  # a task factory may have it begin at once
            task.add_done_callback(running.never_begun)
        if not running.done:
            running.task = task

    def has(self, name: str) -> bool:
        """Whether there is an activity for this type. Any thread."""
        return name in self._activities or self._dynamic is not None

    def names(self) -> Sequence[str]:
        """The types registered by name."""
        return list(self._activities)

    def _unknown(self, start: Message) -> Message:
        error = unknown_activity(start["activity_type"], self._activities)
        return self._data_converter.failure_converter._to_dict(error, self._converter)

    def _converters(self, running: RunningActivity) -> DataConverter:
        if self._common_converter is not None:
            return self._common_converter
        converter = self._data_converter
        start = running.whole_start()
        if converter.external_storage is not None:
            converter = converter._with_store_context(self._store_context(start))
        if not self._is_context_aware:
            return converter
        return converter.with_context(
            ActivitySerializationContext(
                namespace=start.get("workflow_namespace") or self._client().namespace,
                activity_id=start.get("activity_id"),
                activity_type=start["activity_type"],
                activity_task_queue=self._task_queue,
                workflow_id=start.get("workflow_id") or None,
                workflow_type=start.get("workflow_type") or None,
                is_local=start.get("is_local", False),
            )
        )

    def _store_context(self, start: Message) -> temporalio.converter.StorageDriverStoreContext:
        from temporalio.converter import (
            StorageDriverActivityInfo,
            StorageDriverStoreContext,
            StorageDriverWorkflowInfo,
        )

        namespace = start.get("workflow_namespace") or self._client().namespace
        target: StorageDriverActivityInfo | StorageDriverWorkflowInfo
        if start.get("workflow_id"):
            target = StorageDriverWorkflowInfo(
                namespace=namespace,
                id=start["workflow_id"],
                run_id=start.get("workflow_run_id") or None,
                type=start.get("workflow_type") or None,
            )
        else:
            target = StorageDriverActivityInfo(
                namespace=namespace,
                id=start.get("activity_id"),
                run_id=start.get("activity_run_id") or None,
                type=start["activity_type"],
            )
        return StorageDriverStoreContext(target=target)

    # -------------------------------------------------------------------------------------------------- on a thread only

    def _prepare_thread(self, running: RunningActivity) -> None:
        running.converter = self._converters(running)
        running.is_threaded = True
        if not running.definition.no_thread_cancel_exception:
            running.thread_raiser = ThreadRaiser(self._loop)

    def _run_on_thread(self, running: RunningActivity) -> None:
        """The whole of a plain activity. Thread: the activity executor's."""
        try:
            converter = running.used_converter()
            args = self._args(running, running.start.get("input") or (), converter)
            result = contextvars.Context().run(_run_sync, running, running.thread_raiser, running.definition.fn, args)
            running.done = True
            payload = converter.payload_converter._to_dicts((result,))[0]
            outcome: Message = {"completed": {"result": payload}}
        except BaseException as err:
            running.done = True
            if running.thread_raiser is not None:
                running.thread_raiser.leave()  # what it raised may have cut short the first call
            outcome = self._outcome_or_why_not(running, err)
        self._running_activities.pop(running.token, None)
        self._answer(running, outcome)

    def _answer(self, running: RunningActivity, outcome: Message) -> None:
        """Hands an outcome to C. What a converter or codec made that is no message is told as a failure. Any thread."""
        outcome["task_token"] = running.token
        try:
            self._core().complete_activity(outcome)
        except Exception as err:
            complain(logger, "The outcome of activity %s could not be sent", running.start.get("activity_type"))
            self._core().complete_activity({"task_token": running.token, "failed": bare_failure(err, "Failed encoding result")})

    def _outcome_or_why_not(self, running: RunningActivity, err: BaseException) -> Message:
        """As _outcome_of, whatever converters and log handlers raise. Any thread."""
        try:
            return self._outcome_of(running, err)
        except Exception as inner:
            complain(logger, "The failure of activity %s could not be told", running.start.get("activity_type"))
            return {"failed": bare_failure(inner, "Failed building exception result", err)}

    # ---------------------------------------------------------------------------------------------------- through the loop

    def _has_begun(self, running: RunningActivity) -> None:
        """On the activity's task, first of all."""
        running.has_begun = True
        if running.task is not None:
            running.task.remove_done_callback(running.never_begun)  # which would be one more turn of the loop
        else:  # begun before create_task returned; some versions of Python name the task only then
            running.task = task = asyncio.current_task()
            task.set_name(_task_name(running))  # type: ignore[union-attr]
        if running.is_cancelled and running.definition.is_async:
            # Asked to stop before it began: it learns of it where it waits first
            asyncio.current_task().cancel("Activity cancelled")  # type: ignore[union-attr]

    def _has_ended(self, running: RunningActivity) -> None:
        """On the activity's task, which is let go of: it keeps the activity in its context."""
        running.task = None
        self._running_activities.pop(running.token, None)

    async def _run_straight(self, running: RunningActivity) -> None:
        """The whole of an async activity without interceptors and codecs."""
        self._has_begun(running)
        interrupt: Optional[KeyboardInterrupt] = None
        try:
            try:
                running.converter = converter = self._converters(running)
                running.client = self._client()
                args = self._args(running, running.start.get("input") or (), converter)
                temporalio.activity._current_context.set(running)
                result = await running.definition.fn(*args)
                running.done = True
                outcome: Message = {"completed": {"result": converter.payload_converter._to_dicts((result,))[0]}}
            except BaseException as err:
                running.done = True
                interrupt = err if isinstance(err, KeyboardInterrupt) else None
                outcome = self._outcome_or_why_not(running, err)
                if isinstance(err, concurrent.futures.BrokenExecutor):
                    self._fatal(err)
            if running.heartbeat_error is not None and "completed" in outcome:
                outcome = {"failed": self._failure_of(running, running.heartbeat_error)}
        finally:
            self._has_ended(running)
        self._answer(running, outcome)
        if interrupt is not None:
            raise interrupt  # Ctrl-C is for the program, wherever it was raised

    async def _run(self, running: RunningActivity) -> None:
        """The whole of an activity that has interceptors, codecs or processes on its way."""
        self._has_begun(running)
        interrupt: Optional[KeyboardInterrupt] = None
        try:
            try:
                running.converter = converter = self._converters(running)
                if converter._has_transform:
                    try:
                        await self._decode_start(running, converter)
                    except Exception as err:
                        raise ApplicationError("Failed decoding arguments", type=type(err).__name__) from err
                args = self._args(running, running.start.get("input") or (), converter)
                result = await self._execute(running, args, converter)
                running.done = True
                if converter._has_transform:
                    payload = (await converter._encode_dicts((result,)))[0]
                else:
                    payload = converter.payload_converter._to_dicts((result,))[0]
                outcome: Message = {"completed": {"result": payload}}
            except BaseException as err:
                running.done = True
                interrupt = err if isinstance(err, KeyboardInterrupt) else None
                outcome = self._outcome_or_why_not(running, err)
                if running.converter is not None and running.converter._has_transform:
                    outcome = await self._encoded_outcome(outcome, running.converter)
                if isinstance(err, concurrent.futures.BrokenExecutor):
                    self._fatal(err)
            if running.last_heartbeat is not None:
                await asyncio.wait([asyncio.wrap_future(running.last_heartbeat)])
            if running.heartbeat_error is not None and "completed" in outcome:
                outcome = {"failed": self._failure_of(running, running.heartbeat_error)}
        finally:
            self._has_ended(running)
        self._answer(running, outcome)
        if interrupt is not None:
            raise interrupt

    async def _decode_start(self, running: RunningActivity, converter: DataConverter) -> None:
        start = running.whole_start()
        for field in ("input", "heartbeat_details"):
            if start.get(field):
                start[field] = await converter._inbound_dicts(start[field])
        if self._encode_headers and start.get("headers"):
            headers = start["headers"]
            start["headers"] = {k: (await converter._inbound_dicts([v]))[0] for k, v in headers.items()}

    async def _encoded_outcome(self, outcome: Message, converter: DataConverter) -> Message:
        try:
            return {
                kind: await converter._outbound_failure_dict(value) if kind in ("failed", "cancelled") else value
                for kind, value in outcome.items()
            }
        except Exception as err:
            complain(logger, "The failure of an activity could not be encoded")
            return {"failed": bare_failure(err, "Failed encoding result")}

    async def _execute(self, running: RunningActivity, args: Sequence[Any], converter: DataConverter) -> Any:
        definition = running.definition
        assert self._loop is not None
        is_process = False
        if definition.is_async:
            running.client = self._client()
        elif isinstance(self._executor, concurrent.futures.ThreadPoolExecutor):
            running.is_threaded = True
            if not definition.no_thread_cancel_exception:
                running.thread_raiser = ThreadRaiser(self._loop)
        else:
            assert self._shared_state_manager is not None
            is_process = True
            event = self._shared_state_manager.new_event()
            running.cancelled_event = temporalio.common._CompositeEvent(event, asyncio.Event())
            if running.is_cancelled:
                running.cancelled_event.set()
        if definition.is_async and not self._interceptors:
            temporalio.activity._Context.set(running)
            return await definition.fn(*args)
        context = self._context(running)
        root = _RootInbound(self, running, context)
        inbound: ActivityInboundInterceptor = root
        for interceptor in reversed(list(self._interceptors)):
            inbound = interceptor.intercept_activity(inbound)
        inbound.init(_RootOutbound(self, running, converter))
        context.info = root.outbound.info
        context.heartbeat = root.outbound.heartbeat
        temporalio.activity._Context.set(context)
        headers = running.whole_start().get("headers")
        input = ExecuteActivityInput(
            fn=definition.fn,
            args=args,
            executor=None if definition.is_async else self._executor,
            headers=headers_to_protos(headers) if headers else {},
        )
        try:
            return await inbound.execute_activity(input)
        finally:
            if is_process:
                assert self._shared_state_manager is not None
                await self._shared_state_manager.unregister_heartbeater(running.token)

    # ---------------------------------------------------------------------------------------------------- what all share

    def _args(self, running: RunningActivity, payloads: Sequence[Message], converter: DataConverter) -> Sequence[Any]:
        definition = running.definition
        if definition.name is None:
            return [[RawValue(payload_to_proto(p)) for p in payloads]]
        if not payloads:
            return ()
        hints = definition.arg_types
        if hints is not None and len(hints) != len(payloads):
            hints = None
        for payload in payloads:
            if "external_payloads" in payload:
                raise ApplicationError(STORED_ELSEWHERE, type="StorageNotConfigured")
        try:
            values: list[Any] = converter.payload_converter._from_dicts(payloads, hints)
            return values
        except Exception as err:
            raise ApplicationError("Failed decoding arguments", type=type(err).__name__) from err

    def _context(self, running: RunningActivity) -> temporalio.activity._Context:
        """What an activity sees of itself when interceptors are in between."""
        return temporalio.activity._Context(
            info=running.info,
            heartbeat=running.heartbeat,
            cancelled_event=running.cancelled_event,
            worker_shutdown_event=running.worker_shutdown_event,
            shield_thread_cancel_exception=running.shield_thread_cancel_exception,
            payload_converter_class_or_instance=running.payload_converter_class_or_instance,
            runtime_metric_meter=running.runtime_metric_meter,
            client=running.client,
            cancellation_details=running.cancellation_details,
        )

    def make_info(self, running: RunningActivity, converter: DataConverter) -> temporalio.activity.Info:
        """The activity's Info. Any thread."""
        start = running.whole_start()
        details = start.get("heartbeat_details") or ()
        retry_policy = start.get("retry_policy")
        scheduled = start.get("scheduled_time", 0)
        return temporalio.activity.Info(
            activity_id=start.get("activity_id", ""),
            activity_type=start["activity_type"],
            attempt=start.get("attempt", 1),
            current_attempt_scheduled_time=to_datetime(start.get("current_attempt_scheduled_time") or scheduled),
            heartbeat_details=converter.payload_converter._from_dicts(details) if details else [],
            heartbeat_timeout=to_timedelta_or_none(start.get("heartbeat_timeout") or None),
            is_local=start.get("is_local", False),
            namespace=start.get("workflow_namespace") or self._client().namespace,
            schedule_to_close_timeout=to_timedelta_or_none(start.get("schedule_to_close_timeout") or None),
            scheduled_time=to_datetime(scheduled),
            start_to_close_timeout=to_timedelta_or_none(start.get("start_to_close_timeout") or None),
            started_time=to_datetime(start.get("started_time", 0)),
            task_queue=self._task_queue,
            task_token=running.token,
            workflow_id=start.get("workflow_id") or None,
            workflow_namespace=start.get("workflow_namespace") or None,
            workflow_run_id=start.get("workflow_run_id") or None,
            workflow_type=start.get("workflow_type") or None,
            priority=temporalio.common.Priority._from_dict(start.get("priority")),
            retry_policy=temporalio.common.RetryPolicy._from_dict(retry_policy) if retry_policy else None,
            activity_run_id=start.get("activity_run_id") or None,
        )

    def heartbeat(self, running: RunningActivity, converter: DataConverter, details: Sequence[Any]) -> None:
        """Records a heartbeat. Any thread."""
        if running.done:
            return
        try:
            payloads = converter.payload_converter._to_dicts(details) if details else []
            if not converter._has_transform:
                self._core().record_heartbeat(running.token, payloads)
                return
        except CancelledError:
            raise  # raised on this thread, and meant for the activity
        except Exception as err:
            self._on_heartbeat_error(running, err)
            return
        assert self._loop is not None
        running.last_heartbeat = asyncio.run_coroutine_threadsafe(
            self._encode_heartbeat(running, converter, payloads, running.last_heartbeat), self._loop
        )

    async def _encode_heartbeat(
        self,
        running: RunningActivity,
        converter: DataConverter,
        payloads: Sequence[Message],
        before: Optional[concurrent.futures.Future[Any]],
    ) -> None:
        try:
            encoded = await converter._outbound_dicts(payloads)
            if before is not None:
                await asyncio.wait([asyncio.wrap_future(before)])
            self._core().record_heartbeat(running.token, encoded)
        except Exception as err:
            self._on_heartbeat_error(running, err)

    def _on_heartbeat_error(self, running: RunningActivity, err: Exception) -> None:
        """A heartbeat whose details cannot be sent fails the activity."""
        level = logging.WARNING
        complain(logger, "The details of a heartbeat could not be converted, the activity is cancelled", exc_info=err, level=level)
        assert self._loop is not None
        running.heartbeat_error = err
        details = temporalio.activity.ActivityCancellationDetails()
        self._loop.call_soon_threadsafe(running.cancel, details)

    def _outcome_of(self, running: RunningActivity, err: BaseException) -> Message:
        """What an exception that left the activity is to the server. Any thread."""
        if isinstance(err, temporalio.activity._CompleteAsyncError):
            return {"will_complete_async": {}}
        is_cancelled = isinstance(err, (asyncio.CancelledError, CancelledError))
        if is_cancelled and running.heartbeat_error is not None:
            return {"failed": self._failure_of(running, running.heartbeat_error)}
        details = running.details
        if is_cancelled and details is not None:
            for is_set, word in ((details.paused, "pause"), (details.reset, "reset")):
                if is_set:
                    error = ApplicationError(
                        f"Unhandled activity cancel error produced by activity {word}",
                        type=f"Activity{word.capitalize()}",
                    )
                    return {"failed": self._failure_of(running, error, err)}
            if details.worker_shutdown:
                error = ApplicationError(
                    "The worker shut down and the activity did not complete in time", type="WorkerShutdown"
                )
                return {"failed": self._failure_of(running, error, err)}
            cancelled = err if isinstance(err, CancelledError) else CancelledError("Cancelled")
            return {"cancelled": self._failure_of(running, cancelled)}
        if not isinstance(err, Exception) and not is_cancelled:
            err = _as_exception(err)
        if isinstance(err, asyncio.CancelledError):
            err = CancelledError("Cancelled")
        if isinstance(err, CancelledError):
            # Raised by the activity though nobody asked for it: a failure like any other
            application = ApplicationError(err.message, *err.details, type="CancelledError")
            application.__cause__ = err.__cause__
            err = application
        is_benign = isinstance(err, ApplicationError) and err.category == ApplicationErrorCategory.BENIGN
        self._log(running, logging.DEBUG if is_benign else logging.WARNING, err)
        return {"failed": self._failure_of(running, err)}

    def _log(self, running: RunningActivity, level: int, err: BaseException) -> None:
        base = temporalio.activity.logger
        if not base.isEnabledFor(level):
            return
        info = self.make_info_for_log(running)
        details = info._logger_details()
        base.base_logger.log(
            level,
            f"Completing activity as failed ({details})",
            exc_info=(type(err), err, err.__traceback__),
            extra={"temporal_activity": details, "__temporal_error_identifier": "ActivityFailure"},
        )

    def make_info_for_log(self, running: RunningActivity) -> temporalio.activity.Info:
        """The activity's Info without heartbeat details, whose conversion may be what failed. Any thread."""
        bare = RunningActivity(self, running.token, {**running.whole_start(), "heartbeat_details": ()}, running.definition)
        return self.make_info(bare, self._data_converter)

    def _failure_of(self, running: RunningActivity, err: BaseException, cause: Optional[BaseException] = None) -> Message:
        if cause is not None and err.__cause__ is None:
            err.__cause__ = cause if isinstance(cause, Exception) else None
        converter = running.converter or self._data_converter
        try:
            failure: Message = converter.failure_converter._to_dict(err, converter.payload_converter)
            return failure
        except Exception as inner:
            complain(logger, "The failure converter failed")
            return bare_failure(inner, "Failed building exception result")

    def _fail(self, running: RunningActivity, err: BaseException) -> None:
        self._running_activities.pop(running.token, None)
        self._core().complete_activity({"task_token": running.token, "failed": self._failure_of(running, err)})

    def _fatal(self, err: BaseException) -> None:
        failed = RuntimeError("Activity worker failed")
        failed.__cause__ = err
        self._on_fatal(failed)


def unknown_activity(name: str, registered: Iterable[str]) -> ApplicationError:
    """What to raise for an activity type that is not registered."""
    known = ", ".join(sorted(registered))
    available = f"available activities: {known}" if known else "no available activities"
    return ApplicationError(
        f"Activity function {name} is not registered on this worker, {available}", type="NotFoundError"
    )


def _task_name(running: RunningActivity) -> str:
    return f"activity: {running.start['activity_type']}"


def _as_exception(err: BaseException) -> Exception:
    """SystemExit and the like, raised by an activity, fail the activity and not the worker."""
    wrapped = ApplicationError(str(err), type=type(err).__name__)
    wrapped.__cause__ = err if isinstance(err, Exception) else None
    return wrapped.with_traceback(err.__traceback__)


def _run_sync(
    context: temporalio.activity._Context, raiser: Optional[ThreadRaiser], fn: Callable[..., Any], args: Sequence[Any]
) -> Any:
    """Calls a plain activity in its context, on this thread."""
    temporalio.activity._Context.set(context)
    if raiser is None:
        return fn(*args)
    try:
        raiser.enter()
        return fn(*args)
    finally:
        raiser.leave()


class _RootInbound(ActivityInboundInterceptor):
    def __init__(self, worker: ActivityWorker, running: RunningActivity, context: temporalio.activity._Context) -> None:
        self._worker = worker
        self._running = running
        self._context = context
        self.outbound: ActivityOutboundInterceptor

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        self.outbound = outbound

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        if self._running.definition.is_async:
            return await input.fn(*input.args)
        assert input.executor is not None
        context = contextvars.copy_context()
        if isinstance(input.executor, concurrent.futures.ThreadPoolExecutor):
            raiser = self._running.thread_raiser
            return await self._away(input.executor, context.run, _run_sync, self._context, raiser, input.fn, input.args)
        manager = self._worker._shared_state_manager
        assert manager is not None
        # Through the chain, so that interceptors see heartbeats of other processes too
        sender = await manager.register_heartbeater(
            self._running.token, lambda *details: context.copy().run(self.outbound.heartbeat, *details)
        )
        return await self._away(
            input.executor,
            _run_in_process,
            self.outbound.info(),
            sender,
            self._running.cancelled_event._thread_event,
            self._worker._worker_shutdown_event._thread_event,
            self._worker._data_converter.payload_converter_class,
            input.fn,
            input.args,
        )

    async def _away(self, executor: concurrent.futures.Executor, fn: Callable[..., Any], *args: Any) -> Any:
        """Calls on another thread or process, which goes on whatever happens to this task."""
        running = self._running
        job = executor.submit(fn, *args)
        running.waits_for_loop = False

        def ended(_: Any) -> None:
            running.waits_for_loop = True

        job.add_done_callback(ended)
        future = asyncio.wrap_future(job)
        while True:
            try:
                return await asyncio.shield(future)
            except asyncio.CancelledError:
                if future.done():
                    return future.result()


class _RootOutbound(ActivityOutboundInterceptor):
    def __init__(self, worker: ActivityWorker, running: RunningActivity, converter: DataConverter) -> None:
        self._worker = worker
        self._running = running
        self._converter = converter
        self._info: Optional[temporalio.activity.Info] = None

    def info(self) -> temporalio.activity.Info:
        if self._info is None:
            self._info = self._worker.make_info(self._running, self._converter)
        return self._info

    def heartbeat(self, *details: Any) -> None:
        self._worker.heartbeat(self._running, self._converter, details)


def _run_in_process(
    info: temporalio.activity.Info,
    sender: SharedHeartbeatSender,
    cancelled_event: threading.Event,
    shutdown_event: threading.Event,
    payload_converter_class: Any,
    fn: Callable[..., Any],
    args: Sequence[Any],
) -> Any:
    """Calls a plain activity in a process of a pool."""
    context = temporalio.activity._Context(
        info=lambda: info,
        heartbeat=lambda *details: sender.send_heartbeat(info.task_token, *details),
        cancelled_event=temporalio.common._CompositeEvent(cancelled_event, None),
        worker_shutdown_event=temporalio.common._CompositeEvent(shutdown_event, None),
        shield_thread_cancel_exception=None,
        payload_converter_class_or_instance=payload_converter_class,
        runtime_metric_meter=None,
        client=None,
        cancellation_details=temporalio.activity._ActivityCancellationDetailsHolder(),
    )
    return _run_sync(context, None, fn, args)
