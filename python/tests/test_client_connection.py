"""How clients reach their server: through proxies, over TLS with certificates on both sides, with keys and headers."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from temporalio import _core, workflow
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client
from temporalio.service import HttpConnectProxyConfig, KeepAliveConfig, RetryConfig, RPCError, RPCStatusCode, TLSConfig
from temporalio.worker import Worker

from live import find_server, free_port, fresh


@workflow.defn
class Says:
    @workflow.run
    async def run(self, name: str) -> str:
        return f"Hello, {name}!"


class Proxy:
    """Opens tunnels for who has the right name and password, to where it is told whatever was asked for."""

    def __init__(self, address: str) -> None:
        self.host, self.port = address.split(":")
        self.asked: list[str] = []
        self.tasks: list[Any] = []
        self.expected = "Basic " + base64.b64encode(b"user:p:ss w\xc3\xb6rd").decode()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.asked.append(head[0])
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        if headers.get("Proxy-Authorization") != self.expected:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            writer.close()
            return
        there_reader, there_writer = await asyncio.open_connection(self.host, self.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(self.pump(reader, there_writer), self.pump(there_reader, writer), return_exceptions=True)
        finally:
            writer.close()
            there_writer.close()


@asynccontextmanager
async def proxy(address: str) -> AsyncIterator[tuple[Proxy, str]]:
    one = Proxy(address)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    try:
        yield one, "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in one.tasks:
            task.cancel()
        await asyncio.gather(*one.tasks, return_exceptions=True)


async def test_client_and_worker_go_through_a_proxy(address: str) -> None:
    async with proxy(address) as (seen, at):
        config = HttpConnectProxyConfig(target_host=at, basic_auth=("user", "p:ss wörd"))
        client = await Client.connect("perdure.invalid:7233", http_connect_proxy_config=config)
        queue = fresh()
        async with Worker(client, task_queue=queue, workflows=[Says]):
            assert await client.execute_workflow(Says.run, "proxy", id=fresh("w"), task_queue=queue) == "Hello, proxy!"
        assert set(seen.asked) == {"CONNECT perdure.invalid:7233 HTTP/1.1"}


async def test_a_proxy_that_refuses_is_quoted(address: str) -> None:
    async with proxy(address) as (seen, at):
        with pytest.raises(RuntimeError, match="407 Proxy Authentication Required"):
            config = HttpConnectProxyConfig(target_host=at, basic_auth=("user", "wrong"))
            await Client.connect("perdure.invalid:7233", http_connect_proxy_config=config)
    assert seen.asked


# -------------------------------------------------------------------------------------------- TLS


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, and certificates of a server and of a client that it has signed."""
    folder = tmp_path_factory.mktemp("certificates")
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(folder, "req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test ca")
    for name, extension in (("server", "subjectAltName=DNS:perdure.test"), ("client", "extendedKeyUsage=clientAuth")):
        openssl(folder, "req", *ec, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "ext").write_text(extension)
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext"]
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing)
    return folder


@pytest.fixture(scope="module")
def secured(certificates: Path) -> Iterator[str]:
    """Where a server listens that speaks to nobody without a certificate."""
    port = free_port()
    files = ["--tls-cert", "server.pem", "--tls-key", "server.key", "--tls-client-ca", "ca.pem"]
    words = [find_server(), "server", "start-dev", "--headless", "--port", str(port), "--log-level", "error", *files]
    server = subprocess.Popen(words, cwd=certificates)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


async def connect(address: str, **options: Any) -> Client:
    """Connects once somebody listens; what the server has against the client is raised."""
    until = time.monotonic() + 20
    while True:
        try:
            return await Client.connect(address, **options)
        except RuntimeError as err:
            if "refused" not in str(err).lower() or time.monotonic() > until:
                raise
            await asyncio.sleep(0.05)


async def test_certificates_of_both_sides(certificates: Path, secured: str) -> None:
    def read(name: str) -> bytes:
        return (certificates / name).read_bytes()

    ca = read("ca.pem")
    mine = dict(client_cert=read("client.pem"), client_private_key=read("client.key"))
    client = await connect(secured, tls=TLSConfig(server_root_ca_cert=ca, domain="perdure.test", **mine))
    queue = fresh()
    async with Worker(client, task_queue=queue, workflows=[Says]):
        assert await client.execute_workflow(Says.run, "TLS", id=fresh("w"), task_queue=queue) == "Hello, TLS!"
    for tls in (
        TLSConfig(server_root_ca_cert=ca, domain="perdure.test"),  # no certificate of its own
        TLSConfig(server_root_ca_cert=ca, domain="elsewhere.test", **mine),
        TLSConfig(domain="perdure.test", **mine),  # a signer that this machine does not know
        False,
    ):
        with pytest.raises(RuntimeError):
            await connect(secured, tls=tls)


# -------------------------------------------------------------------------------------------- deadlines, keys, keepalive


async def test_a_call_ends_at_its_deadline() -> None:
    kept: list[Any] = []  # a stream that nobody holds is closed, from Python 3.13 on at once
    silent = await asyncio.start_server(lambda *streams: kept.append(streams), "127.0.0.1", 0)
    client = await Client.connect("127.0.0.1:%d" % silent.sockets[0].getsockname()[1], lazy=True)
    for retry in (False, True):
        with pytest.raises(RPCError) as raised:
            await client.workflow_service.get_system_info(GetSystemInfoRequest(), timeout=timedelta(milliseconds=100), retry=retry)
        assert raised.value.status == RPCStatusCode.DEADLINE_EXCEEDED
    silent.close()
    for _, writer in kept:
        writer.close()


async def test_what_a_program_configures_reaches_the_core(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What then becomes of it is for the core's own tests to say."""
    seen: dict[str, Any] = {}
    real = _core.Connection

    def note(runtime: Any, options: dict[str, Any]) -> Any:
        seen.update(options)
        return real(runtime, options)

    monkeypatch.setattr(_core, "Connection", note)
    retry = RetryConfig(
        initial_interval_millis=11, randomization_factor=0.5, multiplier=3.0, max_interval_millis=12, max_elapsed_time_millis=13, max_retries=4
    )
    client = await Client.connect(
        address,
        api_key="secret",
        tls=False,
        rpc_metadata={"a-header": "text", "bytes-bin": b"\x00\xff"},
        keep_alive_config=KeepAliveConfig(interval_millis=1500, timeout_millis=700),
        retry_config=retry,
    )
    ms = 1_000_000
    assert seen["target_host"] == address and seen["api_key"] == "secret" and "tls" not in seen
    assert dict(seen["metadata"]) == {"a-header": "text", "bytes-bin": b"\x00\xff"}
    assert seen["keep_alive"] == {"interval": 1500 * ms, "timeout": 700 * ms}
    assert seen["retry"] == {
        "initial_interval": 11 * ms,
        "max_interval": 12 * ms,
        "max_elapsed_time": 13 * ms,
        "multiplier": 3.0,
        "randomization_factor": 0.5,
        "max_retries": 4,
    }
    client.rpc_metadata = {"a-header": "other"}
    client.api_key = None
    assert (await client.workflow_service.get_system_info(GetSystemInfoRequest())).server_version
