"""What the extension counts and logs."""

from __future__ import annotations

import logging
import socket
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import temporalio.runtime
from temporalio import _core

COUNTER, GAUGE, DURATION = 0, 1, 5


def lines(runtime: _core.Runtime) -> list[str]:
    return runtime.metrics_text().splitlines()


def test_metrics_are_on_the_page() -> None:
    runtime = _core.Runtime({"prometheus": {"bind_address": "127.0.0.1:0"}, "global_tags": {"site": "here"}, "attach_service_name": False})
    counter = runtime.new_metric(COUNTER, "my_counter", "what it counts", "1")
    assert runtime.new_metric(COUNTER, "my_counter", "", "") == counter
    runtime.record_metric(counter, 2, {"kind": "a", "whole": 1, "is_on": True})
    runtime.record_metric(counter, 1, {"is_on": True, "whole": 1, "kind": "a"})
    with urllib.request.urlopen(f"http://127.0.0.1:{runtime.prometheus_port()}/metrics") as page:
        text = page.read().decode()
    assert text == runtime.metrics_text()
    assert 'my_counter{site="here",is_on="true",kind="a",whole="1"} 3' in text.splitlines()


def test_durations_in_seconds_with_buckets_of_ones_own() -> None:
    page = {"bind_address": "127.0.0.1:0", "durations_as_seconds": True, "unit_suffix": True, "histogram_bucket_overrides": {"wait": [0.1, 1]}}
    runtime = _core.Runtime({"prometheus": page, "attach_service_name": False})
    runtime.record_metric(runtime.new_metric(DURATION, "wait", "", "ms"), 250, {})
    assert 'wait_seconds_bucket{le="0.1"} 0' in lines(runtime)
    assert 'wait_seconds_bucket{le="1"} 1' in lines(runtime)
    assert "wait_seconds_sum{} 0.25" in lines(runtime)


def test_updates_are_fetched_once_and_the_oldest_go_first() -> None:
    runtime = _core.Runtime({"metric_buffer_size": 2, "attach_service_name": False})
    gauge = runtime.new_metric(GAUGE, "g", "described", "u")
    for value in (1, 2, 3):
        runtime.record_metric(gauge, value, {"text": "x", "whole": 5, "real": 0.5, "is_on": False})
    attributes = {"text": "x", "whole": 5, "real": 0.5, "is_on": False}
    assert runtime.take_metric_updates() == [("g", "described", "u", GAUGE, value, attributes) for value in (2, 3)]
    assert runtime.take_metric_updates() == []


def test_nobody_asked_for_metrics() -> None:
    runtime = _core.Runtime({})
    runtime.record_metric(runtime.new_metric(COUNTER, "n", "", ""), 1, {})
    assert runtime.metrics_text() == "" and runtime.take_metric_updates() == [] and runtime.prometheus_port() == 0


@pytest.mark.parametrize(
    "options",
    [
        {"prometheus": {"bind_address": "nonsense"}},
        {"prometheus": {"bind_address": "127.0.0.1:99999"}},
        {"prometheus": {"bind_address": "127.0.0.1:0", "histogram_bucket_overrides": {"x": [2, 1]}}},
        {"opentelemetry": {"url": "nonsense"}},
        {"metric_buffer_size": -1},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        _core.Runtime(options)


def test_an_address_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ValueError, match="already in use"):
            _core.Runtime({"prometheus": {"bind_address": f"127.0.0.1:{taken.getsockname()[1]}"}})


def test_log_lines_become_records() -> None:
    records: list[dict[str, Any]] = []
    runtime = _core.Runtime({"log_filter": "temporal=debug", "log_forward": records.extend, "prometheus": {"bind_address": "127.0.0.1:0"}})
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{runtime.prometheus_port()}/").close()  # a connection that ends is logged
        for _ in range(200):
            if records:
                break
            time.sleep(0.05)
        record = next(r for r in records if r["message"] == "connection ended")
        assert record["level"] == logging.DEBUG and record["target"] == "net"
        assert record["fields"]["peer"].startswith("127.0.0.1:")
        assert abs(record["time"] - time.time()) < 3600
    finally:
        _core.Runtime({})


class Collector(BaseHTTPRequestHandler):
    received: list[tuple[str, str, bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append((self.path, self.headers["a-header"], body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


def test_metrics_are_sent_to_a_collector() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/v1/metrics"
        collector = {"url": url, "http": True, "headers": {"a-header": "x"}, "metric_periodicity": 50_000_000, "temporality": 1}
        runtime = _core.Runtime({"opentelemetry": collector})
        runtime.record_metric(runtime.new_metric(COUNTER, "sent", "", ""), 3, {"whole": 1})
        for _ in range(200):
            if len(Collector.received) >= 2:
                break
            time.sleep(0.05)
        path, header, body = Collector.received[-1]
        assert (path, header) == ("/v1/metrics", "x")
        (metric,) = _core.decode("perdure.otlp.v1.ExportRequest", body)["resources"][0]["scopes"][0]["metrics"]
        (point,) = metric["sum"]["points"]
        assert (metric["name"], point["whole"], metric["sum"]["is_monotonic"]) == ("sent", 3, True)
        assert {"key": "whole", "value": {"whole": 1}} in point["attributes"]
    finally:
        server.shutdown()
        server.server_close()


def test_updates_with_equal_attributes_share_them_and_their_metric() -> None:
    buffer = temporalio.runtime.MetricBuffer(100)
    meter = temporalio.runtime.Runtime(telemetry=temporalio.runtime.TelemetryConfig(metrics=buffer)).metric_meter
    counter = meter.create_counter("n", "described", "u")
    others = counter.with_additional_attributes({"kind": 1})
    counter.add(1)
    others.add(2)
    others.add(3, {"kind": True})
    first = buffer.retrieve_updates()
    assert [dict(u.attributes).get("kind") for u in first] == [None, 1, True] and first[2].attributes["kind"] is True
    counter.add(4)
    others.add(5)
    second = buffer.retrieve_updates()
    for before, after in zip(first, second, strict=False):
        assert before.metric is after.metric and before.attributes is after.attributes


def test_attributes_of_other_types_are_refused() -> None:
    telemetry = temporalio.runtime.TelemetryConfig(metrics=temporalio.runtime.MetricBuffer(10))
    meter = temporalio.runtime.Runtime(telemetry=telemetry).metric_meter
    bad: Any = {"key": None}
    for refuse in (
        lambda: meter.with_additional_attributes(bad),
        lambda: meter.create_counter("n").with_additional_attributes(bad),
        lambda: meter.create_counter("n").add(1, bad),
    ):
        with pytest.raises(TypeError, match="'key': NoneType"):
            refuse()


def test_an_exception_raised_in_another_thread() -> None:
    ended: list[type[BaseException]] = []

    def busy() -> None:
        try:
            while True:
                time.sleep(0.001)
        except BaseException as err:
            ended.append(type(err))

    thread = threading.Thread(target=busy, daemon=True)
    thread.start()
    assert thread.ident is not None
    assert _core.raise_in_thread(thread.ident, KeyError)
    thread.join(20)
    assert ended == [KeyError]
    assert not _core.raise_in_thread(1, KeyError) and not _core.raise_in_thread(1, None)
