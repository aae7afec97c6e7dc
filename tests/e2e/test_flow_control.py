"""``flunq breakers`` and ``flunq limits`` as a user types them, and what they do to executions."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster import running_cluster
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

pytestmark = pytest.mark.timeout(120)
NOBODY = "http://127.0.0.1:9"
LIMITED = """
document:
  dsl: 1.0.3
  namespace: tests
  name: limited
  version: 1.0.0
  metadata: {priority: 7, limits: [{key: shared, concurrency: 50, scope: tenant}]}
do:
  - nap: {run: {shell: {command: "sleep ${ .seconds }"}}}
"""
CALLS = """
document: {dsl: 1.0.3, namespace: tests, name: calls, version: 1.0.0}
do:
  - ask: {call: http, with: {method: get, endpoint: "http://127.0.0.1:9/"}}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    home = tmp_path_factory.mktemp("flow")
    (home / "limited.yaml").write_text(LIMITED)
    (home / "calls.yaml").write_text(CALLS)
    with running_cluster(home) as flunq:
        assert flunq("apply", "limited.yaml", "calls.yaml").code == 0
        yield flunq


def start(flunq: Flunq, workflow: str, execution: str, **value: object) -> None:
    started = flunq("start", workflow, "--id", execution, "-i", json.dumps(value))
    assert started.code == 0, started.err


def until_held(flunq: Flunq, execution: str) -> dict[str, Any]:
    """Return why an execution waits, once it is held back."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        [cause] = json.loads(flunq("why", execution, "-o", "json").out)["causes"]
        if cause["kind"] == "held":
            return dict(cause)
    raise AssertionError(cause)


def test_a_breaker_is_opened_and_closed_and_what_it_held_back_goes_on(cluster: Flunq) -> None:
    tripped = cluster("breakers", "trip", NOBODY, "--reason", "maintenance", "-o", "json")
    assert json.loads(tripped.out)["state"] == "open"
    start(cluster, "calls", "c1")
    cause = until_held(cluster, "c1")
    assert (NOBODY in cause["text"], cause["command"]) == (True, "flunq breakers list")
    assert "maintenance" in cluster("breakers", "list").out
    assert cluster("breakers", "reset", NOBODY).code == 0
    assert cluster("wait", "c1").out == "faulted\n"
    [target] = json.loads(cluster("breakers", "list", "-o", "json").out)
    assert (target["target"], target["state"], target["failures"]) == (NOBODY, "closed", 1)
    assert cluster("breakers", "reset", NOBODY).code == 4
    assert cluster("breakers", "trip", "127.0.0.1:9").code == 3


def test_a_limit_is_set_waited_for_and_taken_back(cluster: Flunq) -> None:
    assert cluster("limits", "set", "shared", "--concurrency", "1", "--rate", "9/1s").code == 0
    start(cluster, "limited", "l1", seconds=600)
    start(cluster, "limited", "l2", seconds=0)
    held = {
        id_: json.loads(cluster("get", id_, "-o", "json").out)["status"] for id_ in ("l1", "l2")
    }
    assert set(held.values()) == {"running"}
    cause = until_held(cluster, "l2")
    assert ("limit shared" in cause["text"], cause["command"]) == (True, "flunq limits list")
    [limit] = json.loads(cluster("limits", "list", "-o", "json").out)
    assert (limit["rate"], limit["running"], limit["waiting"]) == ("9/1s", 1, 1)
    assert cluster("cancel", "l1").code == 0
    assert cluster("wait", "l2").code == 0
    assert cluster("limits", "delete", "shared").code == 0
    assert cluster("limits", "delete", "shared").code == 4


def test_a_limit_that_limits_nothing_is_refused(cluster: Flunq) -> None:
    assert cluster("limits", "set", "x").code == 2
    assert cluster("limits", "set", "x", "--rate", "often").code == 2


def status_of(flunq: Flunq, execution: str) -> str:
    return str(json.loads(flunq("get", execution, "-o", "json").out)["status"])


def test_a_workflow_is_paused_and_goes_on(cluster: Flunq) -> None:
    paused = cluster("workflows", "pause", "limited", "--reason", "maintenance", "-o", "json")
    view = json.loads(paused.out)
    assert (view["workflow"], view["reason"], view["unheard"]) == (
        "tests/limited",
        "maintenance",
        [],
    )
    assert "yes: maintenance" in cluster("workflows", "list").out
    accepted = cluster(
        "start", "limited", "--id", "p1", "-i", '{"seconds": 0}', "--priority", "high"
    )
    assert (accepted.code, accepted.out) == (0, "p1\n")
    assert "its workflow is paused" in accepted.err
    [cause] = json.loads(cluster("why", "p1", "-o", "json").out)["causes"]
    assert "has not begun" in cause["text"]
    assert cause["command"] == "flunq workflows resume tests/limited"
    assert cluster("workflows", "resume", "limited").code == 0
    assert cluster("wait", "p1").out == "completed\n"
    assert cluster("workflows", "resume", "limited").code == 4
    started = json.loads(cluster("history", "p1", "-o", "jsonl").out.splitlines()[0])
    assert started["data"]["priority"] == 8


def test_what_cannot_be_a_pause_or_a_priority_says_so(cluster: Flunq) -> None:
    assert cluster("workflows", "pause", "nothing").code == 4
    assert cluster("workflows", "pause", "limited:1.0.0", "--version", "1.0.0").code == 2
    assert cluster("start", "limited", "--priority", "urgent").code == 2


def test_a_change_of_a_pause_is_in_the_audit(cluster: Flunq) -> None:
    assert cluster("workflows", "pause", "calls:1.0.0", "--starts-only").code == 0
    assert cluster("workflows", "resume", "calls", "--version", "1.0.0").code == 0

    def done() -> list[str]:
        noted = cluster("audit", "-o", "json").json
        return [each["what"] for each in noted if each["target"].startswith("calls")]

    wait_until(lambda: done() == ["pause-workflow", "resume-workflow"])
