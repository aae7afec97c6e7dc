"""Histories that are copied for benchmarks."""

from __future__ import annotations

import random

import msgspec

from flunq.bench.recorded import ORDER, PER_COMMIT, Pattern, commits, pattern_input
from flunq.core.events import LazyEvent, decode_batch_lazily, timestamp
from flunq.core.ids import is_valid_id

BEGAN = 1_780_000_000_000_000


def pattern() -> Pattern:
    events = [
        LazyEvent(
            id=f"one:{seq}",
            source="/x",
            type=f"type-{seq}",
            time=timestamp(BEGAN + seq),
            subject="one",
            seq=seq,
            data=msgspec.Raw(msgspec.json.encode(pattern_input(2, refuse=False))),
        )
        for seq in (1, 2, 3)
    ]
    return Pattern("one", events)


def test_a_copy_has_its_own_id_values_and_moments() -> None:
    copied = pattern().copy("two", BEGAN + 10**9, random.Random(1))
    events = [msgspec.json.decode(text, type=LazyEvent) for text in copied]
    assert [(event.id, event.subject, event.seq) for event in events] == [
        (f"two:{seq}", "two", seq) for seq in (1, 2, 3)
    ]
    assert events[0].time == timestamp(BEGAN + 10**9)
    assert events[0].time <= events[1].time <= events[2].time
    value = events[0].value()
    assert value["order"].startswith("order-")
    assert value["order"] != ORDER
    assert len(set(value["references"])) == 2


def test_commits_hold_whole_histories_of_distinct_executions() -> None:
    made = list(commits([pattern()], 25, tenant="t", partition=9, until=BEGAN))
    assert [events for _, events in made] == [3 * PER_COMMIT, 3 * PER_COMMIT, 3 * 5]
    found = [event for record, _ in made for event in decode_batch_lazily(record)[1:]]
    by_id: dict[str, list[int]] = {}
    for event in found:
        by_id.setdefault(event.subject, []).append(event.seq)
    assert len(by_id) == 25
    assert set(map(tuple, by_id.values())) == {(1, 2, 3)}
    assert all(map(is_valid_id, by_id))
