"""Reports set against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.bench.comparing import compare, lines, read_report
from flunq.bench.report import Report
from flunq.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def report(**figures: Any) -> Report:
    return Report(
        scenario="start",
        durability="strict",
        machine={},
        sizes={},
        figures=figures,
        repeats=[],
        limits={"publish_per_second": 100.0},
        ratio=None,
    )


@pytest.mark.parametrize(
    ("name", "before", "after", "verdict"),
    [
        ("p50_ms", 2.0, 1.0, "better"),
        ("p50_ms", 1.0, 2.0, "worse"),
        ("p50_ms", 1.0, 1.04, "same"),
        ("steps_per_second", 100, 200, "better"),
        ("steps_per_second", 200, 100, "worse"),
        ("part_steps", 1, 500, "same"),
        ("lost", 0, 1, "worse"),
    ],
)
def test_a_figure_is_judged_by_what_it_counts(
    name: str, before: float, after: float, verdict: str
) -> None:
    compared = compare(report(**{name: before}), report(**{name: after}))[0]
    assert (compared.figure, compared.verdict) == (name, verdict)


def test_members_of_figures_are_compared_and_the_limits_last() -> None:
    compared = compare(report(per={"cpu": {"all": 4}}), report(per={"cpu": {"all": 2}}))
    assert [(one.figure, one.ratio) for one in compared] == [
        ("per.cpu.all", 0.5),
        ("limits.publish_per_second", 1.0),
    ]


def test_what_only_one_report_has_or_nobody_knows_is_left_out() -> None:
    compared = compare(report(old=1, unknown=None), report(new=1, unknown=3))
    assert [one.figure for one in compared] == ["limits.publish_per_second"]


def test_nothing_before_has_no_ratio() -> None:
    compared = compare(report(lost=0), report(lost=2))
    assert compared[0].ratio is None
    text = [line for _, line in lines(compared)]
    assert text[1].endswith("-  worse")


def test_a_report_that_was_saved_is_read_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(msgspec.json.encode(report(p50_ms=1)))
    assert read_report(file, "start").figures == {"p50_ms": 1}
    with pytest.raises(UsageError, match="of start, not of long"):
        read_report(file, "long")
    with pytest.raises(UsageError, match="cannot be read"):
        read_report(tmp_path / "none", "start")
    file.write_bytes(b"{}")
    with pytest.raises(UsageError, match="no report"):
        read_report(file, "start")
