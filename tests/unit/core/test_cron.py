"""Cron expressions, time zones and clock changes."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flunq.core.cron import Cron, CronError

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
)


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


def fires(expression: str, zone: str, after: str, limit: int) -> list[str]:
    found = Cron(expression, zone).fires(micros(after), limit)
    return [f"{datetime.fromtimestamp(due / 1e6, UTC):%m-%dT%H:%M}" for due in found]


def exact(expression: str, zone: str, after: str, limit: int) -> list[str]:
    found = Cron(expression, zone).fires(micros(after), limit)
    return [f"{datetime.fromtimestamp(due / 1e6, UTC):%m-%dT%H:%M:%S}" for due in found]


def test_fires_come_in_order_and_later_than_the_start() -> None:
    assert fires("0 9 * * MON-FRI", "UTC", "2024-05-03T09:00:00", 3) == [
        "05-06T09:00", "05-07T09:00", "05-08T09:00",
    ]  # fmt: skip


def test_the_time_zone_counts() -> None:
    assert fires("0 9 * * *", "America/New_York", "2024-07-01T00:00:00", 1) == ["07-01T13:00"]


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("30 2 * * *", "Europe/Berlin", "2024-03-30T12:00:00", ["03-31T01:00", "04-01T00:30"]),
        ("30 2 * * *", "America/New_York", "2024-03-09T12:00:00", ["03-10T07:00", "03-11T06:30"]),
        # half an hour of difference
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2024-10-05T00:00:00",
            ["10-05T15:30", "10-06T15:15"],
        ),
        # midnight itself was skipped
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00", ["11-04T03:00", "11-05T02:00"]),
        ("0 30 2 * * *", "Europe/Berlin", "2024-03-30T12:00:00", ["03-31T01:00", "04-01T00:30"]),
    ],
)
def test_a_skipped_local_time_fires_once_after_the_gap(
    expression: str, zone: str, after: str, expected: list[str]
) -> None:
    assert fires(expression, zone, after, 2) == expected


def test_several_skipped_local_times_are_one_fire() -> None:
    found = fires("0,15,30 2 * * *", "Europe/Berlin", "2024-03-30T12:00:00", 2)
    assert found == ["03-31T01:00", "04-01T00:00"]


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("30 2 * * *", "Europe/Berlin", "2024-10-26T12:00:00", ["10-27T00:30", "10-28T01:30"]),
        ("30 1 * * *", "America/New_York", "2024-11-02T12:00:00", ["11-03T05:30", "11-04T06:30"]),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2024-04-06T00:00:00",
            ["04-06T14:45", "04-07T15:15"],
        ),
        ("0 30 2 * * *", "Europe/Berlin", "2024-10-26T12:00:00", ["10-27T00:30", "10-28T01:30"]),
    ],
)
def test_a_doubled_local_time_fires_once(
    expression: str, zone: str, after: str, expected: list[str]
) -> None:
    assert fires(expression, zone, after, 2) == expected


def test_a_doubled_local_time_does_not_fire_again_for_who_begins_in_between() -> None:
    found = fires("30 2 * * *", "Europe/Berlin", "2024-10-27T01:10:00", 1)
    assert found == ["10-28T01:30"]


def test_an_hourly_expression_follows_elapsed_time_through_a_clock_change() -> None:
    found = fires("0 * * * *", "Europe/Berlin", "2024-10-26T23:30:00", 3)
    assert found == ["10-27T00:00", "10-27T01:00", "10-27T02:00"]


def test_microseconds_before_a_fire_do_not_skip_it() -> None:
    due = micros("2024-05-03T09:00:00")
    assert Cron("0 9 * * *").next_fire(due - 1) == due
    assert Cron("0 9 * * *").next_fire(due) == due + 86_400_000_000


def test_a_sixth_field_in_front_are_seconds() -> None:
    assert exact("*/20 * * * * *", "UTC", "2024-05-03T09:00:19", 3) == [
        "05-03T09:00:20", "05-03T09:00:40", "05-03T09:01:00",
    ]  # fmt: skip
    assert exact("5,10 0 9 * * *", "UTC", "2024-05-03T09:00:05", 2) == [
        "05-03T09:00:10", "05-04T09:00:05",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("@yearly", "01-01T00:00"),
        ("@annually", "01-01T00:00"),
        ("@monthly", "06-01T00:00"),
        ("@weekly", "05-05T00:00"),
        ("@daily", "05-04T00:00"),
        ("@midnight", "05-04T00:00"),
        ("@Hourly", "05-03T11:00"),
        ("0 0 * JAN-MAR mon", "01-06T00:00"),
        ("0 0 L * *", "05-31T00:00"),
        ("0 0 LW * *", "05-31T00:00"),
        ("0 0 * * FRI#2", "05-10T00:00"),
        ("0 0 * * 5L", "05-31T00:00"),
        ("0 8-18/5 * * *", "05-03T13:00"),
        ("7 0 29 2 *", "02-29T00:07"),
    ],
)
def test_names_steps_and_macros_are_understood(expression: str, expected: str) -> None:
    assert fires(expression, "UTC", "2024-05-03T10:00:00", 1) == [expected]


def test_no_fire_comes_after_a_limit_in_time() -> None:
    begin = micros("2024-05-03T09:00:00")
    found = Cron("*/10 * * * *").fires(begin, 100, upto=begin + 1_800_000_000)
    assert found == [begin + minutes * 60_000_000 for minutes in (10, 20, 30)]


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "61 * * * *",
        "x * * * *",
        "0 0 30 2 *",
        "60 * * * * *",
        "@often",
        "@",
        "1 2 3 4 5 6 7",
    ],
)
def test_a_bad_expression_is_refused(expression: str) -> None:
    with pytest.raises(CronError):
        Cron(expression)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "", "/etc/localtime", "Europe"])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(CronError):
        Cron("0 9 * * *", zone)


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    some = st.lists(number, min_size=1, max_size=3).map(lambda found: ",".join(map(str, found)))
    return st.one_of(st.just("*"), some, st.integers(1, high).map(lambda step: f"*/{step}"))


EXPRESSIONS = st.builds(
    " ".join, st.tuples(_field(0, 59), _field(0, 23), _field(1, 28), _field(1, 12), _field(0, 6))
)
MOMENTS = st.integers(micros("1999-01-01"), micros("2035-01-01"))


@given(EXPRESSIONS, st.sampled_from(ZONES), MOMENTS)
def test_fires_strictly_increase_and_do_not_depend_on_where_one_begins(
    expression: str, zone: str, after: int
) -> None:
    cron = Cron(expression, zone)
    found = cron.fires(after, 6)
    assert all(first < second for first, second in pairwise([after, *found]))
    assert [cron.next_fire(due) for due in found[:-1]] == found[1:]
    assert [cron.next_fire(due - 1) for due in found] == found
