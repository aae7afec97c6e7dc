"""Cron expressions, time zones and clock changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flunq.core.cron import Cron, CronError


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def fires(expression: str, zone: str, after: str, limit: int) -> list[str]:
    found = Cron(expression, zone).fires(micros(after), limit)
    return [f"{datetime.fromtimestamp(due / 1e6, UTC):%m-%dT%H:%M}" for due in found]


def test_fires_come_in_order_and_later_than_the_start() -> None:
    assert fires("0 9 * * MON-FRI", "UTC", "2024-05-03T09:00:00", 3) == [
        "05-06T09:00", "05-07T09:00", "05-08T09:00",
    ]  # fmt: skip


def test_the_time_zone_counts() -> None:
    assert fires("0 9 * * *", "America/New_York", "2024-07-01T00:00:00", 1) == ["07-01T13:00"]


def test_a_skipped_local_time_fires_once_after_the_gap() -> None:
    assert fires("30 2 * * *", "Europe/Berlin", "2024-03-30T12:00:00", 2) == [
        "03-31T01:00", "04-01T00:30",
    ]  # fmt: skip


def test_a_doubled_local_time_fires_once() -> None:
    found = fires("30 2 * * *", "Europe/Berlin", "2024-10-26T12:00:00", 2)
    assert found == ["10-27T00:30", "10-28T01:30"]


def test_an_hourly_expression_follows_elapsed_time_through_a_clock_change() -> None:
    found = fires("0 * * * *", "Europe/Berlin", "2024-10-26T23:30:00", 3)
    assert found == ["10-27T00:00", "10-27T01:00", "10-27T02:00"]


def test_microseconds_before_a_fire_do_not_skip_it() -> None:
    due = micros("2024-05-03T09:00:00")
    assert Cron("0 9 * * *").next_fire(due - 1) == due
    assert Cron("0 9 * * *").next_fire(due) == due + 86_400_000_000


@pytest.mark.parametrize("expression", ["", "* * * *", "61 * * * *", "x * * * *", "0 0 30 2 *"])
def test_a_bad_expression_is_refused(expression: str) -> None:
    with pytest.raises(CronError):
        Cron(expression)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", ""])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(CronError):
        Cron("0 9 * * *", zone)
