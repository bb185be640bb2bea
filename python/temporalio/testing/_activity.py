"""Runs activities without a worker."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import temporalio.activity
import temporalio.common
import temporalio.converter
import temporalio.exceptions
from temporalio._core import raise_in_thread

if TYPE_CHECKING:
    from temporalio.client import Client

_Params = ParamSpec("_Params")
_Return = TypeVar("_Return")

_UTC_ZERO = datetime.fromtimestamp(0).astimezone(timezone.utc)


class ActivityEnvironment:
    """Where activity functions run as if a worker ran them. May be used for several, one after the other or at once.

    Attributes:
        info: What :py:func:`temporalio.activity.info` gives; see :py:meth:`default_info`.
        on_heartbeat: Called with the details of each heartbeat.
        payload_converter: What :py:func:`temporalio.activity.payload_converter` gives.
        metric_meter: What :py:func:`temporalio.activity.metric_meter` gives.
    """

    def __init__(self, client: Client | None = None) -> None:
        """Makes an environment.

        Args:
            client: What :py:func:`temporalio.activity.client` gives.
        """
        self.info = ActivityEnvironment.default_info()
        self.on_heartbeat: Callable[..., None] = lambda *details: None
        self.payload_converter = temporalio.converter.DataConverter.default.payload_converter
        self.metric_meter = temporalio.common.MetricMeter.noop
        self._client = client
        self._is_cancelled = False
        self._is_worker_shutdown = False
        self._cancellation_details = temporalio.activity._ActivityCancellationDetailsHolder()
        self._running: set[_Running] = set()

    @staticmethod
    def default_info() -> temporalio.activity.Info:
        """An ``Info`` made up, for changing with ``dataclasses.replace``."""
        return temporalio.activity.Info(
            activity_id="test",
            activity_type="unknown",
            attempt=1,
            current_attempt_scheduled_time=_UTC_ZERO,
            heartbeat_details=[],
            heartbeat_timeout=None,
            is_local=False,
            namespace="default",
            schedule_to_close_timeout=timedelta(seconds=1),
            scheduled_time=_UTC_ZERO,
            start_to_close_timeout=timedelta(seconds=1),
            started_time=_UTC_ZERO,
            task_queue="test",
            task_token=b"test",
            workflow_id="test",
            workflow_namespace="default",
            workflow_run_id="test-run",
            workflow_type="test",
            priority=temporalio.common.Priority.default,
            retry_policy=None,
            activity_run_id=None,
        )

    def cancel(
        self,
        cancellation_details: temporalio.activity.ActivityCancellationDetails = (
            temporalio.activity.ActivityCancellationDetails(cancel_requested=True)
        ),
    ) -> None:
        """Cancels what runs here now and later.

        Args:
            cancellation_details: What :py:func:`temporalio.activity.cancellation_details` gives.
        """
        if self._is_cancelled:
            return
        self._is_cancelled = True
        self._cancellation_details.details = cancellation_details
        for running in list(self._running):
            running.cancel()

    def worker_shutdown(self) -> None:
        """Lets what runs here know that the worker is going down."""
        if self._is_worker_shutdown:
            return
        self._is_worker_shutdown = True
        for running in list(self._running):
            running.context.worker_shutdown_event.set()

    def run(
        self,
        fn: Callable[_Params, _Return],
        *args: _Params.args,
        **kwargs: _Params.kwargs,
    ) -> _Return:
        """Runs an activity function.

        Args:
            fn: The function, decorated or not.
            args: Its arguments.
            kwargs: Its keyword arguments, which real activities do not have.

        Returns:
            What it returns; for an async one, something to be awaited.
        """
        running = _Running(self, fn)
        return running.run(*args, **kwargs)


class _Running:
    """An activity function that runs."""

    def __init__(self, env: ActivityEnvironment, fn: Callable) -> None:
        self.env = env
        self.fn = fn
        self.is_async = inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))
        self.task: asyncio.Task | None = None
        self.raiser: _ThreadCancelRaiser | None = None
        if not self.is_async:
            definition = temporalio.activity._Definition.from_callable(fn)
            if definition is None or not definition.no_thread_cancel_exception:
                self.raiser = _ThreadCancelRaiser()
        cancelled, shutdown = self._events(env._is_cancelled), self._events(env._is_worker_shutdown)
        self.context = temporalio.activity._Context(
            info=lambda: env.info,
            heartbeat=self._heartbeat,
            cancelled_event=cancelled,
            worker_shutdown_event=shutdown,
            shield_thread_cancel_exception=self.raiser.shielded if self.raiser else None,
            payload_converter_class_or_instance=env.payload_converter,
            runtime_metric_meter=env.metric_meter,
            client=env._client if self.is_async else None,
            cancellation_details=env._cancellation_details,
        )

    def _events(self, is_set: bool) -> temporalio.common._CompositeEvent:
        event = temporalio.common._CompositeEvent(
            thread_event=threading.Event(), async_event=asyncio.Event() if self.is_async else None
        )
        if is_set:
            event.set()
        return event

    def _heartbeat(self, *details: Any) -> None:
        # As on a worker, what was raised asynchronously does not hit the heartbeat itself.
        self.env.on_heartbeat(*details)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        if self.is_async:
            return self._run_async(*args, **kwargs)
        token = temporalio.activity._Context.set(self.context)
        self.env._running.add(self)
        try:
            if self.raiser is not None:
                self.raiser.enter()
            if self.env._is_cancelled:
                self.cancel()
            try:
                return self.fn(*args, **kwargs)
            finally:
                if self.raiser is not None:
                    self.raiser.leave()
        finally:
            self.env._running.discard(self)
            temporalio.activity._Context.reset(token)

    async def _run_async(self, *args: Any, **kwargs: Any) -> Any:
        token = temporalio.activity._Context.set(self.context)
        self.env._running.add(self)
        self.task = asyncio.current_task()
        try:
            if self.env._is_cancelled:
                self.cancel()
            return await self.fn(*args, **kwargs)
        finally:
            self.env._running.discard(self)
            temporalio.activity._Context.reset(token)

    def cancel(self) -> None:
        self.context.cancelled_event.set()
        if self.task is not None:
            self.task.cancel()
        if self.raiser is not None:
            self.raiser.raise_cancelled()


class _ThreadCancelRaiser:
    """Raises CancelledError on the thread of a plain activity, unless it is shielded or past its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread_id: int | None = None
        self._shield_depth = 0
        self._is_pending = False

    def enter(self) -> None:
        with self._lock:
            self._thread_id = threading.get_ident()

    def leave(self) -> None:
        with self._lock:
            self._thread_id = None

    def raise_cancelled(self) -> None:
        with self._lock:
            self._is_pending = True
            self._raise_if_due()

    def _raise_if_due(self) -> None:
        if not self._is_pending or self._shield_depth or self._thread_id is None:
            return
        self._is_pending = False
        raise_in_thread(self._thread_id, temporalio.exceptions.CancelledError)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        with self._lock:
            self._shield_depth += 1
        try:
            yield None
        finally:
            with self._lock:
                self._shield_depth -= 1
                self._raise_if_due()
