"""Workflows that run workflows, and secrets that the cluster keeps, on a real cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import running_cluster
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.cli import Flunq

pytestmark = pytest.mark.timeout(120)

CHILD = """\
document: {dsl: 1.0.3, namespace: tests, name: child, version: 1.0.0}
do:
  - nap: {if: '${ .n > 1000 }', wait: {hours: 1}}
  - refuse:
      if: '${ .n < 0 }'
      raise: {error: {type: 'https://example.com/negative', status: 422, title: Negative}}
  - double: {set: {n: '${ .n * 2 }'}}
"""
PARENT = """\
document: {dsl: 1.0.3, namespace: tests, name: parent, version: 1.0.0}
do:
  - ask:
      run:
        workflow: {namespace: tests, name: child, version: latest, input: {n: '${ .n }'}}
"""
SECRET = """\
document: {dsl: 1.0.3, namespace: tests, name: secret, version: 1.0.0}
use: {secrets: [api]}
do:
  - show:
      run: {shell: {command: 'test -n "$TOKEN" && echo $TOKEN', environment:
        {TOKEN: '${ $secrets.api }'}}}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as flunq:
        for name, content in {"child": CHILD, "parent": PARENT, "secret": SECRET}.items():
            (flunq.home / f"{name}.yaml").write_text(content)
        applied = flunq("apply", "child.yaml", "parent.yaml", "secret.yaml")
        assert applied.code == 0, applied.err
        yield flunq


def test_a_parent_gets_the_output_of_its_child(cluster: Flunq) -> None:
    shown = cluster("run", "parent.yaml", "-i", '{"n": 21}', "-o", "json").json
    assert shown["output"] == {"n": 42}
    [child] = [
        row
        for row in cluster("list", "--workflow", "child", "-o", "json").json
        if row["id"].startswith(shown["id"])
    ]
    assert child["parent"] == shown["id"]


def test_a_parent_gets_the_error_of_its_child(cluster: Flunq) -> None:
    failed = cluster("run", "parent.yaml", "-i", '{"n": -1}', "-o", "json")
    error = failed.json["error"]
    assert (failed.code, error["status"], error["instance"]) == (1, 422, "/do/0/ask")


def test_a_child_ends_with_its_parent(cluster: Flunq) -> None:
    started = cluster("start", "parent", "-i", '{"n": 5000}', "--id", "p-1", "-o", "json")
    assert started.code == 0

    def children() -> list[str]:
        events = cluster("history", "p-1", "-o", "json").json
        return [each["data"]["dispatch"]["id"] for each in events if "dispatch" in each["data"]]

    wait_until(children)
    [child] = children()
    wait_until(lambda: cluster("get", child, "-o", "json").json["status"] == "waiting")
    cluster("cancel", "p-1")
    assert cluster("wait", child).out == "cancelled\n"


def test_a_kept_secret_reaches_the_task_and_nothing_else(cluster: Flunq, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("canary-4711\n")
    kept = cluster("secrets", "set", "api", "--file", str(tmp_path / "value"))
    assert kept.code == 0, kept.err
    listed = cluster("secrets", "list", "-o", "json")
    assert [row["name"] for row in listed.json] == ["api"]
    done = cluster("run", "secret.yaml", "-o", "json")
    assert done.json["status"] == "completed"
    assert "canary" not in listed.out + done.out + done.err
    history = cluster("history", done.json["id"], "-o", "json")
    assert "canary" not in history.out


def test_a_secret_that_is_deleted_is_refused_to_tasks(cluster: Flunq, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("gone")
    cluster("secrets", "set", "other", "--file", str(tmp_path / "value"))
    assert cluster("secrets", "delete", "other", "--yes").code == 0
    assert cluster("secrets", "delete", "other", "--yes").code == 4
    assert "other" not in cluster("secrets", "list").out
