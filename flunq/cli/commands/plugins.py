"""``flunq plugins``: what is installed beside flunq itself."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flunq.cli import diagnostics, output
from flunq.cli.engine import keep_logs_away
from flunq.cli.exits import ExitCode

app = typer.Typer(
    help="See the plugins of this installation.\n\n$ flunq plugins list\n\n"
    "$ flunq plugins list --check"
)


@app.callback()
def group() -> None:
    """Keep ``list`` a command of its own, although it is the only one."""


@app.command("list")
def list_(
    check: Annotated[
        bool, typer.Option("--check", help="Fail if one of them cannot be used.")
    ] = False,
) -> int:
    """List the plugins: what each runs, the package it is from, why one cannot be used.

    $ flunq plugins list

    $ flunq plugins list --check -o json

    The engine leaves a broken one out and goes on; tasks of its kinds wait for a node that has
    it. Backends of the event stream and the database are plugins too; they are not loaded here.
    """
    from flunq.cli.rendering.plugins import PLUGIN_COLUMNS, plugin_json, plugin_row
    from flunq.cli.session import OutputFormat, current

    keep_logs_away()
    found = _plugins()
    if current().output in (OutputFormat.TABLE, OutputFormat.CSV):
        output.emit([plugin_row(each) for each in found], columns=PLUGIN_COLUMNS)
    else:
        output.emit([plugin_json(each) for each in found])
    broken = [each["name"] for each in found if each["problem"]]
    if broken and check:
        diagnostics.warn(f"cannot be used: {', '.join(broken)}")
    return ExitCode.FAILED if broken and check else ExitCode.DONE


def _plugins() -> list[dict[str, Any]]:
    import msgspec

    from flunq.log.select import DATABASES, EVENT_STREAMS, installed
    from flunq.sdk import registry

    _, executors = registry.load_executors()
    rows = [{"group": registry.GROUP, **msgspec.structs.asdict(each)} for each in executors]
    for name in (EVENT_STREAMS, DATABASES):
        for point in sorted(installed(name).values(), key=lambda point: point.name):
            row = {
                "name": point.name,
                "target": point.value,
                "distribution": point.dist.name if point.dist else "",
                "version": point.dist.version if point.dist else "",
                "kinds": (),
                "problem": None,
            }
            rows.append({"group": name, **row})
    return rows
