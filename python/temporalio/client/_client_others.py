"""The client's calls about schedules, Nexus operations and task queues' build ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

import temporalio.common
from temporalio.types import NexusServiceType, ReturnType

if TYPE_CHECKING:
    import nexusrpc

    from temporalio.client._build_id import (
        BuildIdOp,
        TaskReachabilityType,
        WorkerBuildIdVersionSets,
        WorkerTaskReachability,
    )
    from temporalio.client._client import Client
    from temporalio.client._interceptor import OutboundInterceptor
    from temporalio.client._nexus import (
        NexusClient,
        NexusOperationExecutionAsyncIterator,
        NexusOperationExecutionCount,
        NexusOperationHandle,
    )
    from temporalio.client._schedule import Schedule, ScheduleAsyncIterator, ScheduleBackfill, ScheduleHandle

OutputT = TypeVar("OutputT")


class _OtherCalls:
    """Part of :py:class:`Client`."""

    _impl: OutboundInterceptor

    async def create_schedule(
        self,
        id: str,
        schedule: Schedule,
        *,
        trigger_immediately: bool = False,
        backfill: Sequence[ScheduleBackfill] = [],
        memo: Mapping[str, Any] | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | temporalio.common.SearchAttributes | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> ScheduleHandle:
        """Creates a schedule.

        Args:
            id: The schedule's id.
            schedule: What it does and when.
            trigger_immediately: Whether it acts once at once.
            backfill: Times past for which it acts at once.
            memo: Values to be shown with it.
            search_attributes: Attributes to find it by.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.

        Returns:
            A handle to the schedule.

        Raises:
            ScheduleAlreadyRunningError: There is a schedule of this id.
        """
        temporalio.common._warn_on_deprecated_search_attributes(search_attributes)
        from temporalio.client._interceptor import CreateScheduleInput

        return await self._impl.create_schedule(
            CreateScheduleInput(
                id=id,
                schedule=schedule,
                trigger_immediately=trigger_immediately,
                backfill=backfill,
                memo=memo,
                search_attributes=search_attributes,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
            )
        )

    def get_schedule_handle(self, id: str) -> ScheduleHandle:
        """Makes a handle to a schedule there is; asks nobody whether it is."""
        from temporalio.client._schedule import ScheduleHandle

        return ScheduleHandle(cast("Client", self), id)

    async def list_schedules(
        self,
        query: str | None = None,
        *,
        page_size: int = 1000,
        next_page_token: bytes | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> ScheduleAsyncIterator:
        """Lists schedules. Nothing is asked before the first step of the iterator. What it gives may be a little old.

        Args:
            query: A list filter; all schedules if None.
            page_size: How many to ask for at a time.
            next_page_token: Where to go on, of an earlier iterator.
            rpc_metadata: Headers for each call.
            rpc_timeout: How long to wait for each call.
        """
        from temporalio.client._interceptor import ListSchedulesInput

        return self._impl.list_schedules(
            ListSchedulesInput(
                page_size=page_size,
                next_page_token=next_page_token,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
                query=query,
            )
        )

    def create_nexus_client(
        self, service: type[NexusServiceType] | str, endpoint: str
    ) -> NexusClient[NexusServiceType]:
        """Makes a client of a Nexus service, for operations that belong to no workflow.

        Args:
            service: The service's definition, its handler's class, or its name.
            endpoint: The endpoint to call.
        """
        from temporalio.client._nexus import _NexusClient

        return _NexusClient(client=cast("Client", self), service=service, endpoint=endpoint)

    @overload
    def get_nexus_operation_handle(
        self, operation_id: str, *, run_id: str | None = None
    ) -> NexusOperationHandle[Any]: ...

    @overload
    def get_nexus_operation_handle(
        self, operation_id: str, *, run_id: str | None = None, result_type: type[ReturnType]
    ) -> NexusOperationHandle[ReturnType]: ...

    @overload
    def get_nexus_operation_handle(
        self, operation_id: str, *, operation: nexusrpc.Operation[Any, OutputT], run_id: str | None = None
    ) -> NexusOperationHandle[OutputT]: ...

    def get_nexus_operation_handle(
        self,
        operation_id: str,
        *,
        operation: nexusrpc.Operation[Any, Any] | None = None,
        run_id: str | None = None,
        result_type: type | None = None,
    ) -> NexusOperationHandle[Any]:
        """Makes a handle to a standalone Nexus operation there is; asks nobody whether it is.

        Args:
            operation_id: Its id.
            operation: Its definition, for the type of its result.
            run_id: Its run; the latest if None.
            result_type: The type of its result.
        """
        from temporalio.client._nexus import NexusOperationHandle

        if result_type is None and operation is not None:
            result_type = operation.output_type
        return NexusOperationHandle(cast("Client", self), operation_id, run_id=run_id, result_type=result_type)

    def list_nexus_operations(
        self,
        query: str,
        *,
        limit: int | None = None,
        page_size: int = 1000,
        next_page_token: bytes | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> NexusOperationExecutionAsyncIterator:
        """Lists standalone Nexus operations. Nothing is asked before the first step of the iterator.

        Args:
            query: A list filter.
            limit: How many to give at most.
            page_size: How many to ask for at a time.
            next_page_token: Where to go on, of an earlier iterator.
            rpc_metadata: Headers for each call.
            rpc_timeout: How long to wait for each call.
        """
        from temporalio.client._interceptor import ListNexusOperationsInput

        return self._impl.list_nexus_operations(
            ListNexusOperationsInput(
                query=query,
                page_size=page_size,
                next_page_token=next_page_token,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
                limit=limit,
            )
        )

    async def count_nexus_operations(
        self,
        query: str | None = None,
        *,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> NexusOperationExecutionCount:
        """Counts standalone Nexus operations, in groups if the filter says so.

        Args:
            query: A list filter; all operations if None.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import CountNexusOperationsInput

        return await self._impl.count_nexus_operations(
            CountNexusOperationsInput(query=query, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)
        )

    async def update_worker_build_id_compatibility(
        self,
        task_queue: str,
        operation: BuildIdOp,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Changes which build ids of workers may serve a task queue.

        Args:
            task_queue: The queue.
            operation: The change.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import UpdateWorkerBuildIdCompatibilityInput

        await self._impl.update_worker_build_id_compatibility(
            UpdateWorkerBuildIdCompatibilityInput(
                task_queue, operation, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout
            )
        )

    async def get_worker_build_id_compatibility(
        self,
        task_queue: str,
        max_sets: int | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> WorkerBuildIdVersionSets:
        """Reads which build ids of workers may serve a task queue.

        Args:
            task_queue: The queue.
            max_sets: How many sets to give at most; 1 gives the default set, None all.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import GetWorkerBuildIdCompatibilityInput

        return await self._impl.get_worker_build_id_compatibility(
            GetWorkerBuildIdCompatibilityInput(task_queue, max_sets, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)
        )

    async def get_worker_task_reachability(
        self,
        build_ids: Sequence[str],
        task_queues: Sequence[str] = [],
        reachability_type: TaskReachabilityType | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> WorkerTaskReachability:
        """Tells whether workers of build ids may still get tasks, and so whether they may be taken away.

        Args:
            build_ids: The build ids; the empty string stands for workers without.
            task_queues: The queues to look at; all that the build ids are known in if empty.
            reachability_type: Which workflows to look at; the server chooses if None.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import GetWorkerTaskReachabilityInput

        return await self._impl.get_worker_task_reachability(
            GetWorkerTaskReachabilityInput(
                build_ids, task_queues, reachability_type, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout
            )
        )
