"""How our command line reaches a server: TLS, keys, headers and identity, from flags, variables, profiles and environments; beside the official one."""

import importlib.util
import os
import pathlib
import subprocess
from concurrent import futures

import grpc
import pytest
from conftest import OFFICIAL, _module
from temporalio.api.workflowservice.v1 import GetSystemInfoResponse, RequestCancelWorkflowExecutionRequest, RequestCancelWorkflowExecutionResponse

OURS = _module.PROGRAM
_spec = importlib.util.spec_from_file_location("integration_tls", pathlib.Path(_module.__file__).parent / "test_tls.py")
_tls = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_tls)
certificates = _tls.certificates


def run(program, home, *words, **variables):
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "USER": "tester", **variables}
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=30, env=environment)
    return done.returncode, done.stdout, done.stderr


class Listener(grpc.GenericRpcHandler):
    """A server that answers two methods and keeps what came with the calls."""

    def __init__(self):
        self.seen = []

    def service(self, details):
        def cancel(request, context):
            self.seen.append((dict(context.invocation_metadata()), request))
            return RequestCancelWorkflowExecutionResponse()

        if details.method.endswith("/RequestCancelWorkflowExecution"):
            return grpc.unary_unary_rpc_method_handler(cancel, RequestCancelWorkflowExecutionRequest.FromString, lambda m: m.SerializeToString())
        if details.method.endswith("/GetSystemInfo"):
            return grpc.unary_unary_rpc_method_handler(lambda r, c: GetSystemInfoResponse(), lambda b: b, lambda m: m.SerializeToString())
        return None


@pytest.fixture
def listener():
    handler = Listener()
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[handler])
    handler.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield handler
    server.stop(0).wait()


CANCEL = ["workflow", "cancel", "-w", "w"]


def last_call(program, home, listener, *words, **variables):
    code, _, err = run(program, home, *CANCEL, *words, **variables)
    assert code == 0, err
    return listener.seen[-1]


@pytest.mark.parametrize("program", ["ours", "official"])
def test_headers_and_identity(program, listener, tmp_path):
    program = {"ours": OURS, "official": OFFICIAL}[program]
    if not program:
        pytest.skip("the official command line is not on this machine")
    headers, request = last_call(program, tmp_path, listener, "--address", listener.address)
    assert headers["client-name"] == "temporal-cli" and headers["client-version"] and headers["temporal-namespace"] == "default"
    assert request.identity.startswith("temporal-cli:tester@") or "@" in request.identity
    words = ["--address", listener.address, "-n", "orders", "--identity", "me", "--api-key", "secret", "--tls=false", "--grpc-meta", "x-one=1", "--grpc-meta", "x-two=a=b"]
    headers, request = last_call(program, tmp_path, listener, *words, TEMPORAL_GRPC_META_X_THREE="3", TEMPORAL_NAMESPACE="other")
    assert request.namespace == "orders" and (request.identity == "me" or program == OFFICIAL)  # that one names itself its own way here
    assert headers["temporal-namespace"] == "orders"
    assert headers["authorization"] == "Bearer secret" and (headers["x-one"], headers["x-two"], headers["x-three"]) == ("1", "a=b", "3")


