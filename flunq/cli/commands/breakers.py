"""``flunq breakers``: which targets are called, and which are left alone because they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import diagnostics, output
from flunq.cli.engine import as_rows, connected
from flunq.cli.options import parse_duration

if TYPE_CHECKING:
    from flunq.core.flow import TargetView

app = typer.Typer(
    help="See which targets fail, and open or close their breakers.\n\n$ flunq breakers list"
)
TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="TARGET", help="Such as https://api.example.com:443 or function:charge."
    ),
]


@app.command("list")
async def list_() -> None:
    """List the targets that are called, those with an open breaker first.

    $ flunq breakers list

    $ flunq breakers list -o json
    """
    from flunq.cli.rendering.flow import TARGET_COLUMNS, target_json, target_row

    async with connected() as client:
        found = await client.flow.breakers()
    if as_rows():
        output.emit([target_row(each) for each in found], columns=TARGET_COLUMNS)
    else:
        output.emit([target_json(each) for each in found])


@app.command("trip")
async def trip(
    target: TargetArgument,
    length: Annotated[
        str | None,
        typer.Option("--for", metavar="10m", help="How long [until it is reset]."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Shown to whoever asks why.")] = "",
) -> None:
    """Open a breaker: tasks for the target are held back.

    $ flunq breakers trip https://api.example.com:443 --for 10m --reason maintenance
    """
    seconds = parse_duration(length) if length is not None else 0.0
    async with connected() as client:
        changed = await client.flow.trip(target, seconds=seconds, reason=reason)
    _show(changed, f"the breaker of {changed.target} is open")
    if not seconds:
        diagnostics.say(f"close it with: flunq breakers reset {changed.target}")


@app.command("reset")
async def reset(target: TargetArgument) -> None:
    """Close a breaker: what was held back goes on, at a pace that the target bears.

    $ flunq breakers reset https://api.example.com:443
    """
    async with connected() as client:
        changed = await client.flow.reset(target)
    _show(changed, f"the breaker of {changed.target} is closed")


def _show(changed: TargetView, plain: str) -> None:
    from flunq.cli.rendering.flow import target_json

    output.emit(target_json(changed), plain=plain)
