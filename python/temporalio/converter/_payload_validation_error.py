"""The error by which a converter says that a payload does not hold what it should."""

from __future__ import annotations

from typing import Any

from temporalio.exceptions import ApplicationError

PAYLOAD_VALIDATION_ERROR = "PayloadValidationError"


def create_payload_validation_error(details: Any) -> ApplicationError:
    """Makes the error that a converter or codec raises for a payload that does not pass validation.

    It is not retried; a Nexus operation whose input raises it fails as a bad request.

    Args:
        details: What is wrong, to go with the error; None for nothing.
    """
    return ApplicationError(
        "Payload validation failed",
        *([] if details is None else [details]),
        type=PAYLOAD_VALIDATION_ERROR,
        non_retryable=True,
    )
