"""Fires that are known in advance, and the ids of what they start."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flunq.core.duration import SECOND
from flunq.core.ids import is_valid_id
from flunq.core.scheduling.fires import events_id, fire_id, fires, newest_fire, next_fire
from flunq.core.scheduling.plan import Plan, compile_plan
from tests.support.schedules import at, clock

SINCE = at("09:00:00")


def plan(**block: str) -> Plan:
    return compile_plan(dict(block))


def test_every_counts_from_the_moment_it_came_into_force() -> None:
    found = fires(plan(every="PT20M"), SINCE, SINCE, 3)
    assert [clock(due) for due in found] == ["09:20:00", "09:40:00", "10:00:00"]


def test_every_goes_on_in_its_rhythm_whenever_one_looks() -> None:
    assert clock(next_fire(plan(every="PT20M"), SINCE, at("15:47:11")) or 0) == "16:00:00"


def test_months_do_not_drift_after_a_short_one() -> None:
    begin = at("2024-01-31T00:00:00")
    found = fires(plan(every="P1M"), begin, begin, 4)
    wanted = ["2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31"]
    assert found == [at(f"{day}T00:00:00") for day in wanted]


def test_months_are_found_years_later() -> None:
    begin = at("2024-01-31T00:00:00")
    assert next_fire(plan(every="P1M"), begin, at("2031-06-30T12:00:00")) == at(
        "2031-07-31T00:00:00"
    )


def test_cron_and_every_together_fire_once_where_they_meet() -> None:
    found = fires(plan(cron="*/30 * * * *", every="PT20M"), SINCE, SINCE, 4)
    assert [clock(due) for due in found] == ["09:20:00", "09:30:00", "09:40:00", "10:00:00"]


def test_an_interval_beyond_the_calendar_never_fires() -> None:
    assert fires(plan(every="P9000Y"), SINCE, SINCE, 3) == []


@pytest.mark.parametrize("upto", ["09:19:59", "09:20:00", "11:00:01", "2024-09-01T00:00:00"])
def test_the_newest_fire_is_the_last_of_all(upto: str) -> None:
    every = plan(every="PT20M")
    known = fires(every, SINCE, SINCE, 100_000, upto=at(upto))
    assert newest_fire(every, SINCE, SINCE, at(upto)) == (known[-1] if known else None)


def test_the_newest_of_a_years_seconds_is_found_at_once() -> None:
    end = at("2025-05-03T09:00:00")
    assert newest_fire(plan(cron="* * * * * *"), SINCE, SINCE, end) == end


def test_ids_can_be_read_and_are_valid() -> None:
    assert fire_id("shop", "nightly", at("02:30:00")).startswith("nightly-20240503T023000-")
    long = fire_id("n" * 63, "w" * 63, at("02:30:00") + 1)
    assert is_valid_id(long)
    assert is_valid_id(events_id("n" * 63, "w" * 63, ["a b"]))


def test_ids_of_namespaces_moments_and_events_differ() -> None:
    due = at("02:30:00")
    fired = {fire_id("a", "x", due), fire_id("b", "x", due), fire_id("a", "x", due + 1)}
    assert len(fired) == 3
    assert events_id("a", "x", ["1", "2"]) == events_id("a", "x", ["2", "1"])
    assert events_id("a", "x", ["1"]) != events_id("b", "x", ["1"])


@given(st.integers(1, 40 * 86_400 * SECOND), st.integers(0, 3), st.integers(-(10**15), 10**15))
def test_intervals_strictly_increase_wherever_one_begins(
    micros: int, months: int, distance: int
) -> None:
    every = plan(every=f"P{months}MT{micros / SECOND:.6f}S")
    after = SINCE + distance
    found = fires(every, SINCE, after, 5)
    assert all(first < second for first, second in pairwise([after, *found]))
    assert [next_fire(every, SINCE, due - 1) for due in found] == found
