"""The sandbox that workflow code runs in: isolation of modules, and refusal of what no replay could repeat."""

from ._restrictions import (
    RestrictedWorkflowAccessError,
    SandboxMatcher,
    SandboxRestrictions,
    UnintentionalPassthroughError,
)
from ._runner import SandboxedWorkflowRunner

__all__ = [
    "RestrictedWorkflowAccessError",
    "SandboxedWorkflowRunner",
    "SandboxMatcher",
    "SandboxRestrictions",
    "UnintentionalPassthroughError",
]
