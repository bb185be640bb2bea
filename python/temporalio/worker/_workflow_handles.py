"""Handles of what a run has started: activities, child workflows, other workflows, Nexus operations.

An activity's or child's handle is a task. It waits for a future that the answering job resolves, shielded, so that
cancelling the task is not the end of it: it sends the cancel command and waits on for what history says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Optional, Union

import temporalio.workflow
from temporalio.common import _arg_or_args, _arg_unset
from temporalio.workflow import ActivityHandle, ChildWorkflowHandle, EventGroup, ExternalWorkflowHandle
from temporalio.workflow._context import _current_event_groups

from ._interceptor import (
    SignalChildWorkflowInput,
    SignalExternalWorkflowInput,
    StartChildWorkflowInput,
)

if TYPE_CHECKING:
    from ._workflow_commands import CommandBuilder


class DoBackoff(BaseException):
    """A local activity is to be tried again after a timer."""

    def __init__(self, backoff: dict[str, Any]) -> None:
        super().__init__()
        self.backoff = backoff


def uncancel() -> None:
    """Tells the running task that a cancellation was dealt with and not passed on."""
    task = asyncio.current_task()
    if task is not None and hasattr(task, "uncancel"):
        task.uncancel()


def retrieved(future: asyncio.Future[Any]) -> None:
    """Keeps asyncio from complaining about an exception that nobody fetched: the task around it fetches its own."""
    if not future.cancelled():
        future.exception()


def _shielded(inner: asyncio.Future[Any]) -> asyncio.Future[Any]:
    """What ``asyncio.shield`` gives for a future that is the run's own, in as many turns of the loop."""
    if inner.done():
        return inner
    outer: asyncio.Future[Any] = asyncio.Future(loop=inner.get_loop())
    inner.add_done_callback(partial(_pass_on, outer))
    return outer


def _pass_on(outer: asyncio.Future[Any], inner: asyncio.Future[Any]) -> None:
    if outer.done():
        retrieved(inner)
    elif inner.cancelled():
        outer.cancel()
    elif (error := inner.exception()) is not None:
        outer.set_exception(error)
    else:
        outer.set_result(inner.result())


class ActivityHandleImpl(ActivityHandle[Any]):
    """An activity or local activity."""

    _is_local = False

    def __init__(
        self,
        run: CommandBuilder,
        message: dict[str, Any],
        *,
        is_local: bool,
        ret_type: Any,
        converter: Any,
        metadata: Optional[dict[str, Any]],
        markers: Optional[list[dict[str, Any]]],
    ) -> None:
        self._run = run
        self._message = message
        self._metadata = metadata
        self._markers = markers
        self._is_local = is_local
        self._ret_type = ret_type
        self._converter = converter
        self._started = False
        self._seq = 0
        self._outcome: asyncio.Future[Any] = asyncio.Future(loop=run)
        self._schedule()
        super().__init__(self._wait(), loop=run, name=f"activity: {message['activity_type']}")
        run._track(self)

    def _schedule(self, seq: Optional[int] = None) -> None:
        run = self._run
        self._seq = seq = run._next_seq("activity") if seq is None else seq
        message = dict(self._message, seq=seq)
        if not message.get("activity_id"):
            message["activity_id"] = str(seq)  # another one for each schedule after a backoff
        variant = "schedule_local_activity" if self._is_local else "schedule_activity"
        run._add_command({variant: message}, self._metadata, self._markers)
        run._activities[seq] = self

    async def _wait(self) -> Any:
        self._started = True
        while True:
            try:
                return await _shielded(self._outcome)
            except DoBackoff as err:
                backoff = err.backoff
                seq = self._run._next_seq("activity")  # taken before the timer runs, as histories have it
                await asyncio.sleep(backoff.get("backoff_duration", 0) / 1e9)
                self._message["attempt"] = backoff.get("attempt", 0)
                self._message["original_schedule_time"] = backoff.get("original_schedule_time", 0)
                self._outcome = self._run.create_future()
                self._schedule(seq)
            except asyncio.CancelledError:
                if self._outcome.done():
                    if self._run._cancelling_completed_activity_raises():
                        raise
                    uncancel()
                    continue
                uncancel()
                self._send_cancel()

    def cancel(self, msg: Optional[Any] = None) -> bool:
        self._run._assert_not_read_only("cancel activity handle")
        if not self._started and not self.done():
            # Cancelled before its first step the coroutine never runs, so it cannot tell the activity
            self._send_cancel()
        return super().cancel(msg)

    def _send_cancel(self) -> None:
        variant = "request_cancel_local_activity" if self._is_local else "request_cancel_activity"
        self._run._add_command({variant: {"seq": self._seq}})

    def resolve(self, outcome: dict[str, Any]) -> None:
        """Takes the answering job."""
        future = self._outcome
        if "completed" in outcome:
            result = outcome["completed"].get("result")
            value = None if result is None else self._run._decode_one(result, self._ret_type, self._converter)
            if not future.done():
                future.set_result(value)
            return
        if "backoff" in outcome:
            error: BaseException = DoBackoff(outcome["backoff"])
        elif "failed" in outcome:
            error = self._run._to_exception(outcome["failed"], self._converter)
        elif "cancelled" in outcome:
            error = self._run._to_exception(outcome["cancelled"], self._converter)
        else:
            raise RuntimeError("an activity was resolved without an outcome")
        if not future.done():
            future.set_exception(error)
            retrieved(future)


