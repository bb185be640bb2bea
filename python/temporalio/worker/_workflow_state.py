"""What a workflow run keeps: the fields that its parts share.

The run is built in four layers, each in a file of its own: this state, commands (``_workflow_commands``), handlers
(``_workflow_handlers``) and the run itself (``_workflow_run``), which applies the jobs.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Optional

import temporalio.common
import temporalio.workflow
from temporalio.workflow import ContinueAsNewError, Info

from ._event_loop import WorkflowBeingEvictedError, WorkflowLoop
from ._interceptor import WorkflowInboundInterceptor, WorkflowOutboundInterceptor
from ._workflow_instance import (
    WorkflowInstance,
    WorkflowInstanceDetails,
    _WorkflowLogicFlag,
)

if TYPE_CHECKING:
    from ._workflow_handles import ActivityHandleImpl, ChildWorkflowHandleImpl, NexusOperationHandleImpl

Message = dict[str, Any]

SINGLE_BATCH = int(_WorkflowLogicFlag.PROCESS_WORKFLOW_ACTIVATION_JOBS_AS_SINGLE_BATCH)


class RunState(WorkflowLoop, WorkflowInstance, temporalio.workflow._Runtime):
    """See the module's description."""

    if TYPE_CHECKING:
        # Kept by Turns, and made when somebody asks
        _commands: list[Message]
        _used_flags: list[int]
        _known_flags: set[int]
        _patches_in_history: set[str]
        _patches: dict[str, bool]
        _activation: Message
        _memo: dict[str, Any]
        _seed_callbacks: list[Callable[[int], None]]
        _seqs: dict[str, int]
        # What has been started and not answered, by seq
        _activities: dict[int, ActivityHandleImpl]
        _children: dict[int, ChildWorkflowHandleImpl]
        _signals_out: dict[int, tuple[asyncio.Future[None], Any]]
        _cancels_out: dict[int, asyncio.Future[None]]
        _nexus_operations: dict[int, NexusOperationHandleImpl]

        _inbound: WorkflowInboundInterceptor
        _outbound: WorkflowOutboundInterceptor

    # Most runs leave most of these as they are
    _random: Optional[random.Random] = None  # made when first asked for
    _config_failure_types: Optional[tuple[type[BaseException], ...]] = None  # of a dynamic workflow
    _args: Sequence[Any] = ()
    _headers: Mapping[str, Any] = MappingProxyType({})
    _run_task: Optional[asyncio.Task[None]] = None
    _cancel_requested = False
    _cancel_reason: Optional[str] = None
    _current_details = ""
    _memo_values: Optional[Mapping[str, Any]] = None
    _metric_meter: Optional[temporalio.common.MetricMeter] = None
    _in_query = False


    def __init__(self, det: WorkflowInstanceDetails) -> None:
        self._details = det
        self._defn = defn = det.defn
        self._disable_eager_activities = det.disable_eager_activity_execution
        if defn.versioning_behavior:
            self._versioning_behavior = int(defn.versioning_behavior)
        self._seed = det.randomness_seed
        if SINGLE_BATCH in det.default_workflow_logic_flags:
            self._may_batch = True

    @property
    def _info(self) -> Info:
        return self._details.info

    def _on_workflow_error(self, err: BaseException) -> None:
        """Makes of an exception of the workflow's code what it means: a command, or a failed task."""
        raise NotImplementedError

    async def _guard(self, coro: Awaitable[None]) -> None:
        """Runs what is the workflow's own code to its end and makes commands of what it raises."""
        try:
            await coro
        except WorkflowBeingEvictedError:
            raise
        except (Exception, asyncio.CancelledError, ContinueAsNewError) as err:
            self._on_workflow_error(err)

    def _has_flag(self, flag: _WorkflowLogicFlag) -> bool:
        """Whether a flag is in force. Outside of replay a default one is from now on."""
        if flag in self._known_flags:
            return True
        if self._is_replaying or flag not in self._details.default_workflow_logic_flags:
            return False
        self._known_flags.add(flag)
        self._used_flags.append(int(flag))
        return True

    def _cancelling_completed_activity_raises(self) -> bool:
        flag = _WorkflowLogicFlag.RAISE_ON_CANCELLING_COMPLETED_ACTIVITY
        if flag not in self._known_flags:
            if self._is_replaying:
                return False
            self._known_flags.add(flag)
            self._used_flags.append(int(flag))
        return True

    def _is_single_batch(self) -> bool:
        return self._has_flag(_WorkflowLogicFlag.PROCESS_WORKFLOW_ACTIVATION_JOBS_AS_SINGLE_BATCH)
