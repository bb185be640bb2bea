"""Errors that only clients see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio.exceptions import TemporalError

if TYPE_CHECKING:
    from temporalio.activity import ActivityCancellationDetails
    from temporalio.client._workflow_execution import WorkflowExecutionStatus


class WorkflowFailureError(TemporalError):
    """A workflow ended without a result; ``cause`` says how."""

    def __init__(self, *, cause: BaseException) -> None:
        """Makes the error."""
        super().__init__("Workflow execution failed")
        self.__cause__ = cause

    @property
    def cause(self) -> BaseException:
        """How the workflow ended."""
        assert self.__cause__ is not None
        return self.__cause__


class ActivityFailureError(TemporalError):
    """A standalone activity ended without a result; ``cause`` says how."""

    def __init__(self, *, cause: BaseException) -> None:
        """Makes the error."""
        super().__init__("Activity execution failed")
        self.__cause__ = cause

    @property
    def cause(self) -> BaseException:
        """How the activity ended."""
        assert self.__cause__ is not None
        return self.__cause__


class NexusOperationFailureError(TemporalError):
    """A standalone Nexus operation ended without a result; ``cause`` says how."""

    def __init__(self, *, cause: BaseException) -> None:
        """Makes the error."""
        super().__init__("Nexus operation execution failed")
        self.__cause__ = cause

    @property
    def cause(self) -> BaseException:
        """How the operation ended."""
        assert self.__cause__ is not None
        return self.__cause__


class WorkflowContinuedAsNewError(TemporalError):
    """A workflow run went on as another run, which was not to be followed."""

    def __init__(self, new_execution_run_id: str) -> None:
        """Makes the error."""
        super().__init__("Workflow continued as new")
        self._new_execution_run_id = new_execution_run_id

    @property
    def new_execution_run_id(self) -> str:
        """The run it went on as."""
        return self._new_execution_run_id


class WorkflowQueryRejectedError(TemporalError):
    """A query was refused because of its workflow's state."""

    def __init__(self, status: WorkflowExecutionStatus | None) -> None:
        """Makes the error."""
        super().__init__(f"Query rejected, workflow status: {status}")
        self._status = status

    @property
    def status(self) -> WorkflowExecutionStatus | None:
        """The workflow's state."""
        return self._status


class WorkflowQueryFailedError(TemporalError):
    """A query failed."""

    def __init__(self, message: str) -> None:
        """Makes the error."""
        super().__init__(message)
        self._message = message

    @property
    def message(self) -> str:
        """What went wrong."""
        return self._message


class WorkflowUpdateFailedError(TemporalError):
    """An update was refused or failed; ``cause`` says of what."""

    def __init__(self, cause: BaseException) -> None:
        """Makes the error."""
        super().__init__("Workflow update failed")
        self.__cause__ = cause

    @property
    def cause(self) -> BaseException:
        """Why it failed."""
        assert self.__cause__ is not None
        return self.__cause__


class RPCTimeoutOrCancelledError(TemporalError):
    """The caller's time for a call ran out, or the call was cancelled."""


class WorkflowUpdateRPCTimeoutOrCancelledError(RPCTimeoutOrCancelledError):
    """Waiting for an update was given up; the update itself goes on."""

    def __init__(self) -> None:
        """Makes the error."""
        super().__init__("The wait for the update was cancelled or took too long")


class AsyncActivityCancelledError(TemporalError):
    """The answer to a heartbeat for an activity that was cancelled, paused or reset.

    Attributes:
        details: Why.
    """

    def __init__(self, details: ActivityCancellationDetails | None = None) -> None:
        """Makes the error."""
        super().__init__("Activity cancelled")
        self.details = details


class ScheduleAlreadyRunningError(TemporalError):
    """There is a schedule of this id."""

    def __init__(self) -> None:
        """Makes the error."""
        super().__init__("Schedule already running")
