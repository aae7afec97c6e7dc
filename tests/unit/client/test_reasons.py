"""Reasons from facts: who holds a task, who could."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.client.reasons import Facts, reasons
from flunq.client.story import Story
from flunq.core.letters import LiveNode
from flunq.core.protocol import Details

LIVE = LiveNode(name="n1", incarnation="7", kinds=("http",))
LEAVING = LiveNode(name="n2", incarnation="8", kinds=("http", "run:shell"), leaving=True)


def facts(*waiting: dict[str, Any], nodes: list[LiveNode] | None) -> Facts:
    details = Details(
        id="e1", namespace="n", workflow="w", version="1.0.0", digest="", status="running",
        started_at=1, waiting=list(waiting),
    )  # fmt: skip
    return Facts(details=details, story=Story(), nodes=nodes)


def task(kind: str, node: str) -> dict[str, Any]:
    return {"for": "task", "task": "/do/0/x", "kind": kind, "attempt": 2, "node": node, "id": "t"}


@pytest.mark.parametrize(
    ("kind", "node", "nodes", "cause", "words", "command"),
    [
        ("http", "n1#7", [LIVE], "task", "runs on n1, whose lease lives", "flunq tail e1"),
        ("http", "n1#6", [LIVE], "dead-holder", "was with n1, which is gone", "flunq status"),
        ("http", "n1#6", None, "task", "runs on n1", "flunq tail e1"),
        ("http", "queue", [LIVE, LEAVING], "task", "is queued for n1", "flunq status"),
        ("http", "queue", None, "task", "is queued", "flunq status"),
        ("run:shell", "queue", [LIVE, LEAVING], "unserved", "no live node", "flunq serve executor"),
        ("function:f", "", [LIVE], "unserved", "no live node", "flunq serve executor --functions"),
    ],
)
def test_a_task_tells_who_holds_it_or_who_could(
    kind: str, node: str, nodes: Any, cause: str, words: str, command: str
) -> None:
    why = reasons(facts(task(kind, node), nodes=nodes))
    assert (why.causes[0].kind, why.command.startswith(command)) == (cause, True)
    assert words in why.headline
    assert "attempt 2" in why.headline


def test_what_somebody_must_act_upon_comes_first() -> None:
    timer = {"for": "timer", "task": "/do/1/w", "timer": "5w", "due": 9}
    limit = {"for": "timer", "task": "/", "timer": "0t", "due": 99}
    why = reasons(facts(timer, limit, task("http", "n1#6"), nodes=[LIVE]))
    assert [cause.kind for cause in why.causes] == ["dead-holder", "timer"]


def test_what_waits_for_nothing_is_at_work() -> None:
    why = reasons(facts(nodes=[]))
    assert (why.causes[0].kind, why.command) == ("busy", "flunq tail e1")
