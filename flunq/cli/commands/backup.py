"""``flunq backup``: everything that a cluster holds, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import diagnostics, output
from flunq.cli.progress import progress
from flunq.cli.session import settings
from flunq.errors import UsageError

if TYPE_CHECKING:
    from flunq.services.backup.parts import Manifest


async def command(
    target: Annotated[
        str,
        typer.Argument(metavar="FILE|DIR/", help="The backup; a name with / at its end: a folder."),
    ],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Data folder of the cluster.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Take none: check every part of one that exists.")
    ] = False,
) -> None:
    """Save a cluster, running or stopped: streams, buckets, values, archive, keys.

    $ flunq backup monday.tar

    $ flunq backup backups/monday/ --data ./data

    $ flunq backup --verify monday.tar

    A running cluster goes on meanwhile. What was acknowledged before the backup began is in it.
    The file holds the keys of the cluster: keep it as you keep a password.
    """
    if verify:
        if data is not None:
            raise UsageError("--verify looks at a backup alone", hint="leave --data out")
        _verify(target)
        return
    from flunq.services.backup.taking import take_backup

    place = Path(settings(data=data and str(data)).settings.data)
    with progress("taking a backup") as shown:
        path, folder = _place_of(target)
        manifest = await take_backup(place, path, shown.update, folder=folder)
    _show("taken", target, manifest)


def _place_of(target: str) -> tuple[Path, bool]:
    """Return where the backup goes, and whether it is a folder: pathlib drops what says so."""
    return Path(target).absolute(), target.endswith("/")


def _verify(source: str) -> None:
    from flunq.services.backup.restoring import check_backup

    with progress("checking the backup") as shown:
        findings = check_backup(Path(source).absolute(), shown.update)
    assert findings.manifest is not None, "without one there would have been an error"
    _show("whole", source, findings.manifest)


def _show(status: str, target: str, manifest: Manifest) -> None:
    row = {
        "status": status,
        "backup": target,
        "created_at": manifest.created_at,
        "flunq": manifest.flunq,
        "nodes": manifest.nodes,
        "parts": len(manifest.parts),
        "bytes": manifest.bytes,
    }
    output.emit(
        row, plain=f"{target}: {len(manifest.parts)} parts, {manifest.bytes} bytes, {status}"
    )
    if status == "taken":
        diagnostics.say("next: flunq backup --verify, flunq restore")
