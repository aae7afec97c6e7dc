"""``flunq schedules``: what starts executions by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import completion, diagnostics, output
from flunq.cli.engine import as_rows, connected, for_people
from flunq.cli.exits import ExitCode
from flunq.cli.options import (
    DryRunOption,
    InputOption,
    NewIdOption,
    parse_duration,
    parse_time,
    read_bytes,
)
from flunq.errors import RejectedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.core.protocol import Fired, ScheduleView

app = typer.Typer(
    help="See and steer what starts executions by itself.\n\n"
    "$ flunq schedules list\n\n$ flunq schedules next nightly.yaml -n 3"
)
_OVERLAPS = ("allow", "skip", "queue", "cancel")
_MISSED = ("all", "last", "none")
_FILES = (".yaml", ".yml", ".json")
_MOST = 1_000


def _names() -> list[str]:
    from flunq.cli import quick

    return quick.schedule_names()


NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The workflow, with its namespace where that is needed.",
        autocompletion=completion.quietly(_names),
    ),
]


@app.command("list")
async def list_(
    prefix: Annotated[
        str, typer.Option("--prefix", metavar="TEXT", help="Only names that begin so.")
    ] = "",
) -> None:
    """List the schedules in force.

    $ flunq schedules list
    """
    from flunq.cli.rendering.schedules import SCHEDULE_COLUMNS, schedule_json, schedule_row

    async with connected() as client:
        found = await client.schedules.list(prefix)
    if as_rows():
        output.emit([schedule_row(each) for each in found], columns=SCHEDULE_COLUMNS)
        if not found:
            diagnostics.say("no schedules; register a document with one: flunq apply FILE")
    else:
        output.emit([schedule_json(each) for each in found])


@app.command("show")
async def show(
    name: NameArgument,
    count: Annotated[
        int, typer.Option("-n", "--next", min=0, max=_MOST, metavar="N", help="Fires to come.")
    ] = 5,
) -> None:
    """Show a schedule: its policies, its next fires, what became of the last ones.

    $ flunq schedules show nightly-report
    """
    async with connected() as client:
        _show(await client.schedules.get(name, count=count), runs=True)


@app.command("pause")
async def pause(
    name: NameArgument,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Shown with the schedule.")
    ] = "",
) -> None:
    """Let a schedule start nothing until it is resumed.

    $ flunq schedules pause nightly-report --reason "moving the database"

    Executions that run go on. Fires and events of the pause are not made up for; see backfill.
    """
    async with connected() as client:
        _say(await client.schedules.pause(name, reason))


@app.command("resume")
async def resume(name: NameArgument) -> None:
    """Let a paused schedule go on from now.

    $ flunq schedules resume nightly-report
    """
    async with connected() as client:
        _say(await client.schedules.resume(name))


@app.command("skip")
async def skip(
    name: NameArgument,
    count: Annotated[
        int | None,
        typer.Option("-n", "--count", min=1, max=_MOST, metavar="N", help="So many fires [1]."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--until", parser=parse_time, metavar="TIME", help="All fires up to this moment."
        ),
    ] = None,
) -> None:
    """Skip the next fire of a schedule, or some; those after them come as always.

    $ flunq schedules skip nightly-report

    $ flunq schedules skip nightly-report --count 3

    $ flunq schedules skip nightly-report --until 2026-12-27T00:00Z

    It replaces what was asked before: twice the same is once. Only fires of cron and every can be
    skipped; backfill makes up for them.
    """
    from flunq.cli.rendering.schedules import moments_text
    from flunq.core.cron import micros_of

    if count is not None and until is not None:
        raise UsageError("say --count or --until, not both", hint="flunq schedules skip --help")
    last = None if until is None else micros_of(until)
    async with connected() as client:
        view = await client.schedules.skip(name, count=count or 1, until=last)
    upto = moments_text([view.skip_upto or 0], view.timezone)
    _say(view, f"skips its fires up to {upto}{_then(view)}")


@app.command("unskip")
async def unskip(name: NameArgument) -> None:
    """Skip no fire that is still to come.

    $ flunq schedules unskip nightly-report
    """
    async with connected() as client:
        view = await client.schedules.unskip(name)
    _say(view, f"skips nothing{_then(view)}")


@app.command("trigger")
async def trigger(name: NameArgument, input: InputOption = None, id: NewIdOption = None) -> None:
    """Start the workflow now, whatever its schedule says, and print the id of the execution.

    $ flunq schedules trigger nightly-report

    It starts even while the schedule is paused or another run is under way.
    """
    from flunq.cli.engine import read_input_option

    given: dict[str, Any] = {} if input is None else {"input": read_input_option(input)}
    async with connected() as client:
        fired = await client.schedules.trigger(name, id=id, **given)
    if fired.outcome == "refused":
        raise RejectedError(f"{name} could not be started: {fired.detail}")
    output.emit({"id": fired.id, "created": fired.outcome == "started"}, plain=fired.id)
    diagnostics.say(f"started {fired.id}; follow it with: flunq tail {fired.id}")


@app.command("backfill")
async def backfill(
    name: NameArgument,
    begin: Annotated[
        datetime, typer.Option("--from", parser=parse_time, metavar="TIME", help="The first fire.")
    ],
    end: Annotated[
        datetime | None,
        typer.Option("--to", parser=parse_time, metavar="TIME", help="The last fire [now]."),
    ] = None,
    dry_run: DryRunOption = False,
) -> int:
    """Start the fires of a time that has passed.

    $ flunq schedules backfill nightly-report --from 2026-11-01T00:00Z --to 2026-11-08T00:00Z

    $ flunq schedules backfill nightly-report --from -3d --dry-run

    A fire that has started its execution, then or in an earlier backfill, is left alone. The
    executions run at the same time; their tag scheduled-at tells which fire each stands for.
    """
    from flunq.core.cron import micros_of

    last = end or datetime.now(UTC)
    if last < begin:
        raise UsageError("--to is before --from")
    async with connected() as client:
        fires = client.schedules.backfill(name, micros_of(begin), micros_of(last), dry_run=dry_run)
        fired = [each async for each in fires]
    _show_fired(fired, dry_run=dry_run)
    refused = sum(each.outcome == "refused" for each in fired)
    if refused:
        diagnostics.warn(f"{refused} of {len(fired)} fires could not be started")
    return ExitCode.REJECTED if refused else ExitCode.DONE


@app.command("next")
async def next_(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="The workflow, or a document that need not be registered.",
            autocompletion=completion.quietly(_names),
        ),
    ],
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=_MOST, metavar="N", help="So many.")
    ] = 5,
) -> None:
    """Show the next fires of a schedule, in its time zone.

    $ flunq schedules next nightly-report

    $ flunq schedules next nightly.yaml -n 10

    A document in a file needs no cluster; its intervals count from now.
    """
    from flunq.cli.rendering.schedules import FIRE_COLUMNS, fire_json

    skipped: list[int] = []
    if name == "-" or name.endswith(_FILES):
        due, zone = _fires_of_file(Path(name), count)
    else:
        async with connected() as client:
            view = await client.schedules.get(name, count=count)
        skipped, zone = view.skipping, view.timezone
        due = sorted({*skipped, *view.next})[:count]
        if view.status == "paused":
            diagnostics.warn(
                f"{name} is paused; nothing fires until: flunq schedules resume {name}"
            )
    rows = [fire_json(each, zone, skipped=each in skipped) for each in due]
    output.emit(rows, columns=FIRE_COLUMNS if skipped else FIRE_COLUMNS[:3])
    if not due and for_people():
        diagnostics.say("no fires are known in advance")


@app.command("update")
async def update(
    name: NameArgument,
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", metavar="ZONE", help="Where cron looks at the clock."),
    ] = None,
    overlap: Annotated[
        str | None,
        typer.Option(
            "--overlap",
            metavar="|".join(_OVERLAPS),
            help="What to do while the last run goes on.",
            autocompletion=lambda: list(_OVERLAPS),
        ),
    ] = None,
    catch_up: Annotated[
        float | None,
        typer.Option(
            "--catch-up", parser=parse_duration, metavar="10m", help="How late a fire may come."
        ),
    ] = None,
    missed: Annotated[
        str | None,
        typer.Option(
            "--missed",
            metavar="|".join(_MISSED),
            help="Which of the missed fires to make up for.",
            autocompletion=lambda: list(_MISSED),
        ),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Go back to what the document says.")
    ] = False,
) -> None:
    """Set policies of a schedule, over those of its document.

    $ flunq schedules update nightly-report --timezone Europe/Berlin --overlap skip

    $ flunq schedules update nightly-report --catch-up 1d --missed last

    They stay when a new version of the workflow is registered.
    """
    from flunq.core.scheduling.policies import ScheduleError, one_of

    if not reset and not any(x is not None for x in (timezone, overlap, catch_up, missed)):
        raise UsageError("nothing to set", hint="flunq schedules update --help")
    try:
        chosen = {
            "overlap": one_of(_OVERLAPS, overlap, "--overlap"),
            "missed": one_of(_MISSED, missed, "--missed"),
        }
    except ScheduleError as error:
        raise UsageError(str(error)) from None
    late = None if catch_up is None else round(catch_up * 1_000_000)
    async with connected() as client:
        schedules = client.schedules
        view = await schedules.update(name, timezone=timezone, catch_up=late, reset=reset, **chosen)
    _show(view, runs=False)


def _fires_of_file(path: Path, count: int) -> tuple[list[int], str]:
    from flunq.core.cron import micros_of
    from flunq.core.reading import InvalidDocument, read_document
    from flunq.core.scheduling.fires import fires
    from flunq.core.scheduling.plan import compile_plan
    from flunq.core.scheduling.policies import ScheduleError, settings_of

    name = "<stdin>" if str(path) == "-" else str(path)
    try:
        document = read_document(read_bytes(path), name=name)
        plan = compile_plan(document.value.get("schedule") or {}, settings_of(document.value))
    except InvalidDocument as invalid:
        lines = [problem.text(name) for problem in invalid.problems]
        raise RejectedError("\n".join([f"{name} is rejected", *lines])) from None
    except ScheduleError as error:
        raise RejectedError(str(error), where=name) from None
    now = micros_of(datetime.now(UTC))
    due = [now] if plan.after is not None else []
    return [*due, *fires(plan, now, now, count)][:count], plan.policies.timezone


def _show(view: ScheduleView, *, runs: bool) -> None:
    from flunq.cli import tables
    from flunq.cli.rendering.schedules import RUN_COLUMNS, run_json, schedule_json, schedule_lines

    lines = list(schedule_lines(view))
    if runs and view.runs:
        rows = [run_json(note) for note in view.runs]
        lines += ["", *tables.render(rows, RUN_COLUMNS)]
    output.emit(schedule_json(view), lines=lines)


def _say(view: ScheduleView, what: str = "") -> None:
    from flunq.cli.rendering.schedules import schedule_json

    name = f"{view.namespace}/{view.name}"
    output.emit(schedule_json(view), plain=f"{name} {what or view.status}")


def _then(view: ScheduleView) -> str:
    from flunq.cli.rendering.schedules import moments_text

    if view.status != "active":
        return f"; it is {view.status}"
    return f"; the next is {moments_text(view.next[:1], view.timezone)}" if view.next else ""


def _show_fired(fired: Sequence[Fired], *, dry_run: bool) -> None:
    from flunq.cli.rendering.schedules import FIRED_COLUMNS, fired_json

    columns = FIRED_COLUMNS[:2] if dry_run else FIRED_COLUMNS
    output.emit([fired_json(each) for each in fired], columns=columns)
    if not fired and for_people():
        diagnostics.say("the schedule does not fire in that time")
