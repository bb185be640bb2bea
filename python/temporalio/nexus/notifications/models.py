"""What an operation that is told of another one's end takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

OutputT = TypeVar("OutputT")
SourceContextT = TypeVar("SourceContextT")


@dataclass(slots=True)
class OnCompleteRequestResultSuccess(Generic[OutputT]):
    """It ended with a result."""

    value: OutputT
    """The result."""


@dataclass(slots=True)
class OnCompleteRequestResultFailure:
    """It failed."""

    value: BaseException
    """Of what."""


OnCompleteRequestResult: TypeAlias = OnCompleteRequestResultSuccess[OutputT] | OnCompleteRequestResultFailure
"""How it ended."""


@dataclass(slots=True)
class OnCompleteRequest(Generic[OutputT, SourceContextT]):
    """Says that something ended."""

    result: OnCompleteRequestResult[OutputT]
    """How."""

    source_context: SourceContextT
    """What the one who asked to be told gave along."""


@dataclass(slots=True)
class OnCompleteResponse:
    """Nothing more to say."""