class ChildWorkflowHandleImpl(ChildWorkflowHandle[Any, Any]):
    """A child workflow."""

    def __init__(self, run: CommandBuilder, input: StartChildWorkflowInput, converter: Any) -> None:
        self._run = run
        self._id = input.id
        self._type = input.workflow
        self._ret_type = input.ret_type
        self._converter = converter
        self._first_execution_run_id: Optional[str] = None
        self._seq = run._next_seq("child")
        self._start: asyncio.Future[None] = run.create_future()
        self._outcome: asyncio.Future[Any] = run.create_future()
        run._children[self._seq] = self
        super().__init__(self._wait(), loop=run, name=f"child: {input.workflow}")
        run._track(self)

    @property
    def id(self) -> str:
        return self._id

    @property
    def first_execution_run_id(self) -> Optional[str]:
        return self._first_execution_run_id

    async def _wait(self) -> Any:
        while True:
            try:
                return await asyncio.shield(self._outcome)
            except asyncio.CancelledError as err:
                if self._outcome.done():
                    if self._run._is_single_batch():
                        raise
                    uncancel()
                    continue
                uncancel()
                self._send_cancel(err)

    def _send_cancel(self, err: asyncio.CancelledError) -> None:
        command: dict[str, Any] = {"seq": self._seq}
        reason = str(err.args[0]) if err.args and err.args[0] is not None else self._run._cancel_reason
        if reason:
            command["reason"] = reason
        self._run._add_command({"cancel_child": command})

    async def wait_for_start(self) -> None:
        """Returns when the child has started, raises when it will not."""
        while True:
            try:
                await asyncio.shield(self._start)
                return
            except asyncio.CancelledError as err:
                if self._start.done() and self._start.exception() is not None:
                    continue
                if not self._start.done():
                    self._send_cancel(err)
                if self._run._cancel_requested:
                    # The start may never come: the workflow's own cancellation is not held up by it
                    raise
                uncancel()

    async def signal(
        self,
        signal: Union[str, Callable],
        arg: Any = _arg_unset,
        *,
        args: Sequence[Any] = [],
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None:
        self._run._assert_not_read_only("signal child handle")
        await self._run._outbound.signal_child_workflow(
            SignalChildWorkflowInput(
                signal=temporalio.workflow._SignalDefinition.must_name_from_fn_or_str(signal),
                args=_arg_or_args(arg, args),
                child_workflow_id=self._id,
                headers={},
                event_groups=event_groups,
            )
        )

    def resolve_start(self, outcome: dict[str, Any]) -> None:
        """Takes the job that says whether the child has started."""
        if "run_id" in outcome:
            self._first_execution_run_id = outcome["run_id"]
            if not self._start.done():
                self._start.set_result(None)
            return
        if "failed" in outcome:
            from temporalio.exceptions import WorkflowAlreadyStartedError

            failed = outcome["failed"]
            if failed.get("cause") == 1:
                error: BaseException = WorkflowAlreadyStartedError(
                    failed.get("workflow_id", self._id), failed.get("workflow_type", "")
                )
            else:
                error = RuntimeError(
                    f"child workflow {self._id!r} did not start, "
                    f"StartChildWorkflowExecutionFailedCause {failed.get('cause', 0)}"
                )
        else:
            error = self._run._to_exception(outcome["cancelled"], self._converter)
        self._fail(self._start, error)
        self._fail(self._outcome, error)
        retrieved(self._outcome)
        # Nobody has the handle yet, so nobody fetches its exception
        self.add_done_callback(retrieved)

    def resolve(self, outcome: dict[str, Any]) -> None:
        """Takes the job that says how the child ended."""
        if "completed" in outcome:
            result = outcome["completed"].get("result")
            value = None if result is None else self._run._decode_one(result, self._ret_type, self._converter)
            if not self._outcome.done():
                self._outcome.set_result(value)
            return
        self._fail(
            self._outcome,
            self._run._to_exception(outcome.get("failed") or outcome["cancelled"], self._converter),
        )
        retrieved(self._outcome)

    @staticmethod
    def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
        if not future.done():
            future.set_exception(error)


class ExternalWorkflowHandleImpl(ExternalWorkflowHandle[Any]):
    """Another workflow."""

    def __init__(self, run: CommandBuilder, id: str, run_id: Optional[str]) -> None:
        self._run = run
        self._id = id
        self._run_id = run_id

    @property
    def id(self) -> str:
        return self._id

    @property
    def run_id(self) -> Optional[str]:
        return self._run_id

    async def signal(
        self,
        signal: Union[str, Callable],
        arg: Any = _arg_unset,
        *,
        args: Sequence[Any] = [],
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None:
        self._run._assert_not_read_only("signal external handle")
        await self._run._outbound.signal_external_workflow(
            SignalExternalWorkflowInput(
                signal=temporalio.workflow._SignalDefinition.must_name_from_fn_or_str(signal),
                args=_arg_or_args(arg, args),
                namespace=self._run._info.namespace,
                workflow_id=self._id,
                workflow_run_id=self._run_id,
                headers={},
                event_groups=event_groups,
            )
        )

    async def cancel(self, *, reason: str = "", event_groups: Optional[Sequence[EventGroup]] = None) -> None:
        self._run._assert_not_read_only("cancel external handle")
        await self._run._cancel_external(self._id, self._run_id, reason, event_groups)


class NexusOperationHandleImpl(temporalio.workflow.NexusOperationHandle[Any]):
    """A Nexus operation."""

    def __init__(self, run: CommandBuilder, output_type: Any, converter: Any, name: str) -> None:
        self._run = run
        self._output_type = output_type
        self._converter = converter
        self._seq = run._next_seq("nexus")
        self._token: Optional[str] = None
        self._start: asyncio.Future[None] = run.create_future()
        self._outcome: asyncio.Future[Any] = run.create_future()
        run._nexus_operations[self._seq] = self
        self._task = run.create_task(self._wait(), name=f"nexus: {name}")

    @property
    def operation_token(self) -> Optional[str]:
        return self._token

    def cancel(self) -> bool:
        return self._task.cancel()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._task.__await__()

    async def _wait(self) -> Any:
        while True:
            try:
                return await asyncio.shield(self._outcome)
            except asyncio.CancelledError:
                uncancel()
                if not self._outcome.done():
                    self._run._add_command({"request_cancel_nexus": {"seq": self._seq}})

    async def wait_for_start(self) -> None:
        """Returns when the operation has started, raises when it will not."""
        while True:
            try:
                await asyncio.shield(self._start)
                return
            except asyncio.CancelledError:
                if not self._start.done():
                    self._run._add_command({"request_cancel_nexus": {"seq": self._seq}})
                if self._run._cancel_requested:
                    raise
                uncancel()

    def resolve_start(self, outcome: Mapping[str, Any]) -> None:
        """Takes the job that says whether the operation has started."""
        if "failed" in outcome:
            error = self._run._to_exception(outcome["failed"], self._converter)
            for future in (self._start, self._outcome):
                if not future.done():
                    future.set_exception(error)
            retrieved(self._outcome)
            self._task.add_done_callback(retrieved)
            return
        self._token = outcome.get("operation_token") or None
        if not self._start.done():
            self._start.set_result(None)

    def resolve(self, outcome: Mapping[str, Any]) -> None:
        """Takes the job that says how the operation ended."""
        if self._outcome.done():
            return
        if "completed" in outcome:
            self._outcome.set_result(self._run._decode_one(outcome["completed"], self._output_type, self._converter))
            return
        failure = outcome.get("failed") or outcome.get("cancelled") or outcome.get("timed_out")
        self._outcome.set_exception(self._run._to_exception(failure or {}, self._converter))
        retrieved(self._outcome)


def group_markers(event_groups: Optional[Sequence[EventGroup]]) -> Optional[list[dict[str, Any]]]:
    """The markers of the groups in force here: those of enclosing scopes and those given."""
    groups = _current_event_groups.get()
    if not event_groups and not groups:
        return None
    for group in event_groups or ():
        groups = group._applied_over(groups)
    return [group._to_message() for group in groups]  # type: ignore[attr-defined]
