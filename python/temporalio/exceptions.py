"""The errors that travel between client, server and worker, and what they carry.

A failure that crossed the wire arrives as one of these, with its cause chain in ``__cause__``; one raised in workflow
or activity code crosses the wire as the matching kind of failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import temporalio.api.failure.v1


class TemporalError(Exception):
    """Base of every error this package raises on purpose."""

    @property
    def cause(self) -> BaseException | None:
        """What led to this error, the same as ``__cause__``."""
        return self.__cause__


class FailureError(TemporalError):
    """Base of the errors that have a form on the wire."""

    # What the error was made from, as a dict in the shape of a Failure message; None for one raised here.
    _raw_failure: Mapping[str, Any] | None = None

    def __init__(
        self,
        message: str,
        *,
        failure: temporalio.api.failure.v1.Failure | None = None,
        exc_args: tuple | None = None,
    ) -> None:
        """Makes an error with this message.

        Args:
            message: What went wrong.
            failure: The wire form it was read from, if it was.
            exc_args: What the exception's ``args`` shall be instead of the message alone.
        """
        super().__init__(*(exc_args if exc_args is not None else (message,)))
        self._message = message
        self._failure = failure

    @property
    def message(self) -> str:
        """What went wrong."""
        return self._message

    @property
    def failure(self) -> temporalio.api.failure.v1.Failure | None:
        """The wire form this error was read from, or None."""
        if self._failure is None and self._raw_failure is not None:
            from temporalio.converter._messages import message_from_dict

            self._failure = message_from_dict("temporal.api.failure.v1.Failure", self._raw_failure)
        return self._failure


class WorkflowAlreadyStartedError(FailureError):
    """A workflow with this id is running, or has run and may not run again.

    Attributes:
        workflow_id: The id that is taken.
        workflow_type: The type that was to be started.
        run_id: The run that holds the id, where the server says so.
        first_run_id: The first run of that chain, where known.
    """

    def __init__(
        self,
        workflow_id: str,
        workflow_type: str,
        *,
        run_id: str | None = None,
        first_run_id: str | None = None,
    ) -> None:
        """Makes the error."""
        super().__init__("Workflow execution already started")
        self.workflow_id = workflow_id
        self.workflow_type = workflow_type
        self.run_id = run_id
        self.first_run_id = first_run_id


class ActivityAlreadyStartedError(FailureError):
    """A standalone activity with this id is running, or has run and may not run again.

    Attributes:
        activity_id: The id that is taken.
        activity_type: The type that was to be started.
        run_id: The run that holds the id, where the server says so.
    """

    def __init__(self, activity_id: str, activity_type: str, *, run_id: str | None = None) -> None:
        """Makes the error."""
        super().__init__("Activity execution already started")
        self.activity_id = activity_id
        self.activity_type = activity_type
        self.run_id = run_id


class NexusOperationAlreadyStartedError(FailureError):
    """A standalone Nexus operation with this id is running, or has run and may not run again.

    Attributes:
        operation_id: The id that is taken.
        run_id: The run that holds the id, where the server says so.
    """

    def __init__(self, operation_id: str, *, run_id: str | None = None) -> None:
        """Makes the error."""
        super().__init__("Nexus operation execution already started")
        self.operation_id = operation_id
        self.run_id = run_id


class InvalidVersioningOverrideError(FailureError):
    """The versioning override of a start does not fit the worker deployment."""

    def __init__(self) -> None:
        """Makes the error."""
        super().__init__("Invalid versioning override")


class ApplicationErrorCategory(IntEnum):
    """How loudly an application error wants to be noticed."""

    UNSPECIFIED = 0
    BENIGN = 1
    """Expected now and then: logged quietly and left out of failure metrics."""


class ApplicationError(FailureError):
    """An error of the application itself, raised by workflow and activity code."""

    def __init__(
        self,
        message: str,
        *details: Any,
        type: str | None = None,
        non_retryable: bool = False,
        next_retry_delay: timedelta | None = None,
        category: ApplicationErrorCategory = ApplicationErrorCategory.UNSPECIFIED,
    ) -> None:
        """Makes an application error.

        Args:
            message: What went wrong.
            details: Values to go with it; converted like results.
            type: A name by which retry policies and callers tell kinds of errors apart.
            non_retryable: Whether retrying is pointless, whatever the retry policy says.
            next_retry_delay: How long to wait before the next attempt, instead of what the policy computes.
            category: How loudly it is to be reported.
        """
        super().__init__(message, exc_args=(message if not type else f"{type}: {message}",))
        self._details = details
        self._type = type
        self._non_retryable = non_retryable
        self._next_retry_delay = next_retry_delay
        self._category = category

    @property
    def details(self) -> Sequence[Any]:
        """The values that go with the error."""
        return self._details

    @property
    def type(self) -> str | None:
        """The name of this kind of error."""
        return self._type

    @property
    def non_retryable(self) -> bool:
        """Whether the thrower ruled out a retry.

        False does not promise one: the retry policy may still rule it out.
        """
        return self._non_retryable

    @property
    def next_retry_delay(self) -> timedelta | None:
        """The pause before the next attempt that the thrower asked for."""
        return self._next_retry_delay

    @property
    def category(self) -> ApplicationErrorCategory:
        """How loudly the error is to be reported."""
        return self._category


class CancelledError(FailureError):
    """A workflow or activity was asked to stop and did."""

    def __init__(self, message: str = "Cancelled", *details: Any) -> None:
        """Makes the error."""
        super().__init__(message)
        self._details = details

    @property
    def details(self) -> Sequence[Any]:
        """The values that go with the cancellation."""
        return self._details


class TerminatedError(FailureError):
    """A workflow was stopped from outside without being asked."""

    def __init__(self, message: str, *details: Any) -> None:
        """Makes the error."""
        super().__init__(message)
        self._details = details

    @property
    def details(self) -> Sequence[Any]:
        """The values the terminating call gave."""
        return self._details


class TimeoutType(IntEnum):
    """Which clock ran out."""

    START_TO_CLOSE = 1
    SCHEDULE_TO_START = 2
    SCHEDULE_TO_CLOSE = 3
    HEARTBEAT = 4


class TimeoutError(FailureError):
    """A workflow, activity or operation did not finish in its time."""

    def __init__(
        self,
        message: str,
        *,
        type: TimeoutType | None,
        last_heartbeat_details: Sequence[Any],
    ) -> None:
        """Makes the error."""
        super().__init__(message)
        self._type = type
        self._last_heartbeat_details = last_heartbeat_details

    @property
    def type(self) -> TimeoutType | None:
        """Which clock ran out."""
        return self._type

    @property
    def last_heartbeat_details(self) -> Sequence[Any]:
        """What the activity said in its last heartbeat."""
        return self._last_heartbeat_details


class ServerError(FailureError):
    """The server itself failed the work."""

    def __init__(self, message: str, *, non_retryable: bool = False) -> None:
        """Makes the error."""
        super().__init__(message)
        self._non_retryable = non_retryable

    @property
    def non_retryable(self) -> bool:
        """Whether the server rules out a retry."""
        return self._non_retryable


class RetryState(IntEnum):
    """Why no further attempt was made."""

    IN_PROGRESS = 1
    NON_RETRYABLE_FAILURE = 2
    TIMEOUT = 3
    MAXIMUM_ATTEMPTS_REACHED = 4
    RETRY_POLICY_NOT_SET = 5
    INTERNAL_SERVER_ERROR = 6
    CANCEL_REQUESTED = 7


class ActivityError(FailureError):
    """An activity failed for good; ``cause`` says of what."""

    def __init__(
        self,
        message: str,
        *,
        scheduled_event_id: int,
        started_event_id: int,
        identity: str,
        activity_type: str,
        activity_id: str,
        retry_state: RetryState | None,
    ) -> None:
        """Makes the error."""
        super().__init__(message)
        self._scheduled_event_id = scheduled_event_id
        self._started_event_id = started_event_id
        self._identity = identity
        self._activity_type = activity_type
        self._activity_id = activity_id
        self._retry_state = retry_state

    @property
    def scheduled_event_id(self) -> int:
        """The history event that scheduled the activity."""
        return self._scheduled_event_id

    @property
    def started_event_id(self) -> int:
        """The history event of its start."""
        return self._started_event_id

    @property
    def identity(self) -> str:
        """The worker that ran the last attempt."""
        return self._identity

    @property
    def activity_type(self) -> str:
        """The activity's type name."""
        return self._activity_type

    @property
    def activity_id(self) -> str:
        """The activity's id within its workflow."""
        return self._activity_id

    @property
    def retry_state(self) -> RetryState | None:
        """Why it was not tried again."""
        return self._retry_state


