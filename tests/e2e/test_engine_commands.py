"""The commands that talk to a cluster, on a real one."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import BOOM, DOUBLE, HELLO, PAUSE, interrupted, running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as flunq:
        brief = HELLO.replace("name: hello", "name: brief")
        texts = {"hello": HELLO, "pause": PAUSE, "boom": BOOM, "double": DOUBLE, "brief": brief}
        for name, content in texts.items():
            (flunq.home / f"{name}.yaml").write_text(content)
        applied = flunq("apply", *(f"{name}.yaml" for name in texts), "-o", "json")
        assert {row["result"] for row in applied.json} == {"created"}, applied.err
        yield flunq


def test_registering_again_changes_nothing(cluster: Flunq) -> None:
    shown = cluster("apply", "hello.yaml")
    assert (shown.code, shown.out) == (0, "tests/hello:1.0.0 unchanged\n")


def test_a_version_never_changes(cluster: Flunq) -> None:
    (cluster.home / "other.yaml").write_text(HELLO.replace("Hello, ", "Bye, "))
    for command in (["apply", "other.yaml"], ["run", "other.yaml"]):
        shown = cluster(*command)
        assert shown.code == 3
        assert "raise document.version" in shown.err


def test_a_dry_run_registers_nothing(cluster: Flunq) -> None:
    (cluster.home / "newer.yaml").write_text(HELLO.replace("1.0.0", "9.0.0"))
    shown = cluster("apply", "newer.yaml", "--dry-run")
    assert shown.out == "tests/hello:9.0.0 would be created\n"
    assert cluster("workflows", "get", "hello:9.0.0").code == 4


def test_one_bad_document_stops_all(cluster: Flunq) -> None:
    (cluster.home / "bad.yaml").write_text(HELLO.replace("set:", "sat:"))
    (cluster.home / "fine.yaml").write_text(HELLO.replace("name: hello", "name: fine"))
    shown = cluster("apply", "fine.yaml", "bad.yaml")
    assert shown.code == 3
    assert "bad.yaml:4:7:" in shown.err
    assert cluster("workflows", "get", "fine").code == 4


def test_a_document_comes_back_as_it_was_written(cluster: Flunq) -> None:
    assert cluster("workflows", "get", "hello", "-o", "yaml").out == HELLO
    listed = cluster("workflows", "list", "-o", "json").json
    assert {"double", "hello", "pause"} <= {each["name"] for each in listed}


def test_a_workflow_can_be_unregistered(cluster: Flunq) -> None:
    (cluster.home / "gone.yaml").write_text(HELLO.replace("name: hello", "name: gone"))
    assert cluster("apply", "gone.yaml").code == 0
    assert cluster("workflows", "delete", "gone").code == 2
    assert cluster("workflows", "delete", "gone", "--yes").code == 0
    assert cluster("start", "gone").code == 4


def test_start_prints_the_id_and_result_the_output(cluster: Flunq) -> None:
    started = cluster("start", "hello", "-i", '{"name": "Ada"}', "-o", "json")
    assert started.code == 0
    shown = cluster("result", started.json["id"])
    assert (shown.code, shown.json) == (0, {"greeting": "Hello, Ada"})


def test_a_start_can_wait(cluster: Flunq) -> None:
    shown = cluster("start", "double", "-i", '{"n": 4}', "--wait", "-o", "json")
    assert (shown.json["status"], shown.json["output"]) == ("completed", 8)
    failed = cluster("start", "boom", "--wait")
    assert failed.code == 1
    assert "Teapot" in failed.err


def test_how_an_execution_failed_is_told_alike_by_whoever_waits(cluster: Flunq) -> None:
    said = [
        cluster("start", "boom", "--wait", "--id", "b-1").err,
        cluster("result", "b-1").err,
        cluster("retry", "b-1", "--wait").err,
        cluster("run", "boom.yaml", "--id", "b-2").err.replace("b-2", "b-1"),
    ]
    told = {tuple(line for line in each.splitlines() if line[:5] != "hint:") for each in said[:3]}
    (lines,) = told
    assert [line.split()[0] for line in lines] == ["error:", "type", "instance"]
    assert said[3].splitlines()[:3] == list(lines)


def test_the_same_id_is_the_same_start_or_a_conflict(cluster: Flunq) -> None:
    first = cluster("start", "hello", "--id", "same", "-i", "{}")
    again = cluster("start", "hello", "--id", "same", "-i", "{}", "-o", "json")
    other = cluster("start", "hello", "--id", "same", "-i", '{"name": "x"}', "-o", "json")
    assert (first.code, first.out) == (0, "same\n")
    assert (again.code, again.json["created"]) == (0, False)
    assert (other.code, other.json["status"]) == (3, 409)


def test_run_uses_the_cluster_and_its_functions(cluster: Flunq) -> None:
    shown = cluster("run", "double.yaml", "-i", '{"n": 5}', "--id", "run-on-cluster")
    assert (shown.code, shown.json) == (0, 10)
    assert cluster("get", "run-on-cluster", "-o", "json").json["status"] == "completed"


def test_run_can_detach(cluster: Flunq) -> None:
    shown = cluster("run", "pause.yaml", "--detach", "--id", "detached")
    assert (shown.code, shown.out) == (0, "detached\n")
    assert cluster("cancel", "detached").code == 0


def test_get_tells_what_an_execution_waits_for(cluster: Flunq) -> None:
    cluster("start", "pause", "--id", "waiting-1", "--tag", "team=blue")
    shown = cluster("get", "waiting", "-o", "json").json
    assert (shown["id"], shown["status"]) == ("waiting-1", "waiting")
    assert shown["tags"] == {"team": "blue"}
    assert shown["waiting"][0]["for"] == "timer"
    assert cluster("get", "waiting-1").out.splitlines()[0].split() == ["id", "waiting-1"]


def test_a_beginning_that_fits_several_is_refused(cluster: Flunq) -> None:
    for name in ("twin-a", "twin-b"):
        cluster("start", "hello", "--id", name)
    shown = cluster("get", "twin-")
    assert shown.code == 2
    assert "twin-a" in shown.err


def test_list_filters_and_tells_when_there_are_more(cluster: Flunq) -> None:
    for number in range(3):
        cluster("start", "boom", "--id", f"boom-{number}")
        cluster("wait", f"boom-{number}")
    shown = cluster("list", "--status", "faulted", "-n", "2", "-o", "json")
    assert [row["id"] for row in shown.json] == ["boom-2", "boom-1"]
    assert "-n 0 for all" in shown.err
    assert cluster("list", "--workflow", "nothing", "-o", "json").json == []
    table = cluster("list", "--workflow", "boom").out.splitlines()
    assert table[0].split() == ["ID", "WORKFLOW", "STATUS", "STARTED", "DURATION", "TAGS"]
    assert cluster("list", "--status", "nonsense").code == 2


def test_history_is_every_event_in_order(cluster: Flunq) -> None:
    cluster("start", "hello", "--id", "told", "--wait")
    shown = cluster("history", "told", "-o", "jsonl")
    events = [json.loads(line) for line in shown.out.splitlines()]
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5]
    assert {event["subject"] for event in events} == {"told"}
    assert cluster("history", "told").out.splitlines()[-1].split()[2] == "workflow.completed"
    assert cluster("history", "told", "-f", "-o", "jsonl").out == shown.out


def test_suspend_resume_cancel_and_delete(cluster: Flunq) -> None:
    cluster("start", "pause", "--id", "steered")
    assert cluster("suspend", "steered").out == "steered suspended\n"
    assert cluster("resume", "steered").out == "steered waiting\n"
    cancelled = cluster("cancel", "steered", "--reason", "enough", "-o", "json")
    assert cancelled.json == {"id": "steered", "status": "cancelled"}
    assert cluster("result", "steered").code == 1
    assert cluster("delete", "steered").code == 2
    assert cluster("delete", "steered", "--yes").code == 0
    assert cluster("get", "steered").code == 4


def test_what_ends_as_it_is_resumed_is_told_so(cluster: Flunq) -> None:
    cluster("workflows", "pause", "brief", "--reason", "to look at it")
    cluster("start", "brief", "--id", "brief-1")
    shown = cluster("get", "brief-1", "-o", "json").json
    assert shown["reason"] == "workflow tests/brief is paused: to look at it"
    assert shown["suspended_at"] >= shown["started_at"]
    lines = dict(line.split(maxsplit=1) for line in cluster("get", "brief-1").out.splitlines())
    assert (lines["reason"], "suspended" in lines) == (shown["reason"], True)
    assert cluster("resume", "brief-1").out == "brief-1 completed\n"
    assert cluster("get", "brief-1", "-o", "json").json["suspended_at"] is None
    assert cluster("resume", "brief-1").code == 3


def test_what_has_ended_cannot_be_steered(cluster: Flunq) -> None:
    cluster("start", "hello", "--id", "over", "--wait")
    for command in ("cancel", "suspend", "resume"):
        shown = cluster(command, "over")
        assert (shown.code, shown.out) == (3, "")
        assert "completed already" in shown.err


def test_several_are_all_tried(cluster: Flunq) -> None:
    cluster("start", "pause", "--id", "one-of-two")
    shown = cluster("cancel", "missing", "one-of-two")
    assert shown.code == 4
    assert shown.out == "one-of-two cancelled\n"


def test_waiting_ends_with_the_status_or_the_time(cluster: Flunq) -> None:
    cluster("start", "pause", "--id", "waited")
    assert cluster("wait", "waited", "--timeout", "100ms").code == 5
    assert cluster("wait", "waited", "--for", "status=waiting").out == "waiting\n"
    cluster("cancel", "waited")
    assert cluster("wait", "waited").out == "cancelled\n"
    assert cluster("wait", "waited", "--for", "completed").code == 1


def test_ctrl_c_leaves_the_execution_running(cluster: Flunq) -> None:
    stopped = interrupted(cluster, "run", "pause.yaml", "--id", "goes-on", after="pause until")
    assert stopped.code == 130
    assert "goes-on goes on" in stopped.out
    assert cluster("get", "goes-on", "-o", "json").json["status"] == "waiting"
    cluster("cancel", "goes-on")


def test_tail_of_one_execution_ends_with_it(cluster: Flunq) -> None:
    cluster("start", "hello", "--id", "tailed", "--wait")
    lines = cluster("tail", "tailed", "-o", "jsonl", "--type", "workflow").out.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 5]


def test_tail_of_all_shows_what_happens_from_now_on(cluster: Flunq) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "flunq", "tail", "-o", "jsonl", "--status", "completed"],
        stdout=subprocess.PIPE,
        env=cluster.environment(),
    ) as tail:
        assert tail.stdout is not None
        for attempt in range(50):
            cluster("start", "hello", "--id", f"seen-{attempt}")
            if select.select([tail.stdout], [], [], 0)[0]:
                break
        event = json.loads(tail.stdout.readline())
        tail.send_signal(signal.SIGINT)
        assert tail.wait(30) == 0
    assert event["subject"].startswith("seen-")
    assert event["type"].endswith(".completed.v1")


def test_ctrl_c_ends_a_tail_with_zero(cluster: Flunq) -> None:
    cluster("start", "pause", "--id", "tail-me")
    stopped = interrupted(cluster, "tail", "tail-me", after="task.started")
    assert stopped.code == 0
    cluster("cancel", "tail-me")


def test_emit_prints_the_id(cluster: Flunq) -> None:
    shown = cluster("emit", "com.example.paid", "--id", "e-1", "--data", '{"n": 1}')
    assert (shown.code, shown.out) == (0, "e-1\n")
    lines = '{"type": "a.b", "id": "1"}\n{"type": "a.b", "id": "2"}\n'
    assert cluster("emit", "-", stdin=lines).out == "1\n2\n"
    assert cluster("emit", "io.flunq.commit").code == 3


def test_nobody_there_names_address_and_context(flunq: Flunq) -> None:
    added = flunq("context", "add", "away", "--nats-url", "nats://127.0.0.1:1")
    assert added.code == 0, added.err
    shown = flunq("list", "-c", "away", "-o", "json")
    assert shown.code == 6
    assert "nats://127.0.0.1:1, context away" in shown.json["where"]
    assert "flunq up" in shown.json["hint"]
    assert flunq("get", "x").code == 6
