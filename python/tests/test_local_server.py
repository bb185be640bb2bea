"""The package against the server that ships with it."""

from __future__ import annotations

import asyncio
import logging
import queue
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from logging.handlers import QueueHandler
from typing import Any

import pytest

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError, TerminatedError, TimeoutError
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import PayloadLimitsConfig
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

LIMIT = 10 * 1024


@workflow.defn
class Sized:
    @workflow.run
    async def run(self, size: int) -> str:
        return "x" * size


@workflow.defn
class Broken:
    @workflow.run
    async def run(self) -> None:
        raise RuntimeError("a mistake in the code")


@workflow.defn
class Asserting:
    @workflow.run
    async def run(self, words: bool) -> None:
        if words:
            assert 1 == 2, "numbers differ"
        assert 1 == 2


@activity.defn
async def say(name: str) -> str:
    return f"Hello, {name}!"


@workflow.defn
class Labelled:
    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_local_activity(say, "you", start_to_close_timeout=timedelta(seconds=5), summary="why")


@pytest.fixture
async def server() -> AsyncIterator[WorkflowEnvironment]:
    arguments = ["--dynamic-config-value", f"limit.blobSize.error={LIMIT}"]
    async with await WorkflowEnvironment.start_local(dev_server_extra_args=arguments) as environment:
        yield environment


async def logging_client(environment: WorkflowEnvironment, **options: Any) -> tuple[Client, Callable[[str], Any]]:
    """A client whose core logs, and what finds a record with some words once it has come."""
    records: queue.Queue[logging.LogRecord] = queue.Queue()
    logger = logging.getLogger(f"test-{uuid.uuid4()}")
    logger.addHandler(QueueHandler(records))
    config = LoggingConfig(TelemetryFilter(core_level="WARN", other_level="ERROR"), LogForwardingConfig(logger))
    client = await Client.connect(
        environment.client.service_client.config.target_host, runtime=Runtime(telemetry=TelemetryConfig(logging=config)), **options
    )

    async def find(words: str) -> logging.LogRecord:
        while True:
            while not records.empty():
                record = records.get_nowait()
                if words in record.getMessage():
                    return record
            await asyncio.sleep(0.01)

    return client, lambda words: asyncio.wait_for(find(words), 10)


async def run(client: Client, fn: Any, *args: Any, **worker_options: Any) -> Any:
    queue_name = str(uuid.uuid4())
    async with Worker(client, task_queue=queue_name, workflows=[Sized, Broken, Asserting, Labelled], activities=[say], **worker_options):
        handle = await client.start_workflow(
            fn, args=list(args), id=str(uuid.uuid4()), task_queue=queue_name, execution_timeout=timedelta(seconds=2)
        )
        try:
            return handle, await handle.result()
        except WorkflowFailureError as err:
            return handle, err.cause


async def test_payloads_beyond_the_limit_fail_the_task_not_the_workflow(server: WorkflowEnvironment) -> None:
    client, find = await logging_client(server)
    handle, cause = await run(client, Sized.run, LIMIT + 1)
    assert isinstance(cause, TimeoutError)
    record = await find("[TMPRL1103] Attempted to upload payloads with size that exceeded the error limit.")
    assert record.levelno == logging.ERROR and record.temporal_log.fields["run_id"] == handle.result_run_id  # type: ignore[attr-defined]
    failures = [
        e.workflow_task_failed_event_attributes
        async for e in handle.fetch_history_events()
        if e.HasField("workflow_task_failed_event_attributes")
    ]
    assert [f.cause for f in failures] == [37] and f"at most {LIMIT}" in failures[0].failure.message
    _, result = await run(client, Sized.run, 100)
    assert result == "x" * 100


async def test_payloads_beyond_the_limit_can_be_left_to_the_server(server: WorkflowEnvironment) -> None:
    _, cause = await run(server.client, Sized.run, LIMIT + 1, disable_payload_error_limit=True)
    assert isinstance(cause, TerminatedError)


async def test_large_payloads_are_warned_of(server: WorkflowEnvironment) -> None:
    client, find = await logging_client(server, payload_limits=PayloadLimitsConfig(payloads_warn_size=1024))
    await run(client, Sized.run, 2048)
    record = await find("[TMPRL1103] Attempted to upload payloads with size that exceeded the warning limit.")
    assert record.levelno == logging.WARNING


async def test_a_failed_workflow_task_is_logged_by_the_core(server: WorkflowEnvironment) -> None:
    client, find = await logging_client(server)
    handle, _ = await run(client, Broken.run)
    record = await find("Failing workflow task")
    fields = record.temporal_log.fields  # type: ignore[attr-defined]
    assert record.levelno == logging.WARNING and record.name.endswith("worker::workflow")
    assert fields["run_id"] == handle.result_run_id and "a mistake in the code" in fields["failure"]


async def test_failed_assertions_say_what_was_asserted(server: WorkflowEnvironment) -> None:
    environment = WorkflowEnvironment.from_client(server.client)
    for words, message in ((True, "numbers differ"), (False, "assert 1 == 2")):
        _, cause = await run(environment.client, Asserting.run, words)
        assert isinstance(cause, ApplicationError) and cause.type == "AssertionError" and cause.message == message


async def test_the_summary_of_a_local_activity_is_in_its_marker(server: WorkflowEnvironment) -> None:
    handle, _ = await run(server.client, Labelled.run)
    markers = [e async for e in handle.fetch_history_events() if e.HasField("marker_recorded_event_attributes")]
    assert [m.user_metadata.summary.data for m in markers] == [b'"why"']


async def test_the_first_task_of_an_eager_start_comes_along(server: WorkflowEnvironment) -> None:
    queue_name = str(uuid.uuid4())

    async def start(client: Client) -> Any:
        # A task that went nowhere would come again after an hour
        return await client.start_workflow(
            Sized.run, 3, id=str(uuid.uuid4()), task_queue=queue_name, request_eager_start=True, task_timeout=timedelta(hours=1)
        )

    other = await Client.connect(server.client.service_client.config.target_host)
    async with Worker(server.client, task_queue=queue_name, workflows=[Sized]) as worker:
        for client, is_eager in ((server.client, True), (other, False)):
            handle = await start(client)
            assert getattr(handle, "__temporal_eagerly_started") is is_eager
            assert await handle.result() == "xxx"
        worker.client = await Client.connect(
            server.client.service_client.config.target_host, runtime=server.client.service_client.config.runtime
        )
        assert getattr(await start(worker.client), "__temporal_eagerly_started")
    handle = await start(server.client)
    assert not getattr(handle, "__temporal_eagerly_started")
    async with Worker(server.client, task_queue=queue_name, workflows=[Sized]):
        assert await handle.result() == "xxx"
