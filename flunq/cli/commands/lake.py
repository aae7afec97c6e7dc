"""``flunq lake``: the archive of everything that ever happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import diagnostics, output
from flunq.cli.engine import as_rows, connected
from flunq.cli.options import YesOption, confirm
from flunq.cli.progress import progress
from flunq.cli.tables import Column
from flunq.errors import UsageError

if TYPE_CHECKING:
    from flunq.core.protocol import LakeView

app = typer.Typer(
    help="See and tend the archive of everything that ever happened.\n\n"
    "$ flunq lake status\n\n$ flunq lake flush"
)
_COLUMNS = [
    Column("state", kind="status"),
    Column("problem"),
    Column("folder", whole=True),
    Column("host"),
    Column("through"),
    Column("newest"),
    Column("behind"),
    Column("behind_seconds", kind="duration"),
    Column("files"),
    Column("rows"),
    Column("bytes", kind="bytes"),
    Column("journal_bytes", kind="bytes"),
    Column("scrubbed"),
    Column("generation"),
]


@app.command("status")
async def status() -> None:
    """Show how far the archive is, and how large.

    $ flunq lake status

    $ flunq lake status -o json | jq .behind

    BEHIND counts commits of the journal that no file holds yet. Queries read them from the
    journal, so nothing is missing from an answer. Where the journal has them no more, the archive
    is blocked, and answers come with a warning.
    """
    async with connected() as client:
        _show(await client.archive.status())


@app.command("flush")
async def flush() -> None:
    """Make files of everything that has happened so far, at once.

    $ flunq lake flush
    """
    async with connected() as client:
        with progress("waiting for the historian"):
            view = await client.archive.flush()
    _show(view)


@app.command("compact")
async def compact() -> None:
    """Make as few files as possible; it happens by itself from time to time.

    $ flunq lake compact
    """
    async with connected() as client:
        with progress("merging files"):
            job = await client.archive.compact()
    diagnostics.say(job.detail)


@app.command("rebuild")
async def rebuild(
    keep_archive: Annotated[
        bool,
        typer.Option(
            "--keep-archive", help="Take what the journal no longer has from the present files."
        ),
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Set the present files aside, whatever they hold.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Make all files anew from the journal; queries go on meanwhile.

    $ flunq lake rebuild --keep-archive

    The journal is trimmed once the archive holds its beginning. Then --keep-archive takes over
    the old events, but those of files that are gone or cut off. With --anew the archive begins with
    what the journal has now, and the files that were there are kept in a folder beside it, where no
    query looks.
    """
    if keep_archive and anew:
        raise UsageError("--keep-archive and --anew exclude each other")
    if anew:
        confirm("Set the present files of the archive aside?", yes=yes)
    async with connected() as client:
        with progress("rebuilding the archive"):
            mode = "anew" if anew else "keep" if keep_archive else "full"
            job = await client.archive.rebuild(mode)  # type: ignore[arg-type]
    diagnostics.say(job.detail)


def _show(view: LakeView) -> None:
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(view)
    if not as_rows():
        output.emit(found)
        return
    shown = [column for column in _COLUMNS if column.key != "problem" or view.problem]
    output.emit(found, columns=shown)
