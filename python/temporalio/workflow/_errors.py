"""Exceptions and warnings that workflow code can meet."""

from __future__ import annotations

from temporalio.exceptions import TemporalError


class ContinueAsNewError(BaseException):
    """Raised by :func:`temporalio.workflow.continue_as_new` to end the run; never made by hand.

    It is no ``Exception``, so that a broad ``except Exception`` does not stop a run from continuing.
    """

    def __init__(self, *args: object) -> None:
        if type(self) is ContinueAsNewError:
            raise RuntimeError("ContinueAsNewError is raised by workflow.continue_as_new() alone")
        super().__init__(*args)


class NondeterminismError(TemporalError):
    """The workflow's code and its history do not agree, or code did what no replay could repeat.

    Raised inside a workflow it fails the workflow task, unless the workflow lists it among its
    failure exception types.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ReadOnlyContextError(TemporalError):
    """Code that may only look (a query handler, an update validator, ...) tried to change the workflow."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class _NotInWorkflowEventLoopError(TemporalError):
    def __init__(self, *args: object) -> None:
        super().__init__("Not in workflow event loop")
        self.message = "Not in workflow event loop"


class UnfinishedUpdateHandlersWarning(RuntimeWarning):
    """A workflow ended while an update handler was still running."""


class UnfinishedSignalHandlersWarning(RuntimeWarning):
    """A workflow ended while a signal handler was still running."""
