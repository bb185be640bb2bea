"""TLS with a server certificate, and with client certificates, through the official package."""

import subprocess

import pytest
from conftest import Server
from flows import Sleeps
from temporalio.client import Client, TLSConfig

pytestmark = pytest.mark.asyncio


def openssl(folder, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path):
    """A CA, a server certificate for localhost and a client certificate, all of this run."""
    openssl(tmp_path, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test ca")
    for name, extension in (("server", "subjectAltName=DNS:localhost,IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
        openssl(tmp_path, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (tmp_path / "ext").write_text(extension)
        openssl(tmp_path, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "ext")
    return tmp_path


async def start(address: str, tls) -> None:
    client = await Client.connect(address, tls=tls)
    await client.start_workflow(Sleeps.run, 1, id="tls", task_queue="q", id_conflict_policy=2)


async def test_server_certificate(certificates, tmp_path):
    server = Server(tmp_path, "--tls-cert", str(certificates / "server.pem"), "--tls-key", str(certificates / "server.key"))
    server.start()
    ca = (certificates / "ca.pem").read_bytes()
    await start(f"localhost:{server.port}", TLSConfig(server_root_ca_cert=ca))
    with pytest.raises(RuntimeError):
        await start(f"localhost:{server.port}", False)  # clear text
    with pytest.raises(RuntimeError):
        await start(f"localhost:{server.port}", TLSConfig(server_root_ca_cert=ca, domain="elsewhere.example"))
    assert server.stop() == 0


async def test_client_certificates(certificates, tmp_path):
    flags = ["--tls-cert", "server.pem", "--tls-key", "server.key", "--tls-client-ca", "ca.pem"]
    server = Server(tmp_path, *[str(certificates / f) if f.endswith((".pem", ".key")) else f for f in flags])
    server.start()
    read = lambda name: (certificates / name).read_bytes()  # noqa: E731
    await start(f"localhost:{server.port}", TLSConfig(server_root_ca_cert=read("ca.pem"), client_cert=read("client.pem"), client_private_key=read("client.key")))
    with pytest.raises(RuntimeError):
        await start(f"localhost:{server.port}", TLSConfig(server_root_ca_cert=read("ca.pem")))
    assert server.stop() == 0


async def test_a_key_without_its_certificate_is_said(certificates):
    from conftest import PROGRAM

    out = subprocess.run([PROGRAM, "server", "start-dev", "--port", "0", "--tls-key", str(certificates / "server.key")], capture_output=True, text=True, timeout=20)
    assert out.returncode == 1 and "--tls-cert" in out.stderr