@pytest.mark.parametrize("program", ["ours", "official"])
def test_settings_come_from_variables_profiles_and_environments(program, listener, tmp_path):
    program = {"ours": OURS, "official": OFFICIAL}[program]
    if not program:
        pytest.skip("the official command line is not on this machine")
    profile = tmp_path / "profiles.toml"
    profile.write_text(
        f'[profile.default]\naddress = "{listener.address}"\nnamespace = "from-profile"\n[profile.default.grpc_meta]\nx-profile = "p"\n'
        f'[profile.other]\naddress = "{listener.address}"\nnamespace = "from-other"\n'
    )
    headers, request = last_call(program, tmp_path, listener, "--config-file", str(profile))
    assert request.namespace == "from-profile" and headers["x-profile"] == "p"
    assert last_call(program, tmp_path, listener, "--config-file", str(profile), "--profile", "other")[1].namespace == "from-other"
    variables = {"TEMPORAL_CONFIG_FILE": str(profile), "TEMPORAL_PROFILE": "other"}
    assert last_call(program, tmp_path, listener, **variables)[1].namespace == "from-other"
    assert last_call(program, tmp_path, listener, **variables, TEMPORAL_NAMESPACE="from-variable")[1].namespace == "from-variable"
    assert last_call(program, tmp_path, listener, "-n", "from-flag", **variables, TEMPORAL_NAMESPACE="from-variable")[1].namespace == "from-flag"
    disabled = ["--disable-config-file", "--address", listener.address]
    assert last_call(program, tmp_path, listener, *disabled, **variables)[1].namespace == "default"
    assert last_call(program, tmp_path, listener, "--disable-config-env", "--address", listener.address, TEMPORAL_NAMESPACE="from-variable")[1].namespace == "default"
    env_file = tmp_path / "environments.yaml"
    run(program, tmp_path, "env", "set", "--env-file", str(env_file), "--env", "prod", "-k", "address", "-v", listener.address)
    run(program, tmp_path, "env", "set", "--env-file", str(env_file), "--env", "prod", "-k", "namespace", "-v", "from-environment")
    assert last_call(program, tmp_path, listener, "--env-file", str(env_file), "--env", "prod")[1].namespace == "from-environment"
    run(program, tmp_path, "env", "set", "--env-file", str(env_file), "--env", "prod", "-k", "command-timeout", "-v", "soon")
    code, _, err = run(program, tmp_path, *CANCEL, "--env-file", str(env_file), "--env", "prod")
    assert code == 1 and "command-timeout" in err
    code, _, err = run(program, tmp_path, *CANCEL, "--config-file", str(profile), "--profile", "missing")
    assert code == 1 and "missing" in err


def test_tls(certificates, tmp_path):
    server = _module.Server(tmp_path, "--tls-cert", str(certificates / "server.pem"), "--tls-key", str(certificates / "server.key"))
    server.start()
    health = ["operator", "cluster", "health", "--address", f"localhost:{server.port}"]
    ca = str(certificates / "ca.pem")
    rows = [
        (["--tls-ca-path", ca], 0), (["--tls-ca-data", (certificates / "ca.pem").read_text()], 0), (["--tls", "--tls-disable-host-verification"], 0),
        (["--tls-ca-path", ca, "--tls-server-name", "elsewhere.example"], 1), (["--tls"], 1), ([], 1), (["--tls-ca-path", ca, "--tls=false"], 1),
        (["--tls-ca-path", "/nonexistent"], 1), (["--tls-ca-data", "nonsense"], 1),
    ]  # fmt: skip
    for words, status in rows:
        for program in filter(None, [OURS, OFFICIAL if "--tls-ca-data" not in words else None]):  # which refuses this flag
            code, out, err = run(program, tmp_path, *health, *words, "--command-timeout", "5s")
            assert code == status and (code == 0 or err.strip()), (program, words, out, err)
    code, out, _ = run(OURS, tmp_path, *health, TEMPORAL_TLS_SERVER_CA_CERT_PATH=ca)
    assert (code, out) == (0, "SERVING\n")
    assert server.stop() == 0


def test_client_certificates(certificates, tmp_path):
    files = ["server.pem", "server.key", "ca.pem", "client.pem", "client.key"]
    cert, key, ca, client_cert, client_key = (str(certificates / name) for name in files)
    server = _module.Server(tmp_path, "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", ca)
    server.start()
    health = ["operator", "cluster", "health", "--address", f"localhost:{server.port}", "--tls-ca-path", ca, "--command-timeout", "5s"]
    rows = [
        (["--tls-cert-path", client_cert, "--tls-key-path", client_key], 0),
        (["--tls-cert-data", pathlib.Path(client_cert).read_text(), "--tls-key-data", pathlib.Path(client_key).read_text()], 0),
        ([], 1), (["--tls-cert-path", client_cert], 1), (["--tls-cert-path", client_cert, "--tls-key-path", key], 1),
    ]  # fmt: skip
    for words, status in rows:
        for program in filter(None, [OURS, OFFICIAL if "--tls-cert-data" not in words else None]):
            code, out, err = run(program, tmp_path, *health, *words)
            assert code == status and (code == 0 or err.strip()), (program, words, out, err)
    assert server.stop() == 0
