"""What runs for long stays small, and no call leaves references behind.

``PERDURE_ACTIVATIONS`` sets how many activations are replayed (a million by ``make soak``), ``PERDURE_CALLS`` how often each
call is made. In a debug build of Python (``scripts/check_ext.sh refs``) the sum of all reference counts is what is looked
at, which shows even one more reference to None; otherwise it is the number of memory blocks.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from temporalio import _core

from live import fresh, python
from test_core_connection import POLL, SERVICE, options

ROOT = Path(__file__).resolve().parents[2]
ACTIVATIONS = int(os.environ.get("PERDURE_ACTIVATIONS", "30000"))
CALLS = int(os.environ.get("PERDURE_CALLS", "1000"))

# ------------------------------------------------------------------------------------------------------ a million activations

SOAK = """
    import asyncio, importlib, json, resource, sys, time
    from pathlib import Path
    root, activations, sandboxed = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "sandbox"
    sys.path.insert(0, str(root / "tests/core"))
    from temporalio.client import WorkflowHistory
    from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
    from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

    workflows = importlib.import_module("recorded_workflows").WORKFLOWS
    histories = []
    for path in sorted((root / "src/core/testdata").glob("*.json")) + sorted((root / "tests/core/mixes").glob("*.json")):
        text = path.read_text()
        start = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
        histories.append(WorkflowHistory.from_json(start["workflowId"], text))
    # Each workflow task is at least one activation, and the end of each replay one more
    sizes = [1 + sum(e.HasField("workflow_task_completed_event_attributes") for e in h.events) for h in histories]

    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

    marks, done = [], 0

    async def endless():
        global done
        while done < activations:
            for history, size in zip(histories, sizes):
                yield history
                done += size
                if len(marks) < 10 * done // activations:
                    marks.append(resident())

    async def main():
        runner = SandboxedWorkflowRunner() if sandboxed else UnsandboxedWorkflowRunner()
        results = await Replayer(workflows=workflows, workflow_runner=runner).replay_workflows(endless())
        assert not results.replay_failures

    began = time.monotonic()
    asyncio.run(main())
    seconds = time.monotonic() - began
    # Not what getrusage says: that begins with the size of the process that started this one
    peak = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    print(json.dumps({"activations": done, "seconds": round(seconds, 1), "marks": marks, "peak": peak}))
"""

CEILING = 96 << 20
GROWTH_MAX = 4 << 20


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("mode", ["plain", "sandbox"])
def test_memory_is_flat_over_many_activations(mode: str) -> None:
    """Histories of every kind through the extension, the core and the worker's Python code, again and again."""
    count = ACTIVATIONS if mode == "plain" else ACTIVATIONS // 3
    out, err = python(SOAK, str(ROOT), str(count), mode).communicate()
    assert out, err
    told = json.loads(out)
    print(told)
    assert told["activations"] >= count
    assert told["peak"] < CEILING, told
    # From a fifth of the way on, when caches and allocators have settled
    assert told["marks"][-1] - told["marks"][2] < GROWTH_MAX, told


LIVE = """
    import asyncio, json, resource, sys
    from concurrent.futures import ThreadPoolExecutor
    from datetime import timedelta
    from temporalio import activity, workflow
    from temporalio.client import Client
    from temporalio.worker import UnsandboxedWorkflowRunner, Worker

    @activity.defn
    async def one(x: str) -> str:
        return x

    @activity.defn
    def two(x: str) -> str:
        activity.heartbeat(x)
        return x

    @workflow.defn(sandboxed=False)
    class Both:
        def __init__(self):
            self.go = False

        @workflow.signal
        def now(self):
            self.go = True

        @workflow.run
        async def run(self, x: str) -> str:
            await workflow.wait_condition(lambda: self.go)
            options = dict(start_to_close_timeout=timedelta(seconds=60))
            first = workflow.start_activity(one, x, **options)
            second = workflow.start_activity(two, x, **options)
            third = workflow.start_local_activity(two, x, **options)
            return await first + await second + await third

    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

    async def main():
        client = await Client.connect(sys.argv[1])
        marks = []
        with ThreadPoolExecutor(8) as pool:
            async with Worker(client, task_queue=sys.argv[2], workflows=[Both], activities=[one, two], activity_executor=pool,
                              max_concurrent_activities=8, max_cached_workflows=20):
                for turn in range(10):
                    async def lane(i):
                        for n in range(int(sys.argv[3]) // 80):
                            id = f"{sys.argv[2]}-{turn}-{i}-{n}"
                            handle = await client.start_workflow(Both.run, "x" * 1000, id=id, task_queue=sys.argv[2])
                            await handle.signal(Both.now)
                            assert await handle.result() == "x" * 3000
                    await asyncio.gather(*[lane(i) for i in range(8)])
                    marks.append(resident())
        print(json.dumps({"marks": marks}))

    asyncio.run(main())
"""


