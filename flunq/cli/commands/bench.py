"""``flunq bench``: measure a cluster and the machine it runs on."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import output
from flunq.cli.progress import progress
from flunq.cli.session import current, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flunq.bench.cluster import BenchCluster


class ScenarioName(StrEnum):
    """What can be measured."""

    START = "start"
    THROUGHPUT = "throughput"
    FANOUT = "fanout"
    TIMERS = "timers"
    LONG = "long"
    FOOTPRINT = "footprint"
    SOAK = "soak"
    HISTORY = "history"
    LIMITS = "limits"


class DurabilityName(StrEnum):
    """When the cluster that is measured forces data to the disk."""

    STRICT = "strict"
    FAST = "fast"


def _count(flag: str, text: str) -> Any:
    return typer.Option(flag, min=1, metavar="N", help=text, rich_help_panel="Size")


async def command(
    scenario: Annotated[ScenarioName, typer.Argument(metavar="SCENARIO", help="What to measure.")],
    durability: Annotated[
        DurabilityName,
        typer.Option("--durability", metavar="strict|fast", help="When data is fsynced."),
    ] = DurabilityName.STRICT,
    executions: Annotated[int | None, _count("--executions", "How many executions.")] = None,
    steps: Annotated[int | None, _count("--steps", "Steps or branches of each.")] = None,
    in_flight: Annotated[int | None, _count("--in-flight", "Executions at the same time.")] = None,
    milliseconds: Annotated[
        int | None, _count("--milliseconds", "Length of a wait, or time to settle.")
    ] = None,
    repeat: Annotated[int, _count("--repeat", "Runs; the median is shown.")] = 1,
    workers: Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Nodes.")] = 1,
    folder: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Where to put the temporary data folder."),
    ] = None,
    nats: Annotated[
        str | None,
        typer.Option(
            "--nats",
            metavar="URL",
            help="Measure this cluster, start none.",
            rich_help_panel="Connection",
        ),
    ] = None,
) -> None:
    """Measure a cluster of real processes, and the limits of this machine in the same run.

    $ flunq bench throughput

    $ flunq bench start --durability fast --repeat 5 -o json

    Scenarios: start, throughput, fanout, timers, long, footprint, soak, history, limits. A
    cluster is started in a temporary folder unless -c or --nats names one; that one must have been
    started with --functions flunq.bench.steps. history always has a cluster of its own.
    """
    import msgspec

    from flunq.bench.options import BenchOptions, Sizes
    from flunq.bench.report import as_text
    from flunq.bench.runner import run_scenario

    sizes = Sizes(
        executions=executions, steps=steps, in_flight=in_flight, milliseconds=milliseconds
    )
    options = BenchOptions(
        durability=durability.value, sizes=sizes, repeat=repeat, workers=workers, folder=folder
    )
    with progress(f"bench {scenario}") as shown:
        cluster = _named_cluster(nats, shown.update) if nats or current().context else None
        report = await run_scenario(scenario.value, options, shown.update, cluster)
    output.emit(msgspec.to_builtins(report), plain=as_text(report))


def _named_cluster(
    nats: str | None, tell: Callable[[str], None]
) -> AbstractAsyncContextManager[BenchCluster]:
    from flunq.bench.cluster import BenchCluster
    from flunq.client import connect

    @asynccontextmanager
    async def named() -> AsyncIterator[BenchCluster]:
        async with connect(settings(nats_url=nats)) as client:
            yield BenchCluster(client, durability="external", tell=tell)

    return named()
