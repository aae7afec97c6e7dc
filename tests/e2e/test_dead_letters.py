"""``flunq dlq``, ``why``, ``diff`` and ``graph`` as a user types them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster import running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

pytestmark = pytest.mark.timeout(120)
EXAMPLES = Path(__file__).parents[2] / "examples"
FAILS = """
document: {dsl: 1.0.3, namespace: tests, name: fails, version: 1.0.0}
do:
  - book:
      try:
        - charge:
            raise: {error: {type: "https://example.com/refused", status: 402, title: Refused}}
      catch: {retry: {delay: {milliseconds: 10}, limit: {attempt: {count: 2}}}}
"""
LISTENS = """
document: {dsl: 1.0.3, namespace: tests, name: listens, version: 1.0.0}
do:
  - paid:
      listen: {to: {one: {with: {type: com.example.paid, subject: order-1}}}}
"""
CAREFUL = """
document:
  dsl: 1.0.3
  namespace: tests
  name: careful
  version: 1.0.0
  metadata: {pause: {after: 2, within: PT1H}, hooks: {paused: note, completed: note}}
do:
  - book:
      try:
        - charge:
            raise: {error: {type: "https://example.com/refused", status: 402}}
      catch: {retry: {delay: {milliseconds: 10}, limit: {attempt: {count: 9}}}}
"""
NOTE = """
document: {dsl: 1.0.3, namespace: tests, name: note, version: 1.0.0}
do: [{keep: {set: {noted: "${ .execution }", why: "${ .reason }"}}}]
"""
SUMS = """
document: {dsl: 1.0.3, namespace: tests, name: sums, version: 1.0.0}
do:
  - keep: {set: {kept: 1}}
  - sum: {set: {sum: "${ $workflow.input.n + .kept }"}}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    home = tmp_path_factory.mktemp("letters")
    names = {"fails": FAILS, "listens": LISTENS, "sums": SUMS, "careful": CAREFUL, "note": NOTE}
    for name, text in names.items():
        (home / f"{name}.yaml").write_text(text)
    with running_cluster(home) as flunq:
        assert flunq("apply", *(f"{name}.yaml" for name in names)).code == 0
        yield flunq


def start(flunq: Flunq, workflow: str, execution: str, **value: object) -> None:
    started = flunq("start", workflow, "--id", execution, "-i", json.dumps(value))
    assert started.code == 0, started.err


def letters_of(flunq: Flunq, execution: str) -> Any:
    """Return the letters that name an execution, once there is one."""
    deadline = time.monotonic() + 20
    while True:
        listed = flunq("dlq", "list", "--where", f"execution={execution}", "-o", "json")
        assert listed.code == 0, listed.err
        if listed.json:
            return listed.json
        assert time.monotonic() < deadline, listed.err


def test_a_letter_is_listed_shown_refused_and_dropped(cluster: Flunq) -> None:
    start(cluster, "fails", "gone-1")
    cluster("wait", "gone-1")
    [letter] = letters_of(cluster, "gone-1")
    assert (letter["origin"], letter["task"], letter["attempts"]) == ("task", "/do/0/book", 3)
    shown = cluster("dlq", "show", letter["id"], "-o", "json").json
    assert shown["body"]["error"]["title"] == "Refused"
    again = cluster("dlq", "retry", letter["id"])
    assert (again.code, "gone-1 is faulted already" in again.err) == (3, True), again.err
    assert "flunq retry gone-1" in again.err
    chosen = ["--all", "--where", "execution=gone-1"]
    assert cluster("dlq", "drop", *chosen, "--dry-run", "-o", "json").json[0]["id"] == letter["id"]
    assert cluster("dlq", "drop", *chosen).code == 2, "nobody said yes"
    assert cluster("dlq", "drop", *chosen, "--yes").code == 0
    assert cluster("dlq", "show", letter["id"]).code == 4


def test_the_letters_are_in_sql_too(cluster: Flunq) -> None:
    start(cluster, "fails", "gone-2")
    cluster("wait", "gone-2")
    assert letters_of(cluster, "gone-2")
    query = "SELECT origin, task, attempts, reason FROM dead_letters WHERE execution_id = 'gone-2'"
    assert cluster("sql", query, "-o", "json").json == [
        {"origin": "task", "task": "/do/0/book", "attempts": 3, "reason": "retries are used up"}
    ]


@pytest.mark.parametrize(
    "arguments",
    [["retry"], ["drop", "1", "--all"], ["retry", "1", "--where", "origin=task"]],
)
def test_what_is_meant_has_to_be_said_in_one_way(cluster: Flunq, arguments: list[str]) -> None:
    assert cluster("dlq", *arguments).code == 2


