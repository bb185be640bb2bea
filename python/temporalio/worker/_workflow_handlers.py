"""Signals, queries and updates of a run.

``Handlers`` is a part of the workflow run: it finds the handler of each job and runs it. ``RootInbound`` is the last link
of the inbound interceptors.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import traceback
import types
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, TypeVar

import temporalio.exceptions
import temporalio.workflow
from temporalio.common import RawValue
from temporalio.workflow import (
    HandlerUnfinishedPolicy,
    UnfinishedSignalHandlersWarning,
    UnfinishedUpdateHandlersWarning,
    UpdateInfo,
    _QueryDefinition,
    _SignalDefinition,
    _UpdateDefinition,
)

from ._event_loop import WorkflowBeingEvictedError
from ._interceptor import (
    ExecuteWorkflowInput,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    WorkflowInboundInterceptor,
    WorkflowOutboundInterceptor,
)
from ._workflow_commands import CommandBuilder
from ._workflow_instance import WorkflowInstanceDetails, logger

if TYPE_CHECKING:
    from ._workflow_run import WorkflowRun

Message = dict[str, Any]
_T = TypeVar("_T")


class _Execution:
    """A handler at work."""

    __slots__ = ("name", "policy", "id")

    def __init__(self, name: str, policy: HandlerUnfinishedPolicy, id: Optional[str] = None) -> None:
        self.name = name
        self.policy = policy
        self.id = id


class Handlers(CommandBuilder):
    """The part of a workflow run that answers signals, queries and updates."""

    def __init__(self, det: WorkflowInstanceDetails) -> None:
        super().__init__(det)
        defn = det.defn
        # The workflow's own, shared by all its runs, until one sets a handler
        self._signal_defns: Mapping[Optional[str], _SignalDefinition] = defn.signals
        self._query_defns: Mapping[Optional[str], _QueryDefinition] = defn.queries
        self._update_defns: Mapping[Optional[str], _UpdateDefinition] = defn.updates

    def _drop_handlers(self) -> None:
        self._signal_defns = {}
        self._query_defns = {}
        self._update_defns = {}
        self._waiting_signals = {}

    def _handler_input(
        self, defn: Any, name: str, payloads: Sequence[Message]
    ) -> Sequence[Any]:
        """The arguments for a handler: those of the payloads, or for a dynamic one the name and raw values."""
        defn.resolved()
        if defn.name is not None:
            return self._decode_args(payloads, defn.arg_types)
        if defn.dynamic_vararg:
            return [name, *self._decode_args(payloads, None)]
        raw = [RawValue(self._payload_proto(p)) for p in payloads]
        return [name, raw]

    # --------------------------------------------------------------------------------------------------------- signals

    def _apply_signal_workflow(self, job: Message) -> None:
        defn = self._signal_defns.get(job["signal_name"]) or self._signal_defns.get(None)
        if defn is None or (defn.name is None and job["signal_name"].startswith("__temporal_")):
            self._waiting_signals.setdefault(job["signal_name"], []).append(job)
            return
        self._start_signal(defn, job)

    def _start_signal(self, defn: _SignalDefinition, job: Message) -> None:
        name, payloads = job["signal_name"], job.get("input")
        try:
            args = self._handler_input(defn, name, payloads or ()) if payloads or defn.name is None else ()
        except Exception as err:
            if self.workflow_is_failure_exception(err):
                self._on_workflow_error(err)
            else:
                # One bad signal must not hold up the workflow for ever
                details = self._info._logger_details()
                logger.exception(
                    f"Failed deserializing signal input for {name}, dropping the signal ({details})",
                    extra={"temporal_workflow": details},
                )
            return
        if defn is self._signal_defns.get(name) and self._soon_signal(name, tuple(args)):
            return
        execution = _Execution(name, defn.unfinished_policy)
        self._signal_executions[execution] = None
        input = HandleSignalInput(signal=name, args=args, headers=self._read_headers(job.get("headers")))
        task = self.create_task(self._guard(self._inbound.handle_signal(input)), name=f"signal: {name}")
        task.add_done_callback(lambda _: self._signal_executions.pop(execution, None))

    def _find_plain_signals(self) -> None:
        """Tells C the handlers that need no task of their own."""
        self._plain_signals = {
            name: defn.fn
            for name, defn in self._signal_defns.items()
            if name is not None and defn.is_method and _cannot_wait(defn)
        } if not self._details.interceptor_classes else {}

    def _run_signal_now(self, name: str, args: Sequence[Any]) -> Any:
        """Calls the handler that a signal has by now: when it came in it had another."""
        defn = self._signal_defns.get(name) or self._signal_defns[None]
        return defn.bind_fn(self._object)(*args)

    def _adopt_signal(self, name: str, result: Any) -> bool:
        """Gives what a handler has returned a task if it has to be awaited: it was declared otherwise."""
        if not inspect.isawaitable(result):
            return False
        defn = self._signal_defns.get(name) or self._signal_defns[None]
        execution = _Execution(name, defn.unfinished_policy)
        self._signal_executions[execution] = None
        task: asyncio.Task[None] = self.create_task(self._guard(result), name=f"signal: {name}")
        task.add_done_callback(lambda _: self._signal_executions.pop(execution, None))
        return True

    def workflow_get_signal_handler(self, name: Optional[str]) -> Optional[Callable]:
        return self._handler_of(self._signal_defns.get(name))

    def workflow_set_signal_handler(self, name: Optional[str], handler: Optional[Callable]) -> None:
        self._assert_not_read_only("set signal handler")
        self._plain_signals = None
        if handler is None:
            self._signal_defns = _without(self._signal_defns, name)
            return
        defn = _SignalDefinition(name=name, fn=handler, is_method=False)
        self._signal_defns = {**self._signal_defns, name: defn}
        if defn.resolved().dynamic_vararg:
            _warn_vararg("signals")
        waiting = self._waiting_signals
        taken = [name] if name is not None else [n for n in waiting if not n.startswith("__temporal_")]
        for signal_name in taken:
            for job in waiting.pop(signal_name, ()):
                self._start_signal(defn, job)

    # --------------------------------------------------------------------------------------------------------- queries

    def _apply_query_workflow(self, job: Message) -> None:
        answer: Message = {"query_id": job["query_id"]}
        self._in_query = True
        try:
            with self._as_read_only():
                result = _drive(self._run_query(job))
            answer["succeeded"] = result
        except Exception as err:
            answer["failed"] = self._query_failure(err)
        finally:
            self._in_query = False
        self._commands.append({"respond_query": answer})

    def _query_failure(self, err: Exception) -> Message:
        try:
            return self._to_failure(err)
        except Exception as inner:
            return {"message": f"Failed converting query failure: {inner}"}

    async def _run_query(self, job: Message) -> Message:
        name = job["query_type"]
        built_in = _BUILT_IN_QUERIES.get(name)
        if built_in is not None:
            return built_in(self)
        defn = self._query_defns.get(name) or self._query_defns.get(None)
        if defn is None or (defn.name is None and name.startswith("__temporal_")):
            known = sorted([*_BUILT_IN_QUERIES, *(n for n in self._query_defns if n is not None)])
            raise RuntimeError(
                f"Query handler for '{name}' expected but not found, known queries: [{' '.join(known)}]"
            )
        args = self._handler_input(defn, name, job.get("arguments") or ())
        result = await self._inbound.handle_query(
            HandleQueryInput(
                id=job["query_id"], query=name, args=args, headers=self._read_headers(job.get("headers"))
            )
        )
        return self._encode_one(result)

    def workflow_get_query_handler(self, name: Optional[str]) -> Optional[Callable]:
        return self._handler_of(self._query_defns.get(name))

    def workflow_set_query_handler(self, name: Optional[str], handler: Optional[Callable]) -> None:
        self._assert_not_read_only("set query handler")
        if handler is None:
            self._query_defns = _without(self._query_defns, name)
            return
        defn = _QueryDefinition(name=name, fn=handler, is_method=False)
        self._query_defns = {**self._query_defns, name: defn}
        if defn.resolved().dynamic_vararg:
            _warn_vararg("queries")

    # --------------------------------------------------------------------------------------------------------- updates

    def _apply_do_update(self, job: Message) -> None:
        self.create_task(self._run_update(job), name=f"update: {job['name']}")

    async def _run_update(self, job: Message) -> None:
        name, protocol_id = job["name"], job["protocol_instance_id"]
        is_accepted = False
        execution: Optional[_Execution] = None
        try:
            temporalio.workflow._set_current_update_info(UpdateInfo(id=job.get("id", ""), name=name))
            defn = self._update_defns.get(name) or self._update_defns.get(None)
            if defn is None or (defn.name is None and name.startswith("__temporal_")):
                known = sorted(n for n in self._update_defns if n is not None)
                raise RuntimeError(
                    f"Update handler for '{name}' expected but not found, nor one that is dynamic. "
                    f"known updates: [{' '.join(known)}]"
                )
            execution = _Execution(name, defn.unfinished_policy, job.get("id", ""))
            self._update_executions[execution] = None
            payloads = job.get("input") or ()
            headers = self._read_headers(job.get("headers"))
            if job.get("run_validator") and defn.validator is not None:
                # With arguments of its own, which it might change
                input = self._update_input(defn, job, payloads, headers)
                with self._as_read_only():
                    self._in_query = True
                    try:
                        self._inbound.handle_update_validator(input)
                    finally:
                        self._in_query = False
            input = self._update_input(defn, job, payloads, headers)
            self._add_command({"update_response": {"protocol_instance_id": protocol_id, "accepted": {}}})
            is_accepted = True
            result = await self._inbound.handle_update_handler(input)
            response = {"protocol_instance_id": protocol_id, "completed": self._encode_one(result)}
            self._add_command({"update_response": response})
        except WorkflowBeingEvictedError:
            raise
        except (Exception, asyncio.CancelledError, temporalio.workflow.ContinueAsNewError) as err:
            self._on_update_error(err, protocol_id, is_accepted)
        finally:
            if execution is not None:
                self._update_executions.pop(execution, None)

    def _update_input(
        self, defn: _UpdateDefinition, job: Message, payloads: Sequence[Message], headers: Any
    ) -> HandleUpdateInput:
        args = self._handler_input(defn, job["name"], payloads)
        return HandleUpdateInput(id=job.get("id", ""), update=job["name"], args=args, headers=headers)

    def _on_update_error(self, err: BaseException, protocol_id: str, is_accepted: bool) -> None:
        if self._is_evicting:
            return
        # Before it is accepted everything rejects it; afterwards only a failure is an answer, anything else is a bug
        # that fails the task
        is_answer = not is_accepted or self.workflow_is_failure_exception(err)
        if isinstance(err, asyncio.CancelledError):
            is_answer = True
            cancelled = temporalio.exceptions.CancelledError("Cancelled")
            cancelled.__cause__ = None
            err = cancelled
        if not is_accepted and isinstance(err, temporalio.workflow.ReadOnlyContextError):
            # A validator that tries to change the workflow is a bug, not a refusal
            is_answer = False
        if not is_answer or not isinstance(err, Exception):
            if isinstance(err, Exception):
                self._task_error = self._task_error or err
            else:
                self._on_workflow_error(err)
            return
        try:
            failure = self._to_failure(err)
        except Exception as inner:
            self._task_error = self._task_error or inner
            return
        kind = "failed" if is_accepted else "rejected"
        self._add_command({"update_response": {"protocol_instance_id": protocol_id, kind: failure}})

    def workflow_get_update_handler(self, name: Optional[str]) -> Optional[Callable]:
        return self._handler_of(self._update_defns.get(name))

    def workflow_get_update_validator(self, name: Optional[str]) -> Optional[Callable]:
        defn = self._update_defns.get(name)
        if defn is None or defn.validator is None:
            return None
        return defn.bind_validator(self._object)

    def workflow_set_update_handler(
        self, name: Optional[str], handler: Optional[Callable], validator: Optional[Callable]
    ) -> None:
        self._assert_not_read_only("set update handler")
        if handler is None:
            self._update_defns = _without(self._update_defns, name)
            return
        defn = _UpdateDefinition(name=name, fn=handler, is_method=False)
        if validator is not None:
            defn.set_validator(validator)
        if defn.resolved().dynamic_vararg:
            raise RuntimeError("A dynamic update takes its arguments as one Sequence[RawValue], not as *args")
        self._update_defns = {**self._update_defns, name: defn}

    # -------------------------------------------------------------------------------------------------------- all alike

    def _handler_of(self, defn: Any) -> Optional[Callable]:
        if defn is None:
            return None
        handler: Callable = defn.bind_fn(self._object)
        return handler

    def workflow_all_handlers_finished(self) -> bool:
        return not self._update_executions and not self._signal_executions and not self._signal_count

    def _check_unfinished_handlers(self) -> None:
        """Warns when the workflow ends with handlers at work that were not declared expendable."""
        if not self._update_executions and not self._signal_executions:
            return
        if self._is_replaying or not any(key in command for command in self._commands for key in _CLOSING):
            return
        updates = [e for e in self._update_executions if e.policy is HandlerUnfinishedPolicy.WARN_AND_ABANDON]
        if updates:
            which = json.dumps([{"name": e.name, "id": e.id} for e in updates])
            warnings.warn(
                f"[TMPRL1102] Workflow finished while update handlers are still running; their callers get no result. "
                f"Wait for them with `await workflow.wait_condition(workflow.all_handlers_finished)` or declare them with "
                f"`unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON`. Unfinished: {which}",
                UnfinishedUpdateHandlersWarning,
                stacklevel=2,
            )
        signals = [e for e in self._signal_executions if e.policy is HandlerUnfinishedPolicy.WARN_AND_ABANDON]
        if signals:
            counts = Counter(e.name for e in signals)
            which = json.dumps([{"name": name, "count": count} for name, count in counts.most_common()])
            warnings.warn(
                f"[TMPRL1102] Workflow finished while signal handlers are still running. Wait for them with `await "
                f"workflow.wait_condition(workflow.all_handlers_finished)` or declare them with "
                f"`unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON`. Unfinished: {which}",
                UnfinishedSignalHandlersWarning,
                stacklevel=2,
            )

    # ------------------------------------------------------------------------------------------------- built-in queries

    def _query_stack_trace(self) -> Message:
        stacks = []
        for task in list(self._tasks):
            frames = traceback.format_list(_task_stack(task))
            stacks.append(f"Stack for {task!r}:\n" + "".join(frames))
        return self._encode_one("\n\n".join(stacks))

    def _query_enhanced_stack_trace(self) -> Message:
        from temporalio.service import __version__

        sources: dict[str, Any] = {}
        stacks = []
        for task in list(self._tasks):
            locations = []
            for frame in _task_stack(task):
                locations.append(
                    {
                        "filePath": frame.filename,
                        "line": frame.lineno or 0,
                        "functionName": frame.name,
                        **({"column": frame.colno} if getattr(frame, "colno", None) else {}),
                    }
                )
                if frame.filename not in sources:
                    sources[frame.filename] = [{"content": _source_text(frame.filename)}]
            stacks.append({"locations": locations})
        trace = {
            "sdk": {"name": "temporal-python", "version": __version__},
            "sources": {path: parts[0] for path, parts in sources.items()},
            "stacks": stacks,
        }
        return _json_message("temporal.api.sdk.v1.EnhancedStackTrace", trace)

    def _query_metadata(self) -> Message:
        definition: Message = {"type": self._info.workflow_type}
        kinds: tuple[tuple[str, Mapping[Optional[str], Any]], ...] = (
            ("queryDefinitions", self._query_defns),
            ("signalDefinitions", self._signal_defns),
            ("updateDefinitions", self._update_defns),
        )
        for key, defns in kinds:
            listed = [
                {k: v for k, v in (("name", d.name), ("description", d.description)) if v}
                for d in sorted(defns.values(), key=lambda d: d.name or "")
            ]
            if listed:
                definition[key] = listed
        metadata: Message = {"definition": definition}
        if self._current_details:
            metadata["currentDetails"] = self._current_details
        return _json_message("temporal.api.sdk.v1.WorkflowMetadata", metadata)


_CLOSING = ("complete_workflow", "fail_workflow", "cancel_workflow_execution", "continue_as_new")

_BUILT_IN_QUERIES: Mapping[str, Callable[[Any], Message]] = {
    "__stack_trace": Handlers._query_stack_trace,
    "__enhanced_stack_trace": Handlers._query_enhanced_stack_trace,
    "__temporal_workflow_metadata": Handlers._query_metadata,
}


class RootInbound(WorkflowInboundInterceptor):
    """Runs the workflow's own functions."""

    def __init__(self, run: WorkflowRun) -> None:
        self._run = run
        self._outbound: WorkflowOutboundInterceptor

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        self._outbound = outbound

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        return await input.run_fn(self._run._object, *input.args)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        handler = self._handler(self._run._signal_defns, input.signal)
        result = handler(*input.args)
        if inspect.isawaitable(result):
            await result

    async def handle_query(self, input: HandleQueryInput) -> Any:
        handler = self._handler(self._run._query_defns, input.query)
        result = handler(*input.args)
        return await result if inspect.isawaitable(result) else result

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        defns = self._run._update_defns
        defn = defns.get(input.update) or defns[None]
        if defn.validator is not None:
            defn.bind_validator(self._run._object)(*input.args)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        handler = self._handler(self._run._update_defns, input.update)
        result = handler(*input.args)
        return await result if inspect.isawaitable(result) else result

    def _handler(self, defns: Mapping[Optional[str], Any], name: str) -> Callable[..., Any]:
        defn = defns.get(name) or defns[None]
        handler: Callable[..., Any] = defn.bind_fn(self._run._object)
        return handler


