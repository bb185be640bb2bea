"""What activity code uses: the decorator that makes a function an activity, and what a running one can ask and do.

Most functions work only inside a running activity and raise RuntimeError elsewhere. In a plain (not async) activity they
work on the thread the activity runs on; code that moves to another thread takes ``contextvars.copy_context()`` along.
"""

from __future__ import annotations

import contextvars
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn, overload

import temporalio.common
from temporalio import _hints
from temporalio import converter as _converter
from temporalio.types import CallableType

if TYPE_CHECKING:
    import dataclasses
    from contextlib import AbstractContextManager
    from dataclasses import dataclass

    import temporalio.converter
    from temporalio.client import Client
else:
    import dataclasses

    from temporalio._lazy import dataclass


@overload
def defn(fn: CallableType) -> CallableType: ...


@overload
def defn(
    *, name: str | None = None, no_thread_cancel_exception: bool = False
) -> Callable[[CallableType], CallableType]: ...


@overload
def defn(
    *, no_thread_cancel_exception: bool = False, dynamic: bool = False
) -> Callable[[CallableType], CallableType]: ...


def defn(
    fn: CallableType | None = None,
    *,
    name: str | None = None,
    no_thread_cancel_exception: bool = False,
    dynamic: bool = False,
):
    """Makes a function, method or class with ``__call__`` an activity.

    Args:
        fn: What to decorate.
        name: The activity's type name; the function's own name if None.
        no_thread_cancel_exception: Whether a plain activity is spared the exception that cancellation raises on its
            thread; it then looks at :py:func:`is_cancelled` itself.
        dynamic: Whether this activity runs whatever no other of the worker has the name of. It takes one
            ``Sequence[temporalio.common.RawValue]``.
    """

    def decorator(fn: CallableType) -> CallableType:
        if name is not None and dynamic:
            raise RuntimeError("A dynamic activity has no name of its own: give either name or dynamic")
        _Definition._apply_to_callable(
            fn,
            activity_name=None if dynamic else name or getattr(fn, "__name__", type(fn).__name__),
            no_thread_cancel_exception=no_thread_cancel_exception,
        )
        return fn

    if fn is not None:
        return decorator(fn)
    return decorator


@dataclass(frozen=True)
class Info:
    """What a running activity knows about itself."""

    activity_id: str
    activity_type: str
    attempt: int
    current_attempt_scheduled_time: datetime
    heartbeat_details: Sequence[Any]
    heartbeat_timeout: timedelta | None
    is_local: bool
    namespace: str
    schedule_to_close_timeout: timedelta | None
    scheduled_time: datetime
    start_to_close_timeout: timedelta | None
    started_time: datetime
    task_queue: str
    task_token: bytes
    workflow_id: str | None
    workflow_namespace: str | None
    workflow_run_id: str | None
    workflow_type: str | None
    priority: temporalio.common.Priority
    retry_policy: temporalio.common.RetryPolicy | None
    """The policy in force, which the server may have filled in or changed."""
    activity_run_id: str | None = None
    """The run of a standalone activity; None for a workflow's."""

    @property
    def in_workflow(self) -> bool:
        """Whether a workflow runs it, rather than a client."""
        return self.workflow_id is not None

    def _logger_details(self) -> Mapping[str, Any]:
        details: dict[str, Any] = {
            "activity_id": self.activity_id,
            "activity_type": self.activity_type,
            "attempt": self.attempt,
            "namespace": self.namespace,
            "task_queue": self.task_queue,
        }
        if self.in_workflow:
            details["workflow_id"] = self.workflow_id
            details["workflow_run_id"] = self.workflow_run_id
            details["workflow_type"] = self.workflow_type
        else:
            details["activity_run_id"] = self.activity_run_id
        return details


@dataclass(frozen=True)
class ActivityCancellationDetails:
    """Why an activity was cancelled."""

    not_found: bool = False
    """The server knows of no such activity any more."""

    cancel_requested: bool = False
    """Somebody asked for it."""

    paused: bool = False
    """It was paused, to be run again later."""

    reset: bool = False
    """It was reset, to be run again from its first attempt."""

    timed_out: bool = False
    """Its time ran out."""

    worker_shutdown: bool = False
    """The worker is going down."""

    @staticmethod
    def _from_dict(message: Mapping[str, Any]) -> ActivityCancellationDetails:
        """From the details of a cancel task."""
        return ActivityCancellationDetails(
            not_found=bool(message.get("is_not_found")),
            cancel_requested=bool(message.get("is_cancelled")),
            paused=bool(message.get("is_paused")),
            reset=bool(message.get("is_reset")),
            timed_out=bool(message.get("is_timed_out")),
            worker_shutdown=bool(message.get("is_worker_shutdown")),
        )


