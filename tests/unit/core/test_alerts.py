"""Alert rules in time: when they fire, when they are silent, when it is over."""

from __future__ import annotations

import msgspec

from flunq.core.alerts import (
    LATEST,
    SECOND,
    AlertRule,
    AlertState,
    hit,
    holds_by_hits,
    judge,
    judge_hit,
    next_moment,
    settled,
    view_of,
)

QUERY = AlertRule(name="q", query="select 1", hold=30 * SECOND, cooldown=100 * SECOND)
EVENTS = AlertRule(name="e", on={"type": "x"}, count=2, within=10 * SECOND)


def at(seconds: int) -> int:
    return 1_000 * SECOND + seconds * SECOND


def seen(rule: AlertRule, *looks: tuple[int, bool]) -> AlertState:
    state = AlertState()
    for second, holds in looks:
        state = judge(rule, state, holds, at(second), [second])
    return state


def statuses(state: AlertState) -> list[tuple[str, int]]:
    return [(notice.status, (notice.time - at(0)) // SECOND) for notice in state.outbox]


def test_a_rule_fires_once_it_has_held_long_enough() -> None:
    assert statuses(seen(QUERY, (0, True), (29, True))) == []
    state = seen(QUERY, (0, True), (29, True), (30, True), (60, True))
    assert statuses(state) == [("firing", 30)]
    assert (state.outbox[0].since, state.outbox[0].value) == (at(0), [30])


def test_a_pause_begins_the_time_anew() -> None:
    assert statuses(seen(QUERY, (0, True), (20, False), (25, True), (50, True))) == []


def test_it_is_told_when_it_is_over_and_not_before_it_fired() -> None:
    state = seen(QUERY, (0, True), (30, True), (40, False), (50, False))
    assert statuses(state) == [("firing", 30), ("resolved", 40)]
    assert statuses(seen(QUERY, (0, True), (10, False))) == []


def test_within_its_cooldown_it_does_not_fire_again() -> None:
    looks = [(0, True), (30, True), (40, False), (50, True), (90, True)]
    assert len(statuses(seen(QUERY, *looks))) == 2
    again = seen(QUERY, *looks, (130, True))
    assert statuses(again)[2:] == [("firing", 130)]
    assert [notice.number for notice in again.outbox] == [1, 1, 2]


def test_enough_events_within_the_time_make_a_rule_hold() -> None:
    state = hit(EVENTS, AlertState(), ("journal", 5), at(0), "first")
    assert not holds_by_hits(EVENTS, state, at(1))
    state = hit(EVENTS, state, ("journal", 9), at(3), "second")
    assert holds_by_hits(EVENTS, state, at(9))
    assert not holds_by_hits(EVENTS, state, at(10))


def test_an_event_that_was_heard_before_counts_once() -> None:
    state = hit(EVENTS, AlertState(), ("journal", 5), at(0), "first")
    assert hit(EVENTS, state, ("journal", 5), at(0), "first") is state
    assert hit(EVENTS, state, ("journal", 4), at(0), "late") is state
    assert len(hit(EVENTS, state, ("bus", 1), at(0), "other").hits) == 2


def test_time_alone_ends_what_events_have_begun() -> None:
    state = AlertState()
    for place in (1, 2):
        state = hit(EVENTS, state, ("bus", place), at(place), None)
    state = judge(EVENTS, state, holds_by_hits(EVENTS, state, at(2)), at(2))
    moment = next_moment(EVENTS, state, at(2))
    assert moment == at(11)
    state = judge(EVENTS, state, holds_by_hits(EVENTS, state, moment), moment)
    assert statuses(state) == [("firing", 2), ("resolved", 11)]
    assert next_moment(EVENTS, state, moment) is None


def test_a_rule_that_has_to_hold_is_judged_again_when_it_has() -> None:
    rule = AlertRule(name="e", on={"type": "x"}, within=60 * SECOND, hold=5 * SECOND)
    state = hit(rule, AlertState(), ("bus", 1), at(0), None)
    state = judge(rule, state, True, at(0))
    assert next_moment(rule, state, at(0)) == at(5)
    assert statuses(judge(rule, state, True, at(5))) == [("firing", 5)]


def test_what_was_delivered_is_remembered_and_no_longer_on_its_way() -> None:
    state = seen(QUERY, (0, True), (30, True))
    tried = msgspec.structs.replace(state.outbox[0], tries=1)
    assert settled(state, tried).outbox == [tried]
    done = settled(state, msgspec.structs.replace(tried, delivery="delivered"))
    assert (done.outbox, [notice.tries for notice in done.log]) == ([], [1])
    assert view_of(QUERY, done).status == "firing"


def heard(state: AlertState, place: int, second: int, *, now: int) -> AlertState:
    noted = hit(EVENTS, state, ("journal", place), at(second), second)
    return judge_hit(EVENTS, state, noted, now)


def test_events_that_are_heard_of_late_fire_and_are_over_at_once() -> None:
    state = heard(AlertState(), 5, 0, now=at(600))
    assert statuses(state) == []
    state = heard(state, 9, 3, now=at(601))
    assert statuses(state) == [("firing", 601)]
    moment = next_moment(EVENTS, state, at(601))
    assert moment is not None
    assert moment <= at(601)
    assert judge_hit(EVENTS, state, state, at(601)).firing is None


def test_events_that_were_noted_before_do_not_fire_again() -> None:
    state = heard(heard(AlertState(), 5, 0, now=at(1)), 9, 3, now=at(4))
    over = judge(EVENTS, state, False, at(10))
    assert heard(over, 9, 3, now=at(11)) == over


def test_events_of_the_past_do_not_fire() -> None:
    now = at(3) + LATEST + 1
    state = heard(heard(AlertState(), 5, 0, now=now), 9, 3, now=now)
    assert statuses(state) == []


def test_events_too_far_from_each_other_do_not_fire_however_late_they_are_heard() -> None:
    state = heard(heard(AlertState(), 5, 0, now=at(600)), 9, 10, now=at(600))
    assert statuses(state) == []
