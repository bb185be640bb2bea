"""The running workflow as its own code sees it: information, time, randomness, waiting, state.

Every function here asks the runtime of the event loop it is called on; the runtime is the workflow instance of
``temporalio.worker``.
"""

from __future__ import annotations

import asyncio
import contextvars
import random as _random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn, Optional, Union, overload

import temporalio.common as common
from temporalio.types import AnyType, ParamType

from ._errors import _NotInWorkflowEventLoopError

if TYPE_CHECKING:
    from dataclasses import dataclass
    from uuid import UUID

    import temporalio.api.common.v1
    import temporalio.api.sdk.v1
    import temporalio.converter
    from typing_extensions import Self
else:
    from temporalio._lazy import dataclass

_unset = common._arg_unset


@dataclass(frozen=True)
class ParentInfo:
    """The workflow that started this one as its child."""

    namespace: str
    run_id: str
    workflow_id: str


@dataclass(frozen=True)
class RootInfo:
    """The workflow at the top of the chain of parents."""

    run_id: str
    workflow_id: str


@dataclass(frozen=True)
class Info:
    """What is known of the running workflow, from :func:`info`."""

    attempt: int
    continued_run_id: str | None
    cron_schedule: str | None
    execution_timeout: timedelta | None
    first_execution_run_id: str
    headers: Mapping[str, temporalio.api.common.v1.Payload]
    namespace: str
    original_execution_run_id: str
    parent: ParentInfo | None
    root: RootInfo | None
    priority: common.Priority
    raw_memo: Mapping[str, temporalio.api.common.v1.Payload]
    retry_policy: common.RetryPolicy | None
    run_id: str
    run_timeout: timedelta | None
    search_attributes: common.SearchAttributes
    start_time: datetime
    task_queue: str
    task_timeout: timedelta
    typed_search_attributes: common.TypedSearchAttributes
    workflow_id: str
    workflow_start_time: datetime
    workflow_type: str

    def _logger_details(self) -> Mapping[str, Any]:
        return {
            "attempt": self.attempt,
            "namespace": self.namespace,
            "run_id": self.run_id,
            "task_queue": self.task_queue,
            "workflow_id": self.workflow_id,
            "workflow_type": self.workflow_type,
        }

    def get_current_build_id(self) -> str:
        """The build id of the worker that completed this task, or is about to; empty when it had none."""
        return _Runtime.current().workflow_get_current_build_id()

    def get_current_deployment_version(self) -> common.WorkerDeploymentVersion | None:
        """The deployment version of the worker that completed this task, or is about to."""
        return _Runtime.current().workflow_get_current_deployment_version()

    def get_current_history_length(self) -> int:
        """How many events this run's history has up to the current task."""
        return _Runtime.current().workflow_get_current_history_length()

    def get_current_history_size(self) -> int:
        """How many bytes this run's history has up to the current task."""
        return _Runtime.current().workflow_get_current_history_size()

    def is_continue_as_new_suggested(self) -> bool:
        """Whether the server finds the history long enough to continue as new."""
        return _Runtime.current().workflow_is_continue_as_new_suggested()

    def is_target_worker_deployment_version_changed(self) -> bool:
        """Whether the deployment's target version is another than this run's."""
        return _Runtime.current().workflow_is_target_worker_deployment_version_changed()


@dataclass(frozen=True)
class UpdateInfo:
    """The update whose handler or validator is running."""

    id: str
    name: str

    @property
    def _logger_details(self) -> Mapping[str, Any]:
        return {"update_id": self.id, "update_name": self.name}


