"""Writes the seed inputs of the fuzz targets in src/net: conversations a fuzzer would need long to find by itself.

    fuzz_seeds.py FOLDER_OF_SOURCES

An input is a list of steps: opcode, size, bytes (see server_session_fuzz.c). Run again after the steps change."""
import gzip
import pathlib
import struct
import sys

from peer import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST, SETTINGS, WINDOW, frame,
                  headers, message, request_headers)

RECEIVE, PASS, ANSWER, SEND = 0, 5, 6, 7


def step(op: int, data: bytes) -> bytes:
    return b"".join(bytes([op, len(data[i:i + 255])]) + data[i:i + 255] for i in range(0, max(1, len(data)), 255))


def call(stream: int, method: str, body: bytes, **more: str) -> bytes:
    return frame(HEADERS, END_HEADERS, stream, request_headers(method, **more)) + frame(DATA, END_STREAM, stream, body)


def server_seeds() -> dict[str, bytes]:
    small = gzip.compress(b"zip" * 100)
    compressed = struct.pack("!BI", 1, len(small)) + small
    return {
        "greeting": b"\0" + step(RECEIVE, PREFACE + frame(SETTINGS, 0, 0, struct.pack("!HI", 4, 1 << 20))),
        "echo": b"\1" + step(RECEIVE, call(1, "Echo", message(b"hello"), x_bin="AAEC")) + step(SEND, b""),
        "held": b"\1" + step(RECEIVE, call(1, "h", message(b"wait"), grpc_timeout="2S")) + step(PASS, b"x" * 5) + step(ANSWER, b"done"),
        "late": b"\1" + step(RECEIVE, call(1, "h", message(b"wait"), grpc_timeout="1m")) + step(PASS, b"x" * 50) + step(SEND, b""),
        "stream": b"\1" + step(RECEIVE, call(1, "s", message(b"again"))) + step(SEND, b""),
        "fail": b"\1" + step(RECEIVE, call(1, "f", message(b"why %"))) + step(SEND, b""),
        "gzip": b"\1" + step(RECEIVE, call(1, "Echo", compressed, grpc_encoding="gzip", grpc_accept_encoding="gzip")) + step(SEND, b""),
        "reset": b"\1" + step(RECEIVE, call(1, "h", message(b"x")) + frame(RST, 0, 1, b"\0\0\0\x08")),
        "window": b"\1" + step(RECEIVE, frame(SETTINGS, 0, 0, struct.pack("!HI", 4, 3)) + call(1, "Echo", message(b"0123456789"))
                               + frame(WINDOW, 0, 1, b"\0\0\0\x05")) + step(SEND, b"") + step(PASS, b"x" * 250),
        "continued": b"\1" + step(RECEIVE, frame(HEADERS, 0, 1, request_headers("Echo")[:20])
                                  + frame(CONTINUATION, END_HEADERS, 1, request_headers("Echo")[20:]) + frame(DATA, END_STREAM, 1, message(b"x"))),
        "drain": b"\1" + step(RECEIVE, call(1, "h", message(b"x"))) + step(SEND, b"x" * 255) + step(RECEIVE, frame(PING, ACK, 0, b"lastcall"))
                 + step(ANSWER, b"x") + step(SEND, b""),
        "pings": b"\1" + step(RECEIVE, frame(PING, 0, 0, b"12345678") * 6) + step(SEND, b""),
    }


def client_seeds() -> dict[str, bytes]:
    hello = frame(SETTINGS, 0, 0, struct.pack("!HI", 3, 100))
    begin = {":status": "200", "content-type": "application/grpc"}

    def answer(stream: int, body: bytes, **trailers: str) -> bytes:
        end = {k.replace("_", "-"): v for k, v in ({"grpc_status": "0"} | trailers).items()}
        return (frame(HEADERS, END_HEADERS, stream, headers(begin)) + frame(DATA, 0, stream, body)
                + frame(HEADERS, END_HEADERS | END_STREAM, stream, headers(end)))

    return {
        "answers": step(RECEIVE, hello + answer(1, message(b"a")) + answer(3, message(b"b") * 3) + answer(5, message(b""))),
        "failure": step(RECEIVE, hello + frame(HEADERS, END_HEADERS | END_STREAM, 1, headers(
            begin | {"grpc-status": "5", "grpc-message": "not%20found", "grpc-status-details-bin": "CAUSAA"}))),
        "http": step(RECEIVE, hello + frame(HEADERS, END_HEADERS, 1, headers({":status": "503"})) + frame(DATA, END_STREAM, 1, b"busy")),
        "goaway": step(RECEIVE, hello + frame(GOAWAY, 0, 0, struct.pack("!II", 1, 0) + b"bye")) + step(SEND, b""),
        "reset": step(RECEIVE, hello + frame(RST, 0, 1, b"\0\0\0\x07") + frame(RST, 0, 3, b"\0\0\0\x08")),
        "cancel": step(RECEIVE, hello) + step(ANSWER, b"") + step(ANSWER, b"x") + step(SEND, b"") + step(RECEIVE, answer(5, message(b"c"))),
    }


def wire_seeds() -> dict[str, bytes]:
    return {"timeout": b"100m", "percent": b"a%20b%zz", "base64": b"Zm9vYmE", "padded": b"Zm8=", "gzip": gzip.compress(b"x" * 1000),
            "list": b"identity, gzip", "type": b"application/grpc+proto"}


def main() -> None:
    for name, seeds in (("server_session", server_seeds()), ("client_session", client_seeds()), ("wire", wire_seeds())):
        folder = pathlib.Path(sys.argv[1]) / f"net_{name}_fuzz_corpus"
        folder.mkdir(exist_ok=True)
        for seed, data in seeds.items():
            (folder / seed).write_bytes(data)


if __name__ == "__main__":
    main()
