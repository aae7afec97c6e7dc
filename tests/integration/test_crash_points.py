"""A node dies once at each named point; whatever it was doing ends right all the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.http_stub import HttpStub
from tests.support.processes import running_cluster
from tests.support.waiting import eventually
from tests.support.workload import Load

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)

POINTS = (
    "before-fence:3",
    "after-fence:3",
    "before-input:2",
    "after-input:2",
    "before-decide:20",
    "before-commit:20",
    "after-commit:20",
    "before-dispatch:10",
    "after-dispatch:10",
    "before-report:10",
    "before-release:20",
    "after-release:20",
    "before-outbox:4",
    "after-outbox:4",
    "before-checkpoint:3",
    "after-checkpoint:3",
    "after-purge:3",
)
EXECUTIONS = 8


@pytest.mark.parametrize("point", POINTS)
async def test_a_crash_at_any_point_loses_and_doubles_nothing(tmp_path: Path, point: str) -> None:
    died = tmp_path / "died"
    async with (
        HttpStub() as ledger,
        running_cluster(
            tmp_path / "data",
            lease_ttl=1.0,
            partitions=8,
            node={"checkpoint_seconds": 0.3, "hibernate_seconds": 0.1},
            environment={"FLUNQ_CRASH_AT": point, "FLUNQ_CRASH_ONCE": str(died)},
        ) as cluster,
        cluster.client() as client,
    ):
        load = Load(cluster, client, ledger)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run_through_inbox(EXECUTIONS))
            group.create_task(load.run(EXECUTIONS, in_flight=EXECUTIONS))
        await eventually(died.exists)
        await load.check()
