"""Handles to workflows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, cast, overload

import temporalio.common
from temporalio import exceptions
from temporalio.client._errors import WorkflowContinuedAsNewError, WorkflowFailureError
from temporalio.client._helpers import decode_result
from temporalio.client._history import (
    WorkflowHistory,
    WorkflowHistoryEventAsyncIterator,
    WorkflowHistoryEventFilterType,
)
from temporalio.converter._messages import payload_list
from temporalio.converter._serialization_context import WorkflowSerializationContext
from temporalio.types import (
    LocalReturnType,
    MethodSyncOrAsyncNoParam,
    MethodSyncOrAsyncSingleParam,
    MultiParamSpec,
    ParamType,
    ReturnType,
    SelfType,
)

if TYPE_CHECKING:
    from dataclasses import dataclass

    from typing_extensions import Concatenate, Unpack

    import temporalio.api.workflowservice.v1
    import temporalio.converter
    import temporalio.workflow
    from temporalio.client._client import Client
    from temporalio.client._options import QueryOptions, RPCOptions, UpdateOptions
    from temporalio.client._update import WorkflowUpdateHandle, WorkflowUpdateStage
    from temporalio.client._workflow_execution import WorkflowExecutionDescription
else:
    from temporalio._lazy import dataclass


class WorkflowHandle(Generic[SelfType, ReturnType]):
    """A handle to a workflow; made by the client's ``start_workflow`` and ``get_workflow_handle``."""

    def __init__(
        self,
        client: Client,
        id: str,
        *,
        run_id: str | None = None,
        result_run_id: str | None = None,
        first_execution_run_id: str | None = None,
        result_type: type | None = None,
        start_workflow_response: (
            temporalio.api.workflowservice.v1.StartWorkflowExecutionResponse
            | temporalio.api.workflowservice.v1.SignalWithStartWorkflowExecutionResponse
            | None
        ) = None,
    ) -> None:
        """Makes a handle; programs use the client's methods."""
        self._client = client
        self._id = id
        self._run_id = run_id
        self._result_run_id = result_run_id
        self._first_execution_run_id = first_execution_run_id
        self._result_type = result_type
        self._start_workflow_response = start_workflow_response

    @property
    def id(self) -> str:
        """The workflow's id."""
        return self._id

    @property
    def run_id(self) -> str | None:
        """The run that all calls but ``cancel`` and ``terminate`` are about; None for the latest.

        A handle from ``start_workflow`` has none, since the workflow may go on as other runs.
        """
        return self._run_id

    @property
    def result_run_id(self) -> str | None:
        """The run whose result :py:meth:`result` waits for, in or with the runs after it; None for the latest."""
        return self._result_run_id

    @property
    def first_execution_run_id(self) -> str | None:
        """The first run of the chain that ``cancel`` and ``terminate`` are about, None for whichever is there."""
        return self._first_execution_run_id

    @property
    def _data_converter(self) -> temporalio.converter.DataConverter:
        return self._client.data_converter.with_context(
            WorkflowSerializationContext(namespace=self._client.namespace, workflow_id=self._id)
        )

    async def result(
        self,
        *,
        follow_runs: bool = True,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> ReturnType:
        """Waits for the workflow's result.

        Args:
            follow_runs: Whether to go on with the runs that a run is continued or retried as.
            rpc_metadata: Headers for each call.
            rpc_timeout: How long to wait for each call; the whole may take longer.

        Returns:
            The result.

        Raises:
            WorkflowFailureError: The workflow failed, timed out, was cancelled or terminated.
            WorkflowContinuedAsNewError: It went on as another run, which was not to be followed.
            RPCError: There is no such workflow, or the server refused.
        """
        run_id = self._result_run_id
        while True:
            event = await self._close_event(run_id, rpc_metadata, rpc_timeout)
            next_run = await self._outcome(event, follow_runs)
            if next_run.is_result:
                return cast(ReturnType, next_run.value)
            run_id = next_run.value

    async def _close_event(
        self, run_id: str | None, rpc_metadata: Mapping[str, str | bytes], rpc_timeout: timedelta | None
    ) -> dict[str, Any]:
        """Waits for the event that closes a run."""
        from temporalio.client._history import next_event_dict

        events = self._fetch_history_events_for_run(
            run_id,
            page_size=None,
            next_page_token=None,
            wait_new_event=True,
            event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT,
            skip_archival=True,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
        )
        event = await next_event_dict(events)
        if event is None:
            raise RuntimeError(f"The history of workflow {self._id} has no event that closes it")
        return event

    async def _outcome(self, event: dict[str, Any], follow_runs: bool) -> _Outcome:
        """What a closing event comes to: the result, the run to go on with, or an error raised."""
        kind, attributes = _close_attributes(event)
        next_run = attributes.get("new_execution_run_id", "")
        if kind == "continued_as_new":
            if not next_run:
                raise RuntimeError("The event of a continued workflow names no new run")
            if not follow_runs:
                raise WorkflowContinuedAsNewError(next_run)
            return _Outcome(False, next_run)
        if next_run and follow_runs:
            return _Outcome(False, next_run)  # a cron schedule or a retry
        converter = self._data_converter
        if kind == "completed":
            return _Outcome(True, await decode_result(converter, attributes.get("result"), self._result_type))
        raise WorkflowFailureError(cause=await _close_error(converter, kind, attributes))

    async def cancel(
        self,
        *,
        reason: str = "",
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Asks the workflow to stop.

        Args:
            reason: Why.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.

        Raises:
            RPCError: There is no such workflow running, or the server refused.
        """
        from temporalio.client._interceptor import CancelWorkflowInput

        await self._client._impl.cancel_workflow(
            CancelWorkflowInput(
                id=self._id,
                run_id=self._run_id,
                first_execution_run_id=self._first_execution_run_id,
                reason=reason,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    async def describe(
        self,
        *,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowExecutionDescription:
        """Describes the workflow as it is now.

        Args:
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import DescribeWorkflowInput

        return await self._client._impl.describe_workflow(
            DescribeWorkflowInput(id=self._id, run_id=self._run_id, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)
        )

    async def fetch_history(
        self,
        *,
        event_filter_type: WorkflowHistoryEventFilterType = WorkflowHistoryEventFilterType.ALL_EVENT,
        skip_archival: bool = False,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowHistory:
        """Fetches the workflow's history.

        Args:
            event_filter_type: Which events.
            skip_archival: Whether not to look into the archive.
            rpc_metadata: Headers for each call.
            rpc_timeout: How long to wait for each call.
        """
        from temporalio.client._history import next_event_dict

        events: list[dict[str, Any]] = []
        iterator = self.fetch_history_events(
            event_filter_type=event_filter_type,
            skip_archival=skip_archival,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
        )
        while (event := await next_event_dict(iterator)) is not None:
            events.append(event)
        return WorkflowHistory._from_dicts(self._id, events)

    def fetch_history_events(
        self,
        *,
        page_size: int | None = None,
        next_page_token: bytes | None = None,
        wait_new_event: bool = False,
        event_filter_type: WorkflowHistoryEventFilterType = WorkflowHistoryEventFilterType.ALL_EVENT,
        skip_archival: bool = False,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowHistoryEventAsyncIterator:
        """Iterates over the workflow's events.

        Args:
            page_size: How many to ask for at a time.
            next_page_token: Where to go on, of an earlier iterator.
            wait_new_event: Whether to wait for events to come, until the workflow has closed.
            event_filter_type: Which events.
            skip_archival: Whether not to look into the archive.
            rpc_metadata: Headers for each call.
            rpc_timeout: How long to wait for each call.
        """
        return self._fetch_history_events_for_run(
            self._run_id,
            page_size=page_size,
            next_page_token=next_page_token,
            wait_new_event=wait_new_event,
            event_filter_type=event_filter_type,
            skip_archival=skip_archival,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
        )

    def _fetch_history_events_for_run(self, run_id: str | None, **options: Any) -> WorkflowHistoryEventAsyncIterator:
        from temporalio.client._interceptor import FetchWorkflowHistoryEventsInput

        return self._client._impl.fetch_workflow_history_events(
            FetchWorkflowHistoryEventsInput(id=self._id, run_id=run_id, **options)
        )

    @overload
    async def query(
        self,
        query: MethodSyncOrAsyncNoParam[SelfType, LocalReturnType],
        **options: Unpack[QueryOptions],
    ) -> LocalReturnType: ...

    @overload
    async def query(
        self,
        query: MethodSyncOrAsyncSingleParam[SelfType, ParamType, LocalReturnType],
        arg: ParamType,
        **options: Unpack[QueryOptions],
    ) -> LocalReturnType: ...

    @overload
    async def query(
        self,
        query: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[LocalReturnType] | LocalReturnType],
        *,
        args: Sequence[Any],
        **options: Unpack[QueryOptions],
    ) -> LocalReturnType: ...

    @overload
    async def query(
        self,
        query: str,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        result_type: type | None = None,
        **options: Unpack[QueryOptions],
    ) -> Any: ...

    async def query(
        self,
        query: str | Callable,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        result_type: type | None = None,
        reject_condition: temporalio.common.QueryRejectCondition | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> Any:
        """Asks the workflow something.

        Args:
            query: The workflow's query method, or the query's name.
            arg: The argument, for a query of one.
            args: The arguments, for one of several; not together with ``arg``.
            result_type: The type of the answer, where the query is given by name.
            reject_condition: In which state of the workflow to refuse; the client's default if None.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.

        Returns:
            The answer.

        Raises:
            WorkflowQueryRejectedError: The workflow is in the state given.
            WorkflowQueryFailedError: The query failed.
            RPCError: There is no such workflow, or no worker answers.
        """
        from temporalio.client._interceptor import QueryWorkflowInput

        hinted_type: type | None = None
        if callable(query):
            from temporalio.workflow import _QueryDefinition

            definition = _QueryDefinition.from_fn(query)
            if definition is None:
                raise RuntimeError(f"{query.__qualname__} is no query: is it decorated with @workflow.query?")
            if not definition.name:
                raise RuntimeError("A dynamic query handler is called by the name of a query")
            name, hinted_type = definition.name, definition.resolved().ret_type
        else:
            name = str(query)
        return await self._client._impl.query_workflow(
            QueryWorkflowInput(
                id=self._id,
                run_id=self._run_id,
                query=name,
                args=temporalio.common._arg_or_args(arg, args),
                reject_condition=reject_condition
                or self._client.config(active_config=True)["default_workflow_query_reject_condition"],
                headers={},
                ret_type=result_type or hinted_type,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    @overload
    async def signal(
        self,
        signal: MethodSyncOrAsyncNoParam[SelfType, None],
        **options: Unpack[RPCOptions],
    ) -> None: ...

    @overload
    async def signal(
        self,
        signal: MethodSyncOrAsyncSingleParam[SelfType, ParamType, None],
        arg: ParamType,
        **options: Unpack[RPCOptions],
    ) -> None: ...

    @overload
    async def signal(
        self,
        signal: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[None] | None],
        *,
        args: Sequence[Any],
        **options: Unpack[RPCOptions],
    ) -> None: ...

    @overload
    async def signal(
        self,
        signal: str,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        **options: Unpack[RPCOptions],
    ) -> None: ...

    async def signal(
        self,
        signal: str | Callable,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Sends the workflow a signal.

        Args:
            signal: The workflow's signal method, or the signal's name.
            arg: The argument, for a signal of one.
            args: The arguments, for one of several; not together with ``arg``.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.

        Raises:
            RPCError: There is no such workflow running, or the server refused.
        """
        from temporalio.client._interceptor import SignalWorkflowInput
        from temporalio.workflow import _SignalDefinition

        await self._client._impl.signal_workflow(
            SignalWorkflowInput(
                id=self._id,
                run_id=self._run_id,
                signal=_SignalDefinition.must_name_from_fn_or_str(signal),
                args=temporalio.common._arg_or_args(arg, args),
                headers={},
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    async def terminate(
        self,
        *args: Any,
        reason: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Ends the workflow without asking it.

        Args:
            args: Values to go with the termination.
            reason: Why.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.

        Raises:
            RPCError: There is no such workflow running, or the server refused.
        """
        from temporalio.client._interceptor import TerminateWorkflowInput

        await self._client._impl.terminate_workflow(
            TerminateWorkflowInput(
                id=self._id,
                run_id=self._run_id,
                first_execution_run_id=self._first_execution_run_id,
                args=args,
                reason=reason,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    @overload
    async def execute_update(
        self,
        update: temporalio.workflow.UpdateMethodMultiParam[[SelfType], LocalReturnType],
        **options: Unpack[UpdateOptions],
    ) -> LocalReturnType: ...

    @overload
    async def execute_update(
        self,
        update: temporalio.workflow.UpdateMethodMultiParam[[SelfType, ParamType], LocalReturnType],
        arg: ParamType,
        **options: Unpack[UpdateOptions],
    ) -> LocalReturnType: ...

    @overload
    async def execute_update(
        self,
        update: temporalio.workflow.UpdateMethodMultiParam[MultiParamSpec, LocalReturnType],
        *,
        args: MultiParamSpec.args,  # type: ignore[valid-type]
        **options: Unpack[UpdateOptions],
    ) -> LocalReturnType: ...

    @overload
    async def execute_update(
        self,
        update: str,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        result_type: type | None = None,
        **options: Unpack[UpdateOptions],
    ) -> Any: ...

    async def execute_update(
        self,
        update: str | Callable,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str | None = None,
        result_type: type | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> Any:
        """Sends the workflow an update and waits for its result.

        Args:
            update: The workflow's update method, or the update's name.
            arg: The argument, for an update of one.
            args: The arguments, for one of several; not together with ``arg``.
            id: The update's id, a new one if None. The same id means the same update.
            result_type: The type of the result, where the update is given by name.
            rpc_metadata: Headers for these calls.
            rpc_timeout: How long to wait for each call.

        Returns:
            The update's result.

        Raises:
            WorkflowUpdateFailedError: The update was refused or failed.
            RPCError: There is no such workflow running, or the server refused.
        """
        from temporalio.client._update import WorkflowUpdateStage

        handle = await self._start_update(
            update,
            arg,
            args=args,
            wait_for_stage=WorkflowUpdateStage.COMPLETED,
            id=id,
            result_type=result_type,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
        )
        return await handle.result(rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)

    @overload
    async def start_update(
        self,
        update: temporalio.workflow.UpdateMethodMultiParam[[SelfType], LocalReturnType],
        *,
        wait_for_stage: WorkflowUpdateStage,
        **options: Unpack[UpdateOptions],
    ) -> WorkflowUpdateHandle[LocalReturnType]: ...

    @overload
    async def start_update(
        self,
        update: temporalio.workflow.UpdateMethodMultiParam[[SelfType, ParamType], LocalReturnType],
        arg: ParamType,
        *,
        wait_for_stage: WorkflowUpdateStage,
        **options: Unpack[UpdateOptions],
    ) -> WorkflowUpdateHandle[LocalReturnType]: ...

    @overload
    async def start_update(
        self,
        update: temporalio.workflow.UpdateMethodMultiParam[MultiParamSpec, LocalReturnType],
        *,
        args: MultiParamSpec.args,  # type: ignore[valid-type]
        wait_for_stage: WorkflowUpdateStage,
        **options: Unpack[UpdateOptions],
    ) -> WorkflowUpdateHandle[LocalReturnType]: ...

    @overload
    async def start_update(
        self,
        update: str,
        arg: Any = temporalio.common._arg_unset,
        *,
        wait_for_stage: WorkflowUpdateStage,
        args: Sequence[Any] = [],
        result_type: type | None = None,
        **options: Unpack[UpdateOptions],
    ) -> WorkflowUpdateHandle[Any]: ...

    async def start_update(
        self,
        update: str | Callable,
        arg: Any = temporalio.common._arg_unset,
        *,
        wait_for_stage: WorkflowUpdateStage,
        args: Sequence[Any] = [],
        id: str | None = None,
        result_type: type | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowUpdateHandle[Any]:
        """Sends the workflow an update and waits until it has come so far.

        Args:
            update: The workflow's update method, or the update's name.
            arg: The argument, for an update of one.
            wait_for_stage: How far; ADMITTED cannot be waited for.
            args: The arguments, for one of several; not together with ``arg``.
            id: The update's id, a new one if None. The same id means the same update.
            result_type: The type of the result, where the update is given by name.
            rpc_metadata: Headers for these calls.
            rpc_timeout: How long to wait for each call.

        Returns:
            A handle to the update.
        """
        return await self._start_update(
            update,
            arg,
            args=args,
            wait_for_stage=wait_for_stage,
            id=id,
            result_type=result_type,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
        )

    async def _start_update(
        self,
        update: str | Callable,
        arg: Any,
        *,
        args: Sequence[Any],
        wait_for_stage: WorkflowUpdateStage,
        id: str | None,
        result_type: type | None,
        rpc_metadata: Mapping[str, str | bytes],
        rpc_timeout: timedelta | None,
    ) -> WorkflowUpdateHandle[Any]:
        from temporalio.client._interceptor import StartWorkflowUpdateInput
        from temporalio.client._update import WorkflowUpdateStage
        from temporalio.workflow import _UpdateDefinition

        if wait_for_stage == WorkflowUpdateStage.ADMITTED:
            raise ValueError("ADMITTED wait stage not supported")
        name, hinted_type = _UpdateDefinition.get_name_and_result_type(update)
        return await self._client._impl.start_workflow_update(
            StartWorkflowUpdateInput(
                id=self._id,
                run_id=self._run_id,
                first_execution_run_id=self._first_execution_run_id,
                update_id=id,
                update=name,
                args=temporalio.common._arg_or_args(arg, args),
                wait_for_stage=wait_for_stage,
                headers={},
                ret_type=result_type or hinted_type,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    def get_update_handle(
        self, id: str, *, workflow_run_id: str | None = None, result_type: type | None = None
    ) -> WorkflowUpdateHandle[Any]:
        """Makes a handle to an update there is; asks nobody whether it is.

        Args:
            id: The update's id.
            workflow_run_id: The workflow's run; this handle's if None.
            result_type: The type of the result.
        """
        from temporalio.client._update import WorkflowUpdateHandle

        return WorkflowUpdateHandle(
            self._client,
            id,
            self._id,
            workflow_run_id=workflow_run_id or self._run_id,
            result_type=result_type,
        )

    def get_update_handle_for(
        self,
        update: temporalio.workflow.UpdateMethodMultiParam[Any, LocalReturnType],
        id: str,
        *,
        workflow_run_id: str | None = None,
    ) -> WorkflowUpdateHandle[LocalReturnType]:
        """As :py:meth:`get_update_handle`, with the type of a workflow's update method.

        Args:
            update: The update method; only its type is used.
            id: As there.
            workflow_run_id: As there.
        """
        return self.get_update_handle(
            id,
            workflow_run_id=workflow_run_id,
            result_type=update._defn.resolved().ret_type,  # type: ignore[attr-defined]
        )


@dataclass(frozen=True)
class _Outcome:
    """What a run came to."""

    is_result: bool
    value: Any  # the result, or the id of the run to go on with


# Events that close a run, by the field that holds their attributes.
_CLOSE_EVENTS = {
    f"workflow_execution_{kind}_event_attributes": kind
    for kind in ("completed", "failed", "canceled", "terminated", "timed_out", "continued_as_new")
}


def _close_attributes(event: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    for field, kind in _CLOSE_EVENTS.items():
        if field in event:
            return kind, event[field]
    raise RuntimeError(f"An event of type {event.get('event_type')} does not close a workflow")


async def _close_error(
    converter: temporalio.converter.DataConverter, kind: str, attributes: Mapping[str, Any]
) -> BaseException:
    if kind == "failed":
        return await converter._decode_failure_dict(attributes.get("failure", {}))
    if kind == "timed_out":
        return exceptions.TimeoutError(
            "Workflow timed out", type=exceptions.TimeoutType.START_TO_CLOSE, last_heartbeat_details=[]
        )
    details = payload_list(attributes.get("details"))
    values = await converter._decode_dicts(details) if details else []
    if kind == "canceled":
        return exceptions.CancelledError("Workflow cancelled", *values)
    return exceptions.TerminatedError(attributes.get("reason") or "Workflow terminated", *values)
