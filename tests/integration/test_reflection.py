"""gRPC health and reflection, as tools of others ask for them."""

import queue

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

REFLECTION = [f"/grpc.reflection.{v}.ServerReflection/ServerReflectionInfo" for v in ("v1", "v1alpha")]


def field(number: int, data: bytes) -> bytes:
    out, size = bytes([number << 3 | 2]), len(data)
    while size > 127:
        out, size = out + bytes([size & 127 | 128]), size >> 7
    return out + bytes([size]) + data


def fields(data: bytes):
    """(number, value) of each field of an encoded message."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 2:
            size = varint()
            yield key >> 3, data[at : at + size]
            at += size
        else:
            yield key >> 3, varint()


@pytest.mark.parametrize("path", REFLECTION)
def test_reflection_answers_question_by_question(server, path):
    with grpc.insecure_channel(server.address) as channel:
        questions: queue.Queue = queue.Queue()
        answers = channel.stream_stream(path, request_serializer=None, response_deserializer=None)(iter(questions.get, None), timeout=10)
        questions.put(field(7, b""))  # list services; the stream stays open for the next question
        listed = dict(fields(next(answers)))[6]
        names = [dict(fields(service))[1].decode() for number, service in fields(listed)]
        assert "temporal.api.workflowservice.v1.WorkflowService" in names and "grpc.health.v1.Health" in names
        questions.put(field(4, b"temporal.api.workflowservice.v1.WorkflowService"))
        files = [FileDescriptorProto.FromString(f) for number, f in fields(dict(fields(next(answers)))[4])]
        by_name = {f.name: f for f in files}
        assert all(d in by_name for f in files for d in f.dependency)
        methods = [m.name for s in by_name["temporal/api/workflowservice/v1/service.proto"].service for m in s.method]
        assert "StartWorkflowExecution" in methods
        questions.put(field(4, b"no.such.Symbol"))
        failure = dict(fields(dict(fields(next(answers)))[7]))
        assert failure[1] == grpc.StatusCode.NOT_FOUND.value[0]
        questions.put(None)
        assert list(answers) == []


def test_health(server):
    with grpc.insecure_channel(server.address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=None, response_deserializer=None)
        assert dict(fields(check(field(1, b"temporal.api.workflowservice.v1.WorkflowService"), timeout=10)))[1] == 1
        with pytest.raises(grpc.RpcError) as unknown:
            check(field(1, b"no.such.Service"), timeout=10)
        assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch", request_serializer=None, response_deserializer=None)(b"", timeout=30)
        assert dict(fields(next(watch)))[1] == 1
        server.process.terminate()
        assert dict(fields(next(watch)))[1] == 2  # not serving
        assert list(watch) == []
        assert server.process.wait(20) == 0


def test_an_unknown_method_is_named(server):
    with grpc.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.RpcError) as unknown:
            channel.unary_unary("/no.such.Service/Method", request_serializer=None, response_deserializer=None)(b"", timeout=10)
        assert unknown.value.code() == grpc.StatusCode.UNIMPLEMENTED and "no.such.Service" in unknown.value.details()
        with pytest.raises(grpc.RpcError) as absent:
            channel.unary_unary("/temporal.api.workflowservice.v1.WorkflowService/PollNexusTaskQueue", request_serializer=None, response_deserializer=None)(b"", timeout=10)
        assert absent.value.code() == grpc.StatusCode.UNIMPLEMENTED and "PollNexusTaskQueue" in absent.value.details()
