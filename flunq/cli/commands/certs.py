"""``flunq certs``: a private authority for TLS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import diagnostics, output
from flunq.cli.engine import as_rows, for_people
from flunq.cli.options import YesOption, confirm
from flunq.cli.tables import Column

if TYPE_CHECKING:
    from flunq.services.identity.certificates import Authority, Certificate

app = typer.Typer(
    help="Make a private authority and certificates for TLS.\n\n"
    "$ flunq certs init\n\n$ flunq certs issue api --host api.example.com"
)
COLUMNS = [
    Column("name", whole=True),
    Column("hosts"),
    Column("expires", kind="time"),
    Column("days_left", kind="number"),
    Column("file", whole=True, spare=True),
]
FolderOption = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="Folder of the authority [certs, by the contexts]."),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The certificate.")]
DaysOption = Annotated[
    int, typer.Option("--days", min=1, max=3650, metavar="N", help="How long it is good.")
]


@app.command("init")
def init(folder: FolderOption = None, days: DaysOption = 3650) -> None:
    """Make the authority: a key that stays here, and a certificate for everybody.

    $ flunq certs init

    Give ca.pem to whoever connects (ca in their context, or FLUNQ_CA); keep ca.key to yourself.
    """
    made = _authority(folder).create(days=days)
    _show(made)
    diagnostics.say("next: flunq certs issue NAME --host HOST")


@app.command("issue")
def issue(
    name: NameArgument,
    host: Annotated[
        list[str] | None,
        typer.Option("--host", metavar="HOST", help="A name or address; repeatable."),
    ] = None,
    folder: FolderOption = None,
    days: DaysOption = 397,
) -> None:
    """Issue a certificate for a server; this machine's own names are always in it.

    $ flunq certs issue api --host api.example.com --host 10.0.0.7

    $ flunq serve api --tls-cert api.pem --tls-key api.key
    """
    _show(_authority(folder).issue(name, host or [], days=days))


@app.command("list")
def list_(folder: FolderOption = None) -> None:
    """List the authority and what it has issued, with the days that are left.

    $ flunq certs list
    """
    found = _authority(folder).all()
    output.emit([_row(each) if for_people() else _json(each) for each in found], columns=COLUMNS)
    if not found and as_rows():
        diagnostics.say("no certificates; begin with: flunq certs init")


@app.command("renew")
def renew(
    name: NameArgument,
    folder: FolderOption = None,
    days: DaysOption = 397,
    yes: YesOption = False,
) -> None:
    """Issue a certificate anew, with a new key and for the same hosts.

    $ flunq certs renew api --yes

    Servers read it when they are started again.
    """
    confirm(f"replace the certificate {name} and its key?", yes=yes)
    _show(_authority(folder).renew(name, days=days))


def _authority(folder: Path | None) -> Authority:
    from flunq.contexts import config_home
    from flunq.services.identity.certificates import Authority

    return Authority(folder or config_home() / "certs")


def _show(made: Certificate) -> None:
    output.emit(_json(made), plain=f"certificate {made.file}\nkey         {made.key}")


def _row(each: Certificate) -> dict[str, object]:
    return {**_json(each), "hosts": ", ".join(each.hosts)}


def _json(each: Certificate) -> dict[str, object]:
    return {
        "name": each.name,
        "hosts": each.hosts,
        "expires": each.expires,
        "days_left": each.days_left,
        "file": each.file,
        "key": each.key,
    }