@dataclass
class _ActivityCancellationDetailsHolder:
    """Shared by the activity and who cancels it."""

    details: ActivityCancellationDetails | None = None


_current_context: contextvars.ContextVar[_Context] = contextvars.ContextVar("activity")


@dataclass
class _Context:
    """What the functions of this module act on."""

    info: Callable[[], Info]
    heartbeat: Callable[..., None] | None
    cancelled_event: temporalio.common._CompositeEvent
    worker_shutdown_event: temporalio.common._CompositeEvent
    shield_thread_cancel_exception: Callable[[], AbstractContextManager] | None
    payload_converter_class_or_instance: (
        type[temporalio.converter.PayloadConverter] | temporalio.converter.PayloadConverter
    )
    runtime_metric_meter: temporalio.common.MetricMeter | None
    client: Client | None
    cancellation_details: _ActivityCancellationDetailsHolder
    _logger_details: Mapping[str, Any] | None = None
    _payload_converter: temporalio.converter.PayloadConverter | None = None
    _metric_meter: temporalio.common.MetricMeter | None = None

    @staticmethod
    def current() -> _Context:
        context = _current_context.get(None)
        if context is None:
            raise RuntimeError("Not in activity context")
        return context

    @staticmethod
    def set(context: _Context) -> contextvars.Token:
        return _current_context.set(context)

    @staticmethod
    def reset(token: contextvars.Token) -> None:
        _current_context.reset(token)

    @property
    def logger_details(self) -> Mapping[str, Any]:
        if self._logger_details is None:
            self._logger_details = self.info()._logger_details()
        return self._logger_details

    @property
    def payload_converter(self) -> temporalio.converter.PayloadConverter:
        if self._payload_converter is None:
            given = self.payload_converter_class_or_instance
            self._payload_converter = given if isinstance(given, _converter.PayloadConverter) else given()
        return self._payload_converter

    @property
    def metric_meter(self) -> temporalio.common.MetricMeter:
        # A process of a pool has no runtime whose meter it could use.
        if self._metric_meter is None:
            if self.runtime_metric_meter is None:
                raise RuntimeError("Metrics are not available to activities that run in another process")
            info = self.info()
            self._metric_meter = self.runtime_metric_meter.with_additional_attributes(
                {
                    "namespace": info.namespace,
                    "task_queue": info.task_queue,
                    "activity_type": info.activity_type,
                }
            )
        return self._metric_meter


def client() -> Client:
    """The client of the worker, in an ``async def`` activity.

    Raises:
        RuntimeError: Not in an activity, or in one that is not async.
    """
    found = _Context.current().client
    if found is None:
        raise RuntimeError(
            "No client available here. The client is only available in `async def` activities; a test can give "
            "ActivityEnvironment one."
        )
    return found


def in_activity() -> bool:
    """Whether the caller runs in an activity."""
    return _current_context.get(None) is not None


def info() -> Info:
    """What the running activity knows about itself."""
    return _Context.current().info()


def heartbeat(*details: Any) -> None:
    """Tells the server that the activity is alive, and learns of its cancellation.

    Calls are cheap: the worker sends the latest at a sensible rate. Without heartbeats an activity is not cancelled.

    Args:
        details: What the next attempt finds in :py:attr:`Info.heartbeat_details`.
    """
    send = _Context.current().heartbeat
    if send is None:
        raise RuntimeError("Cannot heartbeat here")
    send(*details)


def cancellation_details() -> ActivityCancellationDetails | None:
    """Why this activity was cancelled, None if it was not."""
    return _Context.current().cancellation_details.details


def is_cancelled() -> bool:
    """Whether this activity was cancelled."""
    return _Context.current().cancelled_event.is_set()


