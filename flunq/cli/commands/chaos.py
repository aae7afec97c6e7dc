"""``flunq chaos``: make a cluster fail while workflows run."""

from __future__ import annotations

import secrets
from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import output
from flunq.cli.exits import ExitCode
from flunq.cli.options import read_json
from flunq.cli.progress import progress

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
    int, typer.Option("--executions", min=1, metavar="N", help="How many executions.")
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Decides the faults [a new one].")
]


async def command(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Your workflow [a built-in one].")
    ] = None,
    seed: SeedOption = None,
    faults: FaultsOption = "",
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, metavar="N", help="How many faults.")
    ] = 8,
    executions: ExecutionsOption = 200,
    nodes: Annotated[int, typer.Option("--nodes", metavar="1|3|5", help="NATS servers.")] = 1,
    workers: Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Nodes.")] = 2,
    durability: DurabilityOption = "strict",
    functions: FunctionsOption = None,
    input: Annotated[
        str | None, typer.Option("-i", "--input", metavar="JSON|@FILE|-", help="Of each execution.")
    ] = None,
) -> int:
    """Run workflows on a private cluster while its processes are killed and stopped.

    $ flunq chaos --seed 42

    $ flunq chaos order.yaml -i '{"id": 1}' --faults kill-node,pause-nats --executions 100

    At the end the journal is checked: nothing lost, no step twice, no gap in a history, no timer
    early, one key for each step. Exit code 1 if a promise was broken; the report says how to
    repeat the run.

    Faults: kill-node, pause-node, kill-control, pause-control, kill-nats, pause-nats, kill-all;
    with --nodes 3 also kill-nats-leader, kill-nats-follower, kill-nats-two, pause-nats-leader.
    """
    import msgspec

    from flunq.chaos.options import ChaosOptions
    from flunq.chaos.reporting import as_text
    from flunq.chaos.runner import run_chaos
    from flunq.errors import UsageError

    if durability not in ("strict", "fast"):
        raise UsageError(f"--durability is strict or fast, not {durability}")
    options = ChaosOptions(
        seed=secrets.randbelow(1_000_000) if seed is None else seed,
        faults=tuple(kind.strip() for kind in faults.split(",") if kind.strip()),
        rounds=rounds,
        executions=executions,
        nodes=nodes,
        workers=workers,
        durability="fast" if durability == "fast" else "strict",
        functions=tuple(functions or ()),
        workflow=_text(file),
        input=None if input is None else read_json(input),
    )
    with progress("chaos") as shown:
        report: ChaosReport = await run_chaos(
            options, shown.update, document=str(file) if file else ""
        )
    output.emit(msgspec.to_builtins(report), plain=as_text(report))
    return ExitCode.FAILED if report.broken else ExitCode.DONE


def _text(file: Path | None) -> str | None:
    from flunq.errors import NotFoundError

    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFoundError(f"cannot read {file}: {error.strerror}") from error
