"""What is left when what should tell of a failure fails itself."""

from __future__ import annotations

import logging
from typing import Any, Optional


def complain(logger: logging.Logger, message: str, *args: Any, exc_info: Any = True, level: int = logging.ERROR) -> None:
    """Logs, by default with the exception that is being handled, whatever the program's log handlers and filters raise."""
    try:
        logger.log(level, message, *args, exc_info=exc_info)
    except Exception:
        logging.lastResort.handle(logger.makeRecord(logger.name, level, "", 0, message, args, None))  # type: ignore[union-attr]


def bare_failure(err: BaseException, message: str, first: Optional[BaseException] = None) -> dict[str, Any]:
    """A Failure message made without any converter."""
    message += f": {err}"
    if first is not None:
        message += f" (of {type(first).__name__}: {first})"
    return {"message": message, "application_failure_info": {"type": type(err).__name__}}
