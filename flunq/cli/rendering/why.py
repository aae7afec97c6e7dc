"""Why an execution is where it is, as JSON and as lines for people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.cli import text
from flunq.cli.output import compact_json
from flunq.cli.tables import render_time
from flunq.core.events import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.client.reasons import Cause, LastError, Why
    from flunq.core.execution.near import NearMiss, Part

_SHOWN = 5
_WIDTH = 60
_MARKS = {True: "fits", False: "DOES NOT FIT", None: "not known here"}


def why_json(why: Why) -> dict[str, Any]:
    """Return the answer; moments are date-times."""
    members: dict[str, Any] = msgspec.to_builtins(why)
    members["since"] = _moment(why.since)
    for cause in members["causes"]:
        cause["since"], cause["due"] = _moment(cause["since"]), _moment(cause["due"])
    for error in [*members["errors"], *([members["error"]] if members["error"] else [])]:
        error["at"] = timestamp(error["at"]) if isinstance(error["at"], int) else error["at"]
    return members


def _moment(moment: int | None) -> str | None:
    return None if moment is None else timestamp(moment)


def why_lines(why: Why) -> Iterator[str]:
    """Yield the answer as lines."""
    status = text.paint(why.status, text.status_style(why.status), sys.stdout)
    yield f"{text.neutralise(f'{why.id}  {why.workflow}')}  {status}"
    for cause in why.causes:
        yield ""
        yield from _cause_lines(cause)
    if why.error is not None:
        yield ""
        yield from _error_lines(why)
    if why.letters:
        yield ""
        first = why.letters[0]
        letters = f"dead letters: {', '.join(why.letters)}; see them with: flunq dlq show {first}"
        yield text.neutralise(letters)
    if why.command:
        yield ""
        yield f"next: {_painted(why.command, 'bold')}"


def _cause_lines(cause: Cause) -> Iterator[str]:
    yield _painted(cause.text, "bold")
    if cause.since is not None:
        yield f"  since     {render_time(timestamp(cause.since))}"
    if cause.due is not None:
        yield f"  due       {render_time(timestamp(cause.due))}"
    if cause.act:
        yield text.neutralise(f"  who acts  {cause.act}")
    for miss in cause.near:
        yield from _miss_lines(miss)


def _miss_lines(miss: NearMiss) -> Iterator[str]:
    failed = miss.failed
    verdict = "nearly met it" if failed else "meets it, but was published before, or is on its way"
    yield text.neutralise(f"  event {miss.type} {miss.id} from {miss.source} {verdict}")
    for part in miss.parts:
        style = "red" if part.meets is False else "dim"
        yield f"    {_painted(_part_text(part), style)}"


def _part_text(part: Part) -> str:
    wanted = text.shorten(compact_json(part.wanted), _WIDTH)
    found = text.shorten(compact_json(part.found), _WIDTH)
    return f"{part.name}: wants {wanted}, has {found}: {_MARKS[part.meets]}"


def _error_lines(why: Why) -> Iterator[str]:
    assert why.error is not None
    yield "last error"
    yield f"  {_error_text(why.error)}"
    others = why.errors[:-1][-_SHOWN:]
    if others:
        yield "before it"
    for error in others:
        yield f"  {_error_text(error)}"


def _error_text(error: LastError) -> str:
    name = error.title or error.type.rpartition("/")[2]
    status = f" ({error.status})" if error.status is not None else ""
    detail = f": {error.detail}" if error.detail else ""
    line = f", line {error.line} of the definition" if error.line else ""
    when = render_time(timestamp(error.at))
    said = f"{error.what} at {error.instance}{line}: {name}{status}{detail}"
    return f"{when}  {text.neutralise_lines(said)}"


def _painted(data: str, style: str) -> str:
    return text.paint(text.neutralise_lines(data), style, sys.stdout)
