"""The list of open questions: all of them, without asking every execution that waits."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from flunq.client import approvals
from flunq.client.client import Client
from flunq.client.why import compiled
from tests.support.virtual import HEAD, in_cluster

if TYPE_CHECKING:
    import pytest

    from flunq.testing.cluster import Cluster

ASKING = (
    HEAD % "asking"
    + """
do:
- deep:
    do:
    - ask: {metadata: {approval: {title: Go on?}}, listen: {to: {one: {with: {type: test.go}}}}}
"""
)
HEARING = HEAD % "hearing" + "do: [{x: {listen: {to: {one: {with: {type: test.go}}}}}}]\n"
WAITING = HEAD % "waiting" + "do: [{x: {wait: {hours: 1}}}]\n"


def test_only_executions_that_may_ask_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "_PAGE", 4)
    calls: Counter[str] = Counter()
    get = Client.get

    async def counting_get(self: Client, execution: str) -> Any:
        calls[f"get {execution}"] += 1
        return await get(self, execution)

    def counting_compiled(text: Any) -> Any:
        calls["compiled"] += 1
        return compiled(text)

    async def situation(_: Cluster, client: Client) -> list[str]:
        for document in (ASKING, HEARING, WAITING):
            await client.apply(document)
        for number in range(3):
            for name in ("asking", "hearing", "waiting"):
                await client.start(name, id=f"{name}-{number}")
        monkeypatch.setattr(Client, "get", counting_get)
        monkeypatch.setattr(approvals, "compiled", counting_compiled)
        return [each.execution for each in await client.approvals.list()]

    assert in_cluster(situation) == ["asking-2", "asking-1", "asking-0"]
    assert calls == {"compiled": 1} | {f"get asking-{number}": 1 for number in range(3)}
