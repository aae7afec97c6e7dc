"""Going back: retry, rewind, fork and migrate, as they are typed on a real cluster."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

pytestmark = pytest.mark.timeout(120)

STEPS = """
import pathlib

import flunq


@flunq.function("double")
async def double(n: int) -> int:
    return 2 * n


@flunq.function("note")
async def note(who: str) -> str:
    with pathlib.Path(f"{who}.log").open("a") as log:
        log.write("x")
    return who


@flunq.function("open-gate")
async def open_gate(gate: str) -> str:
    if not pathlib.Path(gate).exists():
        raise RuntimeError("the gate is shut")
    return gate
"""
GATE = """\
document: {dsl: 1.0.3, namespace: tests, name: gate, version: 1.0.0}
do:
  - before: {call: note, with: {who: "${ .gate + \\"-before\\" }"}}
  - pass: {call: open-gate, with: {gate: "${ $workflow.input.gate }"}}
  - after: {call: note, with: {who: "${ $workflow.input.gate + \\"-after\\" }"}}
"""
REST = """\
document: {dsl: 1.0.3, namespace: tests, name: rest, version: 1.0.0}
do:
  - first: {set: {n: "${ .n }"}}
  - twice: {call: double, with: {n: "${ .n }"}}
  - rest: {wait: {hours: 1}}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    home = tmp_path_factory.mktemp("control")
    with running_cluster(home, functions=STEPS) as flunq:
        (home / "gate.yaml").write_text(GATE)
        (home / "rest.yaml").write_text(REST)
        applied = flunq("apply", "gate.yaml", "rest.yaml")
        assert applied.code == 0, applied.err
        yield flunq


def shut(cluster: Flunq, gate: str) -> None:
    """Run an execution into a gate that is shut."""
    failed = cluster("start", "gate", "--id", gate, "-i", json.dumps({"gate": gate}), "--wait")
    assert failed.code == 1


def runs(cluster: Flunq, gate: str) -> tuple[int, int]:
    """Return how often the steps before and after the gate ran."""
    logs = [cluster.home / f"{gate}-{part}.log" for part in ("before", "after")]
    before, after = (len(log.read_text()) if log.exists() else 0 for log in logs)
    return before, after


def test_a_retry_runs_only_what_failed(cluster: Flunq) -> None:
    shut(cluster, "g1")
    again = cluster("retry", "g1", "--wait")
    assert (again.code, runs(cluster, "g1")) == (1, (1, 0))
    (cluster.home / "g1").touch()
    done = cluster("retry", "g1", "--wait", "--reason", "opened")
    assert (done.code, done.json) == (0, "g1-after")
    assert runs(cluster, "g1") == (1, 1)
    assert cluster("retry", "g1").code == 3


def test_sql_tells_the_newest_fate(cluster: Flunq) -> None:
    shut(cluster, "g2")
    (cluster.home / "g2").touch()
    assert cluster("retry", "g2", "--wait").code == 0
    query = "select status, error_type, output from executions where id = 'g2'"
    (row,) = cluster("sql", query, "-o", "json").json
    assert (row["status"], row["error_type"]) == ("completed", None)
    tasks = "select name, status from tasks where execution_id = 'g2' order by step"
    assert [tuple(each.values()) for each in cluster("sql", tasks, "-o", "json").json] == [
        ("before", "completed"),
        ("pass", "faulted"),
        ("pass", "completed"),
        ("after", "completed"),
    ]


def test_a_retry_takes_another_input(cluster: Flunq) -> None:
    shut(cluster, "g3")
    assert cluster("retry", "g3", "-i", "{not json").code == 3
    edited = cluster("retry", "g3", "-i", '{"x": 1}', "-o", "json")
    assert edited.code == 0
    cluster("wait", "g3")
    events = cluster("history", "g3", "-o", "json").json
    (retried,) = (each for each in events if each["type"] == "io.flunq.execution.retried")
    assert (retried["data"]["input"], retried["data"]["task"]) == ({"x": 1}, "/do/1/pass")


