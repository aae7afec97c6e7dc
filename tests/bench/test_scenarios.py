"""Every scenario runs at a tiny size and reports every figure; no time is asserted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.bench.options import BenchOptions, Sizes
from flunq.bench.report import Report, as_text
from flunq.bench.runner import SCENARIOS, run_scenario

if TYPE_CHECKING:
    from pathlib import Path

TINY = Sizes(executions=4, steps=3, in_flight=2, milliseconds=50)
COST = {"cpu_seconds", "peak_bytes", "written_bytes", "commits", "journal_bytes"}
PER = {"cpu_us", "written_bytes", "commits"}


def percentiles(prefix: str) -> set[str]:
    return {f"{prefix}_{name}_ms" for name in ("p50", "p90", "p99", "max")}


LIMITS = {
    "fdatasync_p50_ms",
    "fdatasync_per_second",
    "loopback_p50_ms",
    "publish_p50_ms",
    "publish_per_second",
    "publish_in_flight_per_second",
}
FIGURES = {
    "start": COST
    | percentiles("start_to_result")
    | percentiles("start_durable")
    | {"executions_per_second", "per_execution"},
    "throughput": COST
    | percentiles("start_to_result")
    | {"steps_per_second", "executions_per_second", "wall_seconds", "per_step"},
    "fanout": COST
    | {"fanout_ms", "fanout_best_ms", "fanout_worst_ms", "steps_per_second", "per_step"},
    "timers": COST
    | percentiles("lateness")
    | percentiles("engine_lateness")
    | {"early", "wall_seconds", "per_execution"},
    "long": COST
    | {"total_seconds", "ms_per_step", "part_steps", "per_step"}
    | {"first_part_ms_per_step", "last_part_ms_per_step"},
    "footprint": {
        *("help_seconds", "run_hello_seconds", "up_ready_seconds"),
        *("idle_bytes", "idle_cpu_percent", "load_peak_bytes", "sleeping_executions"),
        *("sleeping_started_per_second", "node_bytes_before", "node_bytes_asleep"),
        *("node_bytes_peak", "bytes_per_sleeping_execution", "bytes_asleep"),
        *("bytes_per_further_sleeping_execution", "node_bytes_at_a_million"),
    },
    "soak": percentiles("start_to_result")
    | {"bytes_per_execution", "bytes_per_execution_of", "settled_bytes", "final_bytes"}
    | {"bytes_after_seconds", "steps_per_second", "wall_seconds", "per_step"},
    "history": {
        *("events", "files", "files_compacted", "ingest_events_per_second", "ingest_seconds"),
        *("compact_seconds", "bytes_per_event", "bytes_per_event_uncompacted"),
        *("journal_bytes_per_event", "historian_peak_bytes", "writer_peak_bytes"),
        *("sql_count_ms", "sql_group_by_ms", "sql_one_history_ms", "of_limit"),
    },
    "limits": LIMITS,
}


async def run(name: str, folder: Path, **changes: Any) -> Report:
    options = BenchOptions(sizes=TINY, limit_sizes=TINY, folder=folder, **changes)
    return await run_scenario(name, options, lambda _: None)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_tiny_run_reports_every_figure(name: str, tmp_path: Path) -> None:
    report = await run(name, tmp_path)
    assert set(report.figures) == FIGURES[name]
    assert set(report.limits) == LIMITS
    assert report.machine["python"]
    assert name in as_text(report)
    assert msgspec.json.decode(msgspec.json.encode(report))["scenario"] == name


async def test_work_is_counted_and_nothing_is_left_behind(tmp_path: Path) -> None:
    report = await run("throughput", tmp_path, durability="fast", repeat=3)
    figures = report.figures
    assert report.durability == "fast"
    assert len(report.repeats) == 3
    # Each execution has at least its start, its steps and its end in the journal.
    assert 4 <= figures["commits"] <= 4 * (3 + 2)
    assert figures["journal_bytes"] > 0
    assert set(figures["cpu_seconds"]) == {"nats", "control", "node-1", "client"}
    assert report.ratio is not None
    assert list(tmp_path.iterdir()) == []


async def test_no_wait_ends_early(tmp_path: Path) -> None:
    assert (await run("timers", tmp_path)).figures["early"] == 0
