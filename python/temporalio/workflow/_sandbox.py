"""What workflow code may know of the sandbox it runs in, and its logger."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from enum import Flag
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from ._context import Info

_sandbox_unrestricted = threading.local()
_in_sandbox = threading.local()
_imports_passed_through = threading.local()
_sandbox_import_notification_policy_override = threading.local()


class SandboxImportNotificationPolicy(Flag):
    """What to say about imports that the sandbox meets."""

    SILENT = 1
    """Nothing; alone it also quietens modules that would be passed through by accident."""
    WARN_ON_DYNAMIC_IMPORT = 2
    """Warn when a module is imported after the workflow's file was loaded."""
    WARN_ON_UNINTENTIONAL_PASSTHROUGH = 4
    """Warn when a module that is not passed through is imported again inside the sandbox."""
    RAISE_ON_UNINTENTIONAL_PASSTHROUGH = 8
    """Raise in that case."""


@contextmanager
def _value_set(local: threading.local, value: Any) -> Iterator[None]:
    before = getattr(local, "value", None)
    local.value = value
    try:
        yield
    finally:
        local.value = before


class unsafe:
    """Doors out of what keeps workflow code repeatable. Whoever uses one answers for determinism."""

    def __init__(self) -> None:
        raise NotImplementedError("workflow.unsafe only groups functions, it has no instances")

    @staticmethod
    def in_sandbox() -> bool:
        """Whether this code was loaded by a sandbox."""
        return getattr(_in_sandbox, "value", None) is True

    @staticmethod
    def _set_in_sandbox(v: bool) -> None:
        _in_sandbox.value = v

    @staticmethod
    def is_replaying() -> bool:
        """Whether the workflow is working off history (a query of an old state counts)."""
        from ._context import _Runtime

        return _Runtime.current().workflow_is_replaying()

    @staticmethod
    def is_replaying_history_events() -> bool:
        """Whether the workflow is working off history events, queries and validators apart."""
        from ._context import _Runtime

        return _Runtime.current().workflow_is_replaying_history_events()

    @staticmethod
    def is_read_only() -> bool:
        """Whether this is a place where the workflow may not be changed, such as a query handler."""
        from ._context import _Runtime

        return _Runtime.current().workflow_is_read_only()

    @staticmethod
    def is_sandbox_unrestricted() -> bool:
        """Whether :meth:`sandbox_unrestricted` is in force."""
        return getattr(_sandbox_unrestricted, "value", None) is True

    @staticmethod
    @contextmanager
    def sandbox_unrestricted() -> Iterator[None]:
        """Lifts the sandbox's restrictions on members for the code inside."""
        with _value_set(_sandbox_unrestricted, True):
            yield

    @staticmethod
    def is_imports_passed_through() -> bool:
        """Whether :meth:`imports_passed_through` is in force."""
        return getattr(_imports_passed_through, "value", None) is True

    @staticmethod
    @contextmanager
    def imports_passed_through() -> Iterator[None]:
        """Takes the imports inside from outside of the sandbox instead of loading them again for every run.

        For modules that workflow code uses without side effects (data classes, client stubs, anything large).
        """
        with _value_set(_imports_passed_through, True):
            yield

    @staticmethod
    def current_import_notification_policy_override() -> Optional[SandboxImportNotificationPolicy]:
        """What :meth:`sandbox_import_notification_policy` has set, if anything."""
        return getattr(_sandbox_import_notification_policy_override, "value", None)

    @staticmethod
    @contextmanager
    def sandbox_import_notification_policy(policy: SandboxImportNotificationPolicy) -> Iterator[None]:
        """Replaces the policy of the sandbox for the imports inside."""
        with _value_set(_sandbox_import_notification_policy_override, policy):
            yield


def _build_log_context(
    workflow_details: Optional[Mapping[str, Any]],
    update_details: Optional[Mapping[str, Any]] = None,
    *,
    workflow_info_on_message: bool = True,
    workflow_info_on_extra: bool = True,
    full_workflow_info: Optional[Info] = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What goes behind a log message, and what goes into its record."""
    details: dict[str, Any] = {}
    if workflow_details:
        details.update(workflow_details)
    if update_details:
        details.update(update_details)
    extra: dict[str, Any] = {}
    if workflow_info_on_extra and details:
        extra["temporal_workflow"] = details
    if full_workflow_info is not None:
        extra["workflow_info"] = full_workflow_info
    return (details if workflow_info_on_message else {}), extra


class LoggerAdapter(logging.LoggerAdapter):
    """A logger that says nothing while a workflow replays and adds which workflow speaks.

    Attributes:
        workflow_info_on_message: Append the workflow's details to each message (default).
        workflow_info_on_extra: Add them to the record as ``temporal_workflow`` (default).
        full_workflow_info_on_extra: Add :func:`info` to the record as ``workflow_info``.
        log_during_replay: Speak during replay too.
        disable_sandbox: Let handlers and formatters work without the sandbox's restrictions.
    """

    def __init__(self, logger: logging.Logger, extra: Optional[Mapping[str, Any]]) -> None:
        super().__init__(logger, extra or {})
        self.workflow_info_on_message = True
        self.workflow_info_on_extra = True
        self.full_workflow_info_on_extra = False
        self.log_during_replay = False
        self.disable_sandbox = False

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Adds the details; called by the logging functions."""
        from ._context import _Runtime, current_update_info

        runtime = _Runtime.maybe_current()
        update = current_update_info()
        full_info = None
        if runtime is not None and self.full_workflow_info_on_extra:
            full_info = runtime.workflow_info()
        on_message, extra = _build_log_context(
            runtime.logger_details if runtime is not None else None,
            update._logger_details if update is not None else None,
            workflow_info_on_message=self.workflow_info_on_message,
            workflow_info_on_extra=self.workflow_info_on_extra,
            full_workflow_info=full_info,
        )
        extra = {**(self.extra or {}), **extra, **(kwargs.get("extra") or {})}
        kwargs["extra"] = extra
        if on_message:
            msg = f"{msg} ({on_message})"
        return msg, kwargs

    def log(self, level: int, msg: object, *args: Any, stacklevel: int = 1, **kwargs: Any) -> None:
        """Logs unless the workflow replays."""
        if not self.isEnabledFor(level):
            return
        # One frame of our own lies between the caller and the logger. Before 3.11 logging did not count
        # the adapter's frame itself.
        if self.disable_sandbox and unsafe.in_sandbox():
            with unsafe.sandbox_unrestricted(), unsafe.imports_passed_through():
                msg, kwargs = self.process(msg, kwargs)  # type: ignore[assignment]
                self.logger.log(level, msg, *args, stacklevel=stacklevel + 1, **kwargs)
        else:
            msg, kwargs = self.process(msg, kwargs)  # type: ignore[assignment]
            self.logger.log(level, msg, *args, stacklevel=stacklevel + 1, **kwargs)

    def isEnabledFor(self, level: int) -> bool:
        """Whether a message of this level would be logged now."""
        from ._context import _Runtime

        if not self.log_during_replay:
            runtime = _Runtime.maybe_current()
            if runtime is not None and runtime.workflow_is_replaying_history_events():
                return False
        return super().isEnabledFor(level)

    @property
    def base_logger(self) -> logging.Logger:
        """The logger beneath."""
        return self.logger

    def unsafe_disable_sandbox(self, value: bool = True) -> None:
        """Lets log handlers run without the sandbox's restrictions, or ends that."""
        self.disable_sandbox = value


logger = LoggerAdapter(logging.getLogger("temporalio.workflow"), None)
