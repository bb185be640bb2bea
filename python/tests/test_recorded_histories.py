"""Histories that the official package has recorded replay in ours."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from pathlib import Path

import pytest

from temporalio import workflow

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [ROOT / "src" / "core" / "testdata", ROOT / "tests" / "core" / "mixes"]
HISTORIES = [path for folder in FOLDERS for path in sorted(folder.glob("*.json"))]


@pytest.fixture(scope="module")
def workflows() -> list:
    sys.path.insert(0, str(ROOT / "tests" / "core"))
    try:
        return importlib.import_module("recorded_workflows").WORKFLOWS
    finally:
        sys.path.pop(0)


def test_there_are_histories() -> None:
    assert len(HISTORIES) >= 40


@pytest.mark.parametrize("path", HISTORIES, ids=lambda p: p.stem)
def test_replays(path: Path, workflows: list) -> None:
    from temporalio.client import WorkflowHistory
    from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

    text = path.read_text()
    start = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    replayer = Replayer(workflows=workflows, workflow_runner=UnsandboxedWorkflowRunner())
    asyncio.run(replayer.replay_workflow(WorkflowHistory.from_json(start["workflowId"], text)))


@workflow.defn(name="Hello")
class Changed:
    @workflow.run
    async def run(self, n: str) -> str:
        await workflow.sleep(1)
        return n


def test_a_changed_workflow_does_not_replay() -> None:
    from temporalio.client import WorkflowHistory
    from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

    history = WorkflowHistory.from_json("hello", (ROOT / "src/core/testdata/hello.json").read_text())
    replayer = Replayer(workflows=[Changed], workflow_runner=UnsandboxedWorkflowRunner())
    with pytest.raises(workflow.NondeterminismError, match="event 5 .ActivityTaskScheduled.*start a timer"):
        asyncio.run(replayer.replay_workflow(history))


def test_a_run_is_replayed_again_as_soon_as_its_result_is_known() -> None:
    """The worker may not have let go of the run yet: the result comes with what asks it to."""
    from temporalio import _core

    history = _core.from_json("temporal.api.history.v1.History", (ROOT / "src/core/testdata/hello.json").read_text())
    replayer = _core.Replayer({"namespace": "n", "task_queue": "q", "identity": "i", "build_id": "b"})
    replayer.push_history("hello", history)
    for _ in range(3):
        activation = replayer.next_activation(5.0)
        assert activation is not None and "initialize_workflow" in activation["jobs"][0]
        replayer.complete_activation({"run_id": activation["run_id"], "failure": {"message": "no"}})
        removal = replayer.next_activation(5.0)
        assert removal is not None and "remove_from_cache" in removal["jobs"][0]
        replayer.push_history("hello", history)
        with pytest.raises(ValueError, match="being replayed"):
            replayer.push_history("hello", history)
        replayer.complete_activation({"run_id": removal["run_id"]})
    replayer.close()
