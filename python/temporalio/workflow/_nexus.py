"""Nexus operations as workflow code calls them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Generic, Optional, TypedDict, TypeVar, Union, overload

from temporalio.types import NexusServiceType

from ._context import EventGroup, _Runtime

if TYPE_CHECKING:
    import nexusrpc
    import nexusrpc.handler
    import temporalio.nexus
    from typing_extensions import Unpack

_InputT = TypeVar("_InputT")
_OutputT = TypeVar("_OutputT")


class NexusOperationCancellationType(IntEnum):
    """What cancelling an operation's handle does."""

    WAIT_COMPLETED = 0
    """Ask the operation to cancel, and wait for how it ends."""
    ABANDON = 1
    """Do not tell the operation; raise in the workflow at once."""
    TRY_CANCEL = 2
    """Ask the operation to cancel, and raise in the workflow at once."""
    WAIT_REQUESTED = 3
    """Ask the operation to cancel, and wait until it has been asked."""


if TYPE_CHECKING:

    class _OperationConfig(TypedDict, total=False):
        output_type: Optional[type]
        schedule_to_close_timeout: Optional[timedelta]
        schedule_to_start_timeout: Optional[timedelta]
        start_to_close_timeout: Optional[timedelta]
        cancellation_type: NexusOperationCancellationType
        headers: Optional[Mapping[str, str]]
        summary: Optional[str]
        event_groups: Optional[Sequence[EventGroup]]


class NexusOperationHandle(Generic[_OutputT]):
    """A started operation; awaiting it gives its result."""

    @property
    def operation_token(self) -> Optional[str]:
        """Names the operation at its service; ``None`` when it had finished as soon as it started."""
        raise NotImplementedError

    def cancel(self) -> bool:
        """Cancels the operation; false when it has ended."""
        raise NotImplementedError

    def __await__(self) -> Generator[Any, Any, _OutputT]:
        raise NotImplementedError


