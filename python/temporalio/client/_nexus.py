"""Standalone Nexus operations, which belong to no workflow: their client, handles, descriptions, lists."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import temporalio.common
from temporalio._values import to_datetime_or_none, to_timedelta_or_none
from temporalio.client._helpers import (
    LazyMessages,
    PagedIterator,
    call_workflow_service,
    count_groups,
    decode_user_metadata,
)
from temporalio.types import NexusServiceType, ReturnType

if TYPE_CHECKING:
    import dataclasses
    from dataclasses import dataclass

    import nexusrpc
    import nexusrpc.handler
    from typing_extensions import Unpack

    import temporalio.api.nexus.v1
    import temporalio.converter
    import temporalio.nexus
    from temporalio.client._client import Client
    from temporalio.client._interceptor import ListNexusOperationsInput
    from temporalio.client._options import NexusOperationOptions
else:
    import dataclasses

    from temporalio._lazy import dataclass

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


@dataclass(frozen=True)
class Callback:
    """Whom to tell of the end of a workflow that stands for a Nexus operation."""

    url: str
    """Where to."""

    headers: Mapping[str, str]
    """Headers to send along."""


@dataclass
class NexusOperationExecution(LazyMessages):
    """A standalone Nexus operation as a list shows it."""

    operation_id: str
    """Its id."""
    run_id: str
    """Its run."""
    endpoint: str
    """The endpoint that was called."""
    service: str
    """The service that was called."""
    operation: str
    """The operation's name."""
    schedule_time: datetime | None
    """When it was started."""
    close_time: datetime | None
    """When it closed."""
    status: temporalio.common.NexusOperationExecutionStatus
    """How far it has come."""
    search_attributes: temporalio.common.TypedSearchAttributes
    """Its search attributes."""
    state_transition_count: int
    """How often its state has changed."""
    execution_duration: timedelta | None
    """How long it took, if it has closed."""
    raw_info: (
        temporalio.api.nexus.v1.NexusOperationExecutionListInfo | temporalio.api.nexus.v1.NexusOperationExecutionInfo
    )
    """What the server sent."""

    @staticmethod
    def _common_fields(info: Mapping[str, Any]) -> dict[str, Any]:
        from temporalio.converter._search_attributes import typed_attributes_from_dicts

        return dict(
            operation_id=info.get("operation_id", ""),
            run_id=info.get("run_id", ""),
            endpoint=info.get("endpoint", ""),
            service=info.get("service", ""),
            operation=info.get("operation", ""),
            schedule_time=to_datetime_or_none(info.get("schedule_time")),
            close_time=to_datetime_or_none(info.get("close_time")),
            status=temporalio.common.NexusOperationExecutionStatus(info.get("status", 0)),
            search_attributes=typed_attributes_from_dicts(info.get("search_attributes", {}).get("indexed_fields")),
            state_transition_count=info.get("state_transition_count", 0),
            execution_duration=to_timedelta_or_none(info.get("execution_duration")),
        )

    @classmethod
    def _from_list_info(cls, info: Mapping[str, Any]) -> NexusOperationExecution:
        return cls._make(
            {"raw_info": ("temporal.api.nexus.v1.NexusOperationExecutionListInfo", info)}, **cls._common_fields(info)
        )


@dataclass
class NexusOperationExecutionCancellationInfo(LazyMessages):
    """How far the cancellation of a standalone Nexus operation has come."""

    raw: temporalio.api.nexus.v1.NexusOperationExecutionCancellationInfo
    """What the server sent."""
    requested_time: datetime | None
    """When it was asked to stop."""
    state: temporalio.common.NexusOperationCancellationState
    """How far that has come."""
    attempt: int
    """How often the handler was told."""
    last_attempt_complete_time: datetime | None
    """When it was told last."""
    next_attempt_schedule_time: datetime | None
    """When it will be told again."""
    last_attempt_failure: BaseException | None
    """Why telling it failed."""
    blocked_reason: str
    """What keeps it from being told."""
    reason: str
    """Why it was asked to stop."""

    @classmethod
    async def _from_dict(
        cls, info: Mapping[str, Any], converter: temporalio.converter.DataConverter
    ) -> NexusOperationExecutionCancellationInfo:
        failure = info.get("last_attempt_failure")
        return cls._make(
            {"raw": ("temporal.api.nexus.v1.NexusOperationExecutionCancellationInfo", info)},
            requested_time=to_datetime_or_none(info.get("requested_time")),
            state=temporalio.common.NexusOperationCancellationState(info.get("state", 0)),
            attempt=info.get("attempt", 0),
            last_attempt_complete_time=to_datetime_or_none(info.get("last_attempt_complete_time")),
            next_attempt_schedule_time=to_datetime_or_none(info.get("next_attempt_schedule_time")),
            last_attempt_failure=await converter._decode_failure_dict(failure) if failure is not None else None,
            blocked_reason=info.get("blocked_reason", ""),
            reason=info.get("reason", ""),
        )


