"""What kills processes or breaks decisions is set aside; its neighbours never notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.processes import check_histories, running_cluster, start_insistently
from tests.support.steps import DEFECT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)
DIE = """
document: {dsl: 1.0.3, namespace: test, name: die, version: 1.0.0}
do:
  - last: {call: die, with: {}}
"""
BUMP = """
document: {dsl: 1.0.3, namespace: test, name: bump, version: 1.0.0}
do:
  - slow: {call: dawdle, with: {n: '${ .n }', seconds: 0.5}}
  - up: {call: bump, with: {n: '${ .n }'}}
"""


async def test_a_function_that_kills_its_process_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flunq.services.supervising.child._LONGEST_BACKOFF", 0.1)
    async with running_cluster(tmp_path) as cluster, cluster.client() as client:
        await client.apply(DIE)
        await client.apply(BUMP)
        neighbours = [
            await client.start("bump", {"n": n}, id=f"near-{n}", timeout=20) for n in range(8)
        ]
        killer = await client.start("die", {}, id="killer", timeout=20)
        result = await killer.wait(30)
        assert result.status == "faulted"
        assert result.failure is not None
        assert "died" in (result.failure.detail or "")
        assert cluster.calls().of("killer") == 5
        for n, run in enumerate(neighbours):
            assert await run.result(20) == {"n": n + 2}
        await check_histories(client, ["killer", *(run.id for run in neighbours)])
        assert cluster.service("node-1").restarts == 5


async def test_an_input_that_breaks_or_kills_the_engine_sets_its_execution_alone_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flunq.services.supervising.child._LONGEST_BACKOFF", 0.1)
    defect = {DEFECT: "1"}
    async with (
        running_cluster(tmp_path, environment=defect) as cluster,
        cluster.client() as client,
    ):
        await client.apply(BUMP)
        near = [await client.start("bump", {"n": n}, id=f"near-{n}") for n in range(8)]
        for name in ("broken", "deadly"):
            run = await start_insistently(client, "bump", {"n": 1}, name)
            result = await run.wait(30)
            assert (name, result.status) == (name, "quarantined")
        assert [await run.result(20) for run in near] == [{"n": n + 2} for n in range(8)]
        later = await client.start("bump", {"n": 5}, timeout=20)
        assert await later.result(10) == {"n": 7}
        assert (await client.get("deadly")).status == "quarantined"
        assert cluster.service("node-1").restarts >= 2