class EventGroup(ABC):
    """A label under which tools show the events of several commands together; see :func:`create_event_group`."""

    @abstractmethod
    def _applied_over(self, groups: Sequence[EventGroup]) -> Sequence[EventGroup]:
        raise NotImplementedError

    @abstractmethod
    def _to_proto(self) -> temporalio.api.sdk.v1.EventGroupMarker:
        raise NotImplementedError

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Puts every command made inside under this group."""
        token = _current_event_groups.set(tuple(self._applied_over(_current_event_groups.get())))
        try:
            yield
        finally:
            _current_event_groups.reset(token)


_current_event_groups: contextvars.ContextVar[Sequence[EventGroup]] = contextvars.ContextVar(
    "__temporal_current_event_groups", default=()
)


class _LabelEventGroup(EventGroup):
    def __init__(self, id: str, label: Optional[dict[str, Any]]) -> None:
        self._id = id
        self._label = label

    def _applied_over(self, groups: Sequence[EventGroup]) -> Sequence[EventGroup]:
        others = [g for g in groups if not (isinstance(g, _LabelEventGroup) and g._id == self._id)]
        return (*others, self)

    def _to_message(self) -> dict[str, Any]:
        label: dict[str, Any] = {"id": self._id}
        if self._label is not None:
            label["label"] = self._label
        return {"label": label}

    def _to_proto(self) -> temporalio.api.sdk.v1.EventGroupMarker:
        import temporalio.api.sdk.v1
        from temporalio import _core

        data = _core.encode("temporal.api.sdk.v1.EventGroupMarker", self._to_message())
        return temporalio.api.sdk.v1.EventGroupMarker.FromString(data)


def create_event_group(id: str, *, label: Optional[str] = None) -> EventGroup:
    """Makes a group of events.

    Args:
        id: Names the group within the workflow.
        label: What tools show for it.
    """
    if not id:
        raise ValueError("an event group needs an id")
    return _LabelEventGroup(id, _Runtime.current().workflow_label_payload(label) if label is not None else None)


_current_update_info: contextvars.ContextVar[UpdateInfo] = contextvars.ContextVar("__temporal_current_update_info")


def _set_current_update_info(info: UpdateInfo) -> None:
    _current_update_info.set(info)


class _Runtime(ABC):
    """A running workflow. One is attached to each workflow's event loop."""

    @staticmethod
    def current() -> _Runtime:
        loop = asyncio._get_running_loop()
        runtime = getattr(loop, "__temporal_workflow_runtime", None)
        if runtime is None:
            raise _NotInWorkflowEventLoopError()
        return runtime

    @staticmethod
    def maybe_current() -> Optional[_Runtime]:
        return getattr(asyncio._get_running_loop(), "__temporal_workflow_runtime", None)

    @staticmethod
    def set_on_loop(loop: asyncio.AbstractEventLoop, runtime: Optional[_Runtime]) -> None:
        if runtime is not None:
            setattr(loop, "__temporal_workflow_runtime", runtime)
        elif hasattr(loop, "__temporal_workflow_runtime"):
            delattr(loop, "__temporal_workflow_runtime")

    @property
    @abstractmethod
    def logger_details(self) -> Mapping[str, Any]: ...

    @abstractmethod
    def workflow_all_handlers_finished(self) -> bool: ...

    @abstractmethod
    def workflow_cancellation_reason(self) -> Optional[str]: ...

    @abstractmethod
    def workflow_continue_as_new(self, *args: Any, **options: Any) -> NoReturn: ...

    @abstractmethod
    def workflow_extern_functions(self) -> Mapping[str, Callable]: ...

    @abstractmethod
    def workflow_get_current_build_id(self) -> str: ...

    @abstractmethod
    def workflow_get_current_deployment_version(self) -> Optional[common.WorkerDeploymentVersion]: ...

    @abstractmethod
    def workflow_get_current_details(self) -> str: ...

    @abstractmethod
    def workflow_get_current_history_length(self) -> int: ...

    @abstractmethod
    def workflow_get_current_history_size(self) -> int: ...

    @abstractmethod
    def workflow_get_external_workflow_handle(self, id: str, *, run_id: Optional[str]) -> Any: ...

    @abstractmethod
    def workflow_get_query_handler(self, name: Optional[str]) -> Optional[Callable]: ...

    @abstractmethod
    def workflow_get_signal_handler(self, name: Optional[str]) -> Optional[Callable]: ...

    @abstractmethod
    def workflow_get_update_handler(self, name: Optional[str]) -> Optional[Callable]: ...

    @abstractmethod
    def workflow_get_update_validator(self, name: Optional[str]) -> Optional[Callable]: ...

    @abstractmethod
    def workflow_has_last_completion_result(self) -> bool: ...

    @abstractmethod
    def workflow_info(self) -> Info: ...

    @abstractmethod
    def workflow_instance(self) -> Any: ...

    @abstractmethod
    def workflow_is_continue_as_new_suggested(self) -> bool: ...

    @abstractmethod
    def workflow_is_failure_exception(self, err: BaseException) -> bool: ...

    @abstractmethod
    def workflow_is_read_only(self) -> bool: ...

    @abstractmethod
    def workflow_is_replaying(self) -> bool: ...

    @abstractmethod
    def workflow_is_replaying_history_events(self) -> bool: ...

    @abstractmethod
    def workflow_is_target_worker_deployment_version_changed(self) -> bool: ...

    @abstractmethod
    def workflow_label_payload(self, label: str) -> dict[str, Any]: ...

    @abstractmethod
    def workflow_last_completion_result(self, type_hint: Optional[type]) -> Optional[Any]: ...

    @abstractmethod
    def workflow_last_failure(self) -> Optional[BaseException]: ...

    @abstractmethod
    def workflow_memo(self) -> Mapping[str, Any]: ...

    @abstractmethod
    def workflow_memo_value(self, key: str, default: Any, *, type_hint: Optional[type]) -> Any: ...

    @abstractmethod
    def workflow_metric_meter(self) -> common.MetricMeter: ...

    @abstractmethod
    def workflow_patch(
        self, id: str, *, deprecated: bool, event_groups: Optional[Sequence[EventGroup]] = None
    ) -> bool: ...

    @abstractmethod
    def workflow_payload_converter(self) -> temporalio.converter.PayloadConverter: ...

    @abstractmethod
    def workflow_random(self) -> _random.Random: ...

    @abstractmethod
    def workflow_random_seed(self) -> int: ...

    @abstractmethod
    def workflow_register_random_seed_callback(self, callback: Callable[[int], None]) -> None: ...

    @abstractmethod
    def workflow_set_current_details(self, details: str) -> None: ...

    @abstractmethod
    def workflow_set_query_handler(self, name: Optional[str], handler: Optional[Callable]) -> None: ...

    @abstractmethod
    def workflow_set_signal_handler(self, name: Optional[str], handler: Optional[Callable]) -> None: ...

    @abstractmethod
    def workflow_set_update_handler(
        self, name: Optional[str], handler: Optional[Callable], validator: Optional[Callable]
    ) -> None: ...

    @abstractmethod
    async def workflow_sleep(
        self, duration: float, *, summary: Optional[str] = None, event_groups: Optional[Sequence[EventGroup]] = None
    ) -> None: ...

    @abstractmethod
    def workflow_start_activity(self, activity: Any, *args: Any, **options: Any) -> Any: ...

    @abstractmethod
    async def workflow_start_child_workflow(self, workflow: Any, *args: Any, **options: Any) -> Any: ...

    @abstractmethod
    def workflow_start_local_activity(self, activity: Any, *args: Any, **options: Any) -> Any: ...

    @abstractmethod
    async def workflow_start_nexus_operation(self, *args: Any, **options: Any) -> Any: ...

    @abstractmethod
    def workflow_time_ns(self) -> int: ...

    @abstractmethod
    def workflow_upsert_memo(
        self, updates: Mapping[str, Any], *, event_groups: Optional[Sequence[EventGroup]] = None
    ) -> None: ...

    @abstractmethod
    def workflow_upsert_search_attributes(
        self,
        attributes: Union[common.SearchAttributes, Sequence[common.SearchAttributeUpdate]],
        *,
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None: ...

    @abstractmethod
    async def workflow_wait_condition(
        self,
        fn: Callable[[], bool],
        *,
        timeout: Optional[float] = None,
        timeout_summary: Optional[str] = None,
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None: ...


# ------------------------------------------------------------------------------------------------------- information


def in_workflow() -> bool:
    """Whether the calling code runs inside a workflow."""
    return _Runtime.maybe_current() is not None


def info() -> Info:
    """What is known of the running workflow."""
    return _Runtime.current().workflow_info()


def instance() -> Any:
    """The running workflow's object."""
    return _Runtime.current().workflow_instance()


def current_update_info() -> Optional[UpdateInfo]:
    """The update whose handler or validator is running here, if one is."""
    return _current_update_info.get(None)


def extern_functions() -> Mapping[str, Callable]:
    """The functions from outside of the sandbox that interceptors made available."""
    return _Runtime.current().workflow_extern_functions()


def cancellation_reason() -> Optional[str]:
    """Why this workflow was asked to cancel; ``None`` when it was not."""
    return _Runtime.current().workflow_cancellation_reason()


def is_failure_exception(err: BaseException) -> bool:
    """Whether this exception, leaving the workflow's code, fails the workflow and not just its task."""
    return _Runtime.current().workflow_is_failure_exception(err)


def metric_meter() -> common.MetricMeter:
    """A meter tagged with the workflow's details that stays silent during replay."""
    return _Runtime.current().workflow_metric_meter()


def payload_converter() -> temporalio.converter.PayloadConverter:
    """The payload converter the workflow works with."""
    return _Runtime.current().workflow_payload_converter()


def get_current_details() -> str:
    """The text set by :func:`set_current_details`."""
    return _Runtime.current().workflow_get_current_details()


def set_current_details(description: str) -> None:
    """Sets a text, Markdown allowed, that tools show beside the running workflow."""
    _Runtime.current().workflow_set_current_details(description)


def has_last_completion_result() -> bool:
    """Whether an earlier run of this cron workflow left a result."""
    return _Runtime.current().workflow_has_last_completion_result()


@overload
def get_last_completion_result() -> Optional[Any]: ...


@overload
def get_last_completion_result(type_hint: type[ParamType]) -> Optional[ParamType]: ...


def get_last_completion_result(type_hint: Optional[type] = None) -> Optional[Any]:
    """The result of the last successful run of this cron workflow, ``None`` when there is none."""
    return _Runtime.current().workflow_last_completion_result(type_hint)


def get_last_failure() -> Optional[BaseException]:
    """Why the run before this one failed, ``None`` when it did not."""
    return _Runtime.current().workflow_last_failure()


# --------------------------------------------------------------------------------------------- memo, search attributes


def memo() -> Mapping[str, Any]:
    """The workflow's memo, converted without type hints."""
    return _Runtime.current().workflow_memo()


@overload
def memo_value(key: str, default: Any = _unset) -> Any: ...


@overload
def memo_value(key: str, *, type_hint: type[ParamType]) -> ParamType: ...


@overload
def memo_value(key: str, default: AnyType, *, type_hint: type[ParamType]) -> Union[AnyType, ParamType]: ...


def memo_value(key: str, default: Any = _unset, *, type_hint: Optional[type] = None) -> Any:
    """One value of the memo; ``KeyError`` when it is not there and no default is given."""
    return _Runtime.current().workflow_memo_value(key, default, type_hint=type_hint)


def upsert_memo(updates: Mapping[str, Any], *, event_groups: Optional[Sequence[EventGroup]] = None) -> None:
    """Adds values to the memo, or replaces them; ``None`` removes one."""
    _Runtime.current().workflow_upsert_memo(updates, event_groups=event_groups)


def upsert_search_attributes(
    attributes: Union[common.SearchAttributes, Sequence[common.SearchAttributeUpdate]],
    *,
    event_groups: Optional[Sequence[EventGroup]] = None,
) -> None:
    """Adds search attributes to the workflow, replaces or removes them.

    Args:
        attributes: Updates made by ``SearchAttributeKey.value_set`` and ``value_unset``. A mapping of lists is the
            older form, where an empty list removes.
        event_groups: Groups the event belongs to.
    """
    if not attributes:
        return
    _Runtime.current().workflow_upsert_search_attributes(attributes, event_groups=event_groups)


# ------------------------------------------------------------------------------------------------ time and randomness


def now() -> datetime:
    """The current time of the workflow, in UTC: that of the workflow task, the same whenever it is replayed."""
    return datetime.fromtimestamp(time(), tz=timezone.utc)


def time() -> float:
    """The current time of the workflow in seconds since 1970."""
    return time_ns() / 1e9


def time_ns() -> int:
    """The current time of the workflow in nanoseconds since 1970."""
    return _Runtime.current().workflow_time_ns()


def random() -> _random.Random:
    """The workflow's own random source; it repeats itself on replay."""
    return _Runtime.current().workflow_random()


def new_random(name: Optional[str] = None) -> _random.Random:
    """A random source of its own, so that other users of randomness do not disturb its order.

    Args:
        name: Makes the source depend on the workflow's seed and this name alone. Without one it is drawn from
            :func:`random`. Either way it is seeded anew when a reset gives the workflow a new seed.
    """
    runtime = _Runtime.current()
    if name is None:
        source = _random.Random()
        runtime.workflow_register_random_seed_callback(
            lambda seed: source.seed(_random.Random(seed).getrandbits(64))
        )
        source.seed(runtime.workflow_random().getrandbits(64))
    else:
        source = _random.Random(f"{runtime.workflow_random_seed()}:{name}")
        runtime.workflow_register_random_seed_callback(lambda seed: source.seed(f"{seed}:{name}"))
    return source


def random_seed() -> int:
    """The seed of :func:`random`. A reset changes it."""
    return _Runtime.current().workflow_random_seed()


def register_random_seed_callback(callback: Callable[[int], None]) -> None:
    """Has a function called with each new seed."""
    _Runtime.current().workflow_register_random_seed_callback(callback)


def uuid4() -> UUID:
    """A random UUID that repeats itself on replay."""
    from uuid import UUID

    return UUID(bytes=random().getrandbits(128).to_bytes(16, "big"), version=4)


def uuid7() -> UUID:
    """A UUID that sorts by the workflow's time and repeats itself on replay."""
    from uuid import UUID

    value = (time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF) << 80 | random().getrandbits(80)
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return UUID(int=value)


# --------------------------------------------------------------------------------------------------- waiting, patching


async def sleep(
    duration: Union[float, timedelta],
    *,
    summary: Optional[str] = None,
    event_groups: Optional[Sequence[EventGroup]] = None,
) -> None:
    """Sleeps on a durable timer.

    Args:
        duration: A timedelta, or seconds.
        summary: One line that tools show for the timer.
        event_groups: Groups the timer's events belong to.
    """
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    await _Runtime.current().workflow_sleep(seconds, summary=summary, event_groups=event_groups)


async def wait_condition(
    fn: Callable[[], bool],
    *,
    timeout: Optional[Union[timedelta, float]] = None,
    timeout_summary: Optional[str] = None,
    event_groups: Optional[Sequence[EventGroup]] = None,
) -> None:
    """Waits until a function returns true; it is asked whenever the workflow has moved and must not change anything.

    Args:
        fn: The function, without parameters.
        timeout: How long to wait before ``asyncio.TimeoutError`` is raised: a timedelta, or seconds.
        timeout_summary: One line that tools show for the timer of the timeout.
        event_groups: Groups the timer's events belong to.
    """
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    await _Runtime.current().workflow_wait_condition(
        fn, timeout=seconds, timeout_summary=timeout_summary, event_groups=event_groups
    )


def patched(id: str, *, event_groups: Optional[Sequence[EventGroup]] = None) -> bool:
    """Whether to take the new way at a changed place of the code.

    True where the run gets here for the first time, or got here with the patch in place; false where history shows
    that this run once went the old way.
    """
    return _Runtime.current().workflow_patch(id, deprecated=False, event_groups=event_groups)


def deprecate_patch(id: str, *, event_groups: Optional[Sequence[EventGroup]] = None) -> None:
    """Marks a patch whose old way is gone from the code, until no run needs to know of it any more."""
    _Runtime.current().workflow_patch(id, deprecated=True, event_groups=event_groups)


# ------------------------------------------------------------------------------------------------------------ handlers


def all_handlers_finished() -> bool:
    """Whether no signal or update handler is at work. Wait for it before returning from the run method."""
    return _Runtime.current().workflow_all_handlers_finished()


def get_signal_handler(name: str) -> Optional[Callable]:
    """The handler of a signal, if it has one of its own."""
    return _Runtime.current().workflow_get_signal_handler(name)


def set_signal_handler(name: str, handler: Optional[Callable]) -> None:
    """Sets the handler of a signal, or removes it with ``None``. Signals that were waiting are handled at once."""
    _Runtime.current().workflow_set_signal_handler(name, handler)


def get_dynamic_signal_handler() -> Optional[Callable]:
    """The handler of signals that have no handler of their own."""
    return _Runtime.current().workflow_get_signal_handler(None)


def set_dynamic_signal_handler(handler: Optional[Callable]) -> None:
    """Sets the handler of signals that have none of their own, or removes it with ``None``."""
    _Runtime.current().workflow_set_signal_handler(None, handler)


def get_query_handler(name: str) -> Optional[Callable]:
    """The handler of a query, if it has one of its own."""
    return _Runtime.current().workflow_get_query_handler(name)


def set_query_handler(name: str, handler: Optional[Callable]) -> None:
    """Sets the handler of a query, or removes it with ``None``."""
    _Runtime.current().workflow_set_query_handler(name, handler)


def get_dynamic_query_handler() -> Optional[Callable]:
    """The handler of queries that have no handler of their own."""
    return _Runtime.current().workflow_get_query_handler(None)


def set_dynamic_query_handler(handler: Optional[Callable]) -> None:
    """Sets the handler of queries that have none of their own, or removes it with ``None``."""
    _Runtime.current().workflow_set_query_handler(None, handler)


def get_update_handler(name: str) -> Optional[Callable]:
    """The handler of an update, if it has one of its own."""
    return _Runtime.current().workflow_get_update_handler(name)


def set_update_handler(name: str, handler: Optional[Callable], *, validator: Optional[Callable] = None) -> None:
    """Sets the handler of an update and its validator, or removes both with ``None``."""
    _Runtime.current().workflow_set_update_handler(name, handler, validator)


def get_dynamic_update_handler() -> Optional[Callable]:
    """The handler of updates that have no handler of their own."""
    return _Runtime.current().workflow_get_update_handler(None)


def set_dynamic_update_handler(handler: Optional[Callable], *, validator: Optional[Callable] = None) -> None:
    """Sets the handler of updates that have none of their own, or removes it with ``None``."""
    _Runtime.current().workflow_set_update_handler(None, handler, validator)
