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
