"""Failures are counted on all nodes together, whoever stops counting."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from flunq.core.execution.commands import WorkflowRef
from flunq.core.pausing import Pause
from flunq.services.flow.pauses import Pauses
from flunq.services.flow.tally import Tally
from tests.support.traffic import Bench, on_bench
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from collections.abc import Coroutine

REF = WorkflowRef(namespace="test", name="w", version="1.0.0", digest="d")


def test_failures_whose_partition_moves_while_they_are_counted_count() -> None:
    async def situation(bench: Bench) -> int:
        pauses = Pauses(bench.store.definitions, "default")
        nobody = cast("Any", None)
        tally = Tally(nobody, pauses, bench.stream, bench.store, bench.board("x"), 1)
        workflow: Any = SimpleNamespace(ref=REF, pause=Pause(after=10, within=None), hooks={})
        counting: list[asyncio.Task[None]] = []

        def spawn(work: Coroutine[Any, Any, None]) -> None:
            counting.append(asyncio.get_running_loop().create_task(work))

        tally.failed(workflow, 3, spawn)
        await asyncio.sleep(0)
        counting[0].cancel()
        await elapse(1.0)
        tally.failed(workflow, 1, spawn)
        await elapse(1.0)
        [key] = await bench.store.state.keys("default.flow.failures.")
        entry = await bench.store.state.get(key)
        assert entry is not None
        return entry.value.count(b",") + 1

    assert on_bench(situation) == 4