@pytest.mark.timeout(7200)
def test_memory_of_a_worker_is_flat_over_many_workflows(address: str) -> None:
    out, err = python(LIVE, address, fresh(), str(max(ACTIVATIONS // 40, 400))).communicate()
    assert out, err
    marks = json.loads(out)["marks"]
    assert marks[-1] - marks[3] < GROWTH_MAX, marks


# ---------------------------------------------------------------------------------------------------------- references

START = "temporal.api.workflowservice.v1.StartWorkflowExecutionRequest"
REQUEST = {"namespace": "n", "workflow_id": "w", "workflow_type": {"name": "T"}, "input": {"payloads": [{"metadata": {"encoding": b"json/plain"}, "data": b"1"}]}}
ENCODED = _core.encode(START, REQUEST)
WORKER = {"namespace": "default", "task_queue": "q", "identity": "me", "build_id": "b"}
HISTORY = ROOT / "src/core/testdata/hello.json"


def refused(function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    try:
        function(*args, **kwargs)
    except (TypeError, ValueError, RuntimeError):
        return
    raise AssertionError("not refused")


class Unhappy:
    """Raises where something is read from it."""

    def __str__(self) -> str:
        raise ValueError("in str")

    def __len__(self) -> int:
        raise ValueError("in len")


RUNTIME = _core.Runtime({"metric_buffer_size": 10})
METRIC = RUNTIME.new_metric(0, "m", "", "")
QUIET = _core.Runtime({})


def a_worker() -> Any:
    return _core.Worker(_core.Connection(QUIET, options("127.0.0.1:1")), WORKER)


def worker_calls() -> None:
    worker = a_worker()
    for callback in (print, str):
        worker.on_slots(callback)
        worker.on_fatal(callback)
        worker.on_activation_waiting(callback)
    assert worker.next_activation(0.0) is None
    refused(worker.complete_activation, {"run_id": "r"})
    refused(worker.complete_activation, {"run_id": 7})
    refused(worker.complete_activity, {"task_token": b"t"})
    refused(worker.complete_activity, {"task_token": b"t", "completed": {"result": "nonsense"}})
    worker.complete_activity({"task_token": b"t", "completed": {}})
    worker.record_heartbeat(b"t", [])
    refused(worker.record_heartbeat, b"t", ["nonsense"])
    worker.keep_alive(b"t")
    worker.hand_over_activity_tasks()
    worker.grant_slot(7)
    refused(worker.grant_slot, "7")
    loop = _core.Loop()
    worker.on_activity_task(loop, print)
    refused(worker.on_activity_task, loop, print)
    assert worker.is_shut_down is False
    loop.close()


def replay() -> None:
    replayer = _core.Replayer(WORKER)
    replayer.on_activation_waiting(int)
    refused(replayer.push_history, "w", b"nonsense")
    replayer.push_history("w", HISTORY_BYTES)
    activation = replayer.next_activation(5.0)
    assert activation is not None and "jobs" in activation
    replayer.complete_activation({"run_id": activation["run_id"], "failure": {"message": "no"}})
    evict = replayer.next_activation(5.0)
    assert evict is not None
    replayer.complete_activation({"run_id": evict["run_id"]})
    replayer.close()


HISTORY_BYTES = _core.from_json("temporal.api.history.v1.History", HISTORY.read_text())
CASES: dict[str, tuple[Callable[[], Any], float]] = {
    # what it is: what to call, and how often in proportion
    "encode": (lambda: _core.encode(START, REQUEST), 5),
    "decode": (lambda: _core.decode(START, ENCODED), 5),
    "to_json": (lambda: _core.to_json(START, ENCODED, pretty=True), 5),
    "from_json": (lambda: _core.from_json(START, '{"namespace": "n", "unknown": 1}', ignore_unknown_fields=True), 5),
    "encode what does not fit": (lambda: refused(_core.encode, START, {"workflow_type": {"name": 7}}), 5),
    "encode an unknown key": (lambda: refused(_core.encode, START, {"input": {"payloads": [{"nope": 1}]}}), 5),
    "encode what raises": (lambda: refused(_core.encode, START, {"input": {"payloads": Unhappy()}}), 5),
    "encode an unknown type": (lambda: refused(_core.encode, "No", {}), 5),
    "decode broken bytes": (lambda: refused(_core.decode, START, b"\xff" + ENCODED), 5),
    "decode an unknown type": (lambda: refused(_core.decode, "No", b""), 5),
    "read bad JSON": (lambda: refused(_core.from_json, START, '{"namespace": '), 5),
    "raising in a thread there is not": (lambda: (_core.raise_in_thread(1, ValueError), refused(_core.raise_in_thread, "1", None)), 5),
    "loops": (lambda: _core.Loop().fileno(), 1),
    "loops that are closed": (lambda: _core.Loop().close(), 1),
    "metrics": (lambda: RUNTIME.record_metric(METRIC, 1.0, {"a": "b", "n": 1, "f": 0.5, "t": True}), 3),
    "metrics with bad labels": (lambda: refused(RUNTIME.record_metric, METRIC, 1.0, {"a": Unhappy()}), 3),
    "metric updates": (lambda: (RUNTIME.record_metric(METRIC, 1.0, {"a": "b", "n": 1, "f": 0.5, "t": True}), RUNTIME.take_metric_updates()), 3),
    "registering metrics": (lambda: RUNTIME.new_metric(0, "m", "", ""), 3),
    "runtimes": (lambda: _core.Runtime({"metric_buffer_size": 2, "global_tags": {"a": "b"}}), 0.1),
    "runtimes with bad options": (lambda: refused(_core.Runtime, {"prometheus": {"bind_address": "x"}}), 0.1),
    "connections": (lambda: _core.Connection(QUIET, options("127.0.0.1:1")).close(), 0.3),
    "connections with bad options": (lambda: refused(_core.Connection, QUIET, options("a:b:c")), 0.3),
    "workers with bad options": (lambda: refused(_core.Worker, _core.Connection(QUIET, options("127.0.0.1:1")), {"namespace": 7}), 0.3),
    "workers": (worker_calls, 0.3),
    "replayers": (replay, 0.3),
}


def counted() -> int:
    gc.collect()
    total = getattr(sys, "gettotalrefcount", None)
    return total() if total is not None else sys.getallocatedblocks()


def growth(call: Callable[[], Any], times: int) -> float:
    """By how much one call grows what is counted; the best of three looks, for other threads count too."""
    for _ in range(times // 5 + 3):
        call()
    looks = []
    for _ in range(3):
        settle()
        before = counted()
        for _ in range(times):
            call()
        settle()
        looks.append((counted() - before) / times)
        if looks[-1] < 0.2:
            break
    return min(looks)


def settle() -> None:
    """What was let go of is freed on C threads, soon."""
    before = counted()
    for _ in range(50):
        time.sleep(0.02)
        now = counted()
        if now == before:
            return
        before = now


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CASES)
def test_no_call_leaves_references(name: str) -> None:
    call, proportion = CASES[name]
    assert growth(call, max(int(CALLS * proportion / 5), 20)) < 0.5  # a reference a call would be 1


@pytest.mark.timeout(300)
def test_calls_over_the_network_leave_no_references(address: str) -> None:
    """Those that are answered, refused, cancelled, and dropped with their loop."""
    at = {"default": {"namespace": "default"}, "nowhere": {"namespace": "nowhere"}}
    loop = _core.Loop()
    asyncio_loop = asyncio.new_event_loop()
    asyncio_loop.add_reader(loop.fileno(), loop.drain)
    connection = _core.Connection(QUIET, options(address))

    async def some() -> None:
        running = asyncio.get_running_loop()
        futures = [running.create_future() for _ in range(4)]
        connection.call(loop, futures[0], SERVICE + "DescribeNamespace", at["default"])
        connection.call(loop, futures[1], SERVICE + "DescribeNamespace", at["nowhere"], metadata=[("a", "b")], timeout=5.0)
        connection.call(loop, futures[2], SERVICE + "GetSystemInfo", b"", raw=True)
        poll = connection.call(loop, futures[3], SERVICE + "PollWorkflowTaskQueue", POLL, retry=True)
        await asyncio.wait(futures[:3])
        poll.cancel()
        await asyncio.gather(*futures, return_exceptions=True)
        other = _core.Loop()
        connection.call(other, running.create_future(), SERVICE + "GetSystemInfo", b"")
        other.close()

    try:
        assert growth(lambda: asyncio_loop.run_until_complete(some()), max(CALLS // 10, 20)) < 0.5
    finally:
        asyncio_loop.remove_reader(loop.fileno())
        asyncio_loop.close()
        loop.close()


def test_forwarded_logs_leave_no_references() -> None:
    """The interpreter that counts is another one, for logging is the process's."""
    program = """
        import gc, sys, time
        from temporalio import _core
        seen = []
        def take(records):
            seen.append(len(records))
        runtime = _core.Runtime({"log_filter": "temporal=debug", "log_forward": take})
        import test_leaks
        def one():
            _core.Connection(runtime, test_leaks.options("127.0.0.1:1")).close()
        del seen[:]
        print(test_leaks.growth(one, 100))
    """
    out, err = python(program, cwd=Path(__file__).parent).communicate()
    assert out and float(out) < 1.5, err + out  # a list of numbers grows
