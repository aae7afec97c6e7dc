"""``call: a2a`` and ``call: mcp`` in workflows that run for real."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.http_stub import Answer, HttpStub

if TYPE_CHECKING:
    from tests.support.cli import Flunq, Outcome

SERVER = str(Path(__file__).parents[1] / "support" / "mcp_server.py")
EXAMPLES = Path(__file__).parents[2] / "examples"
HEADER = {"dsl": "1.0.3", "namespace": "tests", "name": "agents", "version": "1.0.0"}


async def run(flunq: Flunq, folder: Path, tasks: list[Any], given: Any) -> Outcome:
    document = folder / "agents.json"
    document.write_text(json.dumps({"document": HEADER, "do": tasks}))
    arguments = ("run", "agents.json", "-o", "json", "-i", json.dumps(given))
    return await asyncio.to_thread(flunq, *arguments)


async def test_an_agent_is_found_by_its_card_and_asked_again(flunq: Flunq, tmp_path: Path) -> None:
    async with HttpStub() as stub:
        card = stub.answer("/card.json", Answer(json={"url": "/rpc"}))
        stub.answer(
            "/rpc", Answer(503), Answer(json={"jsonrpc": "2.0", "id": "1", "result": {"n": 1}})
        )
        message = {"message": {"parts": [{"kind": "text", "text": "${ .text }"}]}}
        call = {
            "call": "a2a",
            "with": {
                "method": "message/send", "agentCard": {"endpoint": card}, "parameters": message,
            },
        }  # fmt: skip
        retry = {"retry": {"limit": {"attempt": {"count": 1}}}}
        ran = await run(
            flunq, tmp_path, [{"ask": {"try": [{"send": call}], "catch": retry}}], {"text": "hi"}
        )
        sent = [request.json() for request in stub.requests if request.path == "/rpc"]
    assert ran.json["output"] == {"n": 1}
    assert sent[0]["params"]["message"]["parts"] == [{"kind": "text", "text": "hi"}]
    assert sent[0] == sent[1], "an attempt repeats the message of the one before"


async def test_a_tool_of_a_local_server_is_used(flunq: Flunq, tmp_path: Path) -> None:
    arguments = {"a": "${ .a }", "b": 2}
    program = {"command": sys.executable, "arguments": ["-I", SERVER]}
    call = {
        "call": "mcp",
        "with": {
            "method": "tools/call",
            "parameters": {"name": "add", "arguments": arguments},
            "transport": {"stdio": program},
        },
        "output": {"as": "${ .content[0].text | tonumber }"},
    }
    ran = await run(flunq, tmp_path, [{"add": call}], {"a": 40})
    assert ran.json["output"] == 42, ran.err


async def test_the_agent_of_the_example_writes_its_report(flunq: Flunq) -> None:
    async with HttpStub() as stub:
        card = stub.answer("/card.json", Answer(json={"url": "/rpc"}))
        parts = [{"kind": "text", "text": "Sales went up."}]
        task = {"kind": "task", "artifacts": [{"parts": parts}]}
        answered = {"jsonrpc": "2.0", "id": "1", "result": task}
        stub.answer("/rpc", Answer(hang_up=True), Answer(json=answered))
        given = json.dumps({"card": card, "quarter": "Q1"})
        document = str(EXAMPLES / "agent-report.yaml")
        ran = await asyncio.to_thread(flunq, "run", document, "-i", given, "-o", "json")
        asked = stub.requests[-1].json()["params"]["message"]["parts"][0]["text"]
    assert ran.json["output"] == {"report": "Sales went up."}, ran.err
    assert asked == "Write the sales report of Q1."


def test_the_tool_of_the_example_counts(flunq: Flunq) -> None:
    given = json.dumps({"server": str(EXAMPLES / "tools_server.py"), "text": "a b a"})
    ran = flunq("run", str(EXAMPLES / "tools.yaml"), "-i", given, "-o", "json")
    assert ran.json["output"] == {"a": 2, "b": 1}, ran.err