class ChildWorkflowError(FailureError):
    """A child workflow failed for good; ``cause`` says of what."""

    def __init__(
        self,
        message: str,
        *,
        namespace: str,
        workflow_id: str,
        run_id: str,
        workflow_type: str,
        initiated_event_id: int,
        started_event_id: int,
        retry_state: RetryState | None,
    ) -> None:
        """Makes the error."""
        super().__init__(message)
        self._namespace = namespace
        self._workflow_id = workflow_id
        self._run_id = run_id
        self._workflow_type = workflow_type
        self._initiated_event_id = initiated_event_id
        self._started_event_id = started_event_id
        self._retry_state = retry_state

    @property
    def namespace(self) -> str:
        """The child's namespace."""
        return self._namespace

    @property
    def workflow_id(self) -> str:
        """The child's workflow id."""
        return self._workflow_id

    @property
    def run_id(self) -> str:
        """The child's run id."""
        return self._run_id

    @property
    def workflow_type(self) -> str:
        """The child's type name."""
        return self._workflow_type

    @property
    def initiated_event_id(self) -> int:
        """The parent's history event that asked for the child."""
        return self._initiated_event_id

    @property
    def started_event_id(self) -> int:
        """The parent's history event of the child's start."""
        return self._started_event_id

    @property
    def retry_state(self) -> RetryState | None:
        """Why it was not tried again."""
        return self._retry_state


class NexusOperationError(FailureError):
    """A Nexus operation failed for good; ``cause`` says of what."""

    def __init__(
        self,
        message: str,
        *,
        scheduled_event_id: int,
        endpoint: str,
        service: str,
        operation: str,
        operation_token: str,
    ):
        """Makes the error."""
        super().__init__(message)
        self._scheduled_event_id = scheduled_event_id
        self._endpoint = endpoint
        self._service = service
        self._operation = operation
        self._operation_token = operation_token

    @property
    def scheduled_event_id(self) -> int:
        """The history event that scheduled the operation."""
        return self._scheduled_event_id

    @property
    def endpoint(self) -> str:
        """The endpoint the operation was sent to."""
        return self._endpoint

    @property
    def service(self) -> str:
        """The service the operation belongs to."""
        return self._service

    @property
    def operation(self) -> str:
        """The operation's name."""
        return self._operation

    @property
    def operation_token(self) -> str:
        """The token of the started operation, empty if it never started."""
        return self._operation_token


def is_cancelled_exception(exception: BaseException) -> bool:
    """Says whether an exception means cancellation, be it asyncio's own or a failure whose cause is one."""
    if isinstance(exception, (asyncio.CancelledError, CancelledError)):
        return True
    return isinstance(exception, (ActivityError, ChildWorkflowError, NexusOperationError)) and isinstance(
        exception.cause, CancelledError
    )
