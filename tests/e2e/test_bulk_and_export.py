"""Commands to many executions, exports and scrubbing, as a user types them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import duckdb
import pytest

from tests.support.canary import files_with
from tests.support.cluster import running_cluster
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.cli import Flunq

pytestmark = pytest.mark.timeout(120)
ORDERS = """
document: {dsl: 1.0.3, namespace: tests, name: orders, version: 1.0.0}
do:
  - note: {set: {customer: {email: "${ .email }"}, big: "${ .big }"}}
  - rest: {if: "${ $workflow.input.rest == true }", wait: {hours: 1}}
"""
CANARY = "canary-7c1f2e"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    home = tmp_path_factory.mktemp("bulk")
    (home / "orders.yaml").write_text(ORDERS)
    with running_cluster(home) as flunq:
        assert flunq("apply", "orders.yaml").code == 0
        yield flunq


def start(flunq: Flunq, execution: str, **value: object) -> None:
    started = flunq("start", "orders", "--id", execution, "-i", "-", stdin=json.dumps(value))
    assert started.code == 0, started.err
    if value.get("rest"):
        wait_until(lambda: statuses(flunq, execution) == {execution: "waiting"})


def statuses(flunq: Flunq, prefix: str) -> dict[str, str]:
    listed = flunq("list", "-n", "0", "-o", "json").json
    return {each["id"]: each["status"] for each in listed if each["id"].startswith(prefix)}


def test_what_a_condition_finds_is_suspended_and_resumed_by_its_list(cluster: Flunq) -> None:
    for number in range(3):
        start(cluster, f"many{number}", rest=True)
    chosen = ["--where", "workflow = 'orders' and id like 'many%' -- so many"]
    dry = cluster("suspend", *chosen, "--dry-run", "-o", "json")
    assert [each["id"] for each in dry.json] == ["many0", "many1", "many2"]
    assert set(statuses(cluster, "many").values()) == {"waiting"}
    asked = cluster("suspend", *chosen)
    assert (asked.code, "needs a yes" in asked.err) == (2, True)
    done = cluster("suspend", *chosen, "--yes", "--list", "many.jsonl", "--rate", "50")
    assert (done.code, done.out) == (0, "suspended 3 of 3 executions\n"), done.err
    assert set(statuses(cluster, "many").values()) == {"suspended"}
    again = cluster("suspend", *chosen, "--yes", "--list", "many.jsonl")
    assert again.out == "suspended 0 of 0 executions\n"
    undone = cluster("resume", "--from", "many.jsonl", "--yes", "-o", "json")
    assert (undone.json["matched"], undone.json["done"]) == (3, 3)
    assert set(statuses(cluster, "many").values()) == {"waiting"}


def test_executions_are_cancelled_and_deleted_by_a_condition(cluster: Flunq) -> None:
    start(cluster, "bulk-done")
    start(cluster, "bulk-runs", rest=True)
    assert cluster("wait", "bulk-done").code == 0
    cancelled = cluster("cancel", "--where", "id like 'bulk-%'", "--yes", "-o", "json")
    assert (cancelled.json["matched"], cancelled.json["done"]) == (1, 1)
    assert "1 more match, but cannot be cancelled" in cancelled.err
    deleted = cluster("delete", "--where", "id like 'bulk-%'", "--yes")
    assert deleted.out == "deleted 2 of 2 executions\n"
    assert statuses(cluster, "bulk-") == {}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["cancel"], 2, "name executions, or choose them"),
        (["cancel", "a", "--where", "true"], 2, "name executions, or choose them"),
        (["cancel", "a", "--rate", "3"], 2, "--rate goes with"),
        (["cancel", "--where", "nonsense = 3"], 3, "nonsense"),
        (["cancel", "--where", "true); drop view executions; --"], 3, ""),
        (["resume", "--from", "nothing.jsonl"], 4, "no such file"),
        (["export"], 2, "name an execution, or a folder"),
        (["export", "nobody", "-o", "json"], 2, "json is a format"),
        (["export", "nobody"], 4, "nobody"),
    ],
)
def test_what_makes_no_sense_is_refused(
    cluster: Flunq, arguments: list[str], code: int, words: str
) -> None:
    refused = cluster(*arguments)
    assert refused.code == code, refused.err
    assert words in refused.err


def test_a_list_that_exists_is_not_replaced(cluster: Flunq) -> None:
    start(cluster, "listed", rest=True)
    (cluster.home / "taken.jsonl").write_text("precious")
    refused = cluster("cancel", "--where", "id = 'listed'", "--yes", "--list", "taken.jsonl")
    assert (refused.code, "exists already" in refused.err) == (2, True)
    assert (cluster.home / "taken.jsonl").read_text() == "precious"
    assert statuses(cluster, "listed") == {"listed": "waiting"}


def test_an_exported_execution_is_read_where_no_cluster_is(cluster: Flunq, tmp_path: Path) -> None:
    from tests.support.cli import Flunq as Elsewhere

    start(cluster, "travels", email="ada@example.com", big="x" * 300_000)
    assert cluster("wait", "travels").code == 0
    exported = cluster("export", "travels")
    assert (exported.code, exported.out) == (0, "travels.flunq.gz\n"), exported.err
    file = str(cluster.home / "travels.flunq.gz")
    elsewhere = Elsewhere(tmp_path)
    events = elsewhere("history", "--file", file, "-o", "json").json
    assert events == cluster("history", "travels", "-o", "json").json
    details = elsewhere("get", "--file", file, "-o", "json").json
    assert details == cluster("get", "travels", "-o", "json").json
    assert details["output"]["big"] == "x" * 300_000
    asked = elsewhere("sql", "--file", file, "select id, status from executions", "-o", "json")
    assert asked.json == [{"id": "travels", "status": "completed"}]
    assert "the file exists" in cluster("export", "travels").err


def test_an_export_can_leave_out_what_others_must_not_see(cluster: Flunq) -> None:
    start(cluster, "secretive", email=CANARY)
    assert cluster("wait", "secretive").code == 0
    for options in (["--redact", "email"], ["--redact-payloads"]):
        made = cluster("export", "secretive", "-o", "s.gz", "--force", *options)
        assert made.code == 0, made.err
        for command in ("history", "get"):
            shown = cluster(command, "--file", "s.gz", "-o", "json")
            assert shown.code == 0, shown.err
            assert CANARY not in shown.out
            assert "[redacted]" in shown.out


def test_parquet_files_hold_the_executions_that_are_wanted(cluster: Flunq) -> None:
    start(cluster, "table1")
    assert cluster("wait", "table1").code == 0
    made = cluster("export", "--parquet", "pq", "--where", "id = 'table1'", "-o", "pq2")
    assert made.code == 2
    made = cluster("export", "--parquet", "pq", "--where", "id = 'table1'")
    assert made.code == 0, made.err
    folder = cluster.home / "pq"
    read = duckdb.connect().execute
    rows = read(f"SELECT id, status FROM '{folder}/executions.parquet'").fetchall()
    assert rows == [("table1", "completed")]
    tasks = read(f"SELECT name FROM '{folder}/tasks.parquet' ORDER BY 1").fetchall()
    assert ("note",) in tasks


def traces(home: Path) -> list[str]:
    return files_with(home / "data", CANARY.encode())


def test_nothing_of_a_scrubbed_execution_is_left_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "orders.yaml").write_text(ORDERS)
    with running_cluster(tmp_path) as flunq:
        flunq("apply", "orders.yaml")
        start(flunq, "keep0", email="x")
        start(flunq, "small", email=CANARY)
        start(flunq, "large", email="x", big=CANARY * 40_000)
        start(flunq, "runs", email="x", rest=True)
        start(flunq, "keep1", email="x")
        assert [flunq("wait", each).code for each in ("small", "large", "keep1")] == [0, 0, 0]
        assert flunq("lake", "flush").code == 0
        assert traces(tmp_path)
        assert flunq("delete", "--scrub", "runs", "--yes").code == 3
        assert "needs a yes" in flunq("delete", "--scrub", "small").err
        scrubbed = flunq("delete", "--scrub", "small", "large", "--yes", "-o", "json")
        assert scrubbed.code == 0, scrubbed.err
        assert (scrubbed.json["scrubbed"], scrubbed.json["blobs"]) == (["small", "large"], 2)
        assert traces(tmp_path) == []
        assert sorted(statuses(flunq, "")) == ["keep0", "keep1", "runs"]
        assert flunq("history", "small").code == 4
        counted = flunq("sql", "select id from executions order by id", "-o", "json").json
        assert [each["id"] for each in counted] == ["keep0", "keep1", "runs"]
        manifest = json.loads((tmp_path / "data/history/default/manifest.json").read_text())
        assert [each["execution"] for each in manifest["scrubbed"]] == ["small", "large"]
        assert all(each["by"] and each["at"] for each in manifest["scrubbed"])
