"""Operations that are told of another one's end."""

from temporalio.nexus.notifications.models import (
    OnCompleteRequest,
    OnCompleteRequestResult,
    OnCompleteRequestResultFailure,
    OnCompleteRequestResultSuccess,
    OnCompleteResponse,
)

__all__ = [
    "OnCompleteRequest",
    "OnCompleteRequestResult",
    "OnCompleteRequestResultFailure",
    "OnCompleteRequestResultSuccess",
    "OnCompleteResponse",
]
