"""F020: completion callbacks: what the receiver gets, when it fails, over TLS, after restarts, and where they may go."""

import asyncio
import http.server
import json
import ssl
import subprocess
import threading
import uuid

import pytest
import temporalio.api.enums.v1 as enums
from google.protobuf.duration_pb2 import Duration
from temporalio.api.command.v1 import (CancelWorkflowExecutionCommandAttributes, Command, CompleteWorkflowExecutionCommandAttributes,
                                       ContinueAsNewWorkflowExecutionCommandAttributes, FailWorkflowExecutionCommandAttributes)
from temporalio.api.common.v1 import Callback, Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (DescribeWorkflowExecutionRequest, PollWorkflowTaskQueueRequest, RespondWorkflowTaskCompletedRequest,
                                               StartWorkflowExecutionRequest, TerminateWorkflowExecutionRequest)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from conftest import Server

ALLOW_ALL = '--dynamic-config-value=component.callbacks.allowedAddresses=[{"Pattern":"*","AllowInsecure":true}]'
QUICK = "--dynamic-config-value=component.callbacks.retryPolicy.initialInterval=50ms"


class Receiver:
    """An HTTP server that keeps what it gets, and answers with the next of `answers` (then 200)."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = receiver.answers.pop(0) if receiver.answers else 200
                receiver.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    r = Receiver()
    yield r
    r.close()


@pytest.fixture
def open_server(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("open"), ALLOW_ALL, QUICK)
    s.start()
    yield s
    if s.process.poll() is None:
        assert s.stop() == 0, s.log.read_text()


class Flow:
    """One workflow id on a queue of its own, driven by hand."""

    def __init__(self, client: Client, url: str) -> None:
        self.service, self.id, self.url = client.workflow_service, "wf-" + uuid.uuid4().hex, url

    async def start(self, **more: object) -> str:
        request = StartWorkflowExecutionRequest(
            namespace="default", workflow_id=self.id, workflow_type=WorkflowType(name="W"), task_queue=TaskQueue(name=self.id), request_id=uuid.uuid4().hex,
            identity="test", completion_callbacks=[Callback(nexus=Callback.Nexus(url=self.url, header={"Nexus-Callback-Token": "token", "X-Mine": "yes"}))])
        request.MergeFrom(StartWorkflowExecutionRequest(**more))
        return (await self.service.start_workflow_execution(request, retry=True)).run_id

    async def task(self, *commands: Command) -> None:
        task = await self.service.poll_workflow_task_queue(PollWorkflowTaskQueueRequest(namespace="default", task_queue=TaskQueue(name=self.id), identity="test"))
        await self.service.respond_workflow_task_completed(RespondWorkflowTaskCompletedRequest(task_token=task.task_token, commands=commands, identity="test"))

    async def callbacks(self, run_id: str = "") -> list:
        d = await self.service.describe_workflow_execution(
            DescribeWorkflowExecutionRequest(namespace="default", execution=WorkflowExecution(workflow_id=self.id, run_id=run_id)))
        return list(d.callbacks)

    async def until_state(self, state: int, attempt: int = 0) -> object:
        for _ in range(600):
            [callback] = await self.callbacks()
            if callback.state == state and callback.attempt >= attempt:
                return callback
            await asyncio.sleep(0.05)
        raise AssertionError(callback)


def complete(payload: Payload | None = None) -> Command:
    result = Payloads(payloads=[payload]) if payload is not None else None
    return Command(command_type=enums.CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
                   complete_workflow_execution_command_attributes=CompleteWorkflowExecutionCommandAttributes(result=result))


CONTENTS = [
    ({"encoding": b"json/plain"}, b'"hi"', "application/json", b'"hi"'),
    ({"encoding": b"binary/plain"}, b"abc", "application/octet-stream", b"abc"),
    ({"encoding": b"json/protobuf", "messageType": b"a.B"}, b"{}", 'application/json; format=protobuf; message-type="a.B"', b"{}"),
    ({"encoding": b"binary/protobuf", "messageType": b"a.B"}, b"xx", 'application/x-protobuf; message-type="a.B"', b"xx"),
    ({"encoding": b"binary/null"}, b"", None, b""),
    ({"encoding": b"mine"}, b"z", "application/x-temporal-payload", Payload(metadata={"encoding": b"mine"}, data=b"z").SerializeToString()),
    (None, b"", None, b""),
]


@pytest.mark.asyncio
async def test_f020_a_result_is_content_of_its_type(open_server, receiver):
    client = await Client.connect(open_server.address)
    for metadata, data, content_type, body in CONTENTS:
        flow = Flow(client, f"http://127.0.0.1:{receiver.port}/done?x=1")
        run_id = await flow.start()
        assert (await flow.callbacks())[0].state == enums.CallbackState.CALLBACK_STATE_STANDBY
        await flow.task(complete(Payload(metadata=metadata, data=data) if metadata is not None else None))
        done = await flow.until_state(enums.CallbackState.CALLBACK_STATE_SUCCEEDED)
        assert done.attempt == 1 and done.HasField("last_attempt_complete_time") and not done.HasField("last_attempt_failure")
        path, headers, got = receiver.requests.pop()
        assert (path, headers.get("content-type"), got) == ("/done?x=1", content_type, body)
        assert headers["nexus-operation-state"] == "succeeded"
        assert headers["nexus-callback-token"] == "token" and headers["x-mine"] == "yes"
        assert headers["nexus-operation-start-time"].endswith(" GMT") and headers["nexus-request-id"]
        assert headers["nexus-link"] == (f"<temporal:///namespaces/default/workflows/{flow.id}/{run_id}/history?eventID=1&eventType=WorkflowExecutionStarted"
                                         '&referenceType=EventReference>; type="temporal.api.common.v1.Link.WorkflowEvent"')


@pytest.mark.asyncio
@pytest.mark.parametrize("end", ["failed", "canceled", "terminated", "timed out"])
async def test_f020_other_ends_are_failures(open_server, receiver, end):
    client = await Client.connect(open_server.address)
    flow = Flow(client, f"http://127.0.0.1:{receiver.port}/")
    await flow.start(workflow_run_timeout=Duration(seconds=1 if end == "timed out" else 60))
    if end == "failed":
        failure = Failure(message="boom", stack_trace="trace", application_failure_info=ApplicationFailureInfo(type="T", non_retryable=True))
        await flow.task(Command(command_type=enums.CommandType.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION,
                                fail_workflow_execution_command_attributes=FailWorkflowExecutionCommandAttributes(failure=failure)))
    elif end == "canceled":
        details = Payloads(payloads=[Payload(data=b"d")])
        await flow.task(Command(command_type=enums.CommandType.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION,
                                cancel_workflow_execution_command_attributes=CancelWorkflowExecutionCommandAttributes(details=details)))
    elif end == "terminated":
        await flow.service.terminate_workflow_execution(
            TerminateWorkflowExecutionRequest(namespace="default", workflow_execution=WorkflowExecution(workflow_id=flow.id), reason="why"))
    await flow.until_state(enums.CallbackState.CALLBACK_STATE_SUCCEEDED)
    _, headers, body = receiver.requests.pop()
    assert headers["nexus-operation-state"] == ("canceled" if end == "canceled" else "failed")
    assert headers["content-type"] == "application/json"
    failure = json.loads(body)
    assert failure["metadata"] == {"type": "temporal.api.failure.v1.Failure"} and failure["message"]
    assert failure["details"] == {
        "failed": {"stackTrace": "trace", "applicationFailureInfo": {"type": "T", "nonRetryable": True}},
        "canceled": {"canceledFailureInfo": {"details": {"payloads": [{"data": "ZA=="}]}}},
        "terminated": {"terminatedFailureInfo": {}},
        "timed out": {"timeoutFailureInfo": {}},
    }[end]


@pytest.mark.asyncio
async def test_f020_is_tried_again_until_it_is_delivered_or_refused(open_server, receiver):
    client = await Client.connect(open_server.address)
    receiver.answers = [500, 429, 503, 200]
    flow = Flow(client, f"http://127.0.0.1:{receiver.port}/")
    await flow.start()
    await flow.task(complete())
    done = await flow.until_state(enums.CallbackState.CALLBACK_STATE_SUCCEEDED)
    assert done.attempt == 4
    assert len({headers["nexus-request-id"] for _, headers, _ in receiver.requests}) == 1
    receiver.answers = [500, 404]
    flow = Flow(client, f"http://127.0.0.1:{receiver.port}/")
    await flow.start()
    await flow.task(complete())
    refused = await flow.until_state(enums.CallbackState.CALLBACK_STATE_FAILED)
    assert refused.attempt == 2 and "404" in refused.last_attempt_failure.message


@pytest.mark.asyncio
async def test_f020_the_end_of_the_chain_is_told(open_server, receiver):
    client = await Client.connect(open_server.address)
    flow = Flow(client, f"http://127.0.0.1:{receiver.port}/")
    first = await flow.start()
    again = ContinueAsNewWorkflowExecutionCommandAttributes(workflow_type=WorkflowType(name="W"), task_queue=TaskQueue(name=flow.id))
    await flow.task(Command(command_type=enums.CommandType.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION, continue_as_new_workflow_execution_command_attributes=again))
    await flow.task(complete(Payload(metadata={"encoding": b"json/plain"}, data=b"2")))
    await flow.until_state(enums.CallbackState.CALLBACK_STATE_SUCCEEDED)
    assert [body for _, _, body in receiver.requests] == [b"2"]
    assert (await flow.callbacks(first))[0].state == enums.CallbackState.CALLBACK_STATE_STANDBY


@pytest.mark.asyncio
async def test_f020_survives_kill_and_stop(open_server):
    client = await Client.connect(open_server.address)
    receiver = Receiver()
    port = receiver.port
    receiver.close()  # nobody there yet
    flow = Flow(client, f"http://127.0.0.1:{port}/")
    await flow.start()
    await flow.task(complete(Payload(metadata={"encoding": b"json/plain"}, data=b'"kept"')))
    failing = await flow.until_state(enums.CallbackState.CALLBACK_STATE_BACKING_OFF, attempt=1)
    assert failing.last_attempt_failure.message and failing.HasField("next_attempt_schedule_time")
    open_server.kill()
    open_server.start()
    open_server.stop()
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    late = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=late.serve_forever, daemon=True).start()
    open_server.start()
    flow.service = (await Client.connect(open_server.address)).workflow_service
    await flow.until_state(enums.CallbackState.CALLBACK_STATE_SUCCEEDED)
    late.shutdown()
    late.server_close()
    assert got == [b'"kept"']


@pytest.mark.asyncio
async def test_f020_a_dead_destination_opens_its_circuit_breaker(open_server, receiver):
    client = await Client.connect(open_server.address)
    dead = Receiver()
    dead.close()
    flow = Flow(client, f"http://127.0.0.1:{dead.port}/")
    await flow.start()
    await flow.task(complete())
    blocked = await flow.until_state(enums.CallbackState.CALLBACK_STATE_BLOCKED)
    assert blocked.attempt >= 6 and blocked.blocked_reason and blocked.HasField("next_attempt_schedule_time")
    other = Flow(client, f"http://127.0.0.1:{dead.port}/other")
    await other.start()
    await other.task(complete())
    assert (await other.until_state(enums.CallbackState.CALLBACK_STATE_BLOCKED)).attempt == 0
    well = Flow(client, f"http://127.0.0.1:{receiver.port}/")
    await well.start()
    await well.task(complete())
    await well.until_state(enums.CallbackState.CALLBACK_STATE_SUCCEEDED)


@pytest.mark.asyncio
async def test_f020_over_tls_the_peer_is_checked(tmp_path, receiver, monkeypatch):
    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=tmp_path)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=callback",
            "-addext", "subjectAltName=IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    server = Server(tmp_path, '--dynamic-config-value=component.callbacks.allowedAddresses=[{"Pattern":"127.0.0.1:*"}]', QUICK)
    server.start()
    client = await Client.connect(server.address)
    flow = Flow(client, f"https://127.0.0.1:{receiver.port}/secure")
    await flow.start()
    await flow.task(complete(Payload(metadata={"encoding": b"json/plain"}, data=b"1" * 100_000)))
    await flow.until_state(enums.CallbackState.CALLBACK_STATE_SUCCEEDED)
    assert receiver.requests[0][0] == "/secure" and len(receiver.requests[0][2]) == 100_000
    monkeypatch.delenv("SSL_CERT_FILE")
    assert server.stop() == 0
    server.start()
    client = await Client.connect(server.address)
    flow = Flow(client, f"https://127.0.0.1:{receiver.port}/secure")
    await flow.start()
    await flow.task(complete())
    failing = await flow.until_state(enums.CallbackState.CALLBACK_STATE_BACKING_OFF, attempt=1)
    assert "certificate" in failing.last_attempt_failure.message
    with pytest.raises(RPCError) as error:
        await Flow(client, f"http://127.0.0.1:{receiver.port}/").start()
    assert error.value.status == RPCStatusCode.INVALID_ARGUMENT
    assert server.stop() == 0


@pytest.mark.asyncio
async def test_f020_addresses_that_are_not_taken(server, open_server):
    closed, client = await Client.connect(server.address), await Client.connect(open_server.address)
    with pytest.raises(RPCError, match="allowedAddresses"):
        await Flow(closed, "https://127.0.0.1/").start()
    for url in ("ftp://x/", "", "http://", "http://user@x/", "http://x:0/", "http://x:70000/", "http://a b/", "temporal://system", "http://" + "a" * 1000):
        with pytest.raises(RPCError) as error:
            await Flow(client, url).start()
        assert error.value.status == RPCStatusCode.INVALID_ARGUMENT, url
    for callback in (Callback(), Callback(internal=Callback.Internal(data=b"x")), Callback(nexus=Callback.Nexus(url="http://x/", header={"a": "b" * 9000})),
                     Callback(nexus=Callback.Nexus(url="http://x/", header={"a": "b\r\nc: d"}))):
        flow = Flow(client, "http://x/")
        with pytest.raises(RPCError) as error:
            await flow.start(completion_callbacks=[callback])
        assert error.value.status == RPCStatusCode.INVALID_ARGUMENT, callback
    with pytest.raises(RPCError) as error:
        await Flow(client, "http://x/").start(completion_callbacks=[Callback(nexus=Callback.Nexus(url="http://x/"))] * 32)
    assert error.value.status == RPCStatusCode.INVALID_ARGUMENT
