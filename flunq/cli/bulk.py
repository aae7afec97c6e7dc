"""Commands to many executions: chosen by SQL or by a list, shown first, undone by a list."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import msgspec
import typer

from flunq.cli import diagnostics, output, tables, text
from flunq.cli.controlling import control
from flunq.cli.engine import as_rows, connected
from flunq.cli.exits import ExitCode
from flunq.cli.options import confirm, read_bytes
from flunq.cli.progress import progress
from flunq.cli.tables import Column
from flunq.errors import RejectedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence

    from flunq.client import Client
    from flunq.client.bulk import Outcome, Target

_SHOWN = 5
_OPEN = "ended_at IS NULL"
_COLUMNS = (
    Column("id", whole=True),
    Column("workflow"),
    Column("status", kind="status"),
    Column("started_at", "started", kind="time"),
)


def _option(*flags: str, **attributes: Any) -> Any:
    return typer.Option(*flags, rich_help_panel="Many at once", **attributes)


WhereOption = Annotated[
    str | None,
    _option("--where", metavar="SQL", help="Those of the view executions that this is true of."),
]
FromOption = Annotated[
    Path | None,
    _option("--from", metavar="FILE", help="Those of a list that --list wrote."),
]
ListOption = Annotated[
    Path | None,
    _option(
        "--list",
        metavar="FILE",
        help="First write their ids and what they are now, a line each: a list to undo by.",
    ),
]
RateOption = Annotated[
    float | None, _option("--rate", metavar="N", min=0.01, help="No more than N a second.")
]
DryOption = Annotated[bool, _option("--dry-run", help="Only show which they are.")]
BulkYesOption = Annotated[bool, _option("-y", "--yes", help="Do not ask.")]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What is done to each of them."""

    verb: str
    done: str
    """The verb when it is done: ``cancelled``."""
    act: Any
    """``(client, id) -> status``"""
    eligible: str = _OPEN
    """Of which executions it makes sense, in SQL; the others that match are left out."""
    wanted: frozenset[str] = frozenset()
    """Statuses with which an execution has ended as it should."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which executions are meant, and how they are treated."""

    where: str | None = None
    source: Path | None = None
    list_file: Path | None = None
    rate: float | None = None
    dry_run: bool = False
    yes: bool = False

    @property
    def is_bulk(self) -> bool:
        """Whether executions are chosen other than by naming them."""
        return self.where is not None or self.source is not None


_OPTIONS: dict[str, tuple[Any, Any]] = {
    "where": (WhereOption, None),
    "source": (FromOption, None),
    "list_file": (ListOption, None),
    "rate": (RateOption, None),
    "dry_run": (DryOption, False),
    "yes": (BulkYesOption, False),
}


def of_many(command: Callable[..., Coroutine[Any, Any, int]]) -> Callable[..., Any]:
    """Give a command the options that choose executions; it takes them as ``selection``."""
    kinds = get_type_hints(command, include_extras=True)
    own = [
        each.replace(annotation=kinds[each.name], kind=Parameter.KEYWORD_ONLY)
        for each in signature(command).parameters.values()
        if each.name != "selection"
    ]
    shared = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in _OPTIONS.items()
    ]

    @wraps(command)
    async def chosen(**given: Any) -> int:
        selection = Selection(**{name: given.pop(name) for name in _OPTIONS})
        check_selection(given["executions"], selection)
        return await command(selection=selection, **given)

    described: Any = chosen
    described.__signature__ = Signature([*own, *shared])
    described.__annotations__ = {each.name: each.annotation for each in [*own, *shared]}
    return chosen


async def act_on(
    ids: Sequence[str] | None,
    selection: Selection,
    action: Action,
    *,
    allowed: Collection[str] = (),
) -> int:
    """Do it to the executions that were named, or to those that were chosen."""
    if selection.is_bulk:
        return await run_bulk(action, selection)
    return await control(ids or (), action.act, allowed=allowed)


def check_selection(ids: Sequence[str] | None, selection: Selection) -> None:
    """Refuse a command line that means no executions, or several kinds at once."""
    ways = [bool(ids), selection.where is not None, selection.source is not None]
    if sum(ways) != 1:
        raise UsageError(
            "name executions, or choose them with --where or --from", hint="one of the three"
        )
    if selection.is_bulk:
        return
    only = [("--list", selection.list_file), ("--rate", selection.rate)]
    for flag, given in [*only, ("--dry-run", selection.dry_run)]:
        if given:
            raise UsageError(f"{flag} goes with --where or --from")


async def run_bulk(action: Action, selection: Selection) -> int:
    """Choose, show, ask, and do it; every execution is tried."""
    async with connected() as client:
        targets, left_out = await choose(client, action, selection)
        if left_out:
            diagnostics.say(f"{left_out} more match, but cannot be {action.done}")
        if selection.dry_run:
            show_targets(targets)
            diagnostics.say(f"{len(targets)} executions would be {action.done}")
            return ExitCode.DONE
        if targets and not selection.yes:
            preview(targets)
        if not targets:
            diagnostics.say("no execution matches")
        else:
            confirm(f"{action.verb} {_counted(len(targets))}?", yes=selection.yes)
            if selection.list_file is not None:
                write_list(selection.list_file, targets)
        outcomes = await _apply(client, action, targets, selection.rate)
    return _report(action, len(targets), outcomes, selection)


def _counted(count: int) -> str:
    return "1 execution" if count == 1 else f"{count} executions"


