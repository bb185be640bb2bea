"""A hand-made HTTP/2 peer for the tests of this folder: frames in and out over a plain socket, no library between.

Headers are written as literals and read only as far as the status of an answer needs."""
import socket
import struct

DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def number(value: int) -> bytes:
    """An HPACK length with a 7-bit prefix."""
    if value < 127:
        return bytes([value])
    out, value = bytearray([127]), value - 127
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + bytes([value]))


def headers(pairs: dict[str, str]) -> bytes:
    """A header block of literals that no table remembers."""
    return b"".join(b"\0" + number(len(k)) + k.encode() + number(len(v)) + v.encode() for k, v in pairs.items())


def request_headers(method: str, **more: str) -> bytes:
    pairs = {":method": "POST", ":scheme": "http", ":path": "/test.Echo/" + method, ":authority": "test",
             "content-type": "application/grpc", "te": "trailers"}
    return headers(pairs | {k.replace("_", "-"): v for k, v in more.items()})


def message(body: bytes) -> bytes:
    return struct.pack("!BI", 0, len(body)) + body


class Peer:
    """One connection. With `greet` it says the preface and empty settings."""

    def __init__(self, port: int, greet: bool = True, settings: bytes = b"", receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(30)
        self.buffer = b""
        self.next_stream = 1
        if greet:
            self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def call(self, method: str, body: bytes, **more: str) -> int:
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        data = message(body)
        out = frame(HEADERS, END_HEADERS, stream, request_headers(method, **more))
        pieces = [data[i:i + 16384] for i in range(0, len(data), 16384)]
        out += b"".join(frame(DATA, END_STREAM if i + 1 == len(pieces) else 0, stream, p) for i, p in enumerate(pieces))
        self.send(out)
        return stream

    def read_frame(self) -> tuple[int, int, int, bytes] | None:
        """The next frame; None once the server has closed."""
        while True:
            if len(self.buffer) >= 9:
                size = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) >= 9 + size:
                    kind, flags, stream = struct.unpack("!BBI", self.buffer[3:9])
                    payload, self.buffer = self.buffer[9:9 + size], self.buffer[9 + size:]
                    return kind, flags, stream & 0x7FFFFFFF, payload
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self.buffer += data

    def answer(self, stream: int) -> bytes | None:
        """The body of a call's answer, or None when the connection or the call ended without one."""
        body = b""
        while (got := self.read_frame()) is not None:
            kind, flags, of, payload = got
            if kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK, 0))
            if of != stream:
                continue
            if kind == DATA:
                body += payload
                self.send(frame(WINDOW, 0, 0, struct.pack("!I", max(1, len(payload)))))
            if kind == RST or (kind == HEADERS and flags & END_STREAM):
                return body[5:] if body else None
        return None

    def wait_closed(self) -> bytes:
        """Reads until the server closes; the text of its GOAWAY, if it gave one."""
        why = b""
        try:
            while (got := self.read_frame()) is not None:
                if got[0] == GOAWAY:
                    why = got[3][8:]
        except ConnectionError:
            pass
        return why

    def close(self) -> None:
        self.socket.close()
