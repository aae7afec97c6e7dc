"""``flunq dlq``: what could not be worked on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import diagnostics, output, text
from flunq.cli.engine import as_rows, connected, for_people
from flunq.cli.exits import ExitCode
from flunq.cli.options import DryRunOption, LimitOption, YesOption, confirm, read_value
from flunq.errors import FlunqError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from flunq.client import Client
    from flunq.core.letters import Letter

app = typer.Typer(
    help="See what could not be worked on, put it back or drop it.\n\n"
    "$ flunq dlq list\n\n$ flunq dlq retry --all --where origin=input"
)
_SHOWN = 10
LetterArgument = Annotated[str, typer.Argument(metavar="ID", help="Number of the letter.")]
LettersArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[ID...]", help="Numbers of letters.")
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="FIELD=VALUE",
        help="Only such letters; FIELD~PART looks for a part. Repeatable.",
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="All letters, or all that --where leaves.")]


@app.command("list")
async def list_(where: WhereOption = None, limit: LimitOption = 100) -> None:
    """List the dead letters, newest first.

    $ flunq dlq list

    $ flunq dlq list --where origin=task --where reason~died

    Fields are id, origin, execution, workflow, task, kind and reason. An origin is task, input,
    event or execution.
    """
    from flunq.cli.rendering.letters import LETTER_COLUMNS, letter_json, letter_row

    async with connected() as client:
        found = await _choose(client, where or ())
    shown = found[:limit] if limit else found
    if as_rows():
        output.emit([letter_row(each) for each in shown], columns=LETTER_COLUMNS)
        if not found and for_people():
            diagnostics.say("no dead letters")
    else:
        output.emit([letter_json(each) for each in shown])
    if len(found) > len(shown):
        diagnostics.say(f"{len(found) - len(shown)} more; see them with -n 0")


@app.command("show")
async def show(letter: LetterArgument) -> None:
    """Show a dead letter with its body.

    $ flunq dlq show 12
    """
    from flunq.cli import tables
    from flunq.cli.rendering.letters import body_text, letter_json, letter_record

    async with connected() as client:
        found = await client.dead_letters.show(letter)
    record, columns = letter_record(found)
    body = text.neutralise_lines(body_text(found).rstrip())
    lines = [*tables.render_record(record, columns), "", body]
    output.emit(letter_json(found), lines=lines)


@app.command("retry")
async def retry(
    letters: LettersArgument = None,
    where: WhereOption = None,
    every: AllOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> int:
    """Put dead letters back where they came from: a task, an input or an event.

    $ flunq dlq retry 12

    $ flunq dlq retry --all --where origin=input --dry-run

    What nobody waits for any more is refused; the hint says what to do instead.
    """

    async def act(client: Client, id_: str) -> dict[str, Any]:
        done = await client.dead_letters.retry(id_)
        return {"id": id_, "outcome": done.outcome, "detail": done.detail}

    return await _each("put back", letters, _Choice(where, every, dry_run, yes), act)


@app.command("drop")
async def drop(
    letters: LettersArgument = None,
    where: WhereOption = None,
    every: AllOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> int:
    """Forget dead letters.

    $ flunq dlq drop 12 13

    $ flunq dlq drop --all --where execution=order-123 --yes
    """

    async def act(client: Client, id_: str) -> dict[str, Any]:
        dropped = await client.dead_letters.drop(id_)
        return {"id": id_, "outcome": "dropped", "detail": dropped.reason}

    return await _each("drop", letters, _Choice(where, every, dry_run, yes), act)


@app.command("edit")
async def edit(
    letter: LetterArgument,
    body: Annotated[
        str | None,
        typer.Option("--body", metavar="JSON|@FILE|-", help="The new body; no editor is opened."),
    ] = None,
) -> None:
    """Correct the body of a dead letter in $EDITOR, and put it back.

    $ flunq dlq edit 12

    $ flunq dlq edit 12 --body @corrected.json
    """
    from flunq.cli.editor import edit_text
    from flunq.cli.rendering.letters import body_text

    async with connected() as client:
        found = await client.dead_letters.show(letter)
        before = body_text(found)
        after = edit_text(before, suffix=".json") if body is None else read_value(body)
        if after == before:
            diagnostics.say("nothing was changed, nothing is put back")
            return
        done = await client.dead_letters.retry(letter, after)
    row = {"id": letter, "outcome": done.outcome, "detail": done.detail}
    output.emit(row, plain=f"{letter} {done.outcome}: {done.detail}")


class _Choice:
    """Which letters a command is for, and how careful it is."""

    def __init__(self, where: Sequence[str] | None, every: bool, dry_run: bool, yes: bool) -> None:
        self.where = where or ()
        self.every = every
        self.dry_run = dry_run
        self.yes = yes


async def _choose(client: Client, where: Sequence[str]) -> list[Letter]:
    from flunq.cli.rendering.letters import chosen

    list(chosen((), where))  # a wrong filter is told before anything is asked
    return list(chosen(await client.dead_letters.list(), where))


async def _each(
    verb: str,
    ids: Sequence[str] | None,
    choice: _Choice,
    act: Callable[[Client, str], Awaitable[dict[str, Any]]],
) -> int:
    """Do something to letters that were named or chosen; every one is tried."""
    if bool(ids) == choice.every:
        raise UsageError("name letters, or choose them with --all and --where", hint="one of both")
    if ids and (choice.where or choice.dry_run):
        raise UsageError("--where and --dry-run go with --all")
    async with connected() as client:
        targets = list(dict.fromkeys(ids or ()))
        if choice.every:
            targets = await _agreed(client, verb, choice)
        if choice.dry_run:
            return ExitCode.DONE
        done, failed = await _try_all(client, targets, act)
    if ids and len(targets) == 1 and failed:
        raise failed[0][1]
    _show_done(done)
    for id_, error in failed:
        diagnostics.warn(f"{id_}: {error.message}", error.hint)
    return ExitCode.REJECTED if failed else ExitCode.DONE


async def _agreed(client: Client, verb: str, choice: _Choice) -> list[str]:
    """Return the letters that the filters leave, once the user has said yes."""
    from flunq.cli import tables
    from flunq.cli.rendering.letters import LETTER_COLUMNS, letter_row

    letters = await _choose(client, choice.where)
    rows = [letter_row(each) for each in letters]
    if choice.dry_run:
        output.emit(rows, columns=LETTER_COLUMNS)
        diagnostics.say(f"would {verb} {_counted(len(rows))}")
    elif rows and not choice.yes:
        diagnostics.say(*tables.render(rows[:_SHOWN], LETTER_COLUMNS))
        confirm(f"{verb} {_counted(len(rows))}?", yes=False)
    return [letter.id for letter in letters]


def _counted(count: int) -> str:
    return "1 letter" if count == 1 else f"{count} letters"


async def _try_all(
    client: Client,
    ids: Sequence[str],
    act: Callable[[Client, str], Awaitable[dict[str, Any]]],
) -> tuple[list[dict[str, Any]], list[tuple[str, FlunqError]]]:
    done: list[dict[str, Any]] = []
    failed: list[tuple[str, FlunqError]] = []
    for id_ in ids:
        try:
            done.append(await act(client, id_))
        except FlunqError as error:
            failed.append((id_, error))
    return done, failed


def _show_done(done: Sequence[dict[str, Any]]) -> None:
    lines = [f"{row['id']} {row['outcome']}: {row['detail']}" for row in done]
    if as_rows() and not lines:
        diagnostics.say("no letter was changed")
        return
    output.emit(list(done), plain="\n".join(lines))