# -- choosing --------------------------------------------------------------------------------------


async def choose(
    client: Client, action: Action, selection: Selection, *, gone: bool = False
) -> tuple[list[Target], int]:
    """Return the executions that the action makes sense of, and how many others match.

    ``gone``: those whose records were deleted are meant too.
    """
    if selection.source is not None:
        return read_list(selection.source), 0
    from flunq.cli.selecting import select

    assert selection.where is not None
    query = (
        "SELECT id, namespace || '/' || workflow || ':' || version AS workflow, status, "  # noqa: S608 - the sandbox reads one tenant's rows and writes nothing
        f"started_at, coalesce({action.eligible}, false) AS eligible FROM executions "
        f"WHERE ({gone} OR deleted_at IS NULL) AND (\n{selection.where}\n) "
        "ORDER BY started_at, id"
    )
    rows = await select(client, query)
    chosen = [target_of(row) for row in rows if row["eligible"]]
    return chosen, len(rows) - len(chosen)


def target_of(row: dict[str, Any]) -> Target:
    """Return a row as the target of a command."""
    from flunq.client.bulk import Target

    return Target(
        id=row["id"],
        status=row["status"] or "",
        workflow=row["workflow"] or "",
        started_at=row["started_at"],
    )


def write_list(path: Path, targets: Sequence[Target]) -> None:
    """Write a list before anything is done; a file that exists is not replaced."""
    lines = b"".join(msgspec.json.encode(target) + b"\n" for target in targets)
    try:
        with path.open("xb") as file:
            file.write(lines)
    except FileExistsError:
        raise UsageError(
            "the list exists already", hint="name another file", where=str(path)
        ) from None


def read_list(path: Path) -> list[Target]:
    """Read a list: JSON lines with ``id``, or bare ids."""
    found: dict[str, Target] = {}
    for number, line in enumerate(read_bytes(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            target = _read_line(line.strip())
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            reason = f"line {number} is no execution: {error}"
            raise RejectedError(reason, where=str(path)) from None
        found[target.id] = target
    return list(found.values())


def _read_line(line: bytes) -> Target:
    from flunq.client.bulk import Target

    if line.startswith(b"{"):
        return msgspec.json.decode(line, type=Target)
    return Target(id=line.decode())


# -- showing ---------------------------------------------------------------------------------------


def _row(target: Target) -> dict[str, Any]:
    return {name: getattr(target, name) for name in ("id", "workflow", "status", "started_at")}


def show_targets(targets: Sequence[Target]) -> None:
    """Show all of them."""
    rows = [_row(target) for target in targets]
    if as_rows():
        output.emit(rows, columns=_COLUMNS)
    else:
        output.emit(rows)


def preview(targets: Sequence[Target]) -> None:
    """Show the first of them where the question is asked."""
    lines = tables.render([_row(target) for target in targets[:_SHOWN]], _COLUMNS)
    more = len(targets) - _SHOWN
    diagnostics.say(*lines, *([f"... and {more} more"] if more > 0 else []))


# -- doing -----------------------------------------------------------------------------------------


async def _apply(
    client: Client, action: Action, targets: Sequence[Target], rate: float | None
) -> list[Outcome]:
    from flunq.client.bulk import Bulk

    counts: Counter[str] = Counter()
    with progress(f"{action.verb} {_counted(len(targets))}") as shown:

        def noted(outcome: Outcome) -> None:
            counts[outcome.result] += 1
            shown.update(_bar(action, counts, len(targets)))

        act: Callable[[str], Awaitable[str]] = lambda id_: action.act(client, id_)  # noqa: E731 - one line
        bulk = Bulk(act, wanted=action.wanted, rate=rate, noted=noted)
        try:
            await bulk.run(targets)
        except asyncio.CancelledError:
            diagnostics.say(f"interrupted: {counts['done']} of {len(targets)} {action.done}")
            raise
    return bulk.outcomes


def _bar(action: Action, counts: Counter[str], total: int) -> str:
    tried = counts.total()
    filled = 20 * tried // total
    full, empty = ("━", "─") if text.unicode_terminal(sys.stderr) else ("#", "-")
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    return f"{action.verb} {full * filled}{empty * (20 - filled)} {tried}/{total}{failed}"


def _report(action: Action, matched: int, outcomes: Sequence[Outcome], selection: Selection) -> int:
    counts = Counter(outcome.result for outcome in outcomes)
    failed = [outcome for outcome in outcomes if outcome.result == "failed"]
    facts = {
        "action": action.verb,
        "matched": matched,
        **{name: counts[name] for name in ("done", "unchanged", "failed")},
        "errors": [{"id": outcome.id, "error": outcome.error} for outcome in failed],
        "list": str(selection.list_file) if selection.list_file and matched else None,
    }
    output.emit(facts, plain=_summary(action, matched, counts))
    for outcome in failed:
        diagnostics.warn(f"{outcome.id}: {outcome.error}")
    if facts["list"]:
        diagnostics.say(f"what they were before: {facts['list']}")
    return ExitCode.FAILED if failed else ExitCode.DONE


def _summary(action: Action, matched: int, counts: Counter[str]) -> str:
    rest = [
        f"{counts[name]} {words}"
        for name, words in (("unchanged", "had changed meanwhile"), ("failed", "failed"))
        if counts[name]
    ]
    return ", ".join([f"{action.done} {counts['done']} of {_counted(matched)}", *rest])
