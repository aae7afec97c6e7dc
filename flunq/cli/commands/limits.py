"""``flunq limits``: how many tasks may run at once, how many may begin in a time, what waits."""

from __future__ import annotations

from typing import Annotated

import typer

from flunq.cli import output
from flunq.cli.engine import as_rows, connected
from flunq.errors import UsageError

app = typer.Typer(
    help="Limit how many tasks run at once, and how fast they begin.\n\n"
    "$ flunq limits set payments --concurrency 5 --rate 10/1s\n\n$ flunq limits list"
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of the limit.")]


@app.command("list")
async def list_() -> None:
    """List the limits that are set or in use, and how many tasks wait for them.

    $ flunq limits list

    Starts that a workflow collects are shown by: flunq limits groups
    """
    from flunq.cli.rendering.flow import LIMIT_COLUMNS, limit_json, limit_row

    async with connected() as client:
        found = await client.flow.limits()
    if as_rows():
        output.emit([limit_row(each) for each in found], columns=LIMIT_COLUMNS)
    else:
        output.emit([limit_json(each) for each in found])


@app.command("groups")
async def groups() -> None:
    """List the starts that are being collected: by which key, how many, and when they begin.

    $ flunq limits groups

    $ flunq limits groups -o json | jq '.[] | {key, starts}'

    They are those of workflows with debounce or batch in metadata.start. One begins at once with
    flunq resume EXECUTION.
    """
    from flunq.cli.rendering.flow import GROUP_COLUMNS, group_json, group_row

    async with connected() as client:
        found = await client.groups()
    if as_rows():
        output.emit([group_row(each) for each in found], columns=GROUP_COLUMNS)
    else:
        output.emit([group_json(each) for each in found])


@app.command("set")
async def set_(
    name: NameArgument,
    rate: Annotated[
        str | None, typer.Option("--rate", metavar="N/TIME", help="Such as 10/1s or 100/m.")
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="N", min=0, help="Tasks at once.")
    ] = 0,
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="For all tasks of a kind: http, ...")
    ] = "",
    target: Annotated[
        str, typer.Option("--target", metavar="TARGET", help="For all calls of a target.")
    ] = "",
    workflow: Annotated[
        str, typer.Option("--workflow", metavar="NS/NAME", help="For all tasks of a workflow.")
    ] = "",
) -> None:
    """Set a limit, or change it; it holds at once, on all nodes.

    $ flunq limits set payments --concurrency 5

    $ flunq limits set stripe --target https://api.stripe.com:443 --rate 100/1s

    Without --kind, --target or --workflow it holds for the tasks that name it, in
    metadata.limits with scope tenant; it takes the place of what they say.
    """
    from flunq.cli.rendering.flow import limit_json
    from flunq.core.flow import NamedLimit
    from flunq.core.traffic import TrafficError, parse_rate

    if rate is None and not concurrency:
        raise UsageError("say --rate, --concurrency or both", hint="flunq limits set --help")
    try:
        wanted = None if rate is None else parse_rate(rate)
    except TrafficError as error:
        raise UsageError(f"--rate: {error}") from None
    limit = NamedLimit(
        name=name,
        count=0 if wanted is None else wanted.count,
        per=0 if wanted is None else wanted.per,
        concurrency=concurrency,
        kind=kind,
        target=target,
        workflow=workflow,
    )
    async with connected() as client:
        changed = await client.flow.set_limit(limit)
    output.emit(limit_json(changed), plain=f"limit {name} is set")


@app.command("delete")
async def delete(name: NameArgument) -> None:
    """Take a limit back; what documents say holds again.

    $ flunq limits delete payments
    """
    from flunq.cli.rendering.flow import limit_json

    async with connected() as client:
        gone = await client.flow.delete_limit(name)
    output.emit(limit_json(gone), plain=f"limit {name} is gone")
