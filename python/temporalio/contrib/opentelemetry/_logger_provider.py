"""A logger provider whose loggers emit nothing while a workflow replays."""

from __future__ import annotations

from typing import Any

from opentelemetry._logs import Logger, LoggerProvider, LogRecord

from temporalio.contrib.opentelemetry._meter_provider import _Wrapper, is_replaying


class _ReplaySafeLogger(_Wrapper, Logger):
    def emit(self, record: LogRecord | None = None, **fields: Any) -> None:  # type: ignore[override]
        if is_replaying():
            return
        if record is None:
            self._wrapped.emit(**fields)
        else:
            self._wrapped.emit(record, **fields)


class ReplaySafeLoggerProvider(_Wrapper, LoggerProvider):
    """Wraps a logger provider; its loggers emit nothing while a workflow replays.

    To get it in workflow code, set it as the global provider and pass ``opentelemetry`` through the sandbox.
    """

    def __init__(self, logger_provider: LoggerProvider) -> None:
        """Wraps a provider."""
        super().__init__(logger_provider)

    def get_logger(
        self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Any = None
    ) -> Logger:
        """A logger for a module."""
        return _ReplaySafeLogger(self._wrapped.get_logger(name, version, schema_url, attributes))
