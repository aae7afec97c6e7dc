"""One long execution: what a step costs at its beginning and at its end."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from flunq.bench import documents
from flunq.bench.measuring import PATIENCE, Meter, expect_completed
from flunq.bench.options import Sizes
from flunq.core.events import TASK_COMPLETED

if TYPE_CHECKING:
    from flunq.bench.cluster import BenchCluster
    from flunq.client import Run

DEFAULTS = Sizes(steps=5000)
_PART = 10
_MOST = 500
"""The first and the last 500 are compared, of a short one the first and the last tenth."""


async def measure(cluster: BenchCluster, sizes: Sizes) -> dict[str, Any]:
    """Run Python steps in a row; the times of their events say what each cost."""
    steps = sizes.steps or 1
    workflow = await cluster.prepare(documents.steps(steps))
    cluster.tell(f"one execution of {steps} steps in a row")
    async with Meter(cluster) as meter:
        run = await cluster.client.start(workflow, {"n": 0})
        ended = await run.wait(PATIENCE)
    expect_completed(run.id, ended.status)
    moments = await _moments(run)
    part = min(_MOST, max(1, steps // _PART))
    first, last = moments[part] - moments[0], moments[-1] - moments[-1 - part]
    return {
        "total_seconds": round(meter.wall, 4),
        "ms_per_step": round(meter.wall / steps * 1000, 4),
        "part_steps": part,
        "first_part_ms_per_step": round(first / part * 1000, 4),
        "last_part_ms_per_step": round(last / part * 1000, 4),
        "last_to_first": round(last / first, 3) if first else 0.0,
        "per_step": meter.per(steps),
        **meter.cost,
    }


async def _moments(run: Run) -> list[float]:
    """Return when the execution began and when each of its tasks ended."""
    moments: list[float] = []
    async for event in run.history():
        if not moments or event.type == TASK_COMPLETED:
            moments.append(datetime.fromisoformat(event.time).timestamp())
    return moments
