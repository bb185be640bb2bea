"""Operations that the server itself serves, for workflows to call."""

from __future__ import annotations

TEMPORAL_SYSTEM_ENDPOINT = "__temporal_system"
"""The endpoint of the server's own services."""


def is_system_endpoint(endpoint: str) -> bool:
    """Whether an endpoint is the server's own."""
    return endpoint == TEMPORAL_SYSTEM_ENDPOINT


def workflow_namespace() -> str:
    """The namespace of the calling workflow."""
    import temporalio.workflow

    return temporalio.workflow.info().namespace


__all__ = ["TEMPORAL_SYSTEM_ENDPOINT", "is_system_endpoint"]
