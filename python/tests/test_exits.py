"""Programs end as they mean to, whatever is still under way: none by a signal, none late.

``PERDURE_EXITS`` sets how many end here (500 by ``make soak``).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from temporalio.client import Client

from live import eventually, fresh, python

EXITS = int(os.environ.get("PERDURE_EXITS", "24"))
ROOT = Path(__file__).resolve().parents[2]

# What each program begins with: a worker whose workflows and activities are under way, in all ways there are
BEGINNING = """
    import asyncio, os, signal, sys, threading, time
    from concurrent.futures import ThreadPoolExecutor
    from datetime import timedelta
    from temporalio import activity, workflow
    from temporalio.client import Client
    from temporalio.worker import Worker

    given_up = threading.Event()

    @activity.defn
    async def waits(x: str) -> str:
        while True:
            activity.heartbeat(x)
            await asyncio.sleep(0.01)

    @activity.defn
    def waits_plain(x: str) -> str:
        while not activity.is_cancelled() and not given_up.is_set():
            activity.heartbeat(x)
            time.sleep(0.01)
        return x

    @activity.defn
    async def quick(x: str) -> str:
        return x

    @workflow.defn(sandboxed=False)
    class Long:
        @workflow.run
        async def run(self, name: str) -> str:
            policy = dict(start_to_close_timeout=timedelta(seconds=30), heartbeat_timeout=timedelta(seconds=10))
            return await workflow.execute_activity(name, name, **policy)

    @workflow.defn(sandboxed=False)
    class Busy:
        @workflow.run
        async def run(self) -> None:
            for n in range(100):
                await workflow.execute_activity(quick, "x", start_to_close_timeout=timedelta(seconds=30))
                await workflow.sleep(0.001)

    pool = ThreadPoolExecutor(10)

    async def begin():
        client = await Client.connect(sys.argv[1])
        queue = sys.argv[2]
        worker = Worker(client, task_queue=queue, workflows=[Long, Busy], activities=[waits, waits_plain, quick],
                        activity_executor=pool, max_concurrent_activities=10)
        running = asyncio.ensure_future(worker.run())
        for n, kind in enumerate(["waits", "waits", "waits_plain", "waits_plain"]):
            await client.start_workflow(Long.run, kind, id=f"{queue}-{n}", task_queue=queue)
        for n in range(3):
            await client.start_workflow(Busy.run, id=f"{queue}-busy-{n}", task_queue=queue)
        await asyncio.sleep(float(sys.argv[3]))
        waiting = [asyncio.ensure_future(client.get_workflow_handle(f"{queue}-{n}").result()) for n in range(4)]
        return client, worker, running, waiting
