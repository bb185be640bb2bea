"""Hostile, slow and broken clients against tests/net/echo_server: each is cut off or answered, and meanwhile a well-behaved
client on another connection gets every one of its answers.

    hostile_test.py ECHO_SERVER
"""
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

from peer import (ACK, CONTINUATION, DATA, END_HEADERS, HEADERS, PING, PREFACE, RST, SETTINGS, WINDOW, Peer, frame,
                  headers, message, request_headers)

SHORT = ["--handshake", "400", "--stall", "400", "--request", "600", "--headers", "16000"]


class Server:
    def __init__(self, program: str, *args: str, descriptors: int = 0) -> None:
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))) if descriptors else None
        self.process = subprocess.Popen([program, *args], stdout=subprocess.PIPE, text=True, preexec_fn=limit)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().split()[1])

    def memory_kb(self) -> int:
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(30) == 0, "the server did not end cleanly"


class Witness(threading.Thread):
    """Asks for an echo again and again while somebody else misbehaves."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.peer = Peer(port)
        self.stopping = False
        self.count = 0
        self.start()

    def run(self) -> None:
        while not self.stopping:
            assert self.peer.answer(self.peer.call("Echo", b"witness")) == b"witness"
            self.count += 1
            time.sleep(0.005)

    def stop(self) -> None:
        before = self.count
        while self.is_alive() and self.count < before + 2:
            time.sleep(0.01)
        self.stopping = True
        self.join()
        assert self.count >= before + 2, "the witness was not served to the end"
        self.peer.close()


def says_nothing(port: int) -> None:
    Peer(port, greet=False).wait_closed()


def stops_inside_the_preface(port: int) -> None:
    peer = Peer(port, greet=False)
    peer.send(PREFACE[:10])
    peer.wait_closed()


def never_sends_settings(port: int) -> None:
    peer = Peer(port, greet=False)
    peer.send(PREFACE)
    peer.wait_closed()


def sends_garbage(port: int) -> None:
    peer = Peer(port, greet=False)
    peer.send(bytes(range(256)) * 100)
    peer.wait_closed()


def sends_garbage_after_the_preface(port: int) -> None:
    peer = Peer(port)
    peer.send(b"\xff" * 10000)
    peer.wait_closed()


def speaks_http1(port: int) -> None:
    plain = socket.create_connection(("127.0.0.1", port))
    plain.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    answer = b""
    while data := plain.recv(4096):
        answer += data
    assert answer.startswith(b"HTTP/1.1 505 "), answer


def drips_a_request(port: int) -> None:
    peer = Peer(port)
    peer.send(frame(HEADERS, END_HEADERS, 1, request_headers("Echo")))
    body = message(b"x" * 100000)
    peer.socket.settimeout(0.05)
    for i in range(200):
        peer.send(frame(DATA, 0, 1, body[i:i + 1]))
        try:
            got = peer.read_frame()
        except TimeoutError:
            continue
        if got is not None and got[2] == 1:
            return  # answered with a failure, before it was complete
    raise AssertionError("a request that drips in is never given up")


def cut_count(port: int) -> int:
    peer = Peer(port)
    counts = peer.answer(peer.call("Count", b""))
    peer.close()
    assert counts is not None
    return int(counts.split()[3])


def reads_nothing(port: int) -> None:
    before = cut_count(port)
    settings = struct.pack("!HI", 4, 0x7FFFFFFF)  # any amount may be sent to us, on each stream
    peer = Peer(port, settings=settings, receive_buffer=4096)
    peer.send(frame(WINDOW, 0, 0, struct.pack("!I", 0x7FFFFFFF - 65535)))
    while (got := peer.read_frame()) is not None and got[0] != SETTINGS:
        pass
    peer.send(frame(SETTINGS, ACK, 0))  # from here on the server allows large requests
    try:
        for _ in range(60):
            peer.call("Echo", b"x" * 1000000)
    except ConnectionError:
        pass
    while cut_count(port) == before:
        time.sleep(0.02)


def resets_rapidly(port: int) -> None:
    peer = Peer(port)
    block = request_headers("Park")
    try:
        for i in range(200):
            peer.send(b"".join(frame(HEADERS, END_HEADERS, s, block) + frame(RST, 0, s, b"\0\0\0\x08")
                               for s in range(i * 1000 + 1, i * 1000 + 1000, 2)))
    except ConnectionError:
        return
    peer.wait_closed()


def continues_headers_for_ever(port: int) -> None:
    peer = Peer(port)
    try:
        peer.send(frame(HEADERS, 0, 1, headers({":method": "POST"})))
        for _ in range(5000):
            peer.send(frame(CONTINUATION, 0, 1, headers({"x": "y" * 1000})))
    except ConnectionError:
        return
    peer.wait_closed()


def sends_large_headers(port: int) -> None:
    peer = Peer(port)
    stream = peer.call("Echo", b"x", x_big="h" * 16000, x_more="h" * 200)
    assert peer.answer(stream) is None
    peer.close()


def pings_for_ever(port: int) -> None:
    peer = Peer(port)
    try:
        for _ in range(2000):
            peer.send(frame(PING, 0, 0, b"12345678"))
    except ConnectionError:
        return
    why = peer.wait_closed()
    assert why in (b"too_many_pings", b""), why


def changes_settings_for_ever(port: int) -> None:
    peer = Peer(port)
    try:
        for _ in range(100):
            peer.send(frame(SETTINGS, 0, 0, struct.pack("!HI", 4, 65535)) * 100)
    except ConnectionError:
        return
    peer.wait_closed()


def sends_too_much(port: int) -> None:
    peer = Peer(port)
    stream = peer.next_stream
    peer.send(frame(HEADERS, END_HEADERS, stream, request_headers("Echo")) + frame(DATA, 0, stream, b"\0\xff\xff\xff\xff" + b"x" * 1000))
    assert peer.answer(stream) is None
    peer.next_stream += 2
    assert peer.answer(peer.call("Echo", b"still here")) == b"still here"
    peer.close()


def leaves_in_the_middle(port: int) -> None:
    for cut in range(1, 60):
        peer = Peer(port, greet=False)
        peer.send((PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0) + frame(HEADERS, END_HEADERS, 1, request_headers("Park")))[:cut * 3])
        peer.close()


def opens_many_connections(port: int) -> None:
    for peer in [Peer(port, greet=i % 2 == 0) for i in range(400)]:
        peer.close()


BEHAVIOURS = [says_nothing, stops_inside_the_preface, never_sends_settings, sends_garbage, sends_garbage_after_the_preface,
              speaks_http1, drips_a_request, reads_nothing, resets_rapidly, continues_headers_for_ever, sends_large_headers,
              pings_for_ever, changes_settings_for_ever, sends_too_much, leaves_in_the_middle, opens_many_connections]


def test_behaviours(program: str) -> None:
    server = Server(program, *SHORT)
    for behaviour in BEHAVIOURS:
        witness = Witness(server.port)
        behaviour(server.port)
        witness.stop()
        print("ok", behaviour.__name__)
    server.stop()


def test_few_descriptors(program: str) -> None:
    server = Server(program, descriptors=40)
    crowd = [Peer(server.port) for _ in range(100)]
    answered = 0
    for peer in crowd:
        try:
            answered += peer.answer(peer.call("Echo", b"x")) == b"x"
        except ConnectionError:
            pass
    assert 0 < answered < 40, answered
    for peer in crowd:
        peer.close()
    for _ in range(1000):
        late = Peer(server.port)
        try:
            if late.answer(late.call("Echo", b"late")) == b"late":
                break
        except ConnectionError:
            pass
    else:
        raise AssertionError("the server did not recover")
    late.close()
    server.stop()
    print("ok few descriptors")


def test_parked_calls(program: str) -> None:
    """Ten thousand long polls on ten connections stay small. The ceiling leaves room for sanitizers."""
    server = Server(program)
    warm = Peer(server.port)
    assert warm.answer(warm.call("Echo", b"x")) == b"x"
    before = server.memory_kb()
    peers = [Peer(server.port) for _ in range(10)]
    for peer in peers:
        for _ in range(1000):
            peer.call("Park", b"p" * 100)
        assert peer.answer(peer.call("Echo", b"x")) == b"x"
    grown = server.memory_kb() - before
    calls = warm.answer(warm.call("Count", b""))
    assert calls is not None and calls.split()[0] == b"10012", calls
    assert grown < 80_000, f"{grown} KB for 10,000 parked calls"
    for peer in peers:
        peer.close()
    while True:
        calls = warm.answer(warm.call("Count", b""))
        assert calls is not None
        if calls.split()[1] == b"10000":
            break
        time.sleep(0.01)
    warm.close()
    server.stop()
    print(f"ok parked calls, {grown} KB")


def test_tls(program: str, certificate: str, key: str) -> None:
    server = Server(program, "--tls", certificate, key, *SHORT)
    for first in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", bytes(range(256))):
        plain = socket.create_connection(("127.0.0.1", server.port))
        plain.sendall(first)
        try:
            while plain.recv(4096):
                pass
        except ConnectionError:
            pass
    server.stop()
    print("ok half-open and broken TLS handshakes")


def main() -> None:
    program = sys.argv[1]
    test_behaviours(program)
    test_few_descriptors(program)
    test_parked_calls(program)
    with_certificate(lambda certificate, key: test_tls(program, certificate, key))
    print(f"{len(BEHAVIOURS) + 3} passed, 0 failed")


def with_certificate(run: Callable[[str, str], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = folder + "/certificate.pem", folder + "/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                        "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL)
        run(certificate, key)


if __name__ == "__main__":
    main()
