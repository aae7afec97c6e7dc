"""``flunq bench``: measure a cluster and the machine it runs on."""

from __future__ import annotations

import shlex
import sys
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import output, text
from flunq.cli.progress import progress
from flunq.cli.session import OutputFormat, current, settings
from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flunq.bench.cluster import BenchCluster
    from flunq.bench.report import Report

_STYLES = {"better": "green", "worse": "red", "same": ""}


class ScenarioName(StrEnum):
    """What can be measured."""

    START = "start"
    THROUGHPUT = "throughput"
    FANOUT = "fanout"
    TIMERS = "timers"
    HTTP = "http"
    RECOVERY = "recovery"
    LONG = "long"
    FOOTPRINT = "footprint"
    SOAK = "soak"
    HISTORY = "history"
    TUI = "tui"
    SCALING = "scaling"
    LIMITS = "limits"


class DurabilityName(StrEnum):
    """When the cluster that is measured forces data to the disk."""

    STRICT = "strict"
    FAST = "fast"


def _count(flag: str, text: str) -> Any:
    return typer.Option(flag, min=1, metavar="N", help=text, rich_help_panel="Size")


_Scenario = Annotated[ScenarioName, typer.Argument(metavar="SCENARIO", help="What to measure.")]
_Durability = Annotated[
    DurabilityName,
    typer.Option("--durability", metavar="strict|fast", help="When data is fsynced."),
]
_Workers = Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Nodes.")]
_Partitions = Annotated[
    int | None,
    typer.Option("--partitions", min=1, max=256, metavar="N", help="Partitions [as flunq up]."),
]
_Folder = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Where to put the temporary data folder."),
]
_Compare = Annotated[
    Path | None,
    typer.Option(
        "--compare",
        metavar="FILE",
        help="Set every figure against a report of before.",
        rich_help_panel="Reports",
    ),
]
_Save = Annotated[
    str | None,
    typer.Option(
        "--save",
        metavar="FILE|DIR/",
        help="Keep the report as JSON; in a folder, as SCENARIO-DURABILITY.json.",
        rich_help_panel="Reports",
    ),
]
_Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="FILE.svg",
        help="Draw the curves of scaling.",
        rich_help_panel="Reports",
    ),
]
_Nats = Annotated[
    str | None,
    typer.Option(
        "--nats",
        metavar="URL",
        help="Measure this cluster, start none.",
        rich_help_panel="Connection",
    ),
]


async def command(
    scenario: _Scenario,
    durability: _Durability = DurabilityName.STRICT,
    executions: Annotated[int | None, _count("--executions", "How many executions.")] = None,
    steps: Annotated[int | None, _count("--steps", "Steps or branches of each.")] = None,
    in_flight: Annotated[int | None, _count("--in-flight", "Executions at the same time.")] = None,
    milliseconds: Annotated[
        int | None, _count("--milliseconds", "Length of a wait, or time to settle.")
    ] = None,
    repeat: Annotated[int, _count("--repeat", "Runs; the median is shown.")] = 1,
    workers: _Workers = 1,
    partitions: _Partitions = None,
    folder: _Folder = None,
    compare: _Compare = None,
    save: _Save = None,
    plot: _Plot = None,
    nats: _Nats = None,
) -> None:
    """Measure a cluster of real processes, and the limits of this machine in the same run.

    $ flunq bench throughput

    $ flunq bench start --durability fast --repeat 5 -o json

    $ flunq bench start --save before.json; flunq bench start --compare before.json

    $ flunq bench scaling --plot scaling.svg

    Scenarios: start, throughput, fanout, timers, http, recovery, long, footprint, soak, history,
    tui, scaling, limits. A cluster is started in a temporary folder unless -c or --nats names one;
    that one must have been started with --functions flunq.bench.steps. history, recovery and
    scaling always have clusters of their own.
    """
    from flunq.bench.comparing import read_report
    from flunq.bench.options import BenchOptions, Sizes
    from flunq.bench.runner import run_scenario

    if plot is not None and scenario is not ScenarioName.SCALING:
        raise UsageError("only scaling has curves to draw", hint="leave out --plot")
    before = None if compare is None else read_report(compare, scenario.value)
    sizes = Sizes(
        executions=executions, steps=steps, in_flight=in_flight, milliseconds=milliseconds
    )
    options = BenchOptions(
        durability=durability.value,
        sizes=sizes,
        repeat=repeat,
        workers=workers,
        partitions=partitions,
        folder=folder,
        command=shlex.join(("flunq", *sys.argv[1:])),
    )
    with progress(f"bench {scenario}") as shown:
        cluster = _named_cluster(nats, shown.update) if nats or current().context else None
        report = await run_scenario(scenario.value, options, shown.update, cluster)
    _keep(report, save, plot)
    _show(report, before)


def _keep(report: Report, save: str | None, plot: Path | None) -> None:
    """Write the files that were asked for."""
    from flunq.bench.plot import svg
    from flunq.bench.report import curves, saved

    if save is not None:
        # A path knows no slash at its end, which says that a folder is meant.
        is_folder = save.endswith("/") or Path(save).is_dir()
        path = Path(save) / saved(report) if is_folder else Path(save)
        _write(path, output.json_text(report) + "\n")
    if plot is not None:
        _write(plot, svg(curves(report)))


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _show(report: Report, before: Report | None) -> None:
    import msgspec

    from flunq.bench.comparing import compare, lines
    from flunq.bench.report import as_text

    document = msgspec.to_builtins(report)
    if before is None:
        output.emit(document, plain=as_text(report))
        return
    compared = compare(before, report)
    if current().output is OutputFormat.TABLE:
        shown = [
            text.paint(line, _STYLES[verdict], sys.stdout) for verdict, line in lines(compared)
        ]
        output.emit_text("\n".join((as_text(report), "", *shown)))
    else:
        output.emit({**document, "compared": msgspec.to_builtins(compared)})


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