class NexusClient(ABC, Generic[NexusServiceType]):
    """Calls the operations of one service at one endpoint; from :func:`create_nexus_client`."""

    @overload
    @abstractmethod
    async def start_operation(
        self, operation: nexusrpc.Operation[_InputT, _OutputT], input: _InputT, **options: Unpack[_OperationConfig]
    ) -> NexusOperationHandle[_OutputT]: ...

    @overload
    @abstractmethod
    async def start_operation(
        self, operation: str, input: Any, **options: Unpack[_OperationConfig]
    ) -> NexusOperationHandle[Any]: ...

    @overload
    @abstractmethod
    async def start_operation(
        self,
        operation: Callable[
            [NexusServiceType, temporalio.nexus.WorkflowRunOperationContext, _InputT],
            Awaitable[temporalio.nexus.WorkflowHandle[_OutputT]],
        ],
        input: _InputT,
        **options: Unpack[_OperationConfig],
    ) -> NexusOperationHandle[_OutputT]: ...

    @overload
    @abstractmethod
    async def start_operation(
        self,
        operation: Callable[[NexusServiceType, nexusrpc.handler.StartOperationContext, _InputT], Awaitable[_OutputT]],
        input: _InputT,
        **options: Unpack[_OperationConfig],
    ) -> NexusOperationHandle[_OutputT]: ...

    @overload
    @abstractmethod
    async def start_operation(
        self,
        operation: Callable[[NexusServiceType, nexusrpc.handler.StartOperationContext, _InputT], _OutputT],
        input: _InputT,
        **options: Unpack[_OperationConfig],
    ) -> NexusOperationHandle[_OutputT]: ...

    @overload
    @abstractmethod
    async def start_operation(
        self,
        operation: Callable[[NexusServiceType], nexusrpc.handler.OperationHandler[_InputT, _OutputT]],
        input: _InputT,
        **options: Unpack[_OperationConfig],
    ) -> NexusOperationHandle[_OutputT]: ...

    @abstractmethod
    async def start_operation(
        self,
        operation: Any,
        input: Any,
        *,
        output_type: Optional[type] = None,
        schedule_to_close_timeout: Optional[timedelta] = None,
        schedule_to_start_timeout: Optional[timedelta] = None,
        start_to_close_timeout: Optional[timedelta] = None,
        cancellation_type: NexusOperationCancellationType = NexusOperationCancellationType.WAIT_COMPLETED,
        headers: Optional[Mapping[str, str]] = None,
        summary: Optional[str] = None,
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> Any:
        """Starts an operation and waits until it has started.

        Args:
            operation: The operation: from the service's definition, a handler method, or a name.
            input: What it works on.
            output_type: What to convert the result to, for an operation given by name.
            schedule_to_close_timeout: The longest time for everything.
            schedule_to_start_timeout: The longest time until it has started.
            start_to_close_timeout: The longest time from its start to its end.
            cancellation_type: What cancelling the handle does.
            headers: What to send along.
            summary: One line that tools show for it.
            event_groups: Groups its events belong to.

        Returns:
            A handle to await.
        """
        raise NotImplementedError

    @overload
    @abstractmethod
    async def execute_operation(
        self, operation: nexusrpc.Operation[_InputT, _OutputT], input: _InputT, **options: Unpack[_OperationConfig]
    ) -> _OutputT: ...

    @overload
    @abstractmethod
    async def execute_operation(self, operation: str, input: Any, **options: Unpack[_OperationConfig]) -> Any: ...

    @overload
    @abstractmethod
    async def execute_operation(
        self,
        operation: Callable[
            [NexusServiceType, temporalio.nexus.WorkflowRunOperationContext, _InputT],
            Awaitable[temporalio.nexus.WorkflowHandle[_OutputT]],
        ],
        input: _InputT,
        **options: Unpack[_OperationConfig],
    ) -> _OutputT: ...

    @overload
    @abstractmethod
    async def execute_operation(
        self,
        operation: Callable[[NexusServiceType, nexusrpc.handler.StartOperationContext, _InputT], Awaitable[_OutputT]],
        input: _InputT,
        **options: Unpack[_OperationConfig],
    ) -> _OutputT: ...

    @overload
    @abstractmethod
    async def execute_operation(
        self,
        operation: Callable[[NexusServiceType, nexusrpc.handler.StartOperationContext, _InputT], _OutputT],
        input: _InputT,
        **options: Unpack[_OperationConfig],
    ) -> _OutputT: ...

    @overload
    @abstractmethod
    async def execute_operation(
        self,
        operation: Callable[[NexusServiceType], nexusrpc.handler.OperationHandler[_InputT, _OutputT]],
        input: _InputT,
        **options: Unpack[_OperationConfig],
    ) -> _OutputT: ...

    @abstractmethod
    async def execute_operation(
        self,
        operation: Any,
        input: Any,
        *,
        output_type: Optional[type] = None,
        schedule_to_close_timeout: Optional[timedelta] = None,
        schedule_to_start_timeout: Optional[timedelta] = None,
        start_to_close_timeout: Optional[timedelta] = None,
        cancellation_type: NexusOperationCancellationType = NexusOperationCancellationType.WAIT_COMPLETED,
        headers: Optional[Mapping[str, str]] = None,
        summary: Optional[str] = None,
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> Any:
        """Starts an operation and waits for its result; see :meth:`start_operation`."""
        raise NotImplementedError


class _NexusClient(NexusClient[NexusServiceType]):
    def __init__(self, *, endpoint: str, service: Union[type[NexusServiceType], str]) -> None:
        self.endpoint = endpoint
        if isinstance(service, str):
            self.service_name = service
        else:
            import nexusrpc

            definition = nexusrpc.get_service_definition(service)
            if definition is None:
                raise ValueError(f"{service.__name__} is neither a Nexus service definition nor a handler of one")
            self.service_name = definition.name

    async def start_operation(  # type: ignore[override]
        self,
        operation: Any,
        input: Any,
        *,
        output_type: Optional[type] = None,
        schedule_to_close_timeout: Optional[timedelta] = None,
        schedule_to_start_timeout: Optional[timedelta] = None,
        start_to_close_timeout: Optional[timedelta] = None,
        cancellation_type: NexusOperationCancellationType = NexusOperationCancellationType.WAIT_COMPLETED,
        headers: Optional[Mapping[str, str]] = None,
        summary: Optional[str] = None,
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> Any:
        return await _Runtime.current().workflow_start_nexus_operation(
            endpoint=self.endpoint,
            service=self.service_name,
            operation=operation,
            input=input,
            output_type=output_type,
            schedule_to_close_timeout=schedule_to_close_timeout,
            schedule_to_start_timeout=schedule_to_start_timeout,
            start_to_close_timeout=start_to_close_timeout,
            cancellation_type=cancellation_type,
            headers=headers,
            summary=summary,
            event_groups=event_groups,
        )

    async def execute_operation(  # type: ignore[override]
        self,
        operation: Any,
        input: Any,
        *,
        output_type: Optional[type] = None,
        schedule_to_close_timeout: Optional[timedelta] = None,
        schedule_to_start_timeout: Optional[timedelta] = None,
        start_to_close_timeout: Optional[timedelta] = None,
        cancellation_type: NexusOperationCancellationType = NexusOperationCancellationType.WAIT_COMPLETED,
        headers: Optional[Mapping[str, str]] = None,
        summary: Optional[str] = None,
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> Any:
        handle = await self.start_operation(
            operation,
            input,
            output_type=output_type,
            schedule_to_close_timeout=schedule_to_close_timeout,
            schedule_to_start_timeout=schedule_to_start_timeout,
            start_to_close_timeout=start_to_close_timeout,
            cancellation_type=cancellation_type,
            headers=headers,
            summary=summary,
            event_groups=event_groups,
        )
        return await handle


@overload
def create_nexus_client(*, service: type[NexusServiceType], endpoint: str) -> NexusClient[NexusServiceType]: ...


@overload
def create_nexus_client(*, service: str, endpoint: str) -> NexusClient[Any]: ...


def create_nexus_client(*, service: Union[type[NexusServiceType], str], endpoint: str) -> NexusClient[NexusServiceType]:
    """A client for the operations of one service.

    Args:
        service: The service's definition, its handler class, or its name.
        endpoint: The endpoint's name.
    """
    return _NexusClient(endpoint=endpoint, service=service)