@contextmanager
def shield_thread_cancel_exception() -> Iterator[None]:
    """Holds back the exception that cancellation raises on a plain activity's thread until the block is left.

    Does nothing in async activities, which have ``asyncio.shield``. Blocks may be nested.
    """
    shield = _Context.current().shield_thread_cancel_exception
    if shield is None:
        yield None
        return
    with shield():
        yield None


async def wait_for_cancelled() -> None:
    """Waits until this async activity is cancelled."""
    await _Context.current().cancelled_event.wait()


def wait_for_cancelled_sync(timeout: timedelta | float | None = None) -> None:
    """Waits until this plain activity is cancelled.

    Args:
        timeout: How long to wait at most; look at :py:func:`is_cancelled` for why it returned.
    """
    _Context.current().cancelled_event.wait_sync(_seconds(timeout))


def is_worker_shutdown() -> bool:
    """Whether the worker is going down."""
    return _Context.current().worker_shutdown_event.is_set()


async def wait_for_worker_shutdown() -> None:
    """Waits, in an async activity, until the worker is going down."""
    await _Context.current().worker_shutdown_event.wait()


def wait_for_worker_shutdown_sync(timeout: timedelta | float | None = None) -> None:
    """Waits, in a plain activity, until the worker is going down.

    Args:
        timeout: How long to wait at most; look at :py:func:`is_worker_shutdown` for why it returned.
    """
    _Context.current().worker_shutdown_event.wait_sync(_seconds(timeout))


def _seconds(timeout: timedelta | float | None) -> float | None:
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout


def raise_complete_async() -> NoReturn:
    """Ends this attempt without a result: another program completes the activity through its task token or id."""
    raise _CompleteAsyncError()


class _CompleteAsyncError(BaseException):
    """Raised by raise_complete_async; no ordinary handler catches it."""


def payload_converter() -> temporalio.converter.PayloadConverter:
    """The worker's payload converter, for values of this activity."""
    return _Context.current().payload_converter


def metric_meter() -> temporalio.common.MetricMeter:
    """A meter whose metrics carry this activity's namespace, task queue and type.

    Raises:
        RuntimeError: Not in an activity, or in one that a process of a pool runs.
    """
    return _Context.current().metric_meter


