"""The end of the chain for standalone activities and for completing activities from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import temporalio.common
from temporalio import exceptions
from temporalio._values import duration_ns
from temporalio.client._errors import AsyncActivityCancelledError
from temporalio.client._helpers import (
    call_workflow_service,
    header_dict,
    new_request_id,
    payloads_dict,
    start_extras,
    user_metadata_dict,
)
from temporalio.converter._serialization_context import ActivitySerializationContext
from temporalio.service import RPCError, RPCStatusCode

if TYPE_CHECKING:
    from temporalio.client._activity import (
        ActivityExecutionAsyncIterator,
        ActivityExecutionCount,
        ActivityExecutionDescription,
        ActivityExecutionOptions,
        ActivityHandle,
    )
    from temporalio.client._async_activity import AsyncActivityIDReference
    from temporalio.client._client import Client
    from temporalio.client._interceptor import (
        CancelActivityInput,
        CompleteAsyncActivityInput,
        CountActivitiesInput,
        DescribeActivityInput,
        FailAsyncActivityInput,
        HeartbeatAsyncActivityInput,
        ListActivitiesInput,
        PauseActivityInput,
        ReportCancellationAsyncActivityInput,
        StartActivityInput,
        TerminateActivityInput,
        UnpauseActivityInput,
        UpdateActivityOptionsInput,
    )
    from temporalio.converter import DataConverter

_ALREADY_STARTED = "temporal.api.errordetails.v1.ActivityExecutionAlreadyStartedFailure"


class _ActivitiesImpl:
    """Part of the last link of the chain."""

    _client: Client

    # --- standalone activities ----------------------------------------------------------------------------------------

    def _activity_converter(self, activity_id: str, activity_type: str | None, task_queue: str | None) -> DataConverter:
        from temporalio.converter import StorageDriverActivityInfo, StorageDriverStoreContext

        namespace = self._client.namespace
        converter = self._client.data_converter.with_context(
            ActivitySerializationContext(
                namespace=namespace,
                activity_id=activity_id,
                activity_type=activity_type,
                activity_task_queue=task_queue,
                workflow_id=None,
                workflow_type=None,
                is_local=False,
            )
        )
        if converter.external_storage is None:
            return converter
        target = StorageDriverActivityInfo(namespace=namespace, id=activity_id, type=activity_type)
        return converter._with_store_context(StorageDriverStoreContext(target=target))

    async def start_activity(self, input: StartActivityInput) -> ActivityHandle[Any]:
        from temporalio.client._activity import ActivityHandle

        if input.schedule_to_close_timeout is None and input.start_to_close_timeout is None:
            raise ValueError("An activity needs schedule_to_close_timeout or start_to_close_timeout")
        converter = self._activity_converter(input.id, input.activity_type, input.task_queue)
        request: dict[str, Any] = {
            "namespace": self._client.namespace,
            "identity": self._client.identity,
            "request_id": new_request_id(),
            "activity_id": input.id,
            "activity_type": {"name": input.activity_type},
            "task_queue": {"name": input.task_queue},
            "id_reuse_policy": int(input.id_reuse_policy),
            "id_conflict_policy": int(input.id_conflict_policy),
        }
        for field in (
            "schedule_to_close_timeout",
            "schedule_to_start_timeout",
            "start_to_close_timeout",
            "heartbeat_timeout",
            "start_delay",
        ):
            value = getattr(input, field)
            if value is not None:
                request[field] = duration_ns(value)
        if input.retry_policy is not None:
            request["retry_policy"] = input.retry_policy._to_dict()
        if input.args:
            request["input"] = payloads_dict(await converter._encode_dicts(input.args))
        if input.search_attributes is not None:
            from temporalio.converter._search_attributes import attributes_to_dicts

            request["search_attributes"] = {"indexed_fields": attributes_to_dicts(input.search_attributes)}
        metadata = await user_metadata_dict(converter, input.summary, None)
        if metadata is not None:
            request["user_metadata"] = metadata
        header = await header_dict(self._client, input.headers)
        if header is not None:
            request["header"] = header
        priority = input.priority._to_dict()
        if priority:
            request["priority"] = priority
        request.update(start_extras.get() or {})
        try:
            reply = await call_workflow_service(self._client, "start_activity_execution", request, input)
        except RPCError as err:
            if err.status == RPCStatusCode.ALREADY_EXISTS:
                detail = err._detail(_ALREADY_STARTED)
                if detail is not None:
                    raise exceptions.ActivityAlreadyStartedError(
                        input.id, input.activity_type, run_id=detail.get("run_id")
                    ) from err
            raise
        return ActivityHandle(self._client, input.id, run_id=reply.get("run_id") or None, result_type=input.result_type)

    def _activity_request(self, input: Any, **fields: Any) -> dict[str, Any]:
        return {
            "namespace": self._client.namespace,
            "activity_id": input.activity_id,
            "run_id": input.activity_run_id or "",
            **fields,
        }

    async def cancel_activity(self, input: CancelActivityInput) -> None:
        request = self._activity_request(
            input, identity=self._client.identity, request_id=new_request_id(), reason=input.reason or ""
        )
        await call_workflow_service(self._client, "request_cancel_activity_execution", request, input)

    async def terminate_activity(self, input: TerminateActivityInput) -> None:
        request = self._activity_request(
            input, identity=self._client.identity, request_id=new_request_id(), reason=input.reason or ""
        )
        await call_workflow_service(self._client, "terminate_activity_execution", request, input)

    async def pause_activity(self, input: PauseActivityInput) -> None:
        request = self._activity_request(
            input, identity=self._client.identity, request_id=new_request_id(), reason=input.reason or ""
        )
        await call_workflow_service(self._client, "pause_activity_execution", request, input)

    async def unpause_activity(self, input: UnpauseActivityInput) -> None:
        request = self._activity_request(
            input, identity=self._client.identity, request_id=new_request_id(), reason=input.reason or ""
        )
        if input.jitter is not None:
            request["jitter"] = duration_ns(input.jitter)
        await call_workflow_service(self._client, "unpause_activity_execution", request, input)

    async def update_activity_options(self, input: UpdateActivityOptionsInput) -> ActivityExecutionOptions:
        from temporalio.client._activity import ActivityExecutionOptions, apply_option_updates

        request = self._activity_request(input, identity=self._client.identity, request_id=new_request_id())
        if input.restore_original:
            request["restore_original"] = True
        else:
            options, paths = apply_option_updates(input.updates)
            request["activity_options"] = options
            request["update_mask"] = {"paths": paths}
        reply = await call_workflow_service(self._client, "update_activity_execution_options", request, input)
        return ActivityExecutionOptions._from_dict(reply.get("activity_options", {}))

    async def describe_activity(self, input: DescribeActivityInput) -> ActivityExecutionDescription:
        from temporalio.client._activity import ActivityExecutionDescription

        request = self._activity_request(
            input,
            include_input=input.include_input,
            include_outcome=input.include_outcome,
            include_heartbeat_details=input.include_heartbeat_details,
            include_last_failure=input.include_last_failure,
        )
        reply = await call_workflow_service(self._client, "describe_activity_execution", request, input)
        info = reply.get("info", {})
        converter = self._activity_converter(
            input.activity_id, info.get("activity_type", {}).get("name"), info.get("task_queue")
        )
        return ActivityExecutionDescription._from_reply(reply, self._client.namespace, converter)

    def list_activities(self, input: ListActivitiesInput) -> ActivityExecutionAsyncIterator:
        from temporalio.client._activity import ActivityExecutionAsyncIterator

        return ActivityExecutionAsyncIterator(self._client, input)

    async def count_activities(self, input: CountActivitiesInput) -> ActivityExecutionCount:
        from temporalio.client._activity import ActivityExecutionCount

        reply = await call_workflow_service(
            self._client,
            "count_activity_executions",
            {"namespace": self._client.namespace, "query": input.query or ""},
            input,
        )
        return ActivityExecutionCount._from_dict(reply)

    # --- completion from outside --------------------------------------------------------------------------------------

    def _async_converter(self, input: Any) -> DataConverter:
        if input.data_converter_override is not None:
            return input.data_converter_override
        reference = input.id_or_token
        if isinstance(reference, bytes):
            return self._client.data_converter
        return self._client.data_converter.with_context(
            ActivitySerializationContext(
                namespace=self._client.namespace,
                activity_id=reference.activity_id,
                activity_type=None,
                activity_task_queue=None,
                workflow_id=reference.workflow_id,
                workflow_type=None,
                is_local=False,
            )
        )

    async def _answer(self, method: str, input: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Calls an RPC by task token, or its twin by ids."""
        reference: AsyncActivityIDReference | bytes = input.id_or_token
        request: dict[str, Any] = {
            "namespace": self._client.namespace,
            "identity": self._client.identity,
            **fields,
        }
        if isinstance(reference, bytes):
            request["task_token"] = reference
            return await call_workflow_service(self._client, method, request, input)
        request["workflow_id"] = reference.workflow_id or ""
        request["run_id"] = reference.run_id or ""
        request["activity_id"] = reference.activity_id
        return await call_workflow_service(self._client, f"{method}_by_id", request, input)

    async def heartbeat_async_activity(self, input: HeartbeatAsyncActivityInput) -> None:
        converter = self._async_converter(input)
        fields: dict[str, Any] = {}
        if input.details:
            fields["details"] = payloads_dict(await converter._encode_dicts(input.details))
        reply = await self._answer("record_activity_task_heartbeat", input, fields)
        if reply.get("cancel_requested") or reply.get("activity_paused") or reply.get("activity_reset"):
            from temporalio.activity import ActivityCancellationDetails

            raise AsyncActivityCancelledError(
                ActivityCancellationDetails(
                    cancel_requested=bool(reply.get("cancel_requested")),
                    paused=bool(reply.get("activity_paused")),
                    reset=bool(reply.get("activity_reset")),
                )
            )

    async def complete_async_activity(self, input: CompleteAsyncActivityInput) -> None:
        converter = self._async_converter(input)
        fields: dict[str, Any] = {}
        if input.result is not temporalio.common._arg_unset:
            fields["result"] = payloads_dict(await converter._encode_dicts([input.result]))
        await self._answer("respond_activity_task_completed", input, fields)

    async def fail_async_activity(self, input: FailAsyncActivityInput) -> None:
        converter = self._async_converter(input)
        fields: dict[str, Any] = {"failure": await converter._encode_failure_dict(input.error)}
        if input.last_heartbeat_details:
            fields["last_heartbeat_details"] = payloads_dict(
                await converter._encode_dicts(input.last_heartbeat_details)
            )
        await self._answer("respond_activity_task_failed", input, fields)

    async def report_cancellation_async_activity(self, input: ReportCancellationAsyncActivityInput) -> None:
        converter = self._async_converter(input)
        fields: dict[str, Any] = {}
        if input.details:
            fields["details"] = payloads_dict(await converter._encode_dicts(input.details))
        await self._answer("respond_activity_task_canceled", input, fields)
