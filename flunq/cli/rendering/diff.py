"""Two executions side by side, as JSON and as lines for people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.cli import text
from flunq.cli.output import compact_json
from flunq.cli.rendering.events import task_name
from flunq.core.amounts import render_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flunq.client.diffing import Comparison, TaskDifference
    from flunq.core.differences import Difference

_MOST = 10
"""Differences of one value that people are shown."""
_WIDTH = 100


def comparison_json(found: Comparison) -> dict[str, Any]:
    """Return a comparison."""
    members: dict[str, Any] = msgspec.to_builtins(found)
    for shown, task in zip(members["tasks"], found.tasks, strict=True):
        shown["differs"] = task.differs
    return members


def comparison_lines(found: Comparison, *, every: bool = False) -> Iterator[str]:
    """Yield a comparison as lines, ``-`` for the first execution and ``+`` for the second."""
    for sign, side in (("-", 0), ("+", 1)):
        took = _took(found.duration_ms[side])
        line = f"{sign} {found.ids[side]}  {found.workflows[side]}  {found.status[side]}{took}"
        yield _painted(sign, line)
    if found.equal:
        yield f"the same in all {len(found.tasks)} tasks"
    elif found.first is not None:
        yield text.neutralise(f"they part at {_name(found.first)}")
    for name in ("input", "output", "error"):
        yield from _value_lines(f"{name} of the execution", getattr(found, name), "")
    for task in found.tasks:
        if task.differs or every:
            yield from _task_lines(task)


def _name(task: TaskDifference) -> str:
    path = f" #{task.path}" if task.path else ""
    attempt = f", attempt {task.attempt}" if task.attempt > 1 else ""
    return f"{task_name(task.task)} ({task.task}{path}{attempt})"


def _took(duration: float | None) -> str:
    return "" if duration is None else f"  {_time(duration)}"


def _time(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return render_duration(milliseconds / 1000) if milliseconds >= 1 else "<1ms"


def _task_lines(task: TaskDifference) -> Iterator[str]:
    one, other = task.status
    status = f"{one or 'not there'} -> {other or 'not there'}" if one != other else str(one)
    times = " -> ".join(map(_time, task.duration_ms))
    tries = ""
    if task.tries[0] != task.tries[1] and None not in task.tries:
        tries = f", tried {task.tries[0]} -> {task.tries[1]} times"
    mark = "~" if one and other else "-" if one else "+"
    yield _painted(mark if task.differs else " ", f"{mark} {_name(task)}  {status}{tries}  {times}")
    for name in ("input", "output", "error"):
        yield from _value_lines(name, getattr(task, name), "  ")


def _value_lines(name: str, found: Sequence[Difference], indent: str) -> Iterator[str]:
    if not found:
        return
    yield f"{indent}{name}"
    for each in found[:_MOST]:
        for sign, value in (("-", each.before), ("+", each.after)):
            if value is not msgspec.UNSET:
                shown = text.shorten(compact_json(value), _WIDTH)
                yield _painted(sign, f"{indent}  {sign} {each.path}: {shown}")
    if len(found) > _MOST:
        yield f"{indent}  ... and {len(found) - _MOST} more places"


def _painted(sign: str, line: str) -> str:
    style = {"-": "red", "+": "green", "~": "yellow"}.get(sign, "")
    return text.paint(text.neutralise(line), style, sys.stdout)