@dataclass
class NexusOperationExecutionDescription(NexusOperationExecution):
    """A standalone Nexus operation described."""

    raw_description: temporalio.api.nexus.v1.NexusOperationExecutionInfo
    """What the server sent."""
    state: temporalio.common.PendingNexusOperationExecutionState
    """What it is doing, if it runs."""
    schedule_to_close_timeout: timedelta | None
    """How long it may take in all."""
    schedule_to_start_timeout: timedelta | None
    """How long it may wait to be started."""
    start_to_close_timeout: timedelta | None
    """How long it may take once started."""
    attempt: int
    """The current attempt to start it, or the last."""
    expiration_time: datetime | None
    """When it times out."""
    last_attempt_complete_time: datetime | None
    """When the last attempt ended."""
    next_attempt_schedule_time: datetime | None
    """When the next attempt is due."""
    last_attempt_failure: BaseException | None
    """Why the last attempt failed."""
    blocked_reason: str | None
    """What keeps it from being started."""
    request_id: str
    """The id of the request that started it."""
    operation_token: str | None
    """The token its handler gave."""
    identity: str
    """Who started it."""
    cancellation_info: NexusOperationExecutionCancellationInfo | None
    """How far its cancellation has come, if it was asked to stop."""
    _data_converter: temporalio.converter.DataConverter = dataclasses.field(kw_only=True, compare=False, repr=False)
    _static_summary: str | None = dataclasses.field(kw_only=True, default=None, compare=False, repr=False)
    _static_details: str | None = dataclasses.field(kw_only=True, default=None, compare=False, repr=False)
    _metadata_decoded: bool = dataclasses.field(kw_only=True, default=False, compare=False, repr=False)

    @classmethod
    async def _from_info_dict(
        cls, info: Mapping[str, Any], converter: temporalio.converter.DataConverter
    ) -> NexusOperationExecutionDescription:
        type_name = "temporal.api.nexus.v1.NexusOperationExecutionInfo"
        failure, cancellation = info.get("last_attempt_failure"), info.get("cancellation_info")
        return cls._make(
            {"raw_info": (type_name, info), "raw_description": (type_name, info)},
            **cls._common_fields(info),
            state=temporalio.common.PendingNexusOperationExecutionState(info.get("state", 0)),
            schedule_to_close_timeout=to_timedelta_or_none(info.get("schedule_to_close_timeout")),
            schedule_to_start_timeout=to_timedelta_or_none(info.get("schedule_to_start_timeout")),
            start_to_close_timeout=to_timedelta_or_none(info.get("start_to_close_timeout")),
            attempt=info.get("attempt", 0),
            expiration_time=to_datetime_or_none(info.get("expiration_time")),
            last_attempt_complete_time=to_datetime_or_none(info.get("last_attempt_complete_time")),
            next_attempt_schedule_time=to_datetime_or_none(info.get("next_attempt_schedule_time")),
            last_attempt_failure=await converter._decode_failure_dict(failure) if failure is not None else None,
            blocked_reason=info.get("blocked_reason") or None,
            request_id=info.get("request_id", ""),
            operation_token=info.get("operation_token") or None,
            identity=info.get("identity", ""),
            cancellation_info=await NexusOperationExecutionCancellationInfo._from_dict(cancellation, converter)
            if cancellation is not None
            else None,
            _data_converter=converter,
            _static_summary=None,
            _static_details=None,
            _metadata_decoded=False,
        )

    async def static_summary(self) -> str | None:
        """The line about it that it was started with."""
        await self._decode_metadata()
        return self._static_summary

    async def static_details(self) -> str | None:
        """What more about it it was started with."""
        await self._decode_metadata()
        return self._static_details

    async def _decode_metadata(self) -> None:
        if not self._metadata_decoded:
            metadata = self._lazy_dict("raw_description").get("user_metadata")
            self._static_summary, self._static_details = await decode_user_metadata(self._data_converter, metadata)
            self._metadata_decoded = True


