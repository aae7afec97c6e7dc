"""``call: mcp`` against servers of flesh and blood."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.sdk.context import ExecutorContext, TaskContext
from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.registry import load_executor
from flunq.sdk.testing import LOCAL, make_call, make_context, run_executor
from flunq_plugins.mcp import McpExecutor
from tests.support.http_stub import Answer, HttpStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.http_stub import Request

SERVER = str(Path(__file__).parents[2] / "support" / "mcp_server.py")


def stdio(character: str = "", **environment: str) -> dict[str, Any]:
    program = {"command": sys.executable, "arguments": ["-I", SERVER, character]}
    return {"stdio": {**program, "environment": environment}}


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


async def call(
    transport: Any, parameters: Any = None, method: str = "tools/call", **members: Any
) -> Any:
    arguments = {"method": method, "transport": transport, **members}
    if parameters is not None:
        arguments["parameters"] = parameters
    return await run_executor(McpExecutor(), arguments)


async def fails(transport: Any, parameters: Any = None, **members: Any) -> TaskError:
    with pytest.raises(TaskError) as caught:
        await call(transport, parameters, **members)
    return caught.value


def test_it_is_installed_like_a_strangers_plugin() -> None:
    assert load_executor("mcp") is McpExecutor


class TestPrograms:
    async def test_the_result_is_what_the_server_answered(self) -> None:
        assert await call(stdio(), method="tools/list") == {
            "tools": [{"name": "add", "inputSchema": {"type": "object"}}]
        }
        added = await call(stdio(), tool("add", a=2, b=3))
        assert added == {"content": [{"type": "text", "text": "5"}]}

    async def test_a_tool_that_failed_is_a_runtime_error(self) -> None:
        error = await fails(stdio(), tool("fail"))
        assert error.type == ERRORS + "runtime"
        assert error.detail == "tools/call: fail: out of order"

    async def test_an_error_has_code_message_and_data(self) -> None:
        error = await fails(stdio(), tool("what"))
        assert error.type == ERRORS + "runtime"
        assert error.detail == 'tools/call: Unknown tool (code -32602): {"known":["add"]}'

    async def test_what_is_no_answer_is_passed_over(self) -> None:
        assert await call(stdio("chatty"), tool("add", a=1, b=1))

    async def test_the_server_may_ping_but_nothing_else(self) -> None:
        said = await call(stdio(), tool("ask"))
        assert said["ping"] == {"jsonrpc": "2.0", "id": "p", "result": {}}
        assert said["sampling"]["error"]["code"] == -32601

    async def test_the_environment_is_clean(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_OF_THE_NODE", "x")
        found = await call(stdio(TOKEN="t"), tool("environment"))
        assert found["TOKEN"] == "t"
        assert found["FLUNQ_KEY"] == "execution-1:/do/0/step"
        assert "SECRET_OF_THE_NODE" not in found

    async def test_a_server_that_dies_is_a_communication_error(self) -> None:
        error = await fails(stdio("dying"), tool("add", a=1, b=1))
        assert (error.type, error.title) == (ERRORS + "communication", "The MCP server ended")
        assert error.detail is not None
        assert "exit code 3" in error.detail
        assert "cannot go on" in error.detail

    async def test_a_version_that_nobody_knows_is_refused(self) -> None:
        error = await fails(stdio("old"), tool("add", a=1, b=1))
        assert error.title == "No common version of the protocol"
        assert "1999-01-01" in str(error.detail)

    async def test_a_version_can_be_asked_for(self) -> None:
        assert await call(stdio(), tool("add", a=1, b=1), protocolVersion="2024-11-05")

    @pytest.mark.parametrize("character", ["silent", "stubborn"])
    async def test_a_server_that_takes_too_long_is_killed(self, character: str) -> None:
        transport = stdio("silent")
        transport["stdio"]["arguments"].append(character)
        error = await fails(transport, tool("add"), timeout={"milliseconds": 300})
        assert (error.type, error.status) == (ERRORS + "timeout", 408)

    async def test_nothing_that_a_server_started_is_left(self) -> None:
        pid = (await call(stdio(), tool("child")))["pid"]
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    async def test_what_a_server_writes_has_a_limit(self) -> None:
        context = ExecutorContext(msgspec.structs.replace(LOCAL, max_body=10_000))
        arguments = {
            "method": "tools/call", "transport": stdio(),
            "parameters": tool("large", size=20_000),
        }  # fmt: skip
        with pytest.raises(TaskError, match="more than 10000 bytes"):
            await run_executor(McpExecutor(), arguments, context=context)

    async def test_a_long_line_comes_through(self) -> None:
        found = await call(stdio(), tool("large", size=1_000_000))
        assert len(found["text"]) == 1_000_000

    async def test_a_program_that_is_not_there_is_an_error(self) -> None:
        error = await fails({"stdio": {"command": "no-such-server"}}, tool("add"))
        assert error.type == ERRORS + "configuration"

    async def test_programs_can_be_forbidden(self) -> None:
        context = ExecutorContext(msgspec.structs.replace(LOCAL, programs=False))
        arguments = {"method": "tools/list", "transport": stdio()}
        with pytest.raises(TaskError) as caught:
            await run_executor(McpExecutor(), arguments, context=context)
        assert caught.value.type == ERRORS + "authorization"


class McpServer:
    """A server over HTTP: answers by the method, remembers the headers."""

    def __init__(self, stub: HttpStub) -> None:
        self.stub = stub
        self.results: dict[str, Callable[[Any], Answer]] = {}
        self.url = stub.answer("/mcp", self._answer)

    @property
    def heard(self) -> list[tuple[str, str]]:
        """HTTP method and JSON-RPC method of every request."""
        return [
            (request.method, request.json().get("method", "answer") if request.body else "")
            for request in self.stub.requests
        ]

    def _answer(self, request: Request) -> Answer:
        if request.method == "DELETE":
            return Answer(204)
        message = request.json()
        method = message.get("method")
        if method in self.results:
            return self.results[method](message)
        if method == "initialize":
            result = {"protocolVersion": "2025-03-26", "capabilities": {}, "serverInfo": {}}
            return Answer(json=said(message, result), headers={"mcp-session-id": "s-1"})
        return Answer(202) if "id" not in message or "result" in message else Answer(404)


def said(message: Any, result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def events(*messages: Any) -> Answer:
    chunks = tuple(
        b"event: message\ndata: " + msgspec.json.encode(message) + b"\n\n" for message in messages
    )
    return Answer(headers={"content-type": "text/event-stream"}, chunks=chunks)


@pytest.fixture
async def server() -> AsyncIterator[McpServer]:
    async with HttpStub() as stub:
        yield McpServer(stub)


class TestHttp:
    async def test_a_session_begins_and_ends(self, server: McpServer) -> None:
        server.results["tools/list"] = lambda m: Answer(json=said(m, {"tools": []}))
        transport = {"http": {"endpoint": server.url, "headers": {"X-Team": "a"}}}
        assert await call(transport, method="tools/list") == {"tools": []}
        assert server.heard == [
            ("POST", "initialize"),
            ("POST", "notifications/initialized"),
            ("POST", "tools/list"),
            ("DELETE", ""),
        ]
        first, *others = server.stub.requests
        assert "mcp-session-id" not in first.headers
        assert {r.headers["mcp-session-id"] for r in others} == {"s-1"}
        assert {r.headers["mcp-protocol-version"] for r in others} == {"2025-03-26"}
        assert {r.headers["x-team"] for r in server.stub.requests} == {"a"}
        assert first.headers["accept"] == "application/json, text/event-stream"

    async def test_the_client_introduces_itself(self, server: McpServer) -> None:
        server.results["tools/list"] = lambda m: Answer(json=said(m, {}))
        transport = {"http": {"endpoint": server.url}}
        await call(transport, method="tools/list", client={"name": "me", "version": "7"})
        offered = server.stub.requests[0].json()["params"]
        assert offered["clientInfo"] == {"name": "me", "version": "7"}
        assert offered["protocolVersion"] == "2025-06-18"

    async def test_an_answer_may_be_a_stream(self, server: McpServer) -> None:
        ping = {"jsonrpc": "2.0", "id": 9, "method": "ping"}
        note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}
        server.results["tools/call"] = lambda m: events(note, ping, said(m, {"content": []}))
        assert await call({"http": {"endpoint": server.url}}, tool("x")) == {"content": []}
        answered = [r.json() for r in server.stub.requests if r.body and "result" in r.json()]
        assert answered == [{"jsonrpc": "2.0", "id": 9, "result": {}}]

    async def test_a_stream_without_an_answer_is_a_communication_error(
        self, server: McpServer
    ) -> None:
        server.results["tools/call"] = lambda m: events({"jsonrpc": "2.0", "method": "x"})
        error = await fails({"http": {"endpoint": server.url}}, tool("x"))
        assert (error.type, error.status) == (ERRORS + "communication", 502)

    async def test_an_error_is_a_runtime_error(self, server: McpServer) -> None:
        refused = {"code": -32602, "message": "no such tool"}
        server.results["tools/call"] = lambda m: Answer(
            400, json={"jsonrpc": "2.0", "id": m["id"], "error": refused}
        )
        error = await fails({"http": {"endpoint": server.url}}, tool("x"))
        assert (error.type, error.detail) == (
            ERRORS + "runtime",
            "tools/call: no such tool (code -32602)",
        )

    @pytest.mark.parametrize("status", [401, 404, 500])
    async def test_a_refusal_has_its_status(self, server: McpServer, status: int) -> None:
        server.results["initialize"] = lambda m: Answer(status, body=b"go away")
        error = await fails({"http": {"endpoint": server.url}}, tool("x"))
        assert (error.type, error.status) == (ERRORS + "communication", status)
        assert "go away" in str(error.detail)

    async def test_credentials_go_with_every_request(self, server: McpServer) -> None:
        server.results["tools/list"] = lambda m: Answer(json=said(m, {}))
        endpoint = {"uri": server.url, "authentication": {"bearer": {"token": "t-1"}}}
        await call({"http": {"endpoint": endpoint}}, method="tools/list")
        found = {request.headers["authorization"] for request in server.stub.requests}
        assert found == {"Bearer t-1"}

    async def test_a_server_that_does_not_answer_is_given_up(self, server: McpServer) -> None:
        server.results["tools/list"] = lambda m: Answer(drip=True, body=b"xx")
        call_ = make_call(
            {"method": "tools/list", "transport": {"http": {"endpoint": server.url}}},
            kind="mcp", deadline=int((time.time() + 0.3) * 1_000_000),
        )  # fmt: skip
        with pytest.raises(TaskError) as caught:
            await McpExecutor().execute(call_, TaskContext(make_context()))
        assert caught.value.type == ERRORS + "timeout"

    async def test_a_server_out_of_reach_is_a_communication_error(self) -> None:
        error = await fails({"http": {"endpoint": "http://127.0.0.1:1/mcp"}}, tool("x"))
        assert (error.type, error.status) == (ERRORS + "communication", 503)


@pytest.mark.parametrize(
    "arguments",
    [
        {"method": "tools/list", "transport": {}},
        {"method": "tools/list", "transport": {"http": {}}},
        {"method": "tools/list", "transport": {"http": {"endpoint": "http://a"}, "stdio": {}}},
        {"method": "tools/list", "transport": {"stdio": {"arguments": []}}},
        {"method": "tools/burn", "transport": stdio()},
        {"method": "tools/list", "parameters": "x", "transport": stdio()},
        {"method": "tools/list", "timeout": "soon", "transport": stdio()},
        {"transport": stdio()},
        "text",
    ],
)
async def test_arguments_that_make_no_sense_are_refused(arguments: Any) -> None:
    with pytest.raises(TaskError) as caught:
        await run_executor(McpExecutor(), arguments)
    assert (caught.value.type, caught.value.status) == (ERRORS + "validation", 400)
