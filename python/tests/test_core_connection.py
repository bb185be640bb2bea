"""The extension's connections, against the server that the wheel brings along."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from temporalio import _core

from live import find_server, free_port

SERVICE = "/temporal.api.workflowservice.v1.WorkflowService/"
POLL = {"namespace": "default", "task_queue": {"name": "nobody"}}


def options(address: str, **changes: Any) -> dict[str, Any]:
    return {
        "target_host": address,
        "metadata": [],
        "client_name": "temporal-python",
        "client_version": "0",
        "retry": {"initial_interval": 10**8, "max_interval": 5 * 10**9, "max_elapsed_time": 10**10, "multiplier": 1.7, "randomization_factor": 0.2, "max_retries": 3},
        "gzip": False,
        **changes,
    }


class Caller:
    def __init__(self, connection: _core.Connection, loop: _core.Loop) -> None:
        self.connection, self.loop = connection, loop

    def start(self, method: str, request: Any = b"", **kwargs: Any) -> tuple[asyncio.Future[Any], _core.Call]:
        future = asyncio.get_running_loop().create_future()
        return future, self.connection.call(self.loop, future, SERVICE + method, request, **kwargs)

    async def __call__(self, method: str, request: Any = b"", **kwargs: Any) -> Any:
        return await self.start(method, request, **kwargs)[0]


@asynccontextmanager
async def caller(address: str, **changes: Any) -> AsyncIterator[Caller]:
    loop = _core.Loop()
    asyncio.get_running_loop().add_reader(loop.fileno(), loop.drain)
    try:
        yield Caller(_core.Connection(_core.Runtime({}), options(address, **changes)), loop)
    finally:
        asyncio.get_running_loop().remove_reader(loop.fileno())
        loop.close()


async def failure(awaitable: Any) -> tuple[int, str, bytes]:
    with pytest.raises(_core.RPCFailure) as raised:
        await awaitable
    return raised.value.args


async def test_calls_answer_with_dicts_or_bytes(address: str) -> None:
    async with caller(address) as call:
        connected = asyncio.get_running_loop().create_future()
        call.connection.connect(call.loop, connected)
        assert await connected is None
        answer = await call("DescribeNamespace", {"namespace": "default"})
        assert answer["namespace_info"]["name"] == "default"
        raw = await call("DescribeNamespace", _core.encode("temporal.api.workflowservice.v1.DescribeNamespaceRequest", {"namespace": "default"}), raw=True)
        assert _core.decode("temporal.api.workflowservice.v1.DescribeNamespaceResponse", raw) == answer


async def test_failures_carry_code_message_and_details(address: str) -> None:
    async with caller(address) as call:
        code, message, status = await failure(call("DescribeNamespace", {"namespace": "nowhere"}))
        assert code == 5 and "nowhere" in message
        details = _core.decode("google.rpc.Status", status)["details"]
        assert details[0]["type_url"].endswith("NamespaceNotFoundFailure")


async def test_many_calls_at_once(address: str) -> None:
    async with caller(address) as call:
        answers = await asyncio.gather(*[call("GetSystemInfo", {}) for _ in range(500)])
        assert len({a["server_version"] for a in answers}) == 1


async def test_a_cancelled_call_ends_at_once(address: str) -> None:
    async with caller(address) as call:
        future, handle = call.start("PollWorkflowTaskQueue", POLL, retry=True)
        await asyncio.sleep(0.1)
        handle.cancel()
        handle.cancel()
        assert (await asyncio.wait_for(failure(future), 5))[0] == 1


async def test_a_closed_connection_ends_its_calls(address: str) -> None:
    async with caller(address) as call:
        future, _ = call.start("PollWorkflowTaskQueue", POLL, retry=True)
        await asyncio.sleep(0.1)
        call.connection.close()
        assert (await asyncio.wait_for(failure(future), 5))[0] == 1
        assert (await asyncio.wait_for(failure(call("GetSystemInfo", {})), 5))[0] == 1


async def test_nobody_at_the_address() -> None:
    async with caller(f"127.0.0.1:{free_port()}") as call:
        connected = asyncio.get_running_loop().create_future()
        call.connection.connect(call.loop, connected)
        assert (await failure(connected))[0] == 14
        assert (await failure(call("GetSystemInfo", {}, retry=True)))[0] == 14


async def test_a_server_that_comes_back_is_found_again() -> None:
    port = free_port()
    async with caller(f"127.0.0.1:{port}", retry={"initial_interval": 10**8, "max_interval": 10**8, "multiplier": 1.0, "randomization_factor": 0.0, "max_retries": 100}) as call:
        future, _ = call.start("GetSystemInfo", {}, retry=True)
        await asyncio.sleep(0.3)
        server = subprocess.Popen([find_server(), "server", "start-dev", "--headless", "--port", str(port), "--log-level", "error"])
        try:
            assert "server_version" in await asyncio.wait_for(future, 20)
        finally:
            server.terminate()
            server.wait(20)


async def test_headers_and_keys_are_replaced(address: str) -> None:
    async with caller(address, metadata=[("a-header", "1"), ("bytes-bin", b"\x00\xff")], api_key="old") as call:
        call.connection.update_metadata([("a-header", "2")])
        call.connection.update_api_key("new")
        call.connection.update_api_key(None)
        assert await call("GetSystemInfo", {}, metadata=[("a-header", "3")])
        with pytest.raises(ValueError):
            call.start("GetSystemInfo", {}, metadata=["nonsense"])
        with pytest.raises(TypeError):
            call.connection.update_api_key(1)  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{"target_host": "a:b:c"}, {"tls": {"client_cert": b"x", "client_private_key": b"y"}}])
async def test_bad_options_are_refused_at_once(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        _core.Connection(_core.Runtime({}), options("127.0.0.1:1", **changes))


async def test_a_forked_child_connects_for_itself(address: str) -> None:
    async with caller(address) as call:
        await call("GetSystemInfo", {})
        child = os.fork()
        if child == 0:
            code = 1
            try:
                asyncio.events._set_running_loop(None)

                async def again() -> None:
                    loop = _core.Loop()
                    asyncio.get_running_loop().add_reader(loop.fileno(), loop.drain)
                    assert "server_version" in await asyncio.wait_for(Caller(call.connection, loop)("GetSystemInfo", {}), 10)

                asyncio.new_event_loop().run_until_complete(again())
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert "server_version" in await call("GetSystemInfo", {})


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(0)", "import os, signal; os.kill(os.getpid(), signal.SIGINT)"])
def test_the_interpreter_ends_while_calls_run(address: str, ending: str) -> None:
    program = f"""
        import asyncio
        from temporalio import _core

        async def main():
            loop = _core.Loop()
            asyncio.get_running_loop().add_reader(loop.fileno(), loop.drain)
            connection = _core.Connection(_core.Runtime({{}}), {options(address)!r})
            futures = [asyncio.get_running_loop().create_future() for _ in range(20)]
            for future in futures:
                connection.call(loop, future, {SERVICE!r} + "PollWorkflowTaskQueue", {POLL!r}, retry=True)
            await asyncio.sleep(0.1)
            globals().update(kept=[loop, connection, futures])
            {ending}

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            pass
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
