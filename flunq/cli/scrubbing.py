"""``flunq delete --scrub``: executions of which nothing may be left."""

from __future__ import annotations

import getpass
import re
import socket
from typing import TYPE_CHECKING, Any

from flunq.cli import diagnostics, output
from flunq.cli.bulk import Action, choose, preview, show_targets, write_list
from flunq.cli.engine import as_rows, connected
from flunq.cli.exits import ExitCode
from flunq.cli.options import confirm
from flunq.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.cli.bulk import Selection
    from flunq.client import Client

_KEY = re.compile(r'"\$flunq\.blob":\{"key":"([0-9a-f]+)"')
_ACTION = Action(verb="scrub", done="scrubbed", act=None, eligible="ended_at IS NOT NULL")


async def scrub_executions(ids: Sequence[str], selection: Selection) -> int:
    """Choose, ask, and do it."""
    async with connected() as client:
        chosen = list(dict.fromkeys(ids))
        if selection.is_bulk:
            targets, left_out = await choose(client, _ACTION, selection, gone=True)
            chosen = [target.id for target in targets]
            if left_out:
                diagnostics.say(f"{left_out} more match, but have not ended")
            if selection.dry_run:
                show_targets(targets)
                return ExitCode.DONE
            if selection.list_file is not None:
                write_list(selection.list_file, targets)
            preview(targets)
        if not chosen:
            diagnostics.say("no execution matches")
            return ExitCode.DONE
        what = chosen[0] if len(chosen) == 1 else f"{len(chosen)} executions"
        confirm(f"scrub {what}? Nothing of it can be brought back", yes=selection.yes)
        facts = await _scrub(client, chosen)
    _report(facts)
    return ExitCode.DONE


async def _scrub(client: Client, ids: Sequence[str]) -> dict[str, Any]:
    from flunq.client.scrub import scrub

    with progress("looking for large values") as shown:
        blobs = await exclusive_blobs(client, ids)
        done = await scrub(client, ids, by=_who(), blobs=blobs, tell=shown.update)
    return {
        "scrubbed": list(done.ids),
        "by": _who(),
        "through": done.through,
        "blobs": done.blobs,
        "in_use": done.left.split(", ") if done.left else [],
    }


async def exclusive_blobs(client: Client, ids: Sequence[str]) -> list[str]:
    """Return the keys of large values that no other execution refers to."""
    from flunq.cli.selecting import select

    named = ", ".join("'" + each.replace("'", "''") + "'" for each in ids)
    found = await select(
        client,
        "SELECT CAST(data AS VARCHAR) AS data, execution_id IN "  # noqa: S608 - quoted, and the sandbox only reads
        f"({named}) AS own FROM events WHERE contains(CAST(data AS VARCHAR), '$flunq.blob')",
    )
    own = {key for row in found if row["own"] for key in _KEY.findall(row["data"])}
    others = {key for row in found if not row["own"] for key in _KEY.findall(row["data"])}
    return sorted(own - others)


def _who() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # a user without a name
        return socket.gethostname()


def _report(facts: dict[str, Any]) -> None:
    if as_rows():
        output.emit(facts, plain="\n".join(f"{each} scrubbed" for each in facts["scrubbed"]))
    else:
        output.emit(facts)
    for stream in facts["in_use"]:
        diagnostics.warn(
            f"{stream} is in use: what it stored before goes when it is empty",
            hint="scrub again when nothing waits there",
        )