"""

ENDINGS = {
    "returns": """
    async def main():
        kept = await begin()
    asyncio.run(main())
    """,
    "exits": """
    async def main():
        kept = await begin()
        sys.exit(0)
    asyncio.run(main())
    """,
    "raises and catches": """
    async def main():
        kept = await begin()
        raise RuntimeError("on purpose")
    try:
        asyncio.run(main())
    except RuntimeError:
        pass
    """,
    "leaves the loop": """
    loop = asyncio.new_event_loop()
    kept = loop.run_until_complete(begin())
    given_up.set()  # threads of executors are waited for by Python itself
    """,
    "forgets the loop": """
    loop = asyncio.new_event_loop()
    client, worker, running, waiting = loop.run_until_complete(begin())
    running.cancel()
    try:
        loop.run_until_complete(running)
    except asyncio.CancelledError:
        pass
    del client, worker, running, waiting
    import gc
    gc.collect()
    """,
    "is interrupted": """
    async def main():
        kept = await begin()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
    """,
    "is told to end": """
    async def main():
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        client, worker, running, waiting = await begin()
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        await worker.shutdown()
        await running
    asyncio.run(main())
    """,
    "ends on another thread": """
    def other():
        asyncio.run(main())
    async def main():
        kept = await begin()
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    """,
}


def end(address: str, number: int) -> tuple[str, int, str]:
    kind = list(ENDINGS)[number % len(ENDINGS)]
    program = BEGINNING + ENDINGS[kind] + "\n    print('ended', flush=True)\n"
    if kind == "exits":
        program = program.replace("asyncio.run(main())", "try:\n        asyncio.run(main())\n    finally:\n        print('ended', flush=True)")
    # At odd moments: before anything began, and in the midst of it
    process = python(program, address, fresh(), f"{0.003 * (number * 7 % 60):.3f}")
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        return kind, -1000, process.communicate()[1]
    return kind, process.returncode if "ended" in out else 1000, err


@pytest.mark.timeout(7200)
def test_no_program_ends_by_a_signal_or_not_at_all(address: str) -> None:
    with concurrent.futures.ThreadPoolExecutor(3) as starters:
        ends = list(starters.map(lambda n: end(address, n), range(EXITS)))
    bad = [e for e in ends if e[1] != 0]
    assert len(ends) == EXITS and not bad, bad[:3]
    # Nor does any complain of more than what it left undone
    odd = [line for _, _, err in ends for line in err.splitlines() if "Fatal" in line or "Exception ignored" in line or "core dumped" in line]
    assert not odd, odd[:5]


# ---------------------------------------------------------------------------------------------------------------- Ctrl-C


def tutorial(tmp_path: Path, address: str, queue: str) -> Path:
    """The tutorial's files, for another address and task queue."""
    for name in ("run_worker.py", "run_workflow.py"):
        text = (ROOT / "examples/hello" / name).read_text()
        (tmp_path / name).write_text(text.replace("localhost:7233", address).replace("my-task-queue", queue).replace("my-workflow-id", queue))
    return tmp_path


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_the_tutorials_worker_ends_when_told_to(address: str, tmp_path: Path, how: signal.Signals) -> None:
    """As any Python program does: Ctrl-C is a KeyboardInterrupt after the worker has shut down, SIGTERM the end."""
    folder = tutorial(tmp_path, address, fresh())
    worker = subprocess.Popen([sys.executable, "run_worker.py"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        result = await asyncio.to_thread(subprocess.run, [sys.executable, "run_workflow.py"], cwd=folder, capture_output=True, text=True, timeout=60)
        assert result.stdout == "Result: Hello, Temporal!\n", result.stderr
        worker.send_signal(how)
        _, said = await asyncio.to_thread(worker.communicate, timeout=20)
        assert worker.returncode == -how
        if how == signal.SIGINT:
            assert said.rstrip().endswith("KeyboardInterrupt") and "never retrieved" not in said and "Exception ignored" not in said
    finally:
        worker.kill()
        worker.wait()


CTRL_C = BEGINNING + """
    async def main():
        client, worker, running, waiting = await begin()
        print("working", flush=True)
        await running

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


async def test_ctrl_c_gives_running_activities_back_to_the_server(address: str) -> None:
    """They fail as the worker's shutdown, and are tried again elsewhere."""
    queue = fresh()
    worker = python(CTRL_C, address, queue, "0.5")
    try:
        assert worker.stdout is not None
        assert await asyncio.to_thread(worker.stdout.readline) == "working\n"
        client = await Client.connect(address)
        handle = client.get_workflow_handle(f"{queue}-0")

        async def runs() -> bool:
            return any(a.attempt == 1 and a.HasField("last_heartbeat_time") for a in (await handle.describe()).raw_description.pending_activities)

        await eventually(runs)
        worker.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(worker.communicate, timeout=30)
        assert (out, worker.returncode) == ("interrupted\n", 0), err

        # Python 3.10 cancels every task there is before the worker hears of it
        why = "shut down" if sys.version_info >= (3, 11) else "Cancelled"

        async def failed() -> bool:
            pending = (await handle.describe()).raw_description.pending_activities
            return any(a.attempt >= 2 and why in a.last_failure.message for a in pending)

        await eventually(failed)
    finally:
        worker.kill()
        worker.wait()


# ------------------------------------------------------------------------------------------------------------------ fork


FORK = BEGINNING + """
    async def again(label):
        client = await Client.connect(sys.argv[1])
        queue = sys.argv[2] + label
        async with Worker(client, task_queue=queue, workflows=[Busy], activities=[quick]):
            await client.execute_workflow(Busy.run, id=queue, task_queue=queue)

    async def main():
        client, worker, running, waiting = await begin()
        children = []
        for n in range(3):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    asyncio.events._set_running_loop(None)
                    loop = asyncio.new_event_loop()
                    loop.run_until_complete(again(f"-child-{n}"))
                    try:
                        loop.run_until_complete(worker.run())
                    except (RuntimeError, AssertionError):
                        code = 0
                    del client, worker, running, waiting
                finally:
                    os._exit(code)
            children.append(child)
        statuses = [await asyncio.to_thread(os.waitpid, child, 0) for child in children]
        assert [os.waitstatus_to_exitcode(s) for _, s in statuses] == [0, 0, 0], statuses
        # The parent works as before
        await client.execute_workflow(Busy.run, id=sys.argv[2] + "-after", task_queue=sys.argv[2])
        print("forked", flush=True)

    asyncio.run(main())
"""


def test_forked_children_have_workers_and_connections_of_their_own(address: str) -> None:
    process = python(FORK, address, fresh(), "0.2")
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (out, process.returncode) == ("forked\n", 0), err


POOL = """
    import asyncio, multiprocessing, os, sys
    from concurrent.futures import ProcessPoolExecutor
    from datetime import timedelta
    from temporalio import activity, workflow
    from temporalio.client import Client
    from temporalio.worker import SharedStateManager, Worker

    @activity.defn
    def in_pool(n: int) -> int:
        activity.heartbeat(n)
        return os.getpid()

    @activity.defn
    def asks(n: int) -> str:
        async def ask():
            client = await Client.connect(sys.argv[1])
            return (await client.service_client.workflow_service.get_system_info(__import__("temporalio.api.workflowservice.v1").api.workflowservice.v1.GetSystemInfoRequest())).server_version
        return asyncio.run(ask())

    @workflow.defn(sandboxed=False)
    class Fan:
        @workflow.run
        async def run(self) -> list:
            options = dict(start_to_close_timeout=timedelta(seconds=30))
            pids = await asyncio.gather(*[workflow.execute_activity(in_pool, n, **options) for n in range(20)])
            version = await workflow.execute_activity(asks, 1, **options)
            return [len(set(pids)), version]

    async def main():
        client = await Client.connect(sys.argv[1])
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(2, mp_context=context) as pool, context.Manager() as manager:
            async with Worker(client, task_queue=sys.argv[2], workflows=[Fan], activities=[in_pool, asks], activity_executor=pool,
                              max_concurrent_activities=2, shared_state_manager=SharedStateManager.create_from_multiprocessing(manager)):
                print(await client.execute_workflow(Fan.run, id=sys.argv[2], task_queue=sys.argv[2]), flush=True)

    asyncio.run(main())
"""


def test_a_pool_of_forked_processes_runs_activities_that_use_clients(address: str) -> None:
    process = python(POOL, address, fresh())
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert out.startswith(("[1, '", "[2, '")) and process.returncode == 0, (out, err)