@dataclass(frozen=True)
class NexusOperationExecutionCountAggregationGroup:
    """How many standalone Nexus operations have these values in common."""

    count: int
    """How many."""
    group_values: Sequence[temporalio.common.SearchAttributeValue]
    """The values."""


@dataclass
class NexusOperationExecutionCount:
    """How many standalone Nexus operations a filter finds."""

    count: int
    """How many; near enough for a large number."""
    groups: Sequence[NexusOperationExecutionCountAggregationGroup]
    """Groups of them, if the filter asks for groups."""

    @staticmethod
    def _from_dict(reply: Mapping[str, Any]) -> NexusOperationExecutionCount:
        return NexusOperationExecutionCount(
            reply.get("count", 0),
            [NexusOperationExecutionCountAggregationGroup(count, values) for count, values in count_groups(reply)],
        )


class NexusOperationHandle(Generic[ReturnType]):
    """A handle to a standalone Nexus operation."""

    def __init__(
        self,
        client: Client,
        operation_id: str,
        *,
        run_id: str | None = None,
        result_type: type | None = None,
        endpoint: str = "",
        service: str = "",
        operation: str = "",
    ) -> None:
        """Makes a handle; programs use the client's methods."""
        self._client = client
        self._operation_id = operation_id
        self._run_id = run_id
        self._result_type = result_type
        self._endpoint = endpoint
        self._service = service
        self._operation = operation
        self._known_result: tuple[Any] | None = None

    @property
    def operation_id(self) -> str:
        """The operation's id."""
        return self._operation_id

    @property
    def run_id(self) -> str | None:
        """Its run, None for the latest."""
        return self._run_id

    @property
    def endpoint(self) -> str:
        """The endpoint that was called; empty in a handle made by an id."""
        return self._endpoint

    @property
    def service(self) -> str:
        """The service that was called; empty in a handle made by an id."""
        return self._service

    async def result(
        self,
        *,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> ReturnType:
        """Waits for the operation's result.

        Args:
            rpc_metadata: Headers for each call.
            rpc_timeout: How long to wait for each call; the whole may take longer.

        Raises:
            NexusOperationFailureError: The operation failed, timed out, was cancelled or terminated.
            RPCError: There is no such operation, or the server refused.
        """
        from temporalio.client._interceptor import GetNexusOperationResultInput

        if self._known_result is None:
            result = await self._client._impl.get_nexus_operation_result(
                GetNexusOperationResultInput(
                    operation_id=self._operation_id,
                    run_id=self._run_id,
                    endpoint=self._endpoint,
                    service=self._service,
                    operation=self._operation,
                    rpc_metadata=rpc_metadata,
                    rpc_timeout=rpc_timeout,
                    result_type=self._result_type,
                )
            )
            self._known_result = (result,)
        return self._known_result[0]

    async def describe(
        self,
        *,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> NexusOperationExecutionDescription:
        """Describes the operation as it is now.

        Args:
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import DescribeNexusOperationInput

        return await self._client._impl.describe_nexus_operation(
            DescribeNexusOperationInput(
                operation_id=self._operation_id,
                run_id=self._run_id,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    async def cancel(
        self,
        *,
        reason: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Asks the operation to stop.

        Args:
            reason: Why.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import CancelNexusOperationInput

        await self._client._impl.cancel_nexus_operation(
            CancelNexusOperationInput(
                operation_id=self._operation_id,
                run_id=self._run_id,
                reason=reason,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    async def terminate(
        self,
        *,
        reason: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Ends the operation without asking it.

        Args:
            reason: Why.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import TerminateNexusOperationInput

        await self._client._impl.terminate_nexus_operation(
            TerminateNexusOperationInput(
                operation_id=self._operation_id,
                run_id=self._run_id,
                reason=reason,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )


class NexusClient(ABC, Generic[NexusServiceType]):
    """A client of one Nexus service; made by :py:meth:`Client.create_nexus_client`."""

    @overload
    @abstractmethod
    async def start_operation(
        self,
        operation: nexusrpc.Operation[InputT, OutputT],
        arg: InputT,
        *,
        id: str,
        **options: Unpack[NexusOperationOptions],
    ) -> NexusOperationHandle[OutputT]: ...

    @overload
    @abstractmethod
    async def start_operation(
        self,
        operation: str,
        arg: Any,
        *,
        id: str,
        result_type: type[OutputT] | None = None,
        **options: Unpack[NexusOperationOptions],
    ) -> NexusOperationHandle[OutputT]: ...

    @overload
    @abstractmethod
    async def start_operation(
        self,
        operation: Callable[[NexusServiceType, nexusrpc.handler.StartOperationContext, InputT], Awaitable[OutputT]],
        arg: InputT,
        *,
        id: str,
        **options: Unpack[NexusOperationOptions],
    ) -> NexusOperationHandle[OutputT]: ...

    @overload
    @abstractmethod
    async def start_operation(
        self,
        operation: Callable[[NexusServiceType, nexusrpc.handler.StartOperationContext, InputT], OutputT],
        arg: InputT,
        *,
        id: str,
        **options: Unpack[NexusOperationOptions],
    ) -> NexusOperationHandle[OutputT]: ...

    @overload
    @abstractmethod
    async def start_operation(
        self,
        operation: Callable[
            [NexusServiceType, temporalio.nexus.WorkflowRunOperationContext, InputT],
            Awaitable[temporalio.nexus.WorkflowHandle[OutputT]],
        ],
        arg: InputT,
        *,
        id: str,
        **options: Unpack[NexusOperationOptions],
    ) -> NexusOperationHandle[OutputT]: ...

    @overload
    @abstractmethod
    async def start_operation(
        self,
        operation: Callable[
            [
                NexusServiceType,
                temporalio.nexus.TemporalStartOperationContext,
                temporalio.nexus.TemporalNexusClient,
                InputT,
            ],
            Awaitable[temporalio.nexus.TemporalOperationResult[OutputT]],
        ],
        arg: InputT,
        *,
        id: str,
        **options: Unpack[NexusOperationOptions],
    ) -> NexusOperationHandle[OutputT]: ...

    @overload
    @abstractmethod
    async def start_operation(
        self,
        operation: Callable[[NexusServiceType], nexusrpc.handler.OperationHandler[InputT, OutputT]],
        arg: InputT,
        *,
        id: str,
        **options: Unpack[NexusOperationOptions],
    ) -> NexusOperationHandle[OutputT]: ...

    @abstractmethod
    async def start_operation(
        self,
        operation: nexusrpc.Operation[Any, Any] | str | Callable[..., Any],
        arg: Any,
        *,
        id: str,
        id_reuse_policy: temporalio.common.NexusOperationIDReusePolicy = (
            temporalio.common.NexusOperationIDReusePolicy.ALLOW_DUPLICATE
        ),
        id_conflict_policy: temporalio.common.NexusOperationIDConflictPolicy = (
            temporalio.common.NexusOperationIDConflictPolicy.FAIL
        ),
        result_type: type | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        schedule_to_start_timeout: timedelta | None = None,
        start_to_close_timeout: timedelta | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | None = None,
        summary: str | None = None,
        headers: Mapping[str, str] | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> NexusOperationHandle[Any]:
        """Starts an operation that belongs to no workflow.

        Args:
            operation: The operation's definition, its handler's method, or its name.
            arg: The argument.
            id: The operation's id.
            id_reuse_policy: What to do when a closed operation has the id.
            id_conflict_policy: What to do when a running operation has the id.
            result_type: The type of its result, where the operation is given by name.
            schedule_to_close_timeout: How long it may take in all.
            schedule_to_start_timeout: How long it may wait to be started.
            start_to_close_timeout: How long it may take once started.
            search_attributes: Attributes to find it by.
            summary: One line of Markdown about it, for user interfaces.
            headers: Headers of the operation.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.

        Returns:
            A handle to the operation.
        """
        ...

    @overload
    @abstractmethod
    async def execute_operation(
        self,
        operation: nexusrpc.Operation[InputT, OutputT],
        arg: InputT,
        *,
        id: str,
        **options: Unpack[NexusOperationOptions],
    ) -> OutputT: ...

    @overload
    @abstractmethod
    async def execute_operation(
        self,
        operation: str,
        arg: Any,
        *,
        id: str,
        result_type: type[OutputT] | None = None,
        **options: Unpack[NexusOperationOptions],
    ) -> OutputT: ...

    @overload
    @abstractmethod
    async def execute_operation(
        self,
        operation: Callable[[NexusServiceType, nexusrpc.handler.StartOperationContext, InputT], Awaitable[OutputT]],
        arg: InputT,
        *,
        id: str,
        **options: Unpack[NexusOperationOptions],
    ) -> OutputT: ...

    @overload
    @abstractmethod
    async def execute_operation(
        self,
        operation: Callable[[NexusServiceType, nexusrpc.handler.StartOperationContext, InputT], OutputT],
        arg: InputT,
        *,
        id: str,
        **options: Unpack[NexusOperationOptions],
    ) -> OutputT: ...

    @overload
    @abstractmethod
    async def execute_operation(
        self,
        operation: Callable[
            [NexusServiceType, temporalio.nexus.WorkflowRunOperationContext, InputT],
            Awaitable[temporalio.nexus.WorkflowHandle[OutputT]],
        ],
        arg: InputT,
        *,
        id: str,
        **options: Unpack[NexusOperationOptions],
    ) -> OutputT: ...

    @overload
    @abstractmethod
    async def execute_operation(
        self,
        operation: Callable[
            [
                NexusServiceType,
                temporalio.nexus.TemporalStartOperationContext,
                temporalio.nexus.TemporalNexusClient,
                InputT,
            ],
            Awaitable[temporalio.nexus.TemporalOperationResult[OutputT]],
        ],
        arg: InputT,
        *,
        id: str,
        **options: Unpack[NexusOperationOptions],
    ) -> OutputT: ...

    @overload
    @abstractmethod
    async def execute_operation(
        self,
        operation: Callable[[NexusServiceType], nexusrpc.handler.OperationHandler[InputT, OutputT]],
        arg: InputT,
        *,
        id: str,
        **options: Unpack[NexusOperationOptions],
    ) -> OutputT: ...

    @abstractmethod
    async def execute_operation(
        self,
        operation: nexusrpc.Operation[Any, Any] | str | Callable[..., Any],
        arg: Any,
        *,
        id: str,
        id_reuse_policy: temporalio.common.NexusOperationIDReusePolicy = (
            temporalio.common.NexusOperationIDReusePolicy.ALLOW_DUPLICATE
        ),
        id_conflict_policy: temporalio.common.NexusOperationIDConflictPolicy = (
            temporalio.common.NexusOperationIDConflictPolicy.FAIL
        ),
        result_type: type | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        schedule_to_start_timeout: timedelta | None = None,
        start_to_close_timeout: timedelta | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | None = None,
        summary: str | None = None,
        headers: Mapping[str, str] | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> Any:
        """Starts an operation as :py:meth:`start_operation` does and waits for its result."""
        ...


class _NexusClient(NexusClient[NexusServiceType]):
    """The one kind of client there is."""

    def __init__(self, *, client: Client, service: type[NexusServiceType] | str, endpoint: str) -> None:
        self._client = client
        self._endpoint = endpoint
        self._service = service if isinstance(service, str) else _service_name(service)

    async def start_operation(  # type: ignore[override]
        self,
        operation: nexusrpc.Operation[Any, Any] | str | Callable[..., Any],
        arg: Any,
        *,
        id: str,
        id_reuse_policy: temporalio.common.NexusOperationIDReusePolicy = (
            temporalio.common.NexusOperationIDReusePolicy.ALLOW_DUPLICATE
        ),
        id_conflict_policy: temporalio.common.NexusOperationIDConflictPolicy = (
            temporalio.common.NexusOperationIDConflictPolicy.FAIL
        ),
        result_type: type | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        schedule_to_start_timeout: timedelta | None = None,
        start_to_close_timeout: timedelta | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | None = None,
        summary: str | None = None,
        headers: Mapping[str, str] | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> NexusOperationHandle[Any]:
        from temporalio.client._interceptor import StartNexusOperationInput

        name, output_type = _operation_name_and_type(operation)
        return await self._client._impl.start_nexus_operation(
            StartNexusOperationInput(
                operation=name,
                arg=arg,
                id=id,
                endpoint=self._endpoint,
                service=self._service,
                result_type=result_type or output_type,
                schedule_to_close_timeout=schedule_to_close_timeout,
                schedule_to_start_timeout=schedule_to_start_timeout,
                start_to_close_timeout=start_to_close_timeout,
                id_reuse_policy=id_reuse_policy,
                id_conflict_policy=id_conflict_policy,
                search_attributes=search_attributes,
                summary=summary,
                headers=headers or {},
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    async def execute_operation(  # type: ignore[override]
        self,
        operation: nexusrpc.Operation[Any, Any] | str | Callable[..., Any],
        arg: Any,
        *,
        id: str,
        id_reuse_policy: temporalio.common.NexusOperationIDReusePolicy = (
            temporalio.common.NexusOperationIDReusePolicy.ALLOW_DUPLICATE
        ),
        id_conflict_policy: temporalio.common.NexusOperationIDConflictPolicy = (
            temporalio.common.NexusOperationIDConflictPolicy.FAIL
        ),
        result_type: type | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        schedule_to_start_timeout: timedelta | None = None,
        start_to_close_timeout: timedelta | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | None = None,
        summary: str | None = None,
        headers: Mapping[str, str] | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> Any:
        handle = await self.start_operation(
            operation,
            arg,
            id=id,
            id_reuse_policy=id_reuse_policy,
            id_conflict_policy=id_conflict_policy,
            result_type=result_type,
            schedule_to_close_timeout=schedule_to_close_timeout,
            schedule_to_start_timeout=schedule_to_start_timeout,
            start_to_close_timeout=start_to_close_timeout,
            search_attributes=search_attributes,
            summary=summary,
            headers=headers,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
        )
        return await handle.result(rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)


def _service_name(service: type) -> str:
    import nexusrpc

    definition = nexusrpc.get_service_definition(service)
    if definition is None:
        raise ValueError(f"{service.__qualname__} is neither a Nexus service nor the handler of one")
    return definition.name


def _operation_name_and_type(operation: Any) -> tuple[str, type | None]:
    import nexusrpc

    if isinstance(operation, str):
        return operation, None
    if isinstance(operation, nexusrpc.Operation):
        return operation.name, operation.output_type
    definition = nexusrpc.get_operation(operation)
    if definition is None:
        raise ValueError(f"{operation!r} is no Nexus operation")
    return definition.name, definition.output_type


class NexusOperationExecutionAsyncIterator(PagedIterator[NexusOperationExecution]):
    """Iterates over standalone Nexus operations; made by :py:meth:`Client.list_nexus_operations`."""

    def __init__(self, client: Client, input: ListNexusOperationsInput) -> None:
        """Makes an iterator; asks nothing yet."""
        super().__init__(input.next_page_token, input.page_size, input.limit)
        self._client = client
        self._input = input

    @property
    def current_page_index(self) -> int:
        """Where in the current page the next one is."""
        return self._current_page_index

    @property
    def current_page(self) -> Sequence[NexusOperationExecution] | None:
        """The current page, None before the first."""
        return self._current_page

    @property
    def next_page_token(self) -> bytes | None:
        """Where to go on after the current page, None if it is the last."""
        return self._next_page_token

    async def _fetch(self, page_size: int | None) -> tuple[Sequence[NexusOperationExecution], bytes | None]:
        reply = await call_workflow_service(
            self._client,
            "list_nexus_operation_executions",
            {
                "namespace": self._client.namespace,
                "page_size": page_size or 0,
                "next_page_token": self._next_page_token or b"",
                "query": self._input.query or "",
            },
            self._input,
        )
        return self._read_page(reply), reply.get("next_page_token")

    async def fetch_next_page(self, *, page_size: int | None = None) -> None:
        """Fetches the next page, whatever is left of the current one.

        Args:
            page_size: How many to ask for, instead of what the iterator was made with.
        """
        await self._fetch_next_page(page_size)

    def __aiter__(self) -> NexusOperationExecutionAsyncIterator:
        """Itself."""
        return self

    async def __anext__(self) -> NexusOperationExecution:
        """The next one; fetches a page if need be."""
        return await self._step()

    def _read_page(self, reply: Mapping[str, Any]) -> Sequence[NexusOperationExecution]:
        return [NexusOperationExecution._from_list_info(info) for info in reply.get("operations", ())]