class LoggerAdapter(logging.LoggerAdapter):
    """Adds to every record which activity wrote it.

    Attributes:
        activity_info_on_message: Whether the message gets a summary at its end; on by default.
        activity_info_on_extra: Whether the record gets it as ``temporal_activity``; on by default.
        full_activity_info_on_extra: Whether the record gets the whole :py:class:`Info` as ``activity_info``; off by
            default.
    """

    def __init__(self, logger: logging.Logger, extra: Mapping[str, Any] | None) -> None:
        """Makes an adapter of this logger."""
        super().__init__(logger, extra or {})
        self.activity_info_on_message = True
        self.activity_info_on_extra = True
        self.full_activity_info_on_extra = False

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Adds to a record, inside an activity."""
        context = _current_context.get(None)
        if context is None:
            return msg, kwargs
        if self.activity_info_on_message:
            msg = f"{msg} ({context.logger_details})"
        extra: dict[str, Any] = {}
        if self.activity_info_on_extra:
            extra["temporal_activity"] = context.logger_details
        if self.full_activity_info_on_extra:
            extra["activity_info"] = context.info()
        # What the caller gave wins; neither its mapping nor the adapter's is changed.
        kwargs["extra"] = {**(self.extra or {}), **extra, **(kwargs.get("extra") or {})}
        return msg, kwargs

    @property
    def base_logger(self) -> logging.Logger:
        """The logger underneath, for a handler or a record without additions."""
        return self.logger


logger = LoggerAdapter(logging.getLogger("temporalio.activity"), None)
"""For activity code; see :py:class:`LoggerAdapter`."""


_ATTRIBUTE = "__temporal_activity_definition"


@dataclass(frozen=True)
class _Definition:
    """An activity as its decorator left it."""

    name: str | None
    """None for the dynamic activity."""
    fn: Callable
    is_async: bool
    no_thread_cancel_exception: bool
    arg_types: list[type] | None = None
    ret_type: type | None = None

    @staticmethod
    def from_callable(fn: Callable) -> _Definition | None:
        """The definition of a decorated function, bound method or callable instance."""
        found = getattr(fn, _ATTRIBUTE, None)
        if isinstance(found, _Pending):
            found = found.settle()
        if not isinstance(found, _Definition):
            return None
        # The function was decorated before it was bound to its instance.
        return found if found.fn is fn else dataclasses.replace(found, fn=fn)

    @staticmethod
    def must_from_callable(fn: Callable) -> _Definition:
        found = _Definition.from_callable(fn)
        if found is None:
            name = getattr(fn, "__name__", None) or str(fn)
            raise TypeError(f"Activity {name} missing attributes: it needs the decorator @activity.defn")
        return found

    @classmethod
    def get_name_and_result_type(cls, name_or_run_fn: str | Callable[..., Any]) -> tuple[str, type | None]:
        """What callers that refer to an activity need of it."""
        if isinstance(name_or_run_fn, str):
            return name_or_run_fn, None
        if not callable(name_or_run_fn):
            raise TypeError("An activity is named by a string or by its function")
        found = cls.must_from_callable(name_or_run_fn)
        if not found.name:
            raise ValueError(f"{name_or_run_fn} is a dynamic activity, so a call must give the name as a string")
        return found.name, found.ret_type

    @staticmethod
    def _apply_to_callable(
        fn: Callable, *, activity_name: str | None, no_thread_cancel_exception: bool = False
    ) -> None:
        if not callable(fn):
            raise TypeError("Activity must be a function, a method or a class with __call__")
        # An own attribute, so that a subclass of a decorated class may be decorated too.
        if _ATTRIBUTE in getattr(fn, "__dict__", {}):
            raise ValueError("Function already contains activity definition")
        if _hints.local.decoders is not None:
            # A copy of a file in a sandbox was looked at outside, and each run needs few of its activities
            setattr(fn, _ATTRIBUTE, _Pending(fn, activity_name, no_thread_cancel_exception))
            return
        _Definition._make(fn, activity_name, no_thread_cancel_exception)

    @staticmethod
    def _make(fn: Callable, name: str | None, no_thread_cancel_exception: bool) -> _Definition:
        call = fn if inspect.isroutine(fn) else getattr(fn, "__call__", fn)
        is_plain = type(fn) is FunctionType and not hasattr(fn, "__wrapped__") and not hasattr(fn, "__signature__")
        if not is_plain or fn.__code__.co_kwonlyargcount:  # type: ignore[attr-defined]
            for parameter in inspect.signature(call).parameters.values():
                if parameter.kind == parameter.KEYWORD_ONLY:
                    raise TypeError("Activity cannot have keyword-only arguments")
        definition = _Definition(
            name=name,
            fn=fn,
            is_async=inspect.iscoroutinefunction(fn) or (call is not fn and inspect.iscoroutinefunction(call)),
            no_thread_cancel_exception=no_thread_cancel_exception,
        )
        setattr(fn, _ATTRIBUTE, definition)
        return definition

    def __post_init__(self) -> None:
        """Fills in the types, and checks those of a dynamic activity."""
        if self.arg_types is None and self.ret_type is None:
            dynamic = self.name is None
            arg_types, ret_type = temporalio.common._type_hints_from_func(self.fn)
            if dynamic and not _is_sequence_of_raw_values(arg_types):
                raise TypeError("A dynamic activity takes exactly one parameter, of type Sequence[temporalio.common.RawValue]")
            object.__setattr__(self, "arg_types", arg_types)
            object.__setattr__(self, "ret_type", ret_type)


class _Pending:
    """A definition to be, of a function that was decorated in a sandbox."""

    __slots__ = ("fn", "name", "no_thread_cancel_exception")

    def __init__(self, fn: Callable, name: str | None, no_thread_cancel_exception: bool) -> None:
        self.fn = fn
        self.name = name
        self.no_thread_cancel_exception = no_thread_cancel_exception

    def settle(self) -> _Definition:
        return _Definition._make(self.fn, self.name, self.no_thread_cancel_exception)


def _is_sequence_of_raw_values(arg_types: list[type] | None) -> bool:
    if not arg_types or len(arg_types) != 1:
        return False
    hint: Any = arg_types[0]
    return getattr(hint, "__origin__", None) is Sequence and getattr(hint, "__args__", None) == (
        temporalio.common.RawValue,
    )
