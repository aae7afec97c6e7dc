"""``flunq alerts``: rules that say when somebody wants to hear of something."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import output
from flunq.cli.engine import as_rows, connected
from flunq.cli.options import read_bytes
from flunq.errors import NotFoundError

if TYPE_CHECKING:
    from flunq.client import Client
    from flunq.core.reading.alerts import AlertFile

app = typer.Typer(
    help="Be told when a query returns rows, or when events come: rules, webhooks, history.\n\n"
    "$ flunq alerts apply alerts.yaml\n\n$ flunq alerts list"
)
_SUFFIXES = (".yaml", ".yml", ".json")
PathsArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE|DIR...", help="Rules as YAML or JSON; - is stdin.")
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of the alert.")]


@app.command("apply")
async def apply(
    paths: PathsArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check them.")] = False,
) -> None:
    """Check alert rules and keep them; those of the same names are replaced.

    $ flunq alerts apply examples/alerts/failures.yaml

    $ flunq alerts apply alerts/ --dry-run

    Nothing is kept if something is wrong with one of them: each problem is one line,
    FILE:LINE:COLUMN: MESSAGE [RULE], and the exit code is 3.
    """
    files = _read(paths)
    async with connected() as client:
        await _check(client, files)
        for file in [] if dry_run else files:
            await client.alerts.apply(file.rules)
    names = [rule.name for file in files for rule in file.rules]
    word = "valid" if dry_run else "applied"
    rows = [{"name": name, "status": word} for name in names]
    output.emit(rows, plain="\n".join(f"{name} {word}" for name in names))


def _read(paths: list[Path]) -> list[AlertFile]:
    from flunq.core.reading.alerts import read_alerts

    found: list[AlertFile] = []
    for path in paths:
        for each in _files(path):
            name = "<stdin>" if str(each) == "-" else str(each)
            found.append(read_alerts(read_bytes(each), name=name))
    return found


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES)
    if not found:
        raise NotFoundError(f"there are no rules in {path}", hint="they are *.yaml or *.json")
    return found


async def _check(client: Client, files: list[AlertFile]) -> None:
    """Let the cluster look at all of them before any is kept."""
    from flunq.core.reading import InvalidDocument

    for file in files:
        wrong = await client.alerts.apply(file.rules, dry_run=True)
        problems = [file.problem(each.name, each.message, hint=each.hint) for each in wrong]
        if problems:
            raise InvalidDocument(problems, name=file.source.name)


@app.command("list")
async def list_() -> None:
    """List the alerts and whether they fire.

    $ flunq alerts list
    """
    from flunq.cli.rendering.alerts import ALERT_COLUMNS, alert_json, alert_row

    async with connected() as client:
        found = await client.alerts.list()
    if as_rows():
        output.emit([alert_row(each) for each in found], columns=ALERT_COLUMNS)
    else:
        output.emit([alert_json(each) for each in found])


@app.command("show")
async def show(name: NameArgument) -> None:
    """Show an alert: its rule, whether it fires, and since when.

    $ flunq alerts show failing-orders
    """
    from flunq.cli.rendering.alerts import alert_json, alert_lines

    async with connected() as client:
        view = await client.alerts.show(name)
    output.emit(alert_json(view), lines=alert_lines(view))


@app.command("test")
async def test(
    what: Annotated[str, typer.Argument(metavar="NAME|FILE", help="An alert, or rules to try.")],
) -> None:
    """See once whether an alert holds; nobody is told and nothing is kept.

    $ flunq alerts test failing-orders

    $ flunq alerts test alerts.yaml

    A rule about events looks at the newest of those that there were.
    """
    from flunq.cli.rendering.alerts import trial_json

    is_file = what == "-" or what.endswith(_SUFFIXES)
    files = _read([Path(what)]) if is_file else []
    async with connected() as client:
        if is_file:
            await _check(client, files)
            rules = [rule for file in files for rule in file.rules]
        else:
            rules = [(await client.alerts.show(what)).rule]
        trials = [trial_json(await client.alerts.test(rule)) for rule in rules]
    output.emit(trials if is_file else trials[0])


@app.command("history")
async def history(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="One alert; without it all.")] = "",
    limit: Annotated[
        int, typer.Option("-n", "--limit", metavar="N", min=1, help="At most so many.")
    ] = 50,
) -> None:
    """List what was told of alerts, the newest first, and whether it arrived.

    $ flunq alerts history

    $ flunq alerts history failing-orders -o jsonl
    """
    from flunq.cli.rendering.alerts import NOTICE_COLUMNS, notice_json, notice_row

    async with connected() as client:
        found = await client.alerts.history(name, limit=limit)
    if as_rows():
        output.emit([notice_row(each) for each in found], columns=NOTICE_COLUMNS)
    else:
        output.emit([notice_json(each) for each in found])


@app.command("delete")
async def delete(name: NameArgument) -> None:
    """Forget an alert, and what was told of it.

    $ flunq alerts delete failing-orders
    """
    from flunq.cli.rendering.alerts import alert_json

    async with connected() as client:
        gone = await client.alerts.delete(name)
    output.emit(alert_json(gone), plain=f"alert {name} is gone")
