"""The end of the interceptors' chain: inputs become requests, replies become what the client gives back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from temporalio import exceptions
from temporalio._values import duration_ns
from temporalio.client._errors import (
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.client._helpers import (
    call_workflow_service,
    decode_result,
    header_dict,
    new_request_id,
    payloads_dict,
    start_extras,
    user_metadata_dict,
    workflow_converter,
)
from temporalio.client._impl_activities import _ActivitiesImpl
from temporalio.client._impl_others import _OthersImpl
from temporalio.client._interceptor import OutboundInterceptor
from temporalio.common import VersioningOverride
from temporalio.service import RPCError, RPCStatusCode

if TYPE_CHECKING:
    from temporalio.client._client import Client
    from temporalio.client._history import WorkflowHistoryEventAsyncIterator
    from temporalio.client._interceptor import (
        CancelWorkflowInput,
        CountWorkflowsInput,
        DescribeWorkflowInput,
        FetchWorkflowHistoryEventsInput,
        ListWorkflowsInput,
        QueryWorkflowInput,
        SignalWorkflowInput,
        StartWorkflowInput,
        StartWorkflowUpdateInput,
        StartWorkflowUpdateWithStartInput,
        TerminateWorkflowInput,
        UpdateWithStartStartWorkflowInput,
        UpdateWithStartUpdateWorkflowInput,
    )
    from temporalio.client._update import WorkflowUpdateHandle
    from temporalio.client._workflow import WorkflowHandle
    from temporalio.client._workflow_execution import (
        WorkflowExecutionAsyncIterator,
        WorkflowExecutionCount,
        WorkflowExecutionDescription,
    )
    from temporalio.converter import DataConverter

_ALREADY_STARTED = "temporal.api.errordetails.v1.WorkflowExecutionAlreadyStartedFailure"
_MULTI_FAILURE = "temporal.api.errordetails.v1.MultiOperationExecutionFailure"
_MULTI_ABORTED = "temporal.api.failure.v1.MultiOperationExecutionAborted"


def _first_task(reply: dict[str, Any]) -> bytes:
    from temporalio import _core

    task = reply.get("eager_workflow_task")
    return _core.encode("temporal.api.workflowservice.v1.PollWorkflowTaskQueueResponse", task) if task else b""


class _ClientImpl(_ActivitiesImpl, _OthersImpl, OutboundInterceptor):
    """The last link of the chain."""

    def __init__(self, client: Client) -> None:
        # There is no next one.
        self._client = client

    def _converter_for(self, workflow_id: str, workflow_type: str | None = None) -> DataConverter:
        return workflow_converter(self._client, workflow_id, workflow_type)

    # --- start --------------------------------------------------------------------------------------------------------

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        from temporalio.client._workflow import WorkflowHandle

        signals = input.start_signal is not None
        request = await self._start_request(input)
        # The first task may come along if somebody here can take it; unasked for, it would wait for its timeout.
        reserved = None
        if input.request_eager_start and not signals:
            service = self._client.service_client.worker_service_client
            reserved = service._reserve_workflow_task(self._client.namespace, input.task_queue)
        if signals:
            request["signal_name"] = input.start_signal
            converter = self._converter_for(input.id, input.workflow)
            if input.start_signal_args:
                request["signal_input"] = payloads_dict(await converter._encode_dicts(input.start_signal_args))
        else:
            request["request_eager_execution"] = reserved is not None
        reply: dict[str, Any] = {}
        try:
            reply = await call_workflow_service(
                self._client,
                "signal_with_start_workflow_execution" if signals else "start_workflow_execution",
                request,
                input,
            )
        except RPCError as err:
            _raise_if_started(err, input)
            raise
        finally:
            if reserved is not None:
                worker, slot = reserved
                worker.accept_workflow_task(slot, _first_task(reply))
        run_id = reply.get("run_id", "")
        handle: WorkflowHandle[Any, Any] = WorkflowHandle(
            self._client,
            input.id,
            result_run_id=run_id,
            # A signalled workflow may have run before, so which run came first is not known.
            first_execution_run_id=None if signals else run_id,
            result_type=input.ret_type,
        )
        setattr(handle, "__temporal_eagerly_started", bool(reply.get("eager_workflow_task")))
        return handle

    async def _start_request(self, input: StartWorkflowInput | UpdateWithStartStartWorkflowInput) -> dict[str, Any]:
        client = self._client
        converter = self._converter_for(input.id, input.workflow)
        request: dict[str, Any] = {
            "namespace": client.namespace,
            "workflow_id": input.id,
            "workflow_type": {"name": input.workflow},
            "task_queue": {"name": input.task_queue},
            "identity": client.identity,
            "request_id": new_request_id(),
            "workflow_id_reuse_policy": int(input.id_reuse_policy),
            "workflow_id_conflict_policy": int(input.id_conflict_policy),
        }
        if input.args:
            request["input"] = payloads_dict(await converter._encode_dicts(input.args))
        for field, value in (
            ("workflow_execution_timeout", input.execution_timeout),
            ("workflow_run_timeout", input.run_timeout),
            ("workflow_task_timeout", input.task_timeout),
            ("workflow_start_delay", input.start_delay),
        ):
            if value is not None:
                request[field] = duration_ns(value)
        if input.retry_policy is not None:
            request["retry_policy"] = input.retry_policy._to_dict()
        if input.cron_schedule:
            request["cron_schedule"] = input.cron_schedule
        if input.memo is not None:
            request["memo"] = {"fields": await converter._encode_memo_dict(input.memo)}
        if input.search_attributes is not None:
            from temporalio.converter._search_attributes import attributes_to_dicts

            request["search_attributes"] = {"indexed_fields": attributes_to_dicts(input.search_attributes)}
        metadata = await user_metadata_dict(converter, input.static_summary, input.static_details)
        if metadata is not None:
            request["user_metadata"] = metadata
        header = await header_dict(client, input.headers)
        if header is not None:
            request["header"] = header
        priority = input.priority._to_dict()
        if priority:
            request["priority"] = priority
        if isinstance(input.versioning_override, VersioningOverride):
            request["versioning_override"] = input.versioning_override._to_dict()
        if input.time_skipping_config is not None:
            from temporalio.converter._messages import message_to_dict

            request["time_skipping_config"] = message_to_dict(input.time_skipping_config)
        request.update(start_extras.get() or {})
        return request

    # --- what handles do ----------------------------------------------------------------------------------------------

    async def cancel_workflow(self, input: CancelWorkflowInput) -> None:
        await call_workflow_service(
            self._client,
            "request_cancel_workflow_execution",
            {
                "namespace": self._client.namespace,
                "workflow_execution": {"workflow_id": input.id, "run_id": input.run_id or ""},
                "identity": self._client.identity,
                "request_id": new_request_id(),
                "first_execution_run_id": input.first_execution_run_id or "",
                "reason": input.reason,
            },
            input,
        )

    async def describe_workflow(self, input: DescribeWorkflowInput) -> WorkflowExecutionDescription:
        from temporalio.client._workflow_execution import WorkflowExecutionDescription

        reply = await call_workflow_service(
            self._client,
            "describe_workflow_execution",
            {
                "namespace": self._client.namespace,
                "execution": {"workflow_id": input.id, "run_id": input.run_id or ""},
            },
            input,
        )
        return WorkflowExecutionDescription._from_info(
            reply.get("workflow_execution_info", {}),
            self._client.namespace,
            self._client.data_converter,
            {
                "raw_description": (
                    "temporal.api.workflowservice.v1.DescribeWorkflowExecutionResponse",
                    reply,
                )
            },
        )

    def fetch_workflow_history_events(
        self, input: FetchWorkflowHistoryEventsInput
    ) -> WorkflowHistoryEventAsyncIterator:
        from temporalio.client._history import WorkflowHistoryEventAsyncIterator

        return WorkflowHistoryEventAsyncIterator(self._client, input)

    def list_workflows(self, input: ListWorkflowsInput) -> WorkflowExecutionAsyncIterator:
        from temporalio.client._workflow_execution import WorkflowExecutionAsyncIterator

        return WorkflowExecutionAsyncIterator(self._client, input)

    async def count_workflows(self, input: CountWorkflowsInput) -> WorkflowExecutionCount:
        from temporalio.client._workflow_execution import WorkflowExecutionCount

        reply = await call_workflow_service(
            self._client,
            "count_workflow_executions",
            {"namespace": self._client.namespace, "query": input.query or ""},
            input,
        )
        return WorkflowExecutionCount._from_dict(reply)

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:
        converter = self._converter_for(input.id)
        query: dict[str, Any] = {"query_type": input.query}
        if input.args:
            query["query_args"] = payloads_dict(await converter._encode_dicts(input.args))
        header = await header_dict(self._client, input.headers)
        if header is not None:
            query["header"] = header
        request: dict[str, Any] = {
            "namespace": self._client.namespace,
            "execution": {"workflow_id": input.id, "run_id": input.run_id or ""},
            "query": query,
        }
        if input.reject_condition:
            request["query_reject_condition"] = int(input.reject_condition)
        try:
            reply = await call_workflow_service(self._client, "query_workflow", request, input)
        except RPCError as err:
            # A query that failed comes as an invalid argument with nothing but a message.
            if err.status == RPCStatusCode.INVALID_ARGUMENT:
                raise WorkflowQueryFailedError(err.message) from err
            raise
        if "query_rejected" in reply:
            from temporalio.client._workflow_execution import WorkflowExecutionStatus

            status = reply["query_rejected"].get("status", 0)
            raise WorkflowQueryRejectedError(WorkflowExecutionStatus(status) if status else None)
        return await decode_result(converter, reply.get("query_result"), input.ret_type)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        converter = self._converter_for(input.id)
        request: dict[str, Any] = {
            "namespace": self._client.namespace,
            "workflow_execution": {"workflow_id": input.id, "run_id": input.run_id or ""},
            "signal_name": input.signal,
            "identity": self._client.identity,
            "request_id": new_request_id(),
        }
        if input.args:
            request["input"] = payloads_dict(await converter._encode_dicts(input.args))
        header = await header_dict(self._client, input.headers)
        if header is not None:
            request["header"] = header
        await call_workflow_service(self._client, "signal_workflow_execution", request, input)

    async def terminate_workflow(self, input: TerminateWorkflowInput) -> None:
        request: dict[str, Any] = {
            "namespace": self._client.namespace,
            "workflow_execution": {"workflow_id": input.id, "run_id": input.run_id or ""},
            "reason": input.reason or "",
            "identity": self._client.identity,
            "first_execution_run_id": input.first_execution_run_id or "",
        }
        if input.args:
            converter = self._converter_for(input.id)
            request["details"] = payloads_dict(await converter._encode_dicts(input.args))
        await call_workflow_service(self._client, "terminate_workflow_execution", request, input)

    # --- updates ------------------------------------------------------------------------------------------------------

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:
        request = await self._update_request(input, input.id, input.run_id)
        request["first_execution_run_id"] = input.first_execution_run_id or ""
        while True:
            try:
                reply = await call_workflow_service(self._client, "update_workflow_execution", request, input)
            except RPCError as err:
                if err.status in (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
                    raise WorkflowUpdateRPCTimeoutOrCancelledError() from err
                raise
            except asyncio.CancelledError as err:
                raise WorkflowUpdateRPCTimeoutOrCancelledError() from err
            if _is_accepted(reply):
                break
            # Not even accepted when the server's time was up. The id makes sure it is the same update.
        return await self._update_handle(input.id, input.run_id, input, request, reply)

    async def _update_request(
        self,
        input: StartWorkflowUpdateInput | UpdateWithStartUpdateWorkflowInput,
        workflow_id: str,
        run_id: str | None,
    ) -> dict[str, Any]:
        from temporalio.client._update import WorkflowUpdateStage

        converter = self._converter_for(workflow_id)
        update_input: dict[str, Any] = {"name": input.update}
        if input.args:
            update_input["args"] = payloads_dict(await converter._encode_dicts(input.args))
        header = await header_dict(self._client, input.headers)
        if header is not None:
            update_input["header"] = header
        extras = dict(start_extras.get() or {})
        extras.pop("on_conflict_options", None)
        # Asking for less than acceptance would not say whether the workflow took it.
        stage = max(input.wait_for_stage, WorkflowUpdateStage.ACCEPTED)
        return {
            "namespace": self._client.namespace,
            "workflow_execution": {"workflow_id": workflow_id, "run_id": run_id or ""},
            "request": {
                "meta": {"update_id": input.update_id or new_request_id(), "identity": self._client.identity},
                "input": update_input,
                **extras,
            },
            "wait_policy": {"lifecycle_stage": int(stage)},
        }

    async def _update_handle(
        self,
        workflow_id: str,
        run_id: str | None,
        input: StartWorkflowUpdateInput | UpdateWithStartUpdateWorkflowInput,
        request: Mapping[str, Any],
        reply: Mapping[str, Any],
        rpc_input: Any = None,
    ) -> WorkflowUpdateHandle[Any]:
        from temporalio.client._update import WorkflowUpdateHandle, WorkflowUpdateStage

        reached_run = reply.get("update_ref", {}).get("workflow_execution", {}).get("run_id") or run_id
        handle: WorkflowUpdateHandle[Any] = WorkflowUpdateHandle(
            self._client,
            request["request"]["meta"]["update_id"],
            workflow_id,
            workflow_run_id=reached_run,
            result_type=input.ret_type,
        )
        handle._outcome = reply.get("outcome")
        if input.wait_for_stage == WorkflowUpdateStage.COMPLETED:
            calls: Any = rpc_input or input
            await handle._poll_until_outcome(calls.rpc_metadata, calls.rpc_timeout)
        return handle

    async def start_update_with_start_workflow(
        self, input: StartWorkflowUpdateWithStartInput
    ) -> WorkflowUpdateHandle[Any]:
        start_input, update_input = input.start_workflow_input, input.update_workflow_input
        state = _WithStart(input)
        try:
            start = await self._start_request(start_input)
            update = await self._update_request(update_input, start_input.id, None)
            request = {
                "namespace": self._client.namespace,
                "operations": [{"start_workflow": start}, {"update_workflow": update}],
            }
            while True:
                reply = await call_workflow_service(self._client, "execute_multi_operation", request, input)
                responses = reply.get("responses", [{}, {}])
                state.started(responses[0].get("start_workflow", {}))
                updated = responses[1].get("update_workflow", {})
                if _is_accepted(updated):
                    break
        except RPCError as err:
            raise state.error_of(err) from err
        except asyncio.CancelledError as err:
            gave_up = WorkflowUpdateRPCTimeoutOrCancelledError()
            state.failed(gave_up)
            raise gave_up from err
        except BaseException as err:
            state.failed(err)
            raise
        return await self._update_handle(start_input.id, None, update_input, update, updated, rpc_input=input)


def _is_accepted(reply: Mapping[str, Any]) -> bool:
    from temporalio.client._update import WorkflowUpdateStage

    return "outcome" in reply or reply.get("stage", 0) >= WorkflowUpdateStage.ACCEPTED


class _WithStart:
    """Tells the caller of an update-with-start what became of the start, once."""

    def __init__(self, input: StartWorkflowUpdateWithStartInput) -> None:
        self._input = input
        self._is_told = False

    def started(self, reply: dict[str, Any]) -> None:
        if self._is_told:
            return
        self._is_told = True
        from temporalio.converter._messages import message_from_dict

        self._input._on_start(
            message_from_dict("temporal.api.workflowservice.v1.StartWorkflowExecutionResponse", reply)
        )

    def failed(self, error: BaseException) -> None:
        if not self._is_told:
            self._is_told = True
            self._input._on_start_error(error)

    def error_of(self, err: RPCError) -> BaseException:
        """The error to raise: the start's if that failed, else the update's."""
        given_up = err.status in (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)
        details = err._detail(_MULTI_FAILURE)
        statuses: Sequence[Mapping[str, Any]] = (details or {}).get("statuses", ())
        if len(statuses) != 2:
            error: BaseException = WorkflowUpdateRPCTimeoutOrCancelledError() if given_up else err
            self.failed(error)
            return error
        start, update = statuses
        if start.get("code", 0) and not _is_aborted(start):
            error = _operation_error(start)
            if isinstance(error, RPCError):
                started = _started_error(error, self._input.start_workflow_input)
                error = started or error
            self.failed(error)
            return error
        error = _operation_error(update) if update.get("code", 0) and not _is_aborted(update) else err
        self.failed(error)
        if isinstance(error, RPCError) and error.status in (
            RPCStatusCode.DEADLINE_EXCEEDED,
            RPCStatusCode.CANCELLED,
        ):
            return WorkflowUpdateRPCTimeoutOrCancelledError()
        return error


def _is_aborted(status: Mapping[str, Any]) -> bool:
    """Whether an operation failed only because the other one did."""
    return any(d.get("type_url", "").rpartition("/")[2] == _MULTI_ABORTED for d in status.get("details", ()))


def _operation_error(status: Mapping[str, Any]) -> RPCError:
    from temporalio import _core

    raw = _core.encode(
        "google.rpc.Status",
        {
            "code": status.get("code", 0),
            "message": status.get("message", ""),
            "details": list(status.get("details", ())),
        },
    )
    return RPCError(status.get("message", ""), RPCStatusCode(status.get("code", 2)), raw)


def _started_error(err: RPCError, input: Any) -> exceptions.WorkflowAlreadyStartedError | None:
    """The error to raise for a start whose id is taken, None for another failure."""
    if err.status != RPCStatusCode.ALREADY_EXISTS:
        return None
    detail = err._detail(_ALREADY_STARTED)
    if detail is None:
        return None
    return exceptions.WorkflowAlreadyStartedError(
        input.id,
        input.workflow,
        run_id=detail.get("run_id", ""),
        first_run_id=detail.get("first_execution_run_id") or None,
    )


def _raise_if_started(err: RPCError, input: Any) -> None:
    error = _started_error(err, input)
    if error is not None:
        raise error from err
