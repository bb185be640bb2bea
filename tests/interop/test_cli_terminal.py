"""What our command line shows to people: on a terminal, live, and through a codec server."""

import asyncio
import base64
import fcntl
import http.server
import json
import os
import pty
import re
import struct
import termios
import threading

import pytest
from conftest import OFFICIAL, _module
from flows import ACTIVITIES, WORKFLOWS
from temporalio import workflow
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

pytestmark = pytest.mark.asyncio
OURS = _module.PROGRAM
eventually = _module.eventually
ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Terminal:
    """A program on a terminal of its own; what it wrote so far is .text."""

    def __init__(self, home, words, columns=80, rows=24, typed="", **variables):
        self.text = ""
        outer, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.outer, self.inner = outer, inner
        self.words, self.typed = words, typed
        self.environment = {"HOME": str(home), "PATH": os.environ["PATH"], "USER": "tester", "TERM": "xterm", **variables}

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(OURS, *self.words, stdin=self.inner, stdout=self.inner, stderr=self.inner, env=self.environment)
        os.close(self.inner)
        os.write(self.outer, self.typed.encode())
        asyncio.get_running_loop().add_reader(self.outer, self.read)
        return self

    def read(self):
        try:
            self.text += os.read(self.outer, 65536).decode(errors="replace")
        except OSError:  # the other end is closed
            asyncio.get_running_loop().remove_reader(self.outer)

    async def shows(self, words):
        async def check():
            return words in self.text

        await eventually(check)

    async def ends(self):
        async with asyncio.timeout(30):
            code = await self.process.wait()
        await asyncio.sleep(0.05)
        return code

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        asyncio.get_running_loop().remove_reader(self.outer)
        os.close(self.outer)


async def run(home, *words, **variables):
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "USER": "tester", **variables}
    process = await asyncio.create_subprocess_exec(OURS, *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment)
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_tables_fit_the_terminal_and_only_a_terminal_is_coloured(server, tmp_path):
    long_id = "a-workflow-id-that-is-longer-than-the-terminal-is-wide-" * 2
    await run(tmp_path, "workflow", "start", "--type", "Sleeps", "-t", "nobody", "-w", long_id, "--input", "60", "--address", server.address)
    words = ["workflow", "list", "--address", server.address]

    async def is_listed():
        return long_id in (await run(tmp_path, *words))[1]

    await eventually(is_listed)
    async with Terminal(tmp_path, words, columns=60) as terminal:
        assert await terminal.ends() == 0
        assert "\x1b[" in terminal.text and "…" in terminal.text
        assert all(len(ESCAPE.sub("", line)) <= 60 for line in terminal.text.splitlines())
    for extra, variables in ((["--color", "never"], {}), ([], {"NO_COLOR": "1"})):
        async with Terminal(tmp_path, words + extra, columns=60, **variables) as terminal:
            assert await terminal.ends() == 0 and "\x1b[" not in terminal.text
    out = (await run(tmp_path, *words))[1]
    assert "\x1b[" not in out and long_id in out
    assert "\x1b[" in (await run(tmp_path, *words, "--color", "always"))[1]


async def test_times_in_each_format(server, tmp_path):
    await run(tmp_path, "workflow", "start", "--type", "Sleeps", "-t", "nobody", "-w", "timed", "--input", "60", "--address", server.address)
    for format, pattern in (("relative", r"StartTime +(now|\d+ seconds? ago)"), ("iso", r"StartTime +20\d\d-[\d-]+T[\d:]+Z"), ("raw", r"StartTime +20\d\d-[\d-]+T[\d:]+\.\d+Z")):
        out = (await run(tmp_path, "workflow", "describe", "-w", "timed", "--time-format", format, "--address", server.address))[1]
        assert re.search(pattern, out), (format, out)


async def test_formats_for_programs(server, tmp_path):
    for name in ("one", "two"):
        await run(tmp_path, "operator", "namespace", "create", "-n", name, "--address", server.address)
    words = ["operator", "namespace", "list", "--address", server.address]
    lines = (await run(tmp_path, *words, "-o", "jsonl"))[1].splitlines()
    assert {json.loads(line)["namespaceInfo"]["name"] for line in lines} >= {"one", "two"}
    assert len(json.loads((await run(tmp_path, *words, "-o", "json"))[1])) == len(lines)
    assert (await run(tmp_path, *words, "-o", "none"))[:2] == (0, "")


