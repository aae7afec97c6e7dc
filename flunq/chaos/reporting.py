"""A report for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.chaos.options import ChaosReport

_SHOWN = 20


def as_text(report: ChaosReport) -> str:
    """Return the report as lines."""
    return "\n".join([*_faults(report), "", *_totals(report), "", *_verdict(report)])


def _faults(report: ChaosReport) -> Iterator[str]:
    yield f"{'FAULT':<20} {'TARGET':<22} {'PAUSED':>7} {'NEXT START':>11} {'RECOVERED':>10}"
    for fault in report.faults:
        paused = f"{fault.lasted:.2f} s" if fault.lasted else "-"
        first, every = _seconds(fault.next_start), _seconds(fault.recovered)
        yield f"{fault.kind:<20} {fault.target:<22.22} {paused:>7} {first:>11} {every:>10}"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"


def _totals(report: ChaosReport) -> Iterator[str]:
    ended = ", ".join(f"{count} {status}" for status, count in sorted(report.statuses.items()))
    if ended:
        yield f"executions  {ended}"
    for name, figure in report.figures.items():
        yield f"{name.replace('_', ' '):<28} {figure:g}"
    yield f"starts      {report.acknowledged} acknowledged, probes included"
    yield f"journal     {report.commits} commits, {report.events} events"
    counts = ", ".join(f"{promise} {count}" for promise, count in report.counts.items())
    yield f"broken      {counts}"


def _verdict(report: ChaosReport) -> Iterator[str]:
    if not report.broken:
        yield f"every promise held (seed {report.seed}, {report.seconds:.0f} s)"
        return
    yield f"{len(report.broken)} promises were broken:"
    yield from (f"  {line}" for line in report.broken[:_SHOWN])
    if len(report.broken) > _SHOWN:
        yield f"  and {len(report.broken) - _SHOWN} more; see them with -o json"
    yield f"repeat it with: {report.repeat}"