def test_why_names_cause_and_command_and_the_event_that_nearly_fitted(cluster: Flunq) -> None:
    start(cluster, "listens", "stuck-1")
    assert cluster("wait", "stuck-1", "--for", "status=waiting").code == 0
    cluster("emit", "com.example.paid", "--subject", "order-2")
    why = cluster("why", "stuck-1", "-o", "json").json
    assert (why["status"], why["causes"][0]["kind"]) == ("waiting", "event")
    [near] = why["causes"][0]["near"]
    assert [part["name"] for part in near["parts"] if part["meets"] is False] == ["subject"]
    assert "DOES NOT FIT" in cluster("why", "stuck-1").out
    told = why["command"].replace("'{}'", "{}").split()[1:]
    assert cluster(*told).code == 0
    assert cluster("wait", "stuck-1").code == 0


def executions(flunq: Flunq, workflow: str, count: int) -> Any:
    """Return the executions of a workflow, once there are so many and all have ended."""
    deadline = time.monotonic() + 20
    while True:
        found = flunq("list", "--workflow", workflow, "-o", "json").json
        if len(found) >= count and all(each["ended_at"] for each in found):
            return found
        assert time.monotonic() < deadline, found


def test_an_execution_pauses_after_errors_and_its_hook_is_called_each_time(
    cluster: Flunq,
) -> None:
    start(cluster, "careful", "careful-1")
    [note] = executions(cluster, "note", 1)
    assert note["tags"] == {"hook-of": "careful-1"}
    noted = cluster("result", note["id"], "-o", "json").json
    assert noted["output"] == {"noted": "careful-1", "why": "2 attempts failed within PT1H"}
    why = cluster("why", "careful-1", "-o", "json").json
    assert why["headline"] == "it is suspended: 2 attempts failed within PT1H"
    assert cluster(*why["command"].split()[1:]).code == 0
    assert len(executions(cluster, "note", 2)) == 2
    assert cluster("get", "careful-1", "-o", "json").json["status"] == "suspended"


def test_why_of_what_failed_tells_attempts_error_and_letters(cluster: Flunq) -> None:
    start(cluster, "fails", "failed-1")
    cluster("wait", "failed-1")
    [letter] = letters_of(cluster, "failed-1")
    told = cluster("why", "failed-1").out
    assert "failed after 3 attempts at /do/0/book/try/0/charge: Refused" in told
    assert f"flunq dlq show {letter['id']}" in told
    assert told.rstrip().endswith("next: flunq retry failed-1")


def test_two_executions_are_compared_and_so_are_exported_files(cluster: Flunq) -> None:
    for execution, n in (("sum-1", 1), ("sum-2", 1), ("sum-3", 2)):
        start(cluster, "sums", execution, n=n)
        cluster("wait", execution)
    same = cluster("diff", "sum-1", "sum-2")
    assert (same.code, "the same in all 2 tasks" in same.out) == (0, True), same.err
    assert cluster("export", "sum-1", "-o", "sum-1.flunq.gz").code == 0
    found = cluster("diff", "./sum-1.flunq.gz", "sum-3", "-o", "json")
    assert (found.code, found.json["equal"]) == (1, False)
    assert found.json["output"] == [{"path": ".sum", "before": 2, "after": 3}]
    assert "they part at keep" in cluster("diff", "sum-1", "sum-3").out


def test_a_workflow_is_drawn_from_a_file_or_by_its_name(flunq: Flunq, cluster: Flunq) -> None:
    drawn = flunq("graph", str(EXAMPLES / "report-graph.yaml"))
    assert "balance  set  after orders, returns" in drawn.out
    assert "t1 --> t3" in flunq("graph", str(EXAMPLES / "report-graph.yaml"), "--mermaid").out
    found = cluster("graph", "sums", "-o", "json").json
    assert [node["name"] for node in found["nodes"]] == ["keep", "sum"]
    assert cluster("graph", "no-such-workflow").code == 4


def test_a_graph_that_cannot_be_run_is_rejected(flunq: Flunq) -> None:
    text = (EXAMPLES / "report-graph.yaml").read_text()
    broken = flunq.home / "broken.yaml"
    broken.write_text(text.replace("needs: [balance]", "needs: [summary]"))
    rejected = flunq("validate", str(broken))
    assert (rejected.code, "summary -> summary" in rejected.out + rejected.err) == (3, True)
