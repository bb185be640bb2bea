from temporalio import workflow
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker
import asyncio
from datetime import datetime, timedelta

@workflow.defn
class SayHello:
    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_activity(
            say_hello, name, schedule_to_close_timeout=timedelta(seconds=5)
        )


@activity.defn
async def say_hello(name: str) -> str:
    return f"Hello, {name}!"


async def main():
    client = await Client.connect("localhost:7233", namespace="default")

    # Run the worker
    worker = Worker(
        client, task_queue="my-task-queue", workflows=[SayHello], activities=[say_hello]
    )
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
