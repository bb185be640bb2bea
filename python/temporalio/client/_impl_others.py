"""The end of the chain for schedules, standalone Nexus operations and build ids."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from temporalio import exceptions
from temporalio._values import duration_ns
from temporalio.client._errors import NexusOperationFailureError, ScheduleAlreadyRunningError
from temporalio.client._helpers import call_workflow_service, new_request_id, user_metadata_dict, workflow_converter
from temporalio.converter._serialization_context import NexusSerializationContext
from temporalio.service import RPCError, RPCStatusCode

if TYPE_CHECKING:
    from temporalio.client._build_id import WorkerBuildIdVersionSets, WorkerTaskReachability
    from temporalio.client._client import Client
    from temporalio.client._interceptor import (
        BackfillScheduleInput,
        CancelNexusOperationInput,
        CountNexusOperationsInput,
        CreateScheduleInput,
        DeleteScheduleInput,
        DescribeNexusOperationInput,
        DescribeScheduleInput,
        GetNexusOperationResultInput,
        GetWorkerBuildIdCompatibilityInput,
        GetWorkerTaskReachabilityInput,
        ListNexusOperationsInput,
        ListSchedulesInput,
        PauseScheduleInput,
        StartNexusOperationInput,
        TerminateNexusOperationInput,
        TriggerScheduleInput,
        UnpauseScheduleInput,
        UpdateScheduleInput,
        UpdateWorkerBuildIdCompatibilityInput,
    )
    from temporalio.client._nexus import (
        NexusOperationExecutionAsyncIterator,
        NexusOperationExecutionCount,
        NexusOperationExecutionDescription,
        NexusOperationHandle,
    )
    from temporalio.client._schedule import ScheduleAsyncIterator, ScheduleDescription, ScheduleHandle
    from temporalio.converter import DataConverter

_NEXUS_ALREADY_STARTED = "temporal.api.errordetails.v1.NexusOperationExecutionAlreadyStartedFailure"
_NEXUS_WAIT_CLOSED = 2  # NexusOperationWaitStage


class _OthersImpl:
    """Part of the last link of the chain."""

    _client: Client

    # --- schedules ----------------------------------------------------------------------------------------------------

    async def create_schedule(self, input: CreateScheduleInput) -> ScheduleHandle:
        from temporalio.client._schedule import ScheduleActionStartWorkflow, ScheduleHandle
        from temporalio.converter._search_attributes import attributes_to_dicts

        client = self._client
        request: dict[str, Any] = {
            "namespace": client.namespace,
            "schedule_id": input.id,
            "schedule": await input.schedule._to_dict(client),
            "identity": client.identity,
            "request_id": new_request_id(),
        }
        if input.trigger_immediately or input.backfill:
            patch: dict[str, Any] = {}
            if input.trigger_immediately:
                patch["trigger_immediately"] = {"overlap_policy": int(input.schedule.policy.overlap)}
            if input.backfill:
                patch["backfill_request"] = [b._to_dict() for b in input.backfill]
            request["initial_patch"] = patch
        if input.memo:
            converter = client.data_converter
            action = input.schedule.action
            if isinstance(action, ScheduleActionStartWorkflow):
                converter = workflow_converter(client, action.id, action.workflow)
            request["memo"] = {"fields": await converter._encode_memo_dict(input.memo)}
        if input.search_attributes:
            request["search_attributes"] = {"indexed_fields": attributes_to_dicts(input.search_attributes)}
        try:
            await call_workflow_service(client, "create_schedule", request, input)
        except RPCError as err:
            # The detail of a taken workflow id was how older servers said it.
            if err.status == RPCStatusCode.ALREADY_EXISTS:
                raise ScheduleAlreadyRunningError() from err
            raise
        return ScheduleHandle(client, input.id)

    def list_schedules(self, input: ListSchedulesInput) -> ScheduleAsyncIterator:
        from temporalio.client._schedule import ScheduleAsyncIterator

        return ScheduleAsyncIterator(self._client, input)

    async def _patch_schedule(self, input: Any, patch: dict[str, Any]) -> None:
        await call_workflow_service(
            self._client,
            "patch_schedule",
            {
                "namespace": self._client.namespace,
                "schedule_id": input.id,
                "patch": patch,
                "identity": self._client.identity,
                "request_id": new_request_id(),
            },
            input,
        )

    async def backfill_schedule(self, input: BackfillScheduleInput) -> None:
        await self._patch_schedule(input, {"backfill_request": [b._to_dict() for b in input.backfills]})

    async def pause_schedule(self, input: PauseScheduleInput) -> None:
        await self._patch_schedule(input, {"pause": input.note or "Paused via Python SDK"})

    async def unpause_schedule(self, input: UnpauseScheduleInput) -> None:
        await self._patch_schedule(input, {"unpause": input.note or "Unpaused via Python SDK"})

    async def trigger_schedule(self, input: TriggerScheduleInput) -> None:
        await self._patch_schedule(input, {"trigger_immediately": {"overlap_policy": int(input.overlap or 0)}})

    async def delete_schedule(self, input: DeleteScheduleInput) -> None:
        await call_workflow_service(
            self._client,
            "delete_schedule",
            {
                "namespace": self._client.namespace,
                "schedule_id": input.id,
                "identity": self._client.identity,
            },
            input,
        )

    async def describe_schedule(self, input: DescribeScheduleInput) -> ScheduleDescription:
        from temporalio.client._schedule import ScheduleActionStartWorkflow, ScheduleDescription

        client = self._client
        reply = await call_workflow_service(
            client, "describe_schedule", {"namespace": client.namespace, "schedule_id": input.id}, input
        )
        description = ScheduleDescription._from_reply(input.id, reply, client.data_converter)
        action = description.schedule.action
        if isinstance(action, ScheduleActionStartWorkflow):
            description.data_converter = workflow_converter(client, action.id, action.workflow)
        return description

    async def update_schedule(self, input: UpdateScheduleInput) -> None:
        from temporalio.client._interceptor import DescribeScheduleInput
        from temporalio.client._schedule import ScheduleUpdateInput
        from temporalio.converter._search_attributes import attributes_to_dicts

        client = self._client
        while True:
            description = await client._impl.describe_schedule(
                DescribeScheduleInput(id=input.id, rpc_metadata=input.rpc_metadata, rpc_timeout=input.rpc_timeout)
            )
            update: Any = input.updater(ScheduleUpdateInput(description=description))
            if inspect.isawaitable(update):
                update = await update
            if not update:
                return
            request: dict[str, Any] = {
                "namespace": client.namespace,
                "schedule_id": input.id,
                "schedule": await update.schedule._to_dict(client),
                "conflict_token": description._lazy_dict("raw_description").get("conflict_token", b""),
                "identity": client.identity,
                "request_id": new_request_id(),
            }
            if update.search_attributes is not None:
                request["search_attributes"] = {"indexed_fields": attributes_to_dicts(update.search_attributes)}
            try:
                await call_workflow_service(client, "update_schedule", request, input)
                return
            except RPCError as err:
                # Somebody else was faster: look again.
                if err.status != RPCStatusCode.FAILED_PRECONDITION or "conflict token" not in err.message:
                    raise

    # --- standalone Nexus operations ----------------------------------------------------------------------------------

    def _nexus_converter(self, endpoint: str, service: str, operation: str) -> DataConverter:
        return self._client.data_converter.with_context(
            NexusSerializationContext(endpoint=endpoint, service=service, operation=operation)
        )

    async def start_nexus_operation(self, input: StartNexusOperationInput) -> NexusOperationHandle[Any]:
        from temporalio.client._nexus import NexusOperationHandle
        from temporalio.converter._search_attributes import attributes_to_dicts

        client = self._client
        converter = self._nexus_converter(input.endpoint, input.service, input.operation)
        request: dict[str, Any] = {
            "namespace": client.namespace,
            "identity": client.identity,
            "request_id": new_request_id(),
            "operation_id": input.id,
            "endpoint": input.endpoint,
            "service": input.service,
            "operation": input.operation,
            "input": await converter._encode_value_dict(input.arg),
            "id_reuse_policy": int(input.id_reuse_policy),
            "id_conflict_policy": int(input.id_conflict_policy),
        }
        for field in ("schedule_to_close_timeout", "schedule_to_start_timeout", "start_to_close_timeout"):
            value = getattr(input, field)
            if value is not None:
                request[field] = duration_ns(value)
        if input.search_attributes is not None:
            request["search_attributes"] = {"indexed_fields": attributes_to_dicts(input.search_attributes)}
        metadata = await user_metadata_dict(converter, input.summary, None)
        if metadata is not None:
            request["user_metadata"] = metadata
        if input.headers:
            request["nexus_header"] = dict(input.headers)
        try:
            reply = await call_workflow_service(client, "start_nexus_operation_execution", request, input)
        except RPCError as err:
            if err.status == RPCStatusCode.ALREADY_EXISTS:
                detail = err._detail(_NEXUS_ALREADY_STARTED)
                if detail is not None:
                    raise exceptions.NexusOperationAlreadyStartedError(
                        input.id, run_id=detail.get("run_id") or None
                    ) from err
            raise
        return NexusOperationHandle(
            client,
            input.id,
            run_id=reply.get("run_id") or None,
            result_type=input.result_type,
            endpoint=input.endpoint,
            service=input.service,
            operation=input.operation,
        )

    def _operation_request(self, input: Any, **fields: Any) -> dict[str, Any]:
        return {
            "namespace": self._client.namespace,
            "operation_id": input.operation_id,
            "run_id": input.run_id or "",
            **fields,
        }

    async def get_nexus_operation_result(self, input: GetNexusOperationResultInput) -> Any:
        converter = self._nexus_converter(input.endpoint, input.service, input.operation)
        request = self._operation_request(input, wait_stage=_NEXUS_WAIT_CLOSED)
        while True:
            reply = await call_workflow_service(self._client, "poll_nexus_operation_execution", request, input)
            failure = reply.get("failure")
            if failure is not None:
                raise NexusOperationFailureError(cause=await converter._decode_failure_dict(failure))
            if "result" in reply:
                hints = [input.result_type] if input.result_type else None
                return (await converter._decode_dicts([reply["result"]], hints))[0]
            if reply.get("wait_stage", 0) >= _NEXUS_WAIT_CLOSED:
                return None

    async def cancel_nexus_operation(self, input: CancelNexusOperationInput) -> None:
        request = self._operation_request(
            input, identity=self._client.identity, request_id=new_request_id(), reason=input.reason or ""
        )
        await call_workflow_service(self._client, "request_cancel_nexus_operation_execution", request, input)

    async def terminate_nexus_operation(self, input: TerminateNexusOperationInput) -> None:
        request = self._operation_request(
            input, identity=self._client.identity, request_id=new_request_id(), reason=input.reason or ""
        )
        await call_workflow_service(self._client, "terminate_nexus_operation_execution", request, input)

    async def describe_nexus_operation(self, input: DescribeNexusOperationInput) -> NexusOperationExecutionDescription:
        from temporalio.client._nexus import NexusOperationExecutionDescription

        reply = await call_workflow_service(
            self._client, "describe_nexus_operation_execution", self._operation_request(input), input
        )
        info = reply.get("info", {})
        converter = self._nexus_converter(info.get("endpoint", ""), info.get("service", ""), info.get("operation", ""))
        return await NexusOperationExecutionDescription._from_info_dict(info, converter)

    def list_nexus_operations(self, input: ListNexusOperationsInput) -> NexusOperationExecutionAsyncIterator:
        from temporalio.client._nexus import NexusOperationExecutionAsyncIterator

        return NexusOperationExecutionAsyncIterator(self._client, input)

    async def count_nexus_operations(self, input: CountNexusOperationsInput) -> NexusOperationExecutionCount:
        from temporalio.client._nexus import NexusOperationExecutionCount

        reply = await call_workflow_service(
            self._client,
            "count_nexus_operation_executions",
            {"namespace": self._client.namespace, "query": input.query or ""},
            input,
        )
        return NexusOperationExecutionCount._from_dict(reply)

    # --- build ids ----------------------------------------------------------------------------------------------------

    async def update_worker_build_id_compatibility(self, input: UpdateWorkerBuildIdCompatibilityInput) -> None:
        await call_workflow_service(
            self._client,
            "update_worker_build_id_compatibility",
            {
                "namespace": self._client.namespace,
                "task_queue": input.task_queue,
                **input.operation._as_partial_dict(),
            },
            input,
        )

    async def get_worker_build_id_compatibility(
        self, input: GetWorkerBuildIdCompatibilityInput
    ) -> WorkerBuildIdVersionSets:
        from temporalio.client._build_id import WorkerBuildIdVersionSets

        reply = await call_workflow_service(
            self._client,
            "get_worker_build_id_compatibility",
            {
                "namespace": self._client.namespace,
                "task_queue": input.task_queue,
                "max_sets": input.max_sets or 0,
            },
            input,
        )
        return WorkerBuildIdVersionSets._from_dict(reply)

    async def get_worker_task_reachability(self, input: GetWorkerTaskReachabilityInput) -> WorkerTaskReachability:
        from temporalio.client._build_id import WorkerTaskReachability

        reply = await call_workflow_service(
            self._client,
            "get_worker_task_reachability",
            {
                "namespace": self._client.namespace,
                "build_ids": list(input.build_ids),
                "task_queues": list(input.task_queues),
                "reachability": input.reachability.value if input.reachability else 0,
            },
            input,
        )
        return WorkerTaskReachability._from_dict(reply)
