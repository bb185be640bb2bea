"""Replays a folder of histories of recorded_workflows.py with whichever package this Python imports.

    replay_histories.py FOLDER

Prints each that does not replay and "N passed, N failed". Run it with the official package over what our worker wrote,
and with ours over src/core/testdata.
"""

from __future__ import annotations

import asyncio
import glob
import json
import logging
import os
import sys

from recorded_workflows import WORKFLOWS
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner


async def replay(folder: str) -> tuple[int, int]:
    replayer = Replayer(workflows=WORKFLOWS, workflow_runner=UnsandboxedWorkflowRunner())
    passed = failed = 0
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        with open(path) as file:
            text = file.read()
        start = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
        history = WorkflowHistory.from_json(start["workflowId"], text)
        result = await asyncio.wait_for(replayer.replay_workflow(history, raise_on_replay_failure=False), 30)
        if result.replay_failure is None:
            passed += 1
        else:
            failed += 1
            print(f"{os.path.basename(path)}: {result.replay_failure!r}")
    return passed, failed


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    good, bad = asyncio.run(replay(sys.argv[1]))
    print(f"{good} passed, {bad} failed")
    sys.exit(0 if good and not bad else 1)
