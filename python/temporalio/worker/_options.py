"""The options of a worker beside its constructor: deployments, pollers, the build id."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Optional, TypeAlias, Union

from temporalio.common import VersioningBehavior, WorkerDeploymentVersion

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from temporalio._lazy import dataclass


@dataclass(frozen=True)
class PollerBehaviorSimpleMaximum:
    """So many polls at a time, always."""

    maximum: int = 5


@dataclass(frozen=True)
class PollerBehaviorAutoscaling:
    """As many polls as the server finds useful."""

    minimum: int = 1
    maximum: int = 100
    initial: int = 5


PollerBehavior: TypeAlias = Union[PollerBehaviorSimpleMaximum, PollerBehaviorAutoscaling]


@dataclass
class WorkerDeploymentConfig:
    """The worker deployment a worker is a version of."""

    version: WorkerDeploymentVersion
    """Which deployment, and which version of it."""
    use_worker_versioning: bool
    """False makes the version known without the server sending work by it."""
    default_versioning_behavior: VersioningBehavior = VersioningBehavior.UNSPECIFIED
    """For workflows that set none; unspecified makes each of them set one."""


def poller_message(behavior: PollerBehavior, what: str) -> dict[str, Any]:
    """The PollerBehavior message of WorkerOptions."""
    if isinstance(behavior, PollerBehaviorAutoscaling):
        if not 1 <= behavior.minimum <= behavior.initial <= behavior.maximum:
            raise ValueError(
                f"Invalid worker config: {what} needs 1 <= minimum <= initial <= maximum, not {behavior.minimum}, "
                f"{behavior.initial} and {behavior.maximum}"
            )
        return {
            "is_autoscaling": True,
            "minimum": behavior.minimum,
            "initial": behavior.initial,
            "maximum": behavior.maximum,
        }
    if behavior.maximum < 1:
        raise ValueError(f"Invalid worker config: {what} needs at least one poll, not {behavior.maximum}")
    return {"maximum": behavior.maximum}


_build_id: Optional[str] = None


def load_default_build_id(*, memoize: bool = True) -> str:
    """A build id that changes with the code: a digest of the modules that are loaded, by name, size and time of change."""
    global _build_id
    if memoize and _build_id is not None:
        return _build_id
    import hashlib

    digest = hashlib.sha256(sys.version.encode())
    for name in sorted(n for n, m in list(sys.modules.items()) if m is not None):
        path = getattr(sys.modules[name], "__file__", None)
        if not path:
            continue
        try:
            status = os.stat(path)
        except OSError:
            continue
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    build_id = digest.hexdigest()[:32]
    if memoize:
        _build_id = build_id
    return build_id