async def test_show_follow_and_trace_are_live(server, client, queue, tmp_path):
    async with Worker(client, task_queue=queue, workflows=[*WORKFLOWS, Waits, Hold], activities=ACTIVITIES, workflow_runner=UnsandboxedWorkflowRunner()):
        handle = await client.start_workflow(Waits.run, id="live", task_queue=queue)
        address = ["-w", "live", "--address", server.address]
        async with Terminal(tmp_path, ["workflow", "show", "--follow", *address]) as shown, Terminal(tmp_path, ["workflow", "trace", *address]) as traced:
            await shown.shows("WorkflowTaskCompleted")
            await traced.shows("timer")
            assert shown.process.returncode is None and traced.process.returncode is None
            await handle.signal(Waits.add, "x")
            await shown.shows("WorkflowExecutionSignaled")
            await handle.signal(Waits.start_child)
            await traced.shows("Hold")
            await handle.signal(Waits.finish)
            assert await shown.ends() == 0 and await traced.ends() == 0
            assert "WorkflowExecutionCompleted" in shown.text and "COMPLETED" in shown.text
            last = ESCAPE.sub("", traced.text.split("\x1b[J")[-1])
            assert "✓ Waits" in last and "id live" in last and "timer" in last and "○ Hold" in last, last
        code, out, _ = await run(tmp_path, "workflow", "trace", *address, "--no-fold")
        assert code == 0 and "✓ Waits" in out and "\x1b" not in out
        code, out, _ = await run(tmp_path, "workflow", "trace", *address, "--depth", "0")
        assert code == 0 and "Hold" in out and "id live-child" not in out


async def test_trace_does_not_wait_for_children_that_go_on_alone(server, client, queue, tmp_path):
    async with Worker(client, task_queue=queue, workflows=[Leaves, Hold], workflow_runner=UnsandboxedWorkflowRunner()):
        await client.execute_workflow(Leaves.run, id="leaves", task_queue=queue)
        code, out, _ = await run(tmp_path, "workflow", "trace", "-w", "leaves", "--address", server.address)
        assert code == 0 and "✓ Leaves" in out and "▸ Hold" in out and "· 10m  timer" in out, out


async def test_a_line_of_a_history_says_what_the_event_is_about(server, client, queue, tmp_path):
    async with Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES, workflow_runner=UnsandboxedWorkflowRunner()):
        with pytest.raises(Exception):
            await client.execute_workflow("FailsForGood", id="lines", task_queue=queue)
        out = (await run(tmp_path, "workflow", "show", "-w", "lines", "--address", server.address))[1]
        for event, about in (("WorkflowExecutionStarted", "FailsForGood"), ("ActivityTaskScheduled", "fail_for_good"), ("ActivityTaskFailed", "no way"), ("WorkflowExecutionFailed", "no way")):
            assert re.search(rf"{event} +{about}", out), out
        out = (await run(tmp_path, "workflow", "show", "-w", "lines", "--detailed", "--address", server.address))[1]
        assert re.search(r"activityType.name +fail_for_good", out) and re.search(r"failure.message +no way", out)
        handle = await client.start_workflow("Collects", id="told", task_queue=queue)
        out = (await run(tmp_path, "workflow", "metadata", "-w", "told", "--address", server.address))[1]
        assert re.search(r"Type +Collects", out) and re.search(r"signal +add", out) and re.search(r"query +count", out)
        await handle.terminate()


async def test_show_follow_as_a_document_waits_for_the_end(server, client, queue, tmp_path):
    async with Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES, workflow_runner=UnsandboxedWorkflowRunner()):
        await client.start_workflow("Sleeps", 1.0, id="waited", task_queue=queue)
        code, out, _ = await run(tmp_path, "workflow", "show", "-w", "waited", "--follow", "-o", "json", "--address", server.address)
        assert code == 0 and json.loads(out)["events"][-1]["eventType"] == "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED"


async def test_execute_shows_progress(server, client, queue, tmp_path):
    async with Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES, workflow_runner=UnsandboxedWorkflowRunner()):
        code, out, _ = await run(tmp_path, "workflow", "execute", "--type", "SayHello", "-t", queue, "-i", '"Ada"', "--address", server.address)
        assert code == 0 and "ActivityTaskCompleted" in out and '"Hello, Ada!"' in out and "RunTime" in out


async def test_a_question_is_asked_and_its_answer_counts(server, tmp_path):
    await run(tmp_path, "operator", "search-attribute", "create", "--name", "Kept", "--type", "Keyword", "--address", server.address)
    words = ["operator", "search-attribute", "remove", "--name", "Kept", "--address", server.address]
    for typed, code in (("n\n", 1), ("\n", 1), ("y\n", 0)):
        async with Terminal(tmp_path, words, typed=typed) as terminal:
            assert await terminal.ends() == code and "y/N" in terminal.text
    code, _, err = await run(tmp_path, *words)
    assert code == 1 and "--yes" in err


async def test_a_namespace_is_removed_only_by_its_name(server, tmp_path):
    words = ["operator", "namespace", "delete", "-n", "default", "--address", server.address]
    for typed in ("y\n", "yes\n", "Default\n"):
        async with Terminal(tmp_path, words, typed=typed) as terminal:
            assert await terminal.ends() == 1 and "nothing was done" in terminal.text
    code, _, err = await run(tmp_path, "workflow", "list", "-n", "nowhere", "--address", server.address)
    assert code == 1 and "namespace list" in err


