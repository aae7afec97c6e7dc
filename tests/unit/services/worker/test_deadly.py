"""Inputs that kill the process: a bounded number of deaths, and nobody else is harmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flunq.core.execution.commands import Deliver, Fire, Report
from flunq.core.execution.decide import decide
from flunq.services.worker import foresight
from flunq.services.worker import owner as owning
from tests.support.virtual import HEAD, in_cluster

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.testing.cluster import Cluster

TEXTS: dict[Any, str] = {
    Fire: "do: [{x: {wait: {seconds: 2}}}]\n",
    Report: "do: [{x: {call: step, with: {n: 1}}}]\n",
    Deliver: "do: [{x: {listen: {to: {one: {with: {type: test.rang}}}}}}]\n",
}


@pytest.mark.parametrize("kind", [Fire, Report, Deliver])
@pytest.mark.parametrize("apart", [False, True])
def test_an_input_that_kills_the_process_is_found_after_a_few_deaths(
    kind: type[Any], apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def situation(cluster: Cluster, client: Client) -> tuple[str, str, int]:
        def deadly(state: Any, command: Any, *rest: Any) -> Any:
            if isinstance(command, kind) and command.id == "deadly":
                for machine in cluster.machines.values():
                    if machine.is_up and "worker" in machine.roles:
                        machine.crash()
                        cluster.wire.later(0.3, machine.start)
            return decide(state, command, *rest)

        for place in (owning, foresight):
            monkeypatch.setattr(place, "decide", deadly)
        if apart:
            cluster.add("hand", ("executor",))
        cluster.add("head", ("worker",) if apart else ("worker", "executor"))
        await client.apply(HEAD % "kill" + TEXTS[kind])
        await client.apply(HEAD % "near" + "do: [{x: {call: slow, with: {n: 1}}}]\n")
        cluster.ledger.duration = lambda call: 40.0 if "slow" in call.kind else 0.0  # type: ignore[method-assign]
        near = await client.start("near", id="near")
        run = await client.start("kill", id="deadly", timeout=60)
        if kind is Deliver:
            await client.emit([{"id": "e1", "source": "/test", "type": "test.rang"}])
        status = (await run.wait(200)).status
        return status, (await near.wait(200)).status, cluster.machines["head"].lives

    status, near, lives = in_cluster(situation, machines=0, partitions=2)
    assert (status in ("quarantined", "faulted"), near) == (True, "completed")
    assert lives <= 8
