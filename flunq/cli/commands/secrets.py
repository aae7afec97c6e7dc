"""``flunq secrets``: values that tasks may use and nobody can read back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from flunq.cli import diagnostics, output
from flunq.cli.engine import as_rows, connected
from flunq.cli.options import YesOption, confirm
from flunq.cli.tables import Column
from flunq.errors import UsageError

app = typer.Typer(
    help="Keep secrets in the cluster; list and delete them.\n\n"
    "$ flunq secrets set api-key\n\n$ flunq secrets list"
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="As in use.secrets.")]


@app.command("set")
async def set_(
    name: NameArgument,
    file: Annotated[
        str | None,
        typer.Option("--file", metavar="FILE|-", help="Read the value from here."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="The value is JSON, for example an object.")
    ] = False,
) -> None:
    """Keep a value under a name, sealed with the cluster's key.

    $ flunq secrets set api-key

    $ pass show shop/database | flunq secrets set database --json --file -

    Without --file the value is asked for, unseen. It is never an argument, where other
    programs could read it. Tasks reach it as $secrets.NAME, or by {use: NAME} in an
    authentication policy; the document has to list it under use.secrets.
    """
    value = _parsed(_read(name, file), json=json)
    async with connected() as client:
        await client.put_secret(name, value)
    diagnostics.say(f"{name} is kept")


@app.command("list")
async def list_() -> None:
    """List the names, and when each was changed; values cannot be read back.

    $ flunq secrets list
    """
    async with connected() as client:
        found = await client.secrets()
    output.emit(found, columns=[Column("name"), Column("changed_at", kind="time")])
    if as_rows() and not found:
        diagnostics.say("no secrets are kept; keep one with: flunq secrets set NAME")


@app.command("delete")
async def delete(name: NameArgument, yes: YesOption = False) -> None:
    """Forget a secret; tasks that still use it fail with an authorization error.

    $ flunq secrets delete api-key --yes
    """
    confirm(f"delete the secret {name}?", yes=yes)
    async with connected() as client:
        await client.delete_secret(name)
    output.emit({"deleted": name}, plain=f"{name} deleted")


def _read(name: str, file: str | None) -> str:
    if file is None and sys.stdin.isatty():
        return str(typer.prompt(f"value of {name}", hide_input=True, err=True))
    if file is None or file == "-":
        return sys.stdin.read().rstrip("\n")
    try:
        return Path(file).read_text().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {error}") from error


def _parsed(text: str, *, json: bool) -> Any:
    import msgspec

    if not text:
        raise UsageError("the value is empty")
    if not json:
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        # What is wrong with it may quote it.
        raise UsageError("the value is not JSON") from None
