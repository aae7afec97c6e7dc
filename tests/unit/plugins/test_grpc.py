"""``call: grpc`` against real servers."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from flunq.sdk.context import ExecutorSettings
from flunq.sdk.egress import EgressPolicy
from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.testing import make_context, run_executor
from flunq.services.supervising.network import free_ports
from flunq_plugins.grpc import GrpcExecutor
from tests.support.certificates import self_signed
from tests.support.grpc_stub import GrpcStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PROTO = """
syntax = "proto3";
package greet.v1;
import "google/protobuf/timestamp.proto";
import "google/protobuf/struct.proto";

message Person {
  string name = 1;
  int32 age = 2;
  repeated string nick_names = 3;
  google.protobuf.Timestamp born_at = 4;
  google.protobuf.Struct notes = 5;
  bytes photo = 6;
  int64 points = 7;
}
message Greeting { string text = 1; bool formal = 2; Person person = 3; }

service Greeter {
  rpc Hello(Person) returns (Greeting);
  rpc Stream(Person) returns (stream Greeting);
  rpc Collect(stream Person) returns (Greeting);
  rpc Chat(stream Person) returns (stream Greeting);
}
"""


@pytest.fixture
async def stub() -> AsyncIterator[GrpcStub]:
    async with GrpcStub(PROTO, "greet.v1.Greeter") as stub:
        stub.answer("Hello", {"text": "hi"})
        yield stub


@pytest.fixture
def proto(tmp_path: Path) -> str:
    path = tmp_path / "greet.proto"
    path.write_text(PROTO)
    return path.as_uri()


def arguments(stub: GrpcStub, proto: str, method: str = "Hello", **changes: Any) -> dict[str, Any]:
    service = {"name": "Greeter", "host": "127.0.0.1", "port": stub.port}
    wanted = {"proto": {"endpoint": proto}, "service": service, "method": method}
    return wanted | {"arguments": {"name": "Ada"}} | changes


def limits(**changes: Any) -> ExecutorSettings:
    return ExecutorSettings(egress=EgressPolicy.development(), programs=True, **changes)


async def call(arguments: dict[str, Any], **members: Any) -> Any:
    return await run_executor(GrpcExecutor(), arguments, **members)


async def fails(arguments: dict[str, Any], **members: Any) -> TaskError:
    with pytest.raises(TaskError) as caught:
        await call(arguments, **members)
    return caught.value


class TestCalls:
    async def test_a_unary_call_sends_a_message_and_returns_the_reply(
        self, stub: GrpcStub, proto: str
    ) -> None:
        stub.answer("Hello", {"text": "hello", "person": {"points": "9007199254740993"}})
        reply = await call(arguments(stub, proto))
        assert stub.requests == [[{"name": "Ada"}]]
        assert reply["text"] == "hello"
        assert reply["formal"] is False
        assert reply["person"]["points"] == "9007199254740993"

    async def test_arguments_follow_the_json_mapping_of_protobuf(
        self, stub: GrpcStub, proto: str
    ) -> None:
        person = {
            "name": "Ada",
            "nickNames": ["a", "b"],
            "bornAt": "1815-12-10T00:00:00Z",
            "notes": {"x": [1, None]},
            "photo": "aGk=",
        }
        await call(arguments(stub, proto, arguments=person))
        assert stub.requests == [[person]]

    async def test_field_names_may_be_those_of_the_proto_file(
        self, stub: GrpcStub, proto: str
    ) -> None:
        await call(arguments(stub, proto, arguments={"nick_names": ["a"]}))
        assert stub.requests == [[{"nickNames": ["a"]}]]

    async def test_a_call_without_arguments_sends_an_empty_message(
        self, stub: GrpcStub, proto: str
    ) -> None:
        wanted = arguments(stub, proto)
        del wanted["arguments"]
        await call(wanted)
        assert stub.requests == [[{}]]

    async def test_streamed_replies_become_an_array(self, stub: GrpcStub, proto: str) -> None:
        stub.answer("Stream", {"text": "1"}, {"text": "2"})
        replies = await call(arguments(stub, proto, "Stream"))
        assert [reply["text"] for reply in replies] == ["1", "2"]

    async def test_a_stream_without_replies_is_an_empty_array(
        self, stub: GrpcStub, proto: str
    ) -> None:
        stub.answer("Stream")
        assert await call(arguments(stub, proto, "Stream")) == []

    @pytest.mark.parametrize(
        ("given", "sent"),
        [
            ({"messages": [{"name": "a"}, {"name": "b"}]}, [{"name": "a"}, {"name": "b"}]),
            ([{"name": "a"}], [{"name": "a"}]),
            ({"name": "a"}, [{"name": "a"}]),
            ({"messages": []}, []),
        ],
    )
    async def test_messages_are_a_stream_of_requests(
        self, stub: GrpcStub, proto: str, given: Any, sent: Any
    ) -> None:
        stub.answer("Collect", {"text": "done"})
        reply = await call(arguments(stub, proto, "Collect", arguments=given))
        assert stub.requests == [sent]
        assert reply["text"] == "done"

    async def test_streams_go_both_ways(self, stub: GrpcStub, proto: str) -> None:
        async def echo(requests: list[Any], _: Any) -> AsyncIterator[Any]:
            for request in requests:
                yield {"text": request["name"]}

        stub.behave("Chat", echo)
        given = {"messages": [{"name": "a"}, {"name": "b"}]}
        replies = await call(arguments(stub, proto, "Chat", arguments=given))
        assert [reply["text"] for reply in replies] == ["a", "b"]

    @pytest.mark.parametrize("name", ["Greeter", "v1.Greeter", "greet.v1.Greeter"])
    async def test_a_service_is_found_with_and_without_its_package(
        self, stub: GrpcStub, proto: str, name: str
    ) -> None:
        wanted = arguments(stub, proto)
        wanted["service"]["name"] = name
        assert (await call(wanted))["text"] == "hi"

    async def test_metadata_carries_key_and_trace(self, stub: GrpcStub, proto: str) -> None:
        await call(arguments(stub, proto), key="e:/do/0/grüßen", traceparent="00-1-2-01")
        (metadata,) = stub.metadata
        assert metadata["idempotency-key"] == "e:/do/0/gr%C3%BC%C3%9Fen"
        assert metadata["traceparent"] == "00-1-2-01"
        assert metadata["user-agent"].startswith("flunq")

    async def test_a_dual_stack_name_reaches_a_server_of_one_family(
        self, stub: GrpcStub, proto: str
    ) -> None:
        wanted = arguments(stub, proto)
        wanted["service"]["host"] = "localhost"
        assert (await call(wanted))["text"] == "hi"


class TestFailures:
    @pytest.mark.parametrize(
        ("code", "type", "status"),
        [
            ("INVALID_ARGUMENT", "validation", 400),
            ("UNAUTHENTICATED", "authentication", 401),
            ("PERMISSION_DENIED", "authorization", 403),
            ("NOT_FOUND", "communication", 404),
            ("DEADLINE_EXCEEDED", "timeout", 408),
            ("RESOURCE_EXHAUSTED", "communication", 429),
            ("UNAVAILABLE", "communication", 503),
            ("UNIMPLEMENTED", "communication", 501),
            ("DATA_LOSS", "communication", 500),
        ],
    )
    async def test_status_codes_become_errors_of_the_language(
        self, stub: GrpcStub, proto: str, code: str, type: str, status: int
    ) -> None:
        stub.fail("Hello", grpc.StatusCode[code], "because")
        error = await fails(arguments(stub, proto))
        assert (error.type, error.status) == (ERRORS + type, status)
        assert code in str(error.detail)
        assert "because" in str(error.detail)

    async def test_a_stream_that_fails_half_way_fails(self, stub: GrpcStub, proto: str) -> None:
        async def stop(_: list[Any], context: Any) -> AsyncIterator[Any]:
            yield {"text": "1"}
            await context.abort(grpc.StatusCode.ABORTED, "enough")

        stub.behave("Stream", stop)
        error = await fails(arguments(stub, proto, "Stream"))
        assert (error.type, error.status) == (ERRORS + "communication", 409)

    async def test_nobody_listens(self, stub: GrpcStub, proto: str) -> None:
        wanted = arguments(stub, proto)
        wanted["service"]["port"] = free_ports(1)[0]
        error = await fails(wanted)
        assert (error.type, error.status) == (ERRORS + "communication", 503)

    async def test_an_unknown_field_is_named(self, stub: GrpcStub, proto: str) -> None:
        error = await fails(arguments(stub, proto, arguments={"nmae": "Ada"}))
        assert (error.type, error.status) == (ERRORS + "validation", 400)
        assert "nmae" in str(error.detail)

    @pytest.mark.parametrize(
        ("service", "method", "known"),
        [("Greeter", "Helo", "Hello"), ("Other", "Hello", "greet.v1.Greeter")],
    )
    async def test_unknown_names_are_answered_with_the_known_ones(
        self, stub: GrpcStub, proto: str, service: str, method: str, known: str
    ) -> None:
        wanted = arguments(stub, proto, method)
        wanted["service"]["name"] = service
        error = await fails(wanted)
        assert error.type == ERRORS + "configuration"
        assert known in str(error.detail)

    @pytest.mark.parametrize(
        "changes",
        [
            {"service": "Greeter"},
            {"service": {"name": "Greeter", "host": "localhost", "port": 0}},
            {"service": {"name": "Greeter"}},
            {"method": 3},
            {"proto": {}},
        ],
    )
    async def test_arguments_of_the_wrong_shape_are_refused(
        self, stub: GrpcStub, proto: str, changes: dict[str, Any]
    ) -> None:
        error = await fails(arguments(stub, proto) | changes)
        assert error.type == ERRORS + "validation"


class TestAuthentication:
    @pytest.mark.parametrize(
        ("policy", "header"),
        [
            ({"basic": {"username": "u", "password": "p"}}, "Basic dTpw"),
            ({"bearer": {"token": "t"}}, "Bearer t"),
            ({"bearer": {"use": "token"}}, "Bearer s3cret"),
        ],
    )
    async def test_credentials_travel_as_metadata(
        self, stub: GrpcStub, proto: str, policy: Any, header: str
    ) -> None:
        wanted = arguments(stub, proto)
        wanted["service"]["authentication"] = policy
        secrets = {"token": {"token": "s3cret"}}
        await call(wanted, context=make_context(secrets=secrets))
        assert stub.metadata[0]["authorization"] == header

    async def test_digest_is_refused(self, stub: GrpcStub, proto: str) -> None:
        wanted = arguments(stub, proto)
        wanted["service"]["authentication"] = {"digest": {"username": "u", "password": "p"}}
        error = await fails(wanted)
        assert error.type == ERRORS + "configuration"
        assert stub.requests == []

    async def test_credentials_do_not_go_to_public_addresses_unencrypted(
        self, stub: GrpcStub, proto: str
    ) -> None:
        wanted = arguments(stub, proto)
        service = {"host": "203.0.114.1", "authentication": {"bearer": {"token": "t"}}}
        wanted["service"] |= service
        error = await fails(wanted)
        assert error.type == ERRORS + "configuration"
        assert "tls" in str(error.detail)


class Certificates:
    """A certificate for ``localhost`` and who signed it."""

    def __init__(self, folder: Path) -> None:
        key, certificate = self_signed(folder, "localhost")
        self.path = certificate
        self.server = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificates:
    made = Certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
    return made


class TestEncryption:
    async def test_tls_is_used_where_the_task_says_so(
        self, proto: str, certificates: Certificates
    ) -> None:
        async with GrpcStub(PROTO, "Greeter", credentials=certificates.server) as stub:
            stub.answer("Hello", {"text": "secret"})
            wanted = arguments(stub, proto, tls=True)
            wanted["service"]["host"] = "localhost"
            assert (await call(wanted))["text"] == "secret"

    async def test_a_certificate_for_another_name_is_refused(
        self, proto: str, certificates: Certificates
    ) -> None:
        async with GrpcStub(PROTO, "Greeter", credentials=certificates.server) as stub:
            stub.answer("Hello", {"text": "secret"})
            error = await fails(arguments(stub, proto, tls=True))
            assert (error.type, error.status) == (ERRORS + "communication", 503)
            assert stub.requests == []


class TestHostileServers:
    async def test_an_endless_stream_ends_at_the_limit(self, stub: GrpcStub, proto: str) -> None:
        async def flood(_: list[Any], __: Any) -> AsyncIterator[Any]:
            while True:
                yield {"text": "x" * 1000}

        stub.behave("Stream", flood)
        settings = limits(max_body=100_000)
        error = await fails(arguments(stub, proto, "Stream"), context=make_context(settings))
        assert (error.type, error.status) == (ERRORS + "communication", 502)

    async def test_an_endless_stream_of_nothing_ends_at_the_limit(
        self, stub: GrpcStub, proto: str
    ) -> None:
        async def flood(_: list[Any], __: Any) -> AsyncIterator[Any]:
            while True:
                yield b""

        stub.behave("Stream", flood)
        settings = limits(max_body=10_000)
        error = await fails(arguments(stub, proto, "Stream"), context=make_context(settings))
        assert error.status == 502

    async def test_a_huge_message_is_refused(self, stub: GrpcStub, proto: str) -> None:
        stub.answer("Hello", {"text": "x" * 300_000})
        settings = limits(max_body=100_000)
        error = await fails(arguments(stub, proto), context=make_context(settings))
        assert error.type == ERRORS + "communication"
        assert "RESOURCE_EXHAUSTED" in str(error.detail)

    async def test_a_message_that_makes_no_sense_is_a_communication_error(
        self, stub: GrpcStub, proto: str
    ) -> None:
        stub.answer("Hello", b"\xff\xff\xff\xff")
        error = await fails(arguments(stub, proto))
        assert (error.type, error.status) == (ERRORS + "communication", 502)

    async def test_a_server_that_never_answers_meets_the_deadline(
        self, stub: GrpcStub, proto: str
    ) -> None:
        async def never(_: list[Any], __: Any) -> AsyncIterator[Any]:
            await asyncio.Event().wait()
            yield None

        stub.behave("Hello", never)
        deadline = int((time.time() + 1.0) * 1_000_000)
        error = await fails(arguments(stub, proto), deadline=deadline)
        assert (error.type, error.status) == (ERRORS + "timeout", 408)

    async def test_without_a_deadline_the_limit_for_requests_holds(
        self, stub: GrpcStub, proto: str
    ) -> None:
        async def never(_: list[Any], __: Any) -> AsyncIterator[Any]:
            await asyncio.Event().wait()
            yield None

        stub.behave("Hello", never)
        settings = limits(request_timeout=1.0)
        error = await fails(arguments(stub, proto), context=make_context(settings))
        assert (error.type, error.status) == (ERRORS + "communication", 504)

    async def test_a_server_that_never_speaks_meets_the_deadline(self, proto: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            service = {"name": "Greeter", "host": "127.0.0.1", "port": port}
            wanted = {"proto": {"endpoint": proto}, "service": service, "method": "Hello"}
            error = await fails(wanted, deadline=int((time.time() + 1.0) * 1_000_000))
        assert error.type == ERRORS + "timeout"

    async def test_link_local_addresses_are_refused(self, stub: GrpcStub, proto: str) -> None:
        wanted = arguments(stub, proto)
        wanted["service"]["host"] = "169.254.169.254"
        error = await fails(wanted)
        assert (error.type, error.status) == (ERRORS + "authorization", 403)

    async def test_loopback_is_refused_by_a_strict_policy(self, stub: GrpcStub, proto: str) -> None:
        wanted = arguments(stub, proto)
        context = make_context(ExecutorSettings(programs=True))
        error = await fails(wanted, context=context)
        assert (error.type, error.status) == (ERRORS + "authorization", 403)


class TestCancelling:
    async def test_a_withdrawn_call_is_cancelled_at_the_server(
        self, stub: GrpcStub, proto: str
    ) -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def linger(_: list[Any], __: Any) -> AsyncIterator[Any]:
            begun.set()
            try:
                await asyncio.Event().wait()
                yield None
            finally:
                ended.set()

        stub.behave("Stream", linger)
        running = asyncio.create_task(call(arguments(stub, proto, "Stream")))
        await begun.wait()
        running.cancel()
        await asyncio.wait([running])
        await ended.wait()
        assert running.cancelled()
