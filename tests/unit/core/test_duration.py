"""Durations: what they mean and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from flunq.core.duration import DAY, FOREVER, HOUR, SECOND, Duration, DurationError, parse_duration


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        ({"seconds": 3}, 3 * SECOND),
        ({"milliseconds": 0}, 0),
        ({"days": 1, "hours": 1, "minutes": 1, "seconds": 1, "milliseconds": 1}, 90_061_001_000),
        ({"minutes": 90}, 90 * 60 * SECOND),
        ("PT0S", 0),
        ("PT30S", 30 * SECOND),
        ("PT0.5S", SECOND // 2),
        ("PT0,25S", SECOND // 4),
        ("P1DT12H", 36 * HOUR),
        ("P2W", 14 * DAY),
        ("PT1.5H", 90 * 60 * SECOND),
        ("PT36H", 36 * HOUR),
    ],
)
def test_units_add_up_to_microseconds(value: Any, micros: int) -> None:
    assert parse_duration(value) == Duration(micros)


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 1.5, [], {}, "", "P", "PT", "P1DT", "-PT1S", "pt1s", "1s", "PT1", "P1H",
        " PT1S", "PT1S\n", "P" + "9" * 40 + "D", {"weeks": 1}, {"seconds": -1}, {"seconds": 1.5},
        {"seconds": True}, {"seconds": "3"},
    ],
)  # fmt: skip
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(DurationError):
        parse_duration(value)


@pytest.mark.parametrize(
    ("start", "text", "end"),
    [
        ("2024-01-31T10:00:00", "P1M", "2024-02-29T10:00:00"),
        ("2023-01-31T10:00:00", "P1M", "2023-02-28T10:00:00"),
        ("2024-02-29T00:00:00", "P1Y", "2025-02-28T00:00:00"),
        ("2024-11-15T12:00:00", "P3MT1H", "2025-02-15T13:00:00"),
    ],
)
def test_months_follow_the_calendar(start: str, text: str, end: str) -> None:
    begin = int(datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp()) * SECOND + 7
    expected = int(datetime.fromisoformat(end).replace(tzinfo=UTC).timestamp()) * SECOND + 7
    assert parse_duration(text).after(begin) == expected


def test_nothing_is_due_after_the_last_representable_moment() -> None:
    assert parse_duration("P9000Y").after(1_700_000_000 * SECOND) == FOREVER
    assert parse_duration({"days": 10**12}).after(0) == FOREVER


def test_a_month_counts_thirty_days_where_no_start_is_known() -> None:
    assert parse_duration("P1MT1H").approximate() == 30 * DAY + HOUR
