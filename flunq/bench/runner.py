"""Runs a scenario: a cluster, the limits beside it, repeats, and one report."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from flunq.bench.cluster import own_cluster
from flunq.bench.report import Report, machine, ratio
from flunq.bench.scenarios import limits

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from flunq.bench.cluster import BenchCluster, Tell
    from flunq.bench.options import BenchOptions, Sizes


class Scenario(NamedTuple):
    """One line of the catalogue."""

    help: str
    headline: str
    """The figure by which runs are compared."""
    limit: str
    """The limit of the machine that the headline is set against."""
    kills: bool = False
    """Each run needs a new cluster: what dies again and again is started more and more slowly."""


SCENARIOS: dict[str, Scenario] = {
    "start": Scenario(
        "one execution with one step at a time: start to result",
        "start_to_result_p50_ms",
        "publish_p50_ms",
    ),
    "throughput": Scenario(
        "many executions of a few steps in flight: steps per second",
        "steps_per_second",
        "publish_in_flight_per_second",
    ),
    "fanout": Scenario(
        "one execution with many parallel steps and a join",
        "fanout_ms",
        "publish_p50_ms",
    ),
    "timers": Scenario(
        "many waits at once: how late they end", "lateness_p99_ms", "publish_p50_ms"
    ),
    "http": Scenario(
        "executions of a few GETs against a web server of the benchmark's own",
        "requests_per_second",
        "publish_in_flight_per_second",
    ),
    "recovery": Scenario(
        "kill -9 of a node in the middle: seconds until all is done, lost, repeated",
        "seconds_after_kill",
        "",
        kills=True,
    ),
    "long": Scenario(
        "one execution of many Python steps in a row: the first and the last 500",
        "ms_per_step",
        "publish_p50_ms",
    ),
    "footprint": Scenario(
        "memory and CPU when idle, asleep and under load; cold starts",
        "bytes_per_further_sleeping_execution",
        "",
    ),
    "soak": Scenario(
        "an hour of steady load: what an execution leaves behind in memory",
        "bytes_per_execution",
        "",
    ),
    "history": Scenario(
        "a million events: archiving, bytes on disk, memory and SQL",
        "ingest_events_per_second",
        "publish_per_second",
    ),
    "tui": Scenario(
        "the monitor: first paint, a long list, keys while events stream, hours of tail",
        "key_to_screen_p50_ms",
        "",
    ),
    "scaling": Scenario(
        "throughput over nodes, partitions, payloads, definitions and tenants",
        "steps_per_second",
        "publish_in_flight_per_second",
    ),
    "limits": Scenario(
        "what disk, broker and loopback of this machine can do at most",
        "publish_in_flight_per_second",
        "",
    ),
}


async def run_scenario(
    name: str,
    options: BenchOptions,
    tell: Tell,
    cluster: AbstractAsyncContextManager[BenchCluster] | None = None,
) -> Report:
    """Measure one scenario on a cluster of its own, or on the one given."""
    scenario = SCENARIOS[name]
    module = importlib.import_module(f"flunq.bench.scenarios.{name}")
    sizes = options.sizes.or_else(module.DEFAULTS)
    bounds_of = options.limit_sizes.or_else(limits.DEFAULTS)
    about = machine(options.folder)
    moment = datetime.now(UTC)
    tell("starting a cluster")
    async with cluster or own_cluster(options, tell) as subject:
        bounds = await limits.measure(subject, bounds_of) if name != "limits" else {}
        here = 1 if scenario.kills else options.repeat
        runs = [await module.measure(subject, sizes) for _ in range(here)]
    for _ in range(options.repeat - here):
        async with own_cluster(options, tell) as fresh:
            runs.append(await module.measure(fresh, sizes))
    headlines = [run[scenario.headline] for run in runs]
    chosen = runs[headlines.index(_median(headlines))]
    return Report(
        scenario=name,
        durability=subject.durability,
        machine=about,
        sizes=_given(sizes),
        figures=chosen,
        repeats=headlines,
        limits=bounds or chosen,
        ratio=ratio(scenario.headline, chosen[scenario.headline], bounds, scenario.limit),
        command=options.command,
        measured_at=moment.isoformat(timespec="seconds"),
    )


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _given(sizes: Sizes) -> dict[str, Any]:
    named = {field: getattr(sizes, field) for field in sizes.__struct_fields__}
    return {name: value for name, value in named.items() if value is not None}
