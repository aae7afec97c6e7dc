"""``call: a2a`` against an agent of a few lines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.sdk.context import ExecutorContext, TaskContext
from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.registry import load_executor
from flunq.sdk.testing import LOCAL, make_call, make_context
from flunq_plugins.a2a import METHODS, A2aExecutor
from tests.support.http_stub import Answer, HttpStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PARTS = {"message": {"parts": [{"kind": "text", "text": "hello"}]}}
TOKEN = {"bearer": {"token": "t-1"}}


@pytest.fixture
async def stub() -> AsyncIterator[HttpStub]:
    async with HttpStub() as stub:
        yield stub


async def call(arguments: Any, context: ExecutorContext | None = None, **members: Any) -> Any:
    context = context or make_context()
    executor = A2aExecutor()
    await executor.start(context)
    try:
        made = make_call(arguments, kind="a2a", **members)
        return await executor.execute(made, TaskContext(context))
    finally:
        context.close()


async def fails(arguments: Any, **members: Any) -> TaskError:
    with pytest.raises(TaskError) as caught:
        await call(arguments, **members)
    return caught.value


def result(value: Any) -> Answer:
    return Answer(json={"jsonrpc": "2.0", "id": "1", "result": value})


def stream(*messages: Any) -> Answer:
    chunks = tuple(b"data: " + msgspec.json.encode(message) + b"\n\n" for message in messages)
    return Answer(headers={"content-type": "text/event-stream"}, chunks=chunks)


def part(value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": "1", "result": value}


def test_it_is_installed_like_a_strangers_plugin() -> None:
    assert load_executor("a2a") is A2aExecutor


class TestRequest:
    async def test_a_message_has_an_id_and_a_role(self, stub: HttpStub) -> None:
        server = stub.answer("/", result({"kind": "task"}))
        arguments = {"method": "message/send", "server": server, "parameters": PARTS}
        assert await call(arguments) == {"kind": "task"}
        sent = stub.requests[0].json()
        message = sent["params"]["message"]
        assert (sent["jsonrpc"], sent["method"], message["role"]) == ("2.0", "message/send", "user")
        assert message["parts"] == PARTS["message"]["parts"]
        assert len(message["messageId"]) == 36

    async def test_every_attempt_sends_the_same_message(self, stub: HttpStub) -> None:
        server = stub.answer("/", result(None))
        arguments = {"method": "message/send", "server": server, "parameters": PARTS}
        for attempt in (1, 2):
            await call(arguments, attempt=attempt)
        await call(arguments, key="another")
        ids = [r.json()["params"]["message"]["messageId"] for r in stub.requests]
        assert ids[0] == ids[1] != ids[2]
        assert stub.requests[0].key == "execution-1:/do/0/step"

    async def test_what_the_document_says_counts(self, stub: HttpStub) -> None:
        server = stub.answer("/", result(None))
        message = {"messageId": "m-1", "role": "agent", "parts": []}
        arguments = {"method": "message/send", "server": server, "parameters": {"message": message}}
        await call(arguments)
        assert stub.requests[0].json()["params"] == {"message": message}

    @pytest.mark.parametrize("method", sorted(METHODS - {"message/send", "message/stream"}))
    async def test_other_methods_send_their_parameters(self, stub: HttpStub, method: str) -> None:
        server = stub.answer("/", result({"ok": True}))
        await call({"method": method, "server": server, "parameters": {"id": "t-1"}})
        await call({"method": method, "server": server})
        sent = [request.json() for request in stub.requests]
        assert [message["method"] for message in sent] == [method, method]
        assert sent[0]["params"] == {"id": "t-1"}
        assert "params" not in sent[1]

    async def test_a_server_may_want_credentials(self, stub: HttpStub) -> None:
        uri = stub.answer("/", result(None))
        server = {"uri": uri, "authentication": TOKEN}
        await call({"method": "tasks/list", "server": server})
        assert stub.requests[0].headers["authorization"] == "Bearer t-1"


class TestStream:
    @pytest.mark.parametrize("method", ["message/stream", "tasks/resubscribe"])
    async def test_all_results_come_in_order(self, stub: HttpStub, method: str) -> None:
        server = stub.answer("/", stream(part({"n": 1}), part({"n": 2}), part({"final": True})))
        arguments = {"method": method, "server": server, "parameters": PARTS}
        assert await call(arguments) == [{"n": 1}, {"n": 2}, {"final": True}]

    async def test_one_answer_is_a_stream_of_one(self, stub: HttpStub) -> None:
        server = stub.answer("/", result({"n": 1}))
        assert await call({"method": "message/stream", "server": server}) == [{"n": 1}]

    async def test_a_plain_method_may_be_answered_by_a_stream(self, stub: HttpStub) -> None:
        server = stub.answer("/", stream(part({"n": 1}), part({"n": 2})))
        assert await call({"method": "tasks/get", "server": server}) == {"n": 1}

    async def test_an_error_in_it_is_a_runtime_error(self, stub: HttpStub) -> None:
        error = {"jsonrpc": "2.0", "id": "1", "error": {"code": -32004, "message": "no streams"}}
        server = stub.answer("/", stream(part({"n": 1}), error))
        found = await fails({"method": "message/stream", "server": server})
        assert (found.type, found.detail) == (
            ERRORS + "runtime",
            "message/stream: no streams (code -32004)",
        )

    async def test_it_has_a_limit(self, stub: HttpStub) -> None:
        server = stub.answer("/", stream(*[part({"n": "x" * 1000})] * 20))
        context = ExecutorContext(msgspec.structs.replace(LOCAL, max_body=5_000))
        with pytest.raises(TaskError) as caught:
            await call({"method": "message/stream", "server": server}, context)
        assert (caught.value.type, caught.value.status) == (ERRORS + "communication", 502)

    async def test_it_is_given_up_at_the_deadline(self, stub: HttpStub) -> None:
        headers = {"content-type": "text/event-stream"}
        server = stub.answer("/", Answer(drip=True, body=b"data", headers=headers))
        deadline = int((time.time() + 0.3) * 1_000_000)
        found = await fails({"method": "message/stream", "server": server}, deadline=deadline)
        assert (found.type, found.status) == (ERRORS + "timeout", 408)

    async def test_without_a_deadline_silence_has_a_limit(self, stub: HttpStub) -> None:
        headers = {"content-type": "text/event-stream"}
        server = stub.answer("/", Answer(drip=True, body=b"data", headers=headers))
        context = ExecutorContext(msgspec.structs.replace(LOCAL, request_timeout=0.2))
        with pytest.raises(TaskError) as caught:
            await call({"method": "message/stream", "server": server}, context)
        assert (caught.value.type, caught.value.status) == (ERRORS + "communication", 504)


class TestErrors:
    @pytest.mark.parametrize("status", [200, 400, 500])
    async def test_an_error_of_the_agent_is_a_runtime_error(
        self, stub: HttpStub, status: int
    ) -> None:
        error = {"code": -32001, "message": "Task not found", "data": {"id": "t"}}
        server = stub.answer("/", Answer(status, json={"jsonrpc": "2.0", "error": error}))
        found = await fails({"method": "tasks/get", "server": server})
        assert (found.type, found.status) == (ERRORS + "runtime", 500)
        assert found.detail == 'tasks/get: Task not found (code -32001): {"id":"t"}'

    @pytest.mark.parametrize("status", [301, 401, 404, 503])
    async def test_a_refusal_has_its_status(self, stub: HttpStub, status: int) -> None:
        server = stub.answer("/", Answer(status, body=b"no"))
        found = await fails({"method": "tasks/get", "server": server})
        assert (found.type, found.status) == (ERRORS + "communication", status)

    @pytest.mark.parametrize("body", [b"", b"hello", b"[]", b'{"id": 1}', b"{" * 10_000])
    async def test_what_is_no_response_is_a_communication_error(
        self, stub: HttpStub, body: bytes
    ) -> None:
        server = stub.answer("/", Answer(body=body))
        found = await fails({"method": "tasks/get", "server": server})
        assert (found.type, found.status) == (ERRORS + "communication", 502)

    async def test_an_agent_out_of_reach_is_a_communication_error(self) -> None:
        found = await fails({"method": "tasks/get", "server": "http://127.0.0.1:1/"})
        assert (found.type, found.status) == (ERRORS + "communication", 503)

    @pytest.mark.parametrize(
        "arguments",
        [
            {"method": "tasks/burn", "server": "http://a"},
            {"server": "http://a"},
            {"method": "tasks/get"},
            {"method": "tasks/get", "server": "agent"},
            {"method": "tasks/get", "server": "http://a", "parameters": "x"},
            {"method": "message/send", "server": "http://a", "parameters": {"message": "x"}},
            "text",
        ],
    )
    async def test_arguments_that_make_no_sense_are_refused(self, arguments: Any) -> None:
        found = await fails(arguments)
        assert (found.type, found.status) == (ERRORS + "validation", 400)


class TestCard:
    @staticmethod
    async def get(stub: HttpStub, card: Any, policy: Any = None) -> Any:
        uri = stub.answer("/card.json", Answer(json=card))
        endpoint = uri if policy is None else {"uri": uri, "authentication": policy}
        agent = {"agentCard": {"endpoint": endpoint}, "server": "http://127.0.0.1:1/ignored"}
        return await call({"method": "tasks/get", **agent})

    @pytest.mark.parametrize(
        "card",
        [
            {"url": "/rpc"},
            {"url": "/rpc", "preferredTransport": "JSONRPC"},
            {"url": "/grpc", "preferredTransport": "GRPC",
             "additionalInterfaces": [{"url": "/rest", "transport": "HTTP+JSON"},
                                      {"url": "/rpc", "transport": "JSONRPC"}]},
            {"supportedInterfaces": [{"url": "/rpc", "protocolBinding": "JSONRPC"}]},
        ],
    )  # fmt: skip
    async def test_it_says_where_the_agent_is(self, stub: HttpStub, card: Any) -> None:
        stub.answer("/rpc", result({"found": True}))
        assert await self.get(stub, card) == {"found": True}

    @pytest.mark.parametrize(
        "card",
        [[], {}, {"url": "/grpc", "preferredTransport": "GRPC"}, {"url": "ftp://a/b"}],
    )
    async def test_one_without_an_address_cannot_be_used(self, stub: HttpStub, card: Any) -> None:
        with pytest.raises(TaskError) as caught:
            await self.get(stub, card)
        assert caught.value.type == ERRORS + "configuration"

    async def test_credentials_for_the_card_are_for_the_agent_too(self, stub: HttpStub) -> None:
        stub.answer("/rpc", result(None))
        await self.get(stub, {"url": stub.url + "/rpc"}, TOKEN)
        assert [r.headers.get("authorization") for r in stub.requests] == ["Bearer t-1"] * 2

    async def test_credentials_do_not_go_to_another_host(self, stub: HttpStub) -> None:
        async with HttpStub() as other:
            await self.get(stub, {"url": other.answer("/rpc", result(None))}, TOKEN)
            assert "authorization" not in other.requests[0].headers

    @pytest.mark.parametrize(
        ("place", "found"),
        [("header", ("x-key", "t-1")), ("cookie", ("cookie", "X-Key=t-1")), ("query", None)],
    )
    async def test_an_api_key_goes_where_the_card_says(
        self, stub: HttpStub, place: str, found: Any
    ) -> None:
        stub.answer("/rpc", result(None))
        scheme = {"type": "apiKey", "name": "X-Key", "in": place}
        card = {"url": "/rpc", "securitySchemes": {"k": scheme}, "security": [{"k": []}]}
        await self.get(stub, card, TOKEN)
        request = stub.requests[1]
        assert "authorization" not in request.headers
        if found is None:
            assert request.target == "/rpc?X-Key=t-1"
        else:
            assert request.headers[found[0]] == found[1]

    async def test_one_in_a_file_speaks_for_its_author(
        self, stub: HttpStub, tmp_path: Path
    ) -> None:
        card = tmp_path / "card.json"
        card.write_bytes(msgspec.json.encode({"url": stub.answer("/rpc", result(1))}))
        endpoint = {"uri": card.as_uri(), "authentication": TOKEN}
        assert await call({"method": "tasks/get", "agentCard": {"endpoint": endpoint}}) == 1
        assert stub.requests[0].headers["authorization"] == "Bearer t-1"
