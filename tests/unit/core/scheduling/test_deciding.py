"""What is decided when a schedule is due: starts, overlaps, missed fires, pauses, new versions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flunq.core.scheduling import deciding
from flunq.core.scheduling.deciding import (
    adopt,
    cancellable,
    demand,
    ended,
    next_wake,
    override,
    pause,
    resume,
    skip,
    skipping,
    tick,
    to_skip,
    unskip,
    upcoming,
    watched,
)
from flunq.core.scheduling.fires import fires
from flunq.core.scheduling.policies import Overrides
from flunq.core.scheduling.state import Pending
from tests.support.schedules import SECOND, Keeper, at, clock, reference

MINUTELY = "{every: {minutes: 1}}"


def end(keeper: Keeper, execution: str) -> None:
    keeper.state = ended(keeper.state, keeper.plan, execution, keeper.now)


# --- fires ------------------------------------------------------------------------------------


def test_a_fire_is_decided_when_it_is_due_and_only_once() -> None:
    keeper = Keeper(MINUTELY)
    assert keeper.tick("09:00:59.999") == []
    assert keeper.tick("09:01:00") == ["09:01:00"]
    assert keeper.tick("09:01:00") == []
    assert clock(next_wake(keeper.state, keeper.plan) or 0) == "09:02:00"


def test_a_start_names_the_version_that_was_in_force_when_it_was_decided() -> None:
    keeper = Keeper(MINUTELY)
    keeper.tick("09:01:00")
    keeper.state = adopt(keeper.state, reference("2.0.0"), keeper.state.block, {}, keeper.now, 0)
    keeper.tick("09:02:00")
    assert [pending.version for pending in keeper.state.pending] == ["1.0.0", "2.0.0"]


def test_an_acknowledged_start_is_noted_and_repeated_no_more() -> None:
    keeper = Keeper(MINUTELY)
    keeper.tick("09:01:00")
    (execution,) = keeper.settle()
    assert keeper.state.pending == ()
    assert [(note.id, note.outcome) for note in keeper.state.notes] == [(execution, "started")]
    assert keeper.state.counts.started == 1


def test_a_refused_start_is_visible_and_the_schedule_goes_on() -> None:
    keeper = Keeper(MINUTELY)
    keeper.tick("09:01:00")
    keeper.settle("refused", "no such version")
    assert keeper.state.problem is not None
    assert (keeper.state.problem.message, keeper.state.counts.refused) == ("no such version", 1)
    assert keeper.tick("09:02:00") == ["09:02:00"]


def test_many_unacknowledged_starts_hold_the_next_fires_back_without_losing_them() -> None:
    keeper = Keeper("{every: {milliseconds: 10}}", catchUp="PT1H")
    decided = 0
    for second in range(1, 9):
        decided += len(keeper.tick(f"09:00:0{second}"))
    assert deciding.MAX_PENDING <= decided < deciding.MAX_PENDING + deciding.BATCH
    while keeper.state.pending:
        keeper.settle()
        decided += len(keeper.tick("09:00:09"))
    assert decided == 900


# --- missed fires -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        ("all", ["09:05:00", "09:06:00", "09:07:00"]),
        ("last", ["09:07:00"]),
        ("none", []),
    ],
)
def test_missed_fires_are_made_up_for_as_far_as_the_policies_say(
    missed: str, expected: list[str]
) -> None:
    keeper = Keeper(MINUTELY, catchUp="PT3M", missed=missed)
    assert keeper.tick("09:07:30") == expected
    assert keeper.tick("09:08:00") == ["09:08:00"]


def test_a_fire_on_time_stands_for_the_missed_ones_before_it() -> None:
    keeper = Keeper(MINUTELY, catchUp="PT1H", missed="last")
    assert keeper.tick("09:07:01") == ["09:07:00"]


def test_missed_fires_are_counted_and_told_about() -> None:
    keeper = Keeper(MINUTELY)
    keeper.tick("09:07:30")
    (note,) = (note for note in keeper.state.notes if note.outcome == "missed")
    assert keeper.state.counts.missed == 6
    assert note.detail.startswith("6 fires were missed")


def test_a_year_of_missed_seconds_takes_no_year() -> None:
    keeper = Keeper("{cron: '* * * * * *'}", missed="last", catchUp="P2Y")
    assert keeper.tick("2025-05-03T09:00:00.5") != []
    assert len(keeper.state.pending) <= 3
    assert "more than 100" in keeper.state.notes[0].detail


GAPS = st.lists(st.integers(1, 50 * SECOND), min_size=1, max_size=30)


@given(GAPS, st.sampled_from([700_000, SECOND, 7 * SECOND]))
def test_whenever_the_keeper_looks_every_fire_is_decided_once_and_never_early(
    gaps: list[int], interval: int
) -> None:
    keeper = Keeper(f"{{every: PT{interval / SECOND}S}}")
    begin, decided = keeper.now, []
    for gap in gaps:
        keeper.now += gap
        while True:
            before = keeper.state
            keeper.state = tick(before, keeper.plan, keeper.now)
            assert tick(keeper.state, keeper.plan, keeper.now) == keeper.state or (
                len(keeper.state.pending) == deciding.BATCH
            )
            decided += [pending.at for pending in keeper.state.pending]
            keeper.settle()
            if keeper.state == before:
                break
    wanted = fires(keeper.plan, keeper.state.since, begin, 100_000, upto=keeper.now)
    assert decided == wanted


# --- overlaps -----------------------------------------------------------------------------------


def test_runs_may_overlap_by_default() -> None:
    keeper = Keeper(MINUTELY)
    keeper.tick("09:01:00")
    keeper.settle()
    assert keeper.tick("09:02:00") == ["09:02:00"]
    assert watched(keeper.state) == ()


def test_skip_passes_over_a_fire_while_the_last_run_goes_on() -> None:
    keeper = Keeper(MINUTELY, overlap="skip")
    keeper.tick("09:01:00")
    (first,) = keeper.settle()
    assert watched(keeper.state) == (first,)
    assert keeper.tick("09:02:00") == []
    end(keeper, first)
    assert keeper.tick("09:03:00") == ["09:03:00"]
    assert keeper.state.counts.skipped == 1


def test_skip_counts_a_start_that_is_not_acknowledged_yet() -> None:
    keeper = Keeper(MINUTELY, overlap="skip")
    keeper.tick("09:01:00")
    assert keeper.tick("09:02:00") == []


def test_queue_keeps_one_fire_for_later_and_skips_the_others() -> None:
    keeper = Keeper(MINUTELY, overlap="queue")
    keeper.tick("09:01:00")
    (first,) = keeper.settle()
    assert keeper.tick("09:03:00") == []
    end(keeper, first)
    assert [clock(pending.at) for pending in keeper.state.pending] == ["09:02:00"]
    assert keeper.state.counts.skipped == 1


def test_a_queued_fire_starts_when_the_policy_is_changed() -> None:
    keeper = Keeper(MINUTELY, overlap="queue")
    keeper.tick("09:01:00")
    keeper.settle()
    keeper.tick("09:02:00")
    keeper.state = override(keeper.state, Overrides(overlap="allow"))
    assert keeper.tick("09:02:10") == ["09:02:00"]


def test_cancel_ends_the_last_run_and_starts_the_next() -> None:
    keeper = Keeper(MINUTELY, overlap="cancel")
    keeper.tick("09:01:00")
    (first,) = keeper.settle()
    assert keeper.tick("09:02:00") == ["09:02:00"]
    assert cancellable(keeper.state) == (first,)
    end(keeper, first)
    assert keeper.state.cancels == ()


def test_cancel_waits_until_the_last_run_has_been_born() -> None:
    keeper = Keeper(MINUTELY, overlap="cancel")
    keeper.tick("09:01:00")
    keeper.tick("09:02:00")
    assert cancellable(keeper.state) == ()
    first, _ = keeper.settle()
    assert cancellable(keeper.state) == (first,)


def test_a_refused_start_makes_room() -> None:
    keeper = Keeper(MINUTELY, overlap="skip")
    keeper.tick("09:01:00")
    keeper.settle("refused", "no")
    assert keeper.tick("09:02:00") == ["09:02:00"]


# --- after ----------------------------------------------------------------------------------------


def test_after_starts_at_once_and_again_after_the_end() -> None:
    keeper = Keeper("{after: {minutes: 5}}")
    assert keeper.tick("09:00:00") == ["09:00:00"]
    (first,) = keeper.settle()
    assert watched(keeper.state) == (first,)
    assert keeper.tick("09:30:00") == []
    end(keeper, first)
    assert clock(next_wake(keeper.state, keeper.plan) or 0) == "09:35:00"
    assert keeper.tick("09:35:00") == ["09:35:00"]


def test_after_is_never_missed_however_late_it_is() -> None:
    keeper = Keeper("{after: {minutes: 5}}", missed="none")
    keeper.tick("09:00:00")
    end(keeper, *keeper.settle())
    assert keeper.tick("2024-06-01T00:00:00") == ["09:05:00"]


def test_after_tries_again_when_its_run_was_refused_but_not_without_pause() -> None:
    keeper = Keeper("{after: PT0S}")
    keeper.tick("09:00:00")
    keeper.settle("refused", "no")
    assert keeper.tick("09:00:00.5") == []
    assert keeper.tick("09:00:01") == ["09:00:01"]


# --- starts that are collected --------------------------------------------------------------------


def test_a_collected_start_runs_until_what_it_became_part_of_has_ended() -> None:
    keeper = Keeper(MINUTELY, overlap="skip")
    keeper.tick("09:01:00")
    (start,) = keeper.settle(part_of="group-1")
    assert (watched(keeper.state), keeper.state.notes[-1].id) == (("group-1",), start)
    assert keeper.state.notes[-1].execution == "group-1"
    assert keeper.tick("09:02:00") == []
    end(keeper, "group-1")
    assert keeper.tick("09:03:00") == ["09:03:00"]


def test_after_waits_for_what_its_start_became_part_of() -> None:
    keeper = Keeper("{after: {minutes: 5}}")
    keeper.tick("09:00:00")
    keeper.settle(part_of="group-1")
    assert (watched(keeper.state), next_wake(keeper.state, keeper.plan)) == (("group-1",), None)
    keeper.tick("09:30:00")
    end(keeper, "group-1")
    assert keeper.tick("09:35:00") == ["09:35:00"]


def test_cancel_leaves_alone_what_the_next_start_may_join() -> None:
    keeper = Keeper(MINUTELY, overlap="cancel")
    keeper.tick("09:01:00")
    keeper.tick("09:02:00")
    keeper.settle(part_of="group-1")
    assert keeper.tick("09:03:00") == ["09:03:00"]
    assert (cancellable(keeper.state), watched(keeper.state)) == ((), ())
    # Only the start that is not acknowledged yet could still be in the way.
    keeper.settle(part_of="group-1")
    assert keeper.state.cancels == ()


# --- what people do -------------------------------------------------------------------------------


def test_a_paused_schedule_starts_nothing_and_makes_up_for_nothing() -> None:
    keeper = Keeper(MINUTELY, catchUp="PT1H")
    keeper.state = pause(keeper.state, "holidays", keeper.now)
    assert keeper.tick("09:05:00") == []
    assert next_wake(keeper.state, keeper.plan) is None
    keeper.state = resume(keeper.state, at("09:05:30"), bus=7)
    assert keeper.tick("09:06:00") == ["09:06:00"]
    assert keeper.state.heard == 7


def test_pausing_and_resuming_twice_is_once() -> None:
    keeper = Keeper(MINUTELY)
    assert resume(keeper.state, keeper.now, 5) == keeper.state
    paused = pause(keeper.state, "a", keeper.now)
    assert pause(paused, "b", keeper.now + 1) == paused


def skip_next(keeper: Keeper, count: int) -> None:
    upto = to_skip(keeper.state, keeper.plan, keeper.now, count)
    keeper.state = skip(keeper.state, upto, keeper.now)


def test_the_next_fires_are_skipped_and_those_after_them_come() -> None:
    keeper = Keeper(MINUTELY)
    skip_next(keeper, 2)
    assert [keeper.tick(f"09:0{minute}:00") for minute in (1, 2, 3)] == [[], [], ["09:03:00"]]
    assert keeper.state.counts.skipped == 2
    assert [(clock(note.at), note.outcome) for note in keeper.state.notes] == [
        ("09:01:00", "skipped"),
        ("09:02:00", "skipped"),
    ]
    assert keeper.state.skip_upto == 0


def test_to_ask_twice_for_the_next_fire_skips_one() -> None:
    keeper = Keeper(MINUTELY)
    skip_next(keeper, 1)
    skip_next(keeper, 1)
    assert [keeper.tick(f"09:0{minute}:00") for minute in (1, 2)] == [[], ["09:02:00"]]


def test_what_is_to_be_skipped_is_told_apart_from_what_comes() -> None:
    keeper = Keeper(MINUTELY)
    skip_next(keeper, 2)
    skipped = skipping(keeper.state, keeper.plan, keeper.now, 9)
    assert [clock(each) for each in skipped] == ["09:01:00", "09:02:00"]
    assert clock(upcoming(keeper.state, keeper.plan, keeper.now, 1)[0]) == "09:03:00"


def test_a_skip_that_is_taken_back_skips_nothing() -> None:
    keeper = Keeper(MINUTELY)
    skip_next(keeper, 5)
    assert keeper.tick("09:01:00") == []
    keeper.state = unskip(keeper.state)
    assert keeper.tick("09:02:00") == ["09:02:00"]


def test_fires_to_be_skipped_are_not_made_up_for_when_the_keeper_was_away() -> None:
    keeper = Keeper(MINUTELY, catchUp="PT1H")
    skip_next(keeper, 2)
    assert keeper.tick("09:04:30") == ["09:03:00", "09:04:00"]
    assert (keeper.state.counts.skipped, keeper.state.counts.missed) == (2, 0)


def test_what_was_due_before_somebody_asked_is_not_skipped() -> None:
    keeper = Keeper(MINUTELY, catchUp="PT1H")
    keeper.now = at("09:02:30")
    skip_next(keeper, 1)
    assert keeper.tick("09:04:00") == ["09:01:00", "09:02:00", "09:04:00"]


def test_many_fires_skipped_at_once_are_one_note() -> None:
    keeper = Keeper("{every: PT1S}")
    keeper.state = skip(keeper.state, at("09:30:00"), keeper.now)
    keeper.tick("09:30:00")
    (note,) = keeper.state.notes
    assert note.detail == "more than 100 fires were skipped, as somebody asked"


def test_another_schedule_forgets_what_was_to_be_skipped() -> None:
    keeper = Keeper(MINUTELY)
    skip_next(keeper, 5)
    keeper.state = adopt(keeper.state, reference("2.0.0"), {"every": "PT2M"}, {}, keeper.now, 0)
    assert keeper.tick("09:02:00") == ["09:02:00"]


@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel"])
def test_what_somebody_demands_starts_whatever_else_runs(overlap: str) -> None:
    keeper = Keeper(MINUTELY, overlap=overlap)
    keeper.tick("09:01:00")
    keeper.settle()
    wanted = Pending(id="mine", at=keeper.now, cause="trigger", input={"a": 1})
    keeper.state = demand(keeper.state, [wanted, wanted])
    assert [pending.id for pending in keeper.state.pending] == ["mine"]
    assert keeper.state.pending[0].digest == "digest-1.0.0"


def test_a_fire_that_is_demanded_before_its_time_is_not_started_twice() -> None:
    keeper = Keeper(MINUTELY)
    keeper.tick("09:01:00")
    (fired,) = keeper.state.pending
    keeper.state = demand(keeper.state, [replace(fired, cause="backfill")])
    assert len(keeper.state.pending) == 1


# --- versions ---------------------------------------------------------------------------------


def test_a_new_version_with_the_same_schedule_keeps_the_rhythm() -> None:
    keeper = Keeper(MINUTELY)
    keeper.state = adopt(
        keeper.state, reference("2.0.0"), keeper.state.block, {}, at("09:00:30"), 0
    )
    assert keeper.tick("09:01:00") == ["09:01:00"]


def test_another_schedule_begins_now() -> None:
    keeper = Keeper(MINUTELY, overlap="queue")
    block: dict[str, Any] = {"every": {"minutes": 10}}
    keeper.state = adopt(keeper.state, reference("2.0.0"), block, {}, at("09:30:00"), 0)
    assert keeper.tick("09:39:59") == []
    assert keeper.tick("09:40:00") == ["09:40:00"]
    assert keeper.plan.policies.overlap == "allow"


def test_what_somebody_set_outlives_a_new_version() -> None:
    keeper = Keeper(MINUTELY)
    keeper.state = override(keeper.state, Overrides(overlap="skip"))
    keeper.state = adopt(keeper.state, reference("2.0.0"), {"every": "PT2M"}, {}, keeper.now, 0)
    assert keeper.plan.policies.overlap == "skip"
