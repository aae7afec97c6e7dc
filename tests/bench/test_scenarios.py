"""Every scenario runs at a tiny size and reports every figure; no time is asserted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.bench import cold, counters
from flunq.bench.options import BenchOptions, Sizes
from flunq.bench.report import Report, as_text, curves
from flunq.bench.runner import SCENARIOS, run_scenario
from flunq.bench.scenarios import tui

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Tiny = Callable[[str], Awaitable[Report]]

TINY = Sizes(executions=4, steps=3, in_flight=2, milliseconds=50)
COST = {"cpu_seconds", "peak_bytes", "written_bytes", *counters.NAMES}


def percentiles(prefix: str) -> set[str]:
    return {f"{prefix}_{name}_ms" for name in ("p50", "p90", "p99", "max")}


LIMITS = {
    "python_calls_per_second",
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
    "http": COST
    | percentiles("start_to_result")
    | {"requests_per_second", "wall_seconds", "requests_served", "per_request"}
    | {"raw_requests_per_second"},
    "recovery": percentiles("result_after_kill")
    | {"seconds_after_kill", "first_result_after_kill_seconds", "wall_seconds"}
    | {"steps_before_kill", "lost", "steps_run", "steps_repeated"},
    "timers": COST
    | percentiles("lateness")
    | percentiles("engine_lateness")
    | {"early", "wall_seconds", "per_execution"},
    "long": COST
    | {"total_seconds", "ms_per_step", "part_steps", "per_step"}
    | {"first_part_ms_per_step", "last_part_ms_per_step", "last_to_first"},
    "footprint": {
        *("help_seconds", "run_hello_seconds", "up_ready_seconds"),
        *("idle_bytes", "idle_bytes_together", "idle_cpu_percent", "load_peak_bytes"),
        *("sleeping_executions", "sleeping_started_per_second", "node_bytes_before"),
        *("node_bytes_asleep", "node_bytes_peak", "bytes_per_sleeping_execution", "bytes_asleep"),
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
    "tui": percentiles("jump")
    | percentiles("jump_cpu")
    | percentiles("key_to_screen")
    | {"first_paint_ms", "first_paint_of_a_file_ms", "list_ms", "list_cpu_ms", "list_bytes"}
    | {"burst_us_per_event", "burst_share_of_a_core", "resident_bytes"}
    | {"tail_events", "tail_events_per_second", "tail_bytes"},
    "scaling": {"steps_per_second", "steps_per_second_by", "cpu_us_per_step_by"},
    "limits": LIMITS,
}


async def run(name: str, folder: Path, **changes: Any) -> Report:
    options = BenchOptions(sizes=TINY, limit_sizes=TINY, folder=folder, **changes)
    return await run_scenario(name, options, lambda _: None)


@pytest.fixture(autouse=True)
def time_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of three tells no more here than the first."""
    monkeypatch.setattr(cold, "_REPEATS", 1)
    monkeypatch.setattr(tui, "_REPEATS", 1)


@pytest.fixture(scope="module")
def reports() -> dict[str, Report]:
    """What has been measured so far."""
    return {}


@pytest.fixture
def tiny(reports: dict[str, Report], tmp_path: Path, time_once: None) -> Tiny:
    """A tiny run of each scenario: the tests of this file share it."""

    async def measured(name: str) -> Report:
        if name not in reports:
            reports[name] = await run(name, tmp_path)
        return reports[name]

    return measured


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "scaling"])
async def test_a_tiny_run_reports_every_figure(name: str, tiny: Tiny) -> None:
    report = await tiny(name)
    assert set(report.figures) == FIGURES[name]
    assert set(report.limits) == LIMITS
    assert {"python", "python_optimised"} <= report.machine.keys()
    assert report.limits["python_calls_per_second"] > 0
    assert name in as_text(report)
    assert msgspec.json.decode(msgspec.json.encode(report))["scenario"] == name


async def test_scaling_measures_every_curve_that_fits_its_size(tmp_path: Path) -> None:
    few = Sizes(executions=2, steps=2, in_flight=2)
    options = BenchOptions(sizes=few, limit_sizes=TINY, folder=tmp_path)
    report = await run_scenario("scaling", options, lambda _: None)
    assert set(report.figures) == FIGURES["scaling"]
    measured = report.figures["steps_per_second_by"]
    assert {curve: [*map(int, points)] for curve, points in measured.items()} == {
        "workers": [1, 2],
        "partitions": [1],
        "payload_bytes": [100, 10_000, 200_000],
        "definition_tasks": [5, 50, 500],
        "tenants": [1],
    }
    assert [len(curve.points) for curve in curves(report)] == [2, 1, 3, 3, 1]


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


async def test_no_wait_ends_early(tiny: Tiny) -> None:
    assert (await tiny("timers")).figures["early"] == 0


async def test_a_killed_node_loses_nothing_and_repeats_at_most_what_was_in_flight(
    tiny: Tiny,
) -> None:
    figures = (await tiny("recovery")).figures
    assert figures["lost"] == 0
    assert figures["steps_run"] == 4 * 3
    assert figures["steps_repeated"] <= 2
    assert 4 * 3 // 2 <= figures["steps_before_kill"] <= 4 * 3


async def test_every_get_reaches_the_web_server_once(tiny: Tiny) -> None:
    assert (await tiny("http")).figures["requests_served"] == 4 * 3


async def test_one_after_the_other_every_step_is_one_commit_and_one_fsync(tmp_path: Path) -> None:
    alone = Sizes(executions=4, steps=5, in_flight=1)
    options = BenchOptions(sizes=alone, limit_sizes=TINY, folder=tmp_path)
    figures = (await run_scenario("throughput", options, lambda _: None)).figures
    # A start commits with its first step's dispatch; each result commits what follows from it.
    assert figures["commits"] == 4 * (1 + 5)
    assert figures["fsyncs"] - figures["upkeep_fsyncs"] == figures["commits"]
    assert figures["stored_messages"] - figures["upkeep_messages"] == figures["commits"]
    assert figures["per_step"]["commits"] == 1.2
