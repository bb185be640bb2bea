"""The options of a worker beside its constructor: deployments, pollers, the build id."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Optional, TypeAlias, TypedDict, Union

import temporalio.common
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion

if TYPE_CHECKING:
    import concurrent.futures
    from dataclasses import dataclass

    from temporalio.client import Client

    from ._interceptor import Interceptor
    from ._plugin import Plugin
    from ._shared_state import SharedStateManager
    from ._tuning import WorkerTuner
    from ._workflow_instance import PatchActivationInput, WorkflowRunner
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


class WorkerConfig(TypedDict, total=False):
    """The options of a worker, as :meth:`Worker.config` gives them and plugins change them."""

    client: Client
    task_queue: str
    activities: Sequence[Callable]
    nexus_service_handlers: Sequence[Any]
    workflows: Sequence[type]
    activity_executor: Optional[concurrent.futures.Executor]
    workflow_task_executor: Optional[concurrent.futures.ThreadPoolExecutor]
    nexus_task_executor: Optional[concurrent.futures.ThreadPoolExecutor]
    workflow_runner: WorkflowRunner
    unsandboxed_workflow_runner: WorkflowRunner
    plugins: Sequence[Plugin]
    interceptors: Sequence[Interceptor]
    build_id: Optional[str]
    identity: Optional[str]
    max_cached_workflows: int
    max_concurrent_workflow_tasks: Optional[int]
    max_concurrent_activities: Optional[int]
    max_concurrent_local_activities: Optional[int]
    max_concurrent_nexus_tasks: Optional[int]
    tuner: Optional[WorkerTuner]
    max_concurrent_workflow_task_polls: Optional[int]
    nonsticky_to_sticky_poll_ratio: float
    max_concurrent_activity_task_polls: Optional[int]
    no_remote_activities: bool
    sticky_queue_schedule_to_start_timeout: timedelta
    max_heartbeat_throttle_interval: timedelta
    default_heartbeat_throttle_interval: timedelta
    max_activities_per_second: Optional[float]
    max_task_queue_activities_per_second: Optional[float]
    max_eager_activity_reservations_per_workflow_task: int
    graceful_shutdown_timeout: timedelta
    plugin_shutdown_timeout: Optional[timedelta]
    workflow_failure_exception_types: Sequence[type[BaseException]]
    shared_state_manager: Optional[SharedStateManager]
    debug_mode: bool
    disable_eager_activity_execution: bool
    on_fatal_error: Optional[Callable[[BaseException], Awaitable[None]]]
    use_worker_versioning: bool
    disable_safe_workflow_eviction: bool
    deployment_config: Optional[WorkerDeploymentConfig]
    patch_activation_callback: Optional[Callable[[PatchActivationInput], bool]]
    workflow_task_poller_behavior: PollerBehavior
    activity_task_poller_behavior: PollerBehavior
    nexus_task_poller_behavior: PollerBehavior
    disable_payload_error_limit: bool
    max_workflow_task_external_storage_concurrency: int


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
