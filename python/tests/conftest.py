"""Helpers of the package's own tests. Those of live.py need a server, the others do not."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, Optional

import pytest

import temporalio.common
import temporalio.workflow
from temporalio.converter import DefaultFailureConverter, DefaultPayloadConverter
from temporalio.worker._workflow_instance import UnsandboxedWorkflowRunner, WorkflowInstanceDetails

from live import address as address

JSON = {"encoding": b"json/plain"}


def payload(text: str) -> dict[str, Any]:
    """A JSON payload as C hands it over."""
    return {"metadata": JSON, "data": text.encode()}


def make_info(**changes: Any) -> temporalio.workflow.Info:
    """An Info with everything set to something."""
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    values: dict[str, Any] = dict(
        attempt=1,
        continued_run_id=None,
        cron_schedule=None,
        execution_timeout=None,
        first_execution_run_id="run",
        headers={},
        namespace="default",
        original_execution_run_id="run",
        parent=None,
        root=None,
        priority=temporalio.common.Priority.default,
        raw_memo={},
        retry_policy=None,
        run_id="run",
        run_timeout=None,
        search_attributes={},
        start_time=now,
        task_queue="queue",
        task_timeout=timedelta(seconds=10),
        typed_search_attributes=temporalio.common.TypedSearchAttributes.empty,
        workflow_id="wid",
        workflow_start_time=now,
        workflow_type="Type",
    )
    values.update(changes)
    return temporalio.workflow.Info(**values)


class Driver:
    """Feeds activations to one run of a workflow class, and keeps what it answers."""

    def __init__(self, cls: type, *args: str, runner: Any = None, **details: Any) -> None:
        defn = temporalio.workflow._Definition.must_from_class(cls)
        values: dict[str, Any] = dict(
            payload_converter_factory=DefaultPayloadConverter,
            failure_converter_class=DefaultFailureConverter,
            interceptor_classes=[],
            defn=defn,
            info=make_info(workflow_type=defn.name or "Type"),
            randomness_seed=17,
            extern_functions={},
            disable_eager_activity_execution=False,
            worker_level_failure_exception_types=[],
            patch_activation_callback=None,
            last_completion_result=None,
            last_failure=None,
        )
        values.update(details)
        self.run = (runner or UnsandboxedWorkflowRunner()).create_instance(WorkflowInstanceDetails(**values))
        self.arguments = [payload(a) for a in args]
        self.time = 1_000_000_000

    def init_job(self, **fields: Any) -> dict[str, Any]:
        return {"initialize_workflow": {"workflow_type": "Type", "arguments": self.arguments, **fields}}

    def activate(self, *jobs: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """The completion of one activation."""
        self.time += 1_000_000
        act = {"run_id": "run", "timestamp": self.time, "jobs": list(jobs), **fields}
        return self.run.activate(act)

    def start(self, *others: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
        """The commands of the first activation."""
        return self.commands(self.init_job(), *others, **fields)

    def commands(self, *jobs: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
        """The commands of an activation that must not fail."""
        completion = self.activate(*jobs, **fields)
        assert "failure" not in completion, completion["failure"]
        commands: list[dict[str, Any]] = completion.get("commands", [])
        return commands


@pytest.fixture
def driver() -> type[Driver]:
    return Driver
