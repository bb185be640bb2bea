"""The program itself: what it prints, how it stops, what it refuses."""

import re
import signal
import sqlite3
import subprocess

from conftest import PROGRAM, Server


def run(*words: str, **more) -> subprocess.CompletedProcess:
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=20, **more)


def test_help_teaches():
    out = run("server", "start-dev", "--help")
    assert out.returncode == 0
    for word in ("--db-filename", "--port", "--namespace", "Examples:"):
        assert word in out.stdout
    assert run("--version").stdout.startswith("perdure ")
    assert run("nonsense").returncode == 1


def test_a_wrong_flag_is_named():
    out = run("server", "start-dev", "--no-such-flag")
    assert out.returncode == 1 and "--no-such-flag" in out.stderr
    out = run("server", "start-dev", "--port", "many")
    assert out.returncode == 1 and "--port" in out.stderr
    out = run("server", "start-dev", "--search-attribute", "Region")
    assert out.returncode == 1
    assert "NAME=TYPE" in out.stderr


def test_the_address_may_be_a_name(tmp_path):
    s = Server(tmp_path, "--ip", "localhost", "--log-config", "--output", "json")
    s.start()
    assert s.stop() == 0
    text = s.log.read_text()
    assert s.address in text and "--log-config" in text and "1970" not in text
    out = run("server", "start-dev", "--ip", "nowhere.invalid")
    assert out.returncode == 1 and "nowhere.invalid" in out.stderr


def test_ready_text_and_clean_stop_on_ctrl_c(tmp_path):
    s = Server(tmp_path, "--namespace", "default", "--namespace", "orders")
    s.start()
    s.process.send_signal(signal.SIGINT)
    assert s.process.wait(20) == 0
    text = s.log.read_text()
    assert "is ready" in text and s.address in text and str(s.file) in text and "Ctrl-C" in text and "Namespaces  default, orders\n" in text


def test_a_second_server_on_the_same_file_is_refused(tmp_path):
    s = Server(tmp_path)
    s.start()
    out = run("server", "start-dev", "--port", "0", "--db-filename", str(s.file))
    assert out.returncode == 1 and re.search(r"another|in use|open", out.stderr), out.stderr
    assert s.stop() == 0


def test_a_port_in_use_is_said(tmp_path):
    s = Server(tmp_path)
    s.start()
    out = run("server", "start-dev", "--port", str(s.port), "--db-filename", str(tmp_path / "other.db"))
    assert out.returncode == 1
    assert out.stderr == f"perdure: can not listen on 127.0.0.1 port {s.port}: address already in use\n"
    assert not (tmp_path / "other.db").exists(), "it is said before anything is made"
    assert s.stop() == 0


def test_a_foreign_file_is_refused_and_left_alone(tmp_path):
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as database:
        database.execute("create table theirs (x)")
    before = file.read_bytes()
    out = run("server", "start-dev", "--port", "0", "--db-filename", str(file))
    assert out.returncode == 1 and "other.db" in out.stderr
    assert file.read_bytes() == before


def test_an_unknown_dynamic_config_key_is_named_and_does_no_harm(tmp_path):
    s = Server(tmp_path, "--dynamic-config-value", "some.unknown.key=true", "--dynamic-config-value", "limit.maxIDLength=500")
    s.start()
    assert s.stop() == 0
    assert "some.unknown.key" in s.log.read_text() and "maxIDLength" not in s.log.read_text()
