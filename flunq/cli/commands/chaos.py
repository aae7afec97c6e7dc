"""``flunq chaos``: make a cluster fail while workflows run."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flunq.cli import output
from flunq.cli.exits import ExitCode
from flunq.cli.options import read_json
from flunq.cli.progress import progress
from flunq.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from flunq.chaos.options import ChaosReport

FunctionsOption = Annotated[
    list[str] | None,
    typer.Option("--functions", metavar="MODULE|FILE", help="Python functions; repeatable."),
]
FaultsOption = Annotated[
    str, typer.Option("--faults", metavar="KIND,...", help="Only these kinds of fault.")
]
DurabilityOption = Annotated[
    str, typer.Option("--durability", metavar="strict|fast", help="When data is fsynced.")
]
ExecutionsOption = Annotated[
    int | None,
    typer.Option("--executions", min=1, metavar="N", help="How many executions [200, full 1000]."),
]
ScenarioOption = Annotated[
    str, typer.Option("--scenario", metavar="NAME", help="faults, timers, events or starts.")
]
SizeOption = Annotated[
    str, typer.Option("--size", metavar="small|full", help="How much of everything.")
]
CountOption = Annotated[
    int | None,
    typer.Option("--count", min=2, metavar="N", help="How many timers, events or starts."),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Decides the faults [a new one].")
]
FileArgument = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="Your workflow [a built-in one].")
]
RoundsOption = Annotated[int, typer.Option("--rounds", min=1, metavar="N", help="How many faults.")]
NodesOption = Annotated[int, typer.Option("--nodes", metavar="1|3|5", help="NATS servers.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, max=64, metavar="N", help="Nodes.")]
InputOption = Annotated[
    str | None, typer.Option("-i", "--input", metavar="JSON|@FILE|-", help="Of each execution.")
]


async def command(
    file: FileArgument = None,
    seed: SeedOption = None,
    scenario: ScenarioOption = "faults",
    size: SizeOption = "small",
    count: CountOption = None,
    faults: FaultsOption = "",
    rounds: RoundsOption = 8,
    executions: ExecutionsOption = None,
    nodes: NodesOption = 1,
    workers: WorkersOption = 2,
    durability: DurabilityOption = "strict",
    functions: FunctionsOption = None,
    input: InputOption = None,
) -> int:
    """Run workflows on a private cluster while its processes are killed and stopped.

    $ flunq chaos --seed 42

    $ flunq chaos order.yaml -i '{"id": 1}' --faults kill-node,pause-nats --executions 100

    At the end the journal is checked: nothing lost, no step twice, no gap in a history, no timer
    early, one key for each step. Exit code 1 if not; the report says how to repeat the run.

    Faults: kill-node, pause-node, kill-control, pause-control, kill-nats, pause-nats, slow-nats,
    fill-nats, lose-consumers, stall-consumers, blackhole-node, kill-all; with --nodes 3 also
    kill-nats-leader, kill-nats-follower, kill-nats-two, pause-nats-leader.

    Other scenarios have one fault in the middle of much at once: timers due in one second, events
    into one execution, queued starts.

    $ flunq chaos --scenario timers --size full --seed 1
    """
    import msgspec

    from flunq.chaos.bursts import SIZES
    from flunq.chaos.options import ChaosOptions
    from flunq.chaos.reporting import as_text
    from flunq.chaos.runner import run_chaos

    chosen = SIZES[_check_size(size)]
    options = ChaosOptions(
        scenario=scenario,
        count=_count(scenario, size, count),
        patience=chosen.patience,
        seed=secrets.randbelow(1_000_000) if seed is None else seed,
        faults=_kinds(faults),
        rounds=rounds,
        executions=executions or chosen.executions,
        nodes=nodes,
        workers=workers,
        durability=_check_durability(durability),
        functions=tuple(functions or ()),
        workflow=_text(file),
        input=None if input is None else read_json(input),
    )
    with progress("chaos") as shown:
        report: ChaosReport = await run_chaos(options, shown.update, document=str(file or ""))
    output.emit(msgspec.to_builtins(report), plain=as_text(report))
    return ExitCode.FAILED if report.broken else ExitCode.DONE


def _check_durability(name: str) -> Literal["strict", "fast"]:
    if name not in ("strict", "fast"):
        raise UsageError(f"--durability is strict or fast, not {name}")
    return "fast" if name == "fast" else "strict"


def _check_size(name: str) -> str:
    from flunq.chaos.bursts import SIZES

    if name not in SIZES:
        raise UsageError(f"--size is {' or '.join(SIZES)}, not {name}")
    return name


def _count(scenario: str, size: str, wanted: int | None) -> int:
    """Return how much of everything a scenario has."""
    from flunq.chaos.bursts import BURSTS, FAULTS

    if scenario not in (FAULTS, *BURSTS):
        names = ", ".join((FAULTS, *BURSTS))
        raise UsageError(f"there is no scenario {scenario}", hint=f"one of: {names}")
    usual: int = getattr(BURSTS[scenario], size) if scenario in BURSTS else 0
    return wanted or usual


def _kinds(faults: str) -> tuple[str, ...]:
    return tuple(kind.strip() for kind in faults.split(",") if kind.strip())


def _text(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFoundError(f"cannot read {file}: {error.strerror}") from error
