"""``flunq mcp`` as an agent uses it: over pipes, on a cluster that runs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.agents import Agent
from tests.support.cluster import BOOM, PAUSE, running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

LOOKING = {"list_executions", "get_execution", "get_history", "why", "sql"}
LOOKING |= {"list_workflows", "get_workflow"}
ADD = """\
document:
  {dsl: 1.0.3, namespace: tests, name: add, version: 1.0.0, title: Add, summary: Adds two numbers.}
input:
  schema:
    document:
      type: object
      required: [a, b]
      properties: {a: {type: number}, b: {type: number}}
do:
  - sum: {set: {sum: '${ .a + .b }'}}
"""
CALLING = """\
document: {dsl: 1.0.3, namespace: tests, name: calling, version: 1.0.0}
do:
  - ask:
      call: mcp
      with:
        method: tools/call
        parameters: {name: add, arguments: {a: 20, b: 22}}
        transport:
          stdio:
            command: %s
            arguments: [-m, flunq, mcp, --tools, add]
            environment: %s
      output: {as: '${ .structuredContent.output }'}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    with running_cluster(tmp_path_factory.mktemp("mcp")) as flunq:
        for name, text in (("add", ADD), ("boom", BOOM), ("pause", PAUSE)):
            path = flunq.home / f"{name}.yaml"
            path.write_text(text)
            assert flunq("apply", str(path)).code == 0
        yield flunq


def test_an_agent_can_only_look_unless_it_was_allowed_more(cluster: Flunq) -> None:
    with Agent(cluster) as agent:
        assert agent.initialized["protocolVersion"] == "2025-06-18"
        tools = agent.ask("tools/list")["tools"]
        assert {tool["name"] for tool in tools} == LOOKING
        assert all(tool["annotations"]["readOnlyHint"] for tool in tools)
        assert "no tool start_execution" in agent.call("start_execution")["message"]
        assert "no tool add" in agent.call("add", a=1, b=2)["message"]
    assert agent.code == 0


def test_a_tool_that_is_not_there_is_an_error_that_names_those_that_are(cluster: Flunq) -> None:
    refused = cluster("mcp", "--tools", "add,none", stdin="")
    assert (refused.code, refused.out) == (2, "")
    assert "there is no workflow none" in refused.err
    assert "tests/add, tests/boom" in refused.err


def test_a_workflow_is_a_tool_with_the_arguments_of_its_input(cluster: Flunq) -> None:
    with Agent(cluster, "--tools", "add,boom") as agent:
        tools = {tool["name"]: tool for tool in agent.ask("tools/list")["tools"]}
        assert set(tools) == LOOKING | {"add", "boom"}
        assert tools["add"]["inputSchema"]["required"] == ["a", "b"]
        assert tools["add"]["description"].startswith("Add\nAdds two numbers.")
        done = agent.found("add", a=1, b=2)
        assert (done["status"], done["output"]) == ("completed", {"sum": 3})
        failed = agent.call("boom")
        assert (failed["isError"], failed["structuredContent"]["error"]["status"]) == (True, 418)
        refused = agent.call("add", a="one")
        assert refused["isError"]


def test_a_call_that_lasts_too_long_gives_the_id_and_tells_how_far_it_is(cluster: Flunq) -> None:
    with Agent(cluster, "--tools", "all", "--wait", "500ms") as agent:
        meta = {"progressToken": "t"}
        left = agent.ask("tools/call", name="pause", arguments={}, _meta=meta)["structuredContent"]
        assert left["status"] == "running"
        assert agent.found("get_execution", id=left["execution"])["status"] == "waiting"
        assert agent.notifications[0]["params"]["progressToken"] == "t"
        waits = agent.found("why", id=left["execution"])
        assert waits["causes"]
        uri = f"flunq://executions/{left['execution']}/history"
        contents = agent.ask("resources/read", uri=uri)["contents"]
    assert json.loads(contents[0]["text"])[0]["seq"] == 1


def test_history_is_asked_in_sql_and_never_written(cluster: Flunq) -> None:
    with Agent(cluster) as agent:
        assert agent.found("sql", query="select $n + 1 as n", parameters={"n": 41})["rows"] == [
            {"n": 42}
        ]
        assert "executions" in agent.found("sql")["tables"]
        for query in ("create table x (a int)", "select * from read_csv('/etc/passwd')"):
            assert agent.call("sql", query=query)["isError"]
        assert "unknown field" in agent.call("sql", question="?")["content"][0]["text"]


def test_an_agent_that_may_write_starts_and_steers(cluster: Flunq) -> None:
    with Agent(cluster, "--allow-writes") as agent:
        started = agent.found("start_execution", workflow="pause", id="mcp-pause")
        assert started["created"]
        assert agent.found("cancel_execution", id="mcp-pause")["status"] == "cancelled"
        document = ADD.replace("name: add", "name: added")
        assert agent.found("apply_workflow", document=document)["name"] == "added"
        assert agent.found("emit_event", type="com.example.ping")["sequences"]
        listed = agent.found("list_executions", status=["cancelled"])["executions"]
        assert [each["id"] for each in listed] == ["mcp-pause"]


def test_nonsense_is_refused_and_the_session_goes_on(cluster: Flunq) -> None:
    with Agent(cluster) as agent:
        for line, code in ((b"{nonsense", -32700), (b"[]", -32600), (b'{"id": 7}', -32600)):
            agent.write(line)
            assert agent.read()["error"]["code"] == code
        assert agent.ask("tools/none")["code"] == -32601
        assert agent.ask("tools/call", name=7)["code"] == -32602
        assert agent.ask("resources/read", uri="file:///etc/passwd")["code"] == -32002
        cancel = {"method": "notifications/cancelled", "params": {"requestId": [1]}}
        agent.write({"jsonrpc": "2.0", **cancel})
        assert agent.ask("ping") == {}


def test_a_workflow_uses_another_as_a_tool(cluster: Flunq) -> None:
    wanted = ("FLUNQ_CONFIG_DIR", "FLUNQ_DATA")
    known = {name: value for name, value in cluster.environment().items() if name in wanted}
    path = cluster.home / "calling.yaml"
    path.write_text(CALLING % (json.dumps(sys.executable), json.dumps(known)))
    assert cluster("apply", str(path)).code == 0
    ran = cluster("start", "calling", "--id", "calling-1")
    assert ran.code == 0
    result = cluster("result", "calling-1", "-o", "json")
    assert result.json["output"] == {"sum": 42}, result.err


BLOCKING = """
import flunq
with flunq.connect_blocking() as client:
    runs = client.start_many("add", [{"a": n, "b": 1} for n in range(5)])
    assert [run.result(timeout=20)["sum"] for run in runs] == [1, 2, 3, 4, 5]
    events = list(client.history(runs[0].id))
    assert events[0].seq == 1 and len(events) == events[-1].seq, events
    assert [event.seq for event in client.follow(runs[0].id)] == [e.seq for e in events]
    client.start("pause", {}, id="blocked")
    outcomes = client.each("cancel", ["blocked", "nobody"], reason="enough")
    assert [each.result for each in outcomes] == ["done", "failed"], outcomes
    answer = client.sql("select count(*) as n from executions where workflow = $w", {"w": "pause"})
    assert answer.rows()[0]["n"] >= 1
    assert client.dead_letters.list() == [] and client.schedules.list() == []
    assert client.tenants.nodes()
    print("done")
"""


def test_a_program_without_an_event_loop_has_every_call(cluster: Flunq) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKING],
        env=cluster.environment(),
        cwd=cluster.home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
