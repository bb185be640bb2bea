"""Names one command of a run, for those who want to know what a payload belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from temporalio._lazy import dataclass


@dataclass(frozen=True)
class CommandInfo:
    """A command's type (``temporal.api.enums.v1.CommandType``) and its number among those of its kind."""

    command_type: int
    command_seq: int
