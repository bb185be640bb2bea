"""Records the histories of recorded_workflows.py, with whichever package this Python imports.

    record_histories.py HOST:PORT FOLDER

The server needs a search attribute CustomKeywordField of type Keyword. What differs between machines and runs without
meaning anything (stack traces, identities, build ids) is left out of the files.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from datetime import timedelta
from typing import Any

from recorded_workflows import (
    ACTIVITIES, WORKFLOWS, ActCancel, ActCancelSameTask, ActFail, Can, CancelMe, External, Fails, Fan, Hello, La, Mix,
    Order, Parent, Patched, Sa, TaskFail, Timers, Upd, say,
)  # fmt: skip
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

LEFT_OUT = ("stackTrace", "workerVersion", "taskId", "requestId", "identity", "encodedAttributes")


def cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: cleaned(v) for k, v in value.items() if k not in LEFT_OUT}
    return [cleaned(v) for v in value] if isinstance(value, list) else value


class Recorder:
    def __init__(self, client: Client, folder: str) -> None:
        self.client = client
        self.folder = folder
        self.queue = "record-" + uuid.uuid4().hex[:6]

    def worker(self, activities: list = ACTIVITIES) -> Worker:
        return Worker(
            self.client,
            task_queue=self.queue,
            workflows=WORKFLOWS,
            activities=activities,
            workflow_runner=UnsandboxedWorkflowRunner(),
            default_heartbeat_throttle_interval=timedelta(milliseconds=100),
            max_heartbeat_throttle_interval=timedelta(milliseconds=200),
        )

    async def start(self, name: str, run: Any, *args: Any, **options: Any) -> WorkflowHandle:
        workflow_id = f"{name}-{uuid.uuid4().hex[:6]}"
        return await self.client.start_workflow(run, args=args, id=workflow_id, task_queue=self.queue, **options)

    async def save(self, name: str, handle: WorkflowHandle) -> None:
        try:
            result = await asyncio.wait_for(handle.result(), 60)
        except Exception as err:
            result = repr(err)
        print(name, result, flush=True)
        events = cleaned(json.loads((await handle.fetch_history()).to_json()))["events"]
        lines = ",\n".join(json.dumps(e, separators=(",", ":")) for e in events)
        with open(os.path.join(self.folder, name + ".json"), "w") as out:
            out.write('{"events":[\n' + lines + "\n]}\n")

    async def one(self, name: str, run: Any, *args: Any, **options: Any) -> None:
        await self.save(name, await self.start(name, run, *args, **options))

    async def external(self) -> None:
        target = await self.start("target", Upd.run)
        await self.one("external", External.run, target.id)
        await self.save("external_target", target)

    async def continue_as_new(self) -> None:
        handle = await self.start("can", Can.run, 2)
        await handle.result()
        first = self.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
        await self.save("continue_as_new_first", first)
        await self.save("continue_as_new_last", self.client.get_workflow_handle(handle.id))

    async def updates(self) -> None:
        handle = await self.start("update", Upd.run)
        await handle.execute_update(Upd.up, 1)
        try:
            await handle.execute_update(Upd.up, -1)
        except Exception as err:
            print(repr(err))
        several = [handle.execute_update(Upd.upact, i) for i in range(3)] + [handle.execute_update(Upd.upfail, 1)]
        print(await asyncio.gather(*several, return_exceptions=True))
        print(await handle.query(Upd.val))
        try:
            await handle.query(Upd.bad)
        except Exception as err:
            print(repr(err))
        await handle.signal(Upd.inc, 5)
        await handle.signal(Upd.fin)
        await self.save("updates", handle)

    async def cancelled(self) -> None:
        handle = await self.start("cancelme", CancelMe.run)
        await asyncio.sleep(0.3)
        await handle.cancel()
        await self.save("workflow_cancelled", handle)

    async def mix(self, seed: int) -> None:
        """With a signal, an update and a query at odd moments, and now and then short workflow tasks."""
        timeout = timedelta(seconds=1 if seed % 3 == 0 else 10)
        handle = await self.start(f"mix_{seed}", Mix.run, seed, task_timeout=timeout)

        async def poke() -> None:
            pause = 0.05 * (seed % 4)
            await asyncio.sleep(pause)
            await handle.signal(Mix.sig, 5 * seed % 60)
            await asyncio.sleep(pause)
            await handle.execute_update(Mix.up, 3 * seed % 50)
            await handle.query(Mix.steps)

        poking = asyncio.create_task(poke())
        await self.save(f"mix_{seed}", handle)
        poking.cancel()
        await asyncio.gather(poking, return_exceptions=True)

    async def signals_order(self) -> None:
        """Signals wait before the first workflow task, and one more beside a timer."""
        handle = await self.start("order", Order.run)
        for i in range(3):
            await handle.signal(Order.sig, i)
        async with self.worker([say]):
            await asyncio.sleep(0.5)
        await asyncio.sleep(1)
        await handle.signal(Order.sig, 3)
        async with self.worker([say]):
            await self.save("signals_order", handle)


async def main(address: str, folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    recorder = Recorder(await Client.connect(address), folder)
    one = recorder.one
    modes = ("ok", "two", "fail", "retry", "backoff", "long", "timeout", "mixed", "cancel0", "cancel1", "cancel2")
    async with recorder.worker():
        await asyncio.gather(
            one("hello", Hello.run, "Temporal"),
            one("fan", Fan.run),
            one("timers", Timers.run),
            one("activity_failures", ActFail.run),
            *[one(f"activity_cancel_{n}", ActCancel.run, i) for i, n in enumerate(("try", "wait", "abandon"))],
            one("activity_cancel_same_task", ActCancelSameTask.run),
            one("child_ok", Parent.run, "ok"),
            one("child_fail", Parent.run, "fail"),
            one("child_duplicate", Parent.run, "dup"),
            *[
                one(f"child_cancel_{n}", Parent.run, "waitclean", i)
                for i, n in enumerate(("abandon", "try", "wait", "requested"))
            ],
            one("child_signal_cancel", Parent.run, "wait", 2),
            one("child_cancel_same_task", Parent.run, "sametask", 2),
            one("patched", Patched.run),
            one("search_attributes", Sa.run),
            *[one(f"local_{m}", La.run, m, task_timeout=timedelta(seconds=2 if m == "long" else 10)) for m in modes],
            one("workflow_fails", Fails.run),
            one("task_failure", TaskFail.run),
            recorder.external(),
            recorder.continue_as_new(),
            recorder.updates(),
            recorder.cancelled(),
        )
        await asyncio.gather(*[recorder.mix(seed) for seed in range(int(os.environ.get("MIXES", "8")))])
    await recorder.signals_order()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
