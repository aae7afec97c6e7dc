"""Two reports of one scenario, figure by figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from flunq.bench.report import Report
from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_NOISE = 0.05
"""Figures that differ by less say nothing."""
_MORE_IS_BETTER = ("per_second", "steps_before_kill")
_NEITHER = (
    "events",
    "files",
    "part_steps",
    "requests_served",
    "steps_run",
    "at_least",
    "executions",
)
Verdict = Literal["better", "worse", "same"]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One figure, then and now."""

    figure: str
    before: float
    after: float
    ratio: float | None
    """Now as a multiple of then; None where then was nothing."""
    verdict: Verdict


def read_report(path: Path, scenario: str) -> Report:
    """Read what ``--save`` or ``-o json`` wrote of a scenario."""
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"{path} is no report of flunq bench: {error}", hint="make one with --save FILE"
        ) from None
    if report.scenario != scenario:
        raise UsageError(f"{path} is a report of {report.scenario}, not of {scenario}")
    return report


def compare(before: Report, after: Report) -> list[Compared]:
    """Compare the figures that both have, then the limits of the machine."""
    return [
        *_pairs(before.figures, after.figures),
        *_pairs({"limits": before.limits}, {"limits": after.limits}),
    ]


def lines(compared: list[Compared]) -> Iterator[tuple[Verdict, str]]:
    """Return one line for each figure with how it is to be taken."""
    width = max((len(one.figure) for one in compared), default=0)
    yield "same", f"{'':{width}} {'before':>14} {'after':>14} {'ratio':>8}"
    for one in compared:
        shown = "-" if one.ratio is None else f"{one.ratio:.2f}"
        numbers = f"{one.before:>14,.3f} {one.after:>14,.3f} {shown:>8}"
        word = "" if one.verdict == "same" else f"  {one.verdict}"
        yield one.verdict, f"{one.figure:{width}} {numbers}{word}"


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Compared]:
    then = dict(_flat(before))
    for name, value in _flat(after):
        if name in then:
            yield _compared(name, then[name], value)


def _flat(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)):
            yield prefix + name, value


def _compared(name: str, before: float, after: float) -> Compared:
    ratio = round(after / before, 4) if before else None
    return Compared(
        figure=name,
        before=before,
        after=after,
        ratio=ratio,
        verdict=_verdict(name, before, after),
    )


def _verdict(name: str, before: float, after: float) -> Verdict:
    last = name.rpartition(".")[2]
    if abs(after - before) <= _NOISE * abs(before) or last in _NEITHER:
        return "same"
    more_is_better = any(word in name for word in _MORE_IS_BETTER)
    return "better" if (after > before) is more_is_better else "worse"
