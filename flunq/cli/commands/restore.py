"""``flunq restore``: a cluster from a backup."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import Annotated

import typer

from flunq.cli import diagnostics, output
from flunq.cli.progress import progress


async def command(
    source: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="What `flunq backup` wrote.")],
    data: Annotated[
        Path,
        typer.Option("--data", metavar="DIR", help="The new data folder; empty, or not there."),
    ],
    partial: Annotated[
        bool, typer.Option("--partial", help="Go on without the parts that are damaged.")
    ] = False,
    nodes: Annotated[
        int | None,
        typer.Option("--nodes", min=1, metavar="1|3|5", help="NATS servers [as in the backup]."),
    ] = None,
) -> None:
    """Make a data folder from a backup, for `flunq up --data DIR`.

    $ flunq restore monday.tar --data ./restored

    $ flunq restore damaged.tar --data ./rescued --partial

    Every part is compared with its checksum before anything is made.
    """
    import msgspec

    from flunq.services.backup.restoring import restore_backup

    with progress("restoring") as shown:
        restored = await restore_backup(
            source.absolute(), data, shown.update, partial=partial, nodes=nodes
        )
    row = {"status": "partial" if restored.missing else "restored", **msgspec.to_builtins(restored)}
    done = f"{restored.data}: {restored.streams} streams, {restored.files} files, {row['status']}"
    output.emit(row, plain=done)
    for line in restored.missing:
        diagnostics.say(f"missing: {line}")
    servers = f" --nodes {restored.nodes}" if restored.nodes > 1 else ""
    diagnostics.say(f"next: flunq up --data {restored.data}{servers}")