def test_many_are_retried_at_once(cluster: Flunq) -> None:
    for number in range(3):
        shut(cluster, f"many{number}")
        (cluster.home / f"many{number}").touch()
    where = ["--where", "id like 'many%'"]
    assert cluster("retry", *where, "--dry-run").out.count("many") == 3
    done = cluster("retry", *where, "--yes", "-o", "json")
    assert (done.json["done"], done.json["failed"]) == (3, 0)
    assert cluster("wait", "many2", "--for", "status=completed").code == 0


def test_a_retry_survives_a_killed_node(cluster: Flunq) -> None:
    shut(cluster, "g4")
    (cluster.home / "g4").touch()
    assert cluster("retry", "g4").code == 0
    services = cluster("status", "-o", "json").json["services"]
    (pid,) = (each["pid"] for each in services if each["name"].startswith("node"))
    os.kill(pid, signal.SIGKILL)
    assert cluster("wait", "g4", "--for", "status=completed", "--timeout", "60s").code == 0
    numbers = [each["seq"] for each in cluster("history", "g4", "-o", "json").json]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_rewind_needs_a_suspension_and_does_things_again(cluster: Flunq) -> None:
    cluster("start", "rest", "--id", "r1", "-i", '{"n": 2}')
    assert cluster("wait", "r1", "--for", "status=waiting").code == 0
    refused = cluster("rewind", "r1", "--to", "twice")
    assert (refused.code, "flunq suspend r1" in refused.err) == (3, True)
    cluster("suspend", "r1")
    assert cluster("rewind", "r1", "--to", "twice").out == "r1 suspended\n"
    status = cluster("sql", "select status from executions where id = 'r1'", "-o", "json").json
    assert status == [{"status": "suspended"}]
    cluster("resume", "r1")
    assert cluster("wait", "r1", "--for", "status=waiting").code == 0
    types = [each["type"] for each in cluster("history", "r1", "-o", "json").json]
    assert types.count("io.serverlessworkflow.task.completed.v1") == 3
    assert cluster("rewind", "r1", "--to", "nowhere").code == 4


def test_a_fork_takes_another_way(cluster: Flunq) -> None:
    shut(cluster, "g5")
    (cluster.home / "g5").touch()
    forked = cluster("fork", "g5", "--at", "pass", "--id", "g5b", "--wait")
    assert (forked.code, forked.json) == (0, "g5-after")
    assert runs(cluster, "g5") == (1, 1)
    assert cluster("get", "g5", "-o", "json").json["status"] == "faulted"
    other = cluster("fork", "g5", "-i", '{"gate": "none"}', "--id", "g5c", "--wait")
    assert (other.code, runs(cluster, "none")) == (1, (1, 0))


def test_a_fork_is_tried_first(cluster: Flunq) -> None:
    shut(cluster, "g6")
    same = cluster("fork", "g6", "--sandbox")
    assert (same.code, same.out) == (0, "no task differs\n"), same.err
    edited = cluster("fork", "g6", "--sandbox", "-i", '{"gate": "g6x"}', "-o", "json")
    assert (edited.code, edited.json["differs"]) == (1, True)
    assert [each["task"] for each in edited.json["changed"]] == ["/do/0/before", "/do/1/pass"]
    assert runs(cluster, "g6") == (1, 0)


def test_open_executions_move_to_another_version(cluster: Flunq) -> None:
    newer = REST.replace("1.0.0", "1.1.0").replace(
        "hours: 1}}", "hours: 1}}\n  - last: {set: {x: 1}}"
    )
    (cluster.home / "newer.yaml").write_text(newer)
    (cluster.home / "other.yaml").write_text(REST.replace("1.0.0", "2.0.0").replace("rest:", "r:"))
    assert cluster("apply", "newer.yaml", "other.yaml").code == 0
    cluster("start", "rest:1.0.0", "--id", "m1", "-i", '{"n": 2}')
    cluster("wait", "m1", "--for", "status=waiting")
    other = cluster("migrate", "rest:1.0.0", "--to", "2.0.0", "--dry-run", "-o", "json")
    assert other.code == 1
    assert {row["result"] for row in other.json} == {"diverges"}
    moved = cluster("migrate", "rest:1.0.0", "--to", "1.1.0", "--yes", "-o", "json")
    assert (moved.code, {row["result"] for row in moved.json}) == (0, {"migrated"})
    assert cluster("get", "m1", "-o", "json").json["workflow"]["version"] == "1.1.0"