async def test_debug_tells_of_each_call(server, tmp_path):
    code, out, err = await run(tmp_path, "operator", "cluster", "health", "--log-level", "debug", "--log-format", "json", "--address", server.address)
    lines = [json.loads(line) for line in err.splitlines()]
    assert code == 0 and out == "SERVING\n" and any("Health/Check" in line.get("method", "") for line in lines) and any(line.get("code") == "OK" for line in lines)
    assert (await run(tmp_path, "operator", "cluster", "health", "--address", server.address))[2] == ""


async def test_errors_say_what_to_do(server, tmp_path):
    code, _, err = await run(tmp_path, "operator", "cluster", "health", "--address", "127.0.0.1:1")
    assert code == 1 and "--address" in err and "start-dev" in err
    code, _, err = await run(tmp_path, "workflow", "list", "--quary", "x")
    assert code == 1 and "did you mean --query" in err
    code, _, err = await run(tmp_path, "workflow", "start", "--type", "X", "-t", "q", "--input", "text", "--address", server.address)
    assert code == 1 and "quotes" in err
    code, _, err = await run(tmp_path, "schedule", "create", "-s", "x", "--type", "X", "-t", "q", "--interval", "often", "--address", server.address)
    assert code == 1 and "90m" in err
    code, _, err = await run(tmp_path, "workflow", "result", "-w", "nobody", "--command-timeout", "1ms", "--address", "127.0.0.1:1")
    assert code == 1


class Codec(http.server.BaseHTTPRequestHandler):
    """Turns each payload into one that holds it, and back."""

    def do_POST(self):
        payloads = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["payloads"]
        self.server.seen.append((self.path, dict(self.headers)))
        if self.path.endswith("/encode"):
            coded = [{"metadata": {"encoding": base64.b64encode(b"test/hidden").decode()}, "data": base64.b64encode(json.dumps(p).encode()).decode()} for p in payloads]
        else:
            hidden = base64.b64encode(b"test/hidden").decode()
            coded = [json.loads(base64.b64decode(p["data"])) if p["metadata"]["encoding"] == hidden else p for p in payloads]
        body = json.dumps({"payloads": coded}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def codec():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Codec)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


async def test_payloads_go_through_a_codec_server(server, codec, tmp_path):
    endpoint = f"http://127.0.0.1:{codec.server_port}/{{namespace}}"
    coded = ["--codec-endpoint", endpoint, "--codec-auth", "Bearer x", "--codec-header", "x-extra=1", "--address", server.address]
    words = ["workflow", "start", "--type", "Sleeps", "-t", "nobody", "-w", "coded", "--input", '"secret"', "--memo", 'note="secret"']
    code, _, err = await run(tmp_path, *words, *coded)
    assert code == 0, err
    path, headers = codec.seen[0]
    assert path == "/default/encode" and headers["Authorization"] == "Bearer x" and headers["x-extra"] == "1" and headers["X-Namespace"] == "default"
    stored = (await run(tmp_path, "workflow", "show", "-w", "coded", "--detailed", "--address", server.address))[1]
    assert "secret" not in stored
    assert "input[0]" in stored and "secret" in (await run(tmp_path, "workflow", "show", "-w", "coded", "--detailed", *coded))[1]
    if OFFICIAL:
        process = await asyncio.create_subprocess_exec(
            OFFICIAL, "workflow", "show", "-w", "coded", "--detailed", "--address", server.address, "--codec-endpoint", endpoint, stdout=asyncio.subprocess.PIPE, env={"HOME": str(tmp_path)}
        )
        assert b"secret" in (await process.communicate())[0]
    code, _, err = await run(tmp_path, *words, "--codec-endpoint", "http://127.0.0.1:1", "--address", server.address)
    assert code == 1 and "codec server" in err
    code, _, err = await run(tmp_path, *words, "--codec-endpoint", "localhost", "--address", server.address)
    assert code == 1 and "URL" in err


@workflow.defn
class Hold:
    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)


@workflow.defn
class Leaves:
    """Ends before its child and its timer."""

    @workflow.run
    async def run(self) -> None:
        timer = asyncio.create_task(asyncio.sleep(600))
        await workflow.start_child_workflow(Hold.run, id=workflow.info().workflow_id + "-child", parent_close_policy=workflow.ParentClosePolicy.ABANDON)
        assert not timer.done()


@workflow.defn
class Waits:
    """Starts a child when told to, and ends it with itself."""

    def __init__(self) -> None:
        self.wants_child, self.done = False, False

    @workflow.run
    async def run(self) -> str:
        timer = asyncio.create_task(asyncio.sleep(600))
        await workflow.wait_condition(lambda: self.wants_child)
        child = await workflow.start_child_workflow(Hold.run, id=workflow.info().workflow_id + "-child")
        await workflow.wait_condition(lambda: self.done)
        child.cancel()
        try:
            await child
        except Exception:
            pass
        timer.cancel()
        return "done"

    @workflow.signal
    def add(self, item: str) -> None:
        pass

    @workflow.signal
    def start_child(self) -> None:
        self.wants_child = True

    @workflow.signal
    def finish(self) -> None:
        self.done = True
