"""``flunq fork``: another execution from a point of one's history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import diagnostics, output
from flunq.cli.ending import show_result
from flunq.cli.engine import (  # Typer reads annotations
    ExecutionArgument,
    ReasonOption,
    as_rows,
    connected,
    find_execution,
    read_edited_input,
)
from flunq.cli.exits import ExitCode
from flunq.cli.options import (  # Typer reads annotations
    InputOption,  # noqa: TC001
    NewIdOption,  # noqa: TC001
    TimeoutOption,  # noqa: TC001
)
from flunq.errors import UsageError

if TYPE_CHECKING:
    from flunq.core.protocol import Tried

_SHOWN = 300

AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="SEQ|TASK",
        help="Right after this event, or just before this task began last [the start].",
    ),
]
VersionOption = Annotated[
    str | None,
    typer.Option("--version", metavar="VERSION", help="Go on by this version of the definition."),
]
SandboxOption = Annotated[
    bool,
    typer.Option(
        "--sandbox",
        help="Start nothing: let the record answer for every effect and show what differs.",
    ),
]


async def command(
    execution: ExecutionArgument,
    at: AtOption = None,
    input: InputOption = None,
    version: VersionOption = None,
    id: NewIdOption = None,
    reason: ReasonOption = "",
    sandbox: SandboxOption = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait and print the output.")] = False,
    within: TimeoutOption = None,
) -> int:
    """Start another execution from a point of this one's history, or from its start.

    $ flunq fork order-123 --at charge -i '{"amount": 5}'

    $ flunq fork order-123 --version 2.0.0 --sandbox

    -i is another input of the workflow, or with --at of the task that begins next. The other
    execution has idempotency keys of its own. In the sandbox the exit code is 1 when something
    differs from what happened.
    """
    _check(sandbox=sandbox, wait=wait, id=id, within=within)
    edited = read_edited_input(input)
    async with connected() as client:
        known = await find_execution(client, execution)
        point = None if at is None else await client.control.point(known.id, at)
        if sandbox:
            tried = await client.control.try_fork(known.id, at=point, input=edited, version=version)
            return _show_trial(tried)
        details = await client.fork(
            known.id, at=point, input=edited, version=version, new_id=id, reason=reason
        )
        if wait:
            return await show_result(client, details.id, within, details)
    output.emit({"id": details.id, "status": details.status}, plain=details.id)
    diagnostics.say(f"forked from {known.id}; follow it with: flunq tail {details.id}")
    return ExitCode.DONE


def _check(*, sandbox: bool, wait: bool, id: str | None, within: float | None) -> None:
    if sandbox and (wait or id is not None):
        raise UsageError("--sandbox starts nothing: leave out --wait and --id")
    if within is not None and not wait:
        raise UsageError("--timeout needs --wait")


def _show_trial(tried: Tried) -> int:
    import msgspec

    differs = bool(tried.changed or tried.stopped_at) or tried.status != tried.before
    if as_rows():
        rows = [
            {"task": change.task, "before": _short(change.before), "after": _short(change.after)}
            for change in tried.changed
        ]
        output.emit(rows, plain=None if rows else "no task differs")
        diagnostics.say(*_said(tried))
    else:
        output.emit({**msgspec.to_builtins(tried), "differs": differs})
    return ExitCode.FAILED if differs else ExitCode.DONE


def _said(tried: Tried) -> list[str]:
    said = [f"{tried.same} tasks did what they did before, {len(tried.changed)} differ"]
    if tried.stopped_at:
        said.append(f"it stopped at {tried.stopped_at}")
    elif tried.status != tried.before:
        said.append(f"it would end {tried.status}; the execution is {tried.before}")
    return said


def _short(fate: Any) -> str:
    if fate is None:
        return "-"
    shown = output.compact_json(fate)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