def _without(defns: Mapping[Optional[str], _T], name: Optional[str]) -> Mapping[Optional[str], _T]:
    return {key: defn for key, defn in defns.items() if key != name}


def _cannot_wait(defn: Any) -> bool:
    """Whether a handler is a plain function that is declared to return nothing, and not what stands for another."""
    known: Optional[bool] = defn.__dict__.get("_cannot_wait")
    if known is None:
        known = defn.__dict__["_cannot_wait"] = _is_plain(defn.fn)
    return known


def _is_plain(fn: Any) -> bool:
    if type(fn) is not types.FunctionType or fn.__code__.co_flags & _WAITING or hasattr(fn, "__wrapped__"):
        return False
    try:
        returned = fn.__annotations__.get("return", fn)
    except Exception:
        # Names that are there for type checkers only
        return False
    return returned is None or returned == "None"


_WAITING = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def _drive(coro: Any) -> Any:
    """Runs a coroutine that must not wait."""
    try:
        for _ in range(1000):
            awaited = coro.send(None)
            if awaited is not None:
                break
    except StopIteration as stop:
        return stop.value
    coro.close()
    raise RuntimeError("a query handler waited for something; it has to answer from the workflow's present state")


def _task_stack(task: asyncio.Task[Any]) -> traceback.StackSummary:
    """Where a task's coroutines are suspended, outermost first, without asyncio's own frames."""
    frames = []
    coro: Any = task.get_coro()
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
        if frame is not None:
            frames.append((frame, frame.f_lineno))
        coro = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None)
    return traceback.StackSummary.extract(iter(frames))


def _source_text(path: str) -> str:
    import linecache

    with temporalio.workflow.unsafe.sandbox_unrestricted():
        return "".join(linecache.getlines(path))


def _json_message(type_name: str, value: Message) -> Message:
    return {
        "metadata": {"encoding": b"json/protobuf", "messageType": type_name.encode()},
        "data": json.dumps(value, sort_keys=True, separators=(",", ":")).encode(),
    }


def _warn_vararg(kind: str) -> None:
    warnings.warn(
        f"Dynamic {kind} should take their arguments as one Sequence[RawValue]; *args is deprecated",
        DeprecationWarning,
        stacklevel=4,
    )
