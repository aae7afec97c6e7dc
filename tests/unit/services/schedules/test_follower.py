"""Each schedule hears every event after its position once and in order, whoever comes and goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import msgspec

from flunq.log.ports import Record, StreamGoneError
from flunq.services.schedules import follower as following
from flunq.services.schedules.follower import Follower

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import pytest

    from flunq.log.ports import Bus
    from flunq.services.schedules.actor import Actor

EVENTS = 6


class Events:
    """A bus whose events are all there: reading them waits for nothing."""

    async def follow(self, after: int) -> AsyncIterator[Record]:
        if after > EVENTS:
            raise StreamGoneError(f"it ends before {after}")
        for seq in range(after + 1, EVENTS + 1):
            yield Record(seq, msgspec.json.encode({"type": "test.rang", "n": seq}))
        await asyncio.Event().wait()


class Schedule:
    """What hears events in the place of an actor."""

    def __init__(self, heard: int, then: Callable[[int], None] = lambda _: None) -> None:
        self.heard: list[int] = []
        self.whole = asyncio.Event()
        self._passed = heard
        self._then = then

    def position(self) -> int:
        return self._passed

    def wants(self, _event_type: str) -> bool:
        return True

    async def begin_anew(self) -> None:
        self._then(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._passed = 0

    async def take(self, seq: int, _event: dict[str, Any]) -> None:
        self._passed = seq
        self.heard.append(seq)
        self._then(seq)
        if seq == EVENTS:
            self.whole.set()


def follower() -> Follower:
    return Follower(cast("Bus", Events()))


def add(follower: Follower, name: str, schedule: Schedule) -> None:
    follower.add(name, cast("Actor", schedule))


async def follow(follower: Follower, *until: Schedule) -> None:
    following = asyncio.create_task(follower.run())
    async with asyncio.timeout(10):
        for schedule in until:
            await schedule.whole.wait()
    following.cancel()


async def test_who_joins_while_events_are_read_misses_none() -> None:
    reader, late = follower(), Schedule(1)
    early = Schedule(0, lambda seq: add(reader, "late", late) if seq == 3 else None)
    add(reader, "early", early)
    await follow(reader, early, late)
    assert early.heard == [1, 2, 3, 4, 5, 6]
    assert late.heard == [2, 3, 4, 5, 6]


async def test_who_leaves_while_events_are_read_hears_no_more() -> None:
    reader, other = follower(), Schedule(0)
    first = Schedule(0, lambda seq: reader.remove("other") if seq == 3 else None)
    add(reader, "first", first)
    add(reader, "other", other)
    await follow(reader, first)
    assert first.heard == [1, 2, 3, 4, 5, 6]
    assert other.heard[:2] == [1, 2]
    assert not {4, 5, 6} & set(other.heard)


async def test_who_takes_the_place_of_another_hears_what_that_one_had_not_kept() -> None:
    reader, again = follower(), Schedule(2)
    first = Schedule(0, lambda seq: add(reader, "one", again) if seq == 4 else None)
    add(reader, "one", first)
    await follow(reader, again)
    assert first.heard == [1, 2, 3, 4]
    assert again.heard == [3, 4, 5, 6]


async def test_who_joins_while_others_learn_of_a_new_bus_keeps_none_of_them_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "PAUSE", 0.0)
    reader, late = follower(), Schedule(0)
    first = Schedule(100, lambda seq: add(reader, "late", late) if seq == 0 else None)
    second = Schedule(100)
    add(reader, "first", first)
    add(reader, "second", second)
    await follow(reader, first, late, second)
    for schedule in (first, second, late):
        assert schedule.heard == [1, 2, 3, 4, 5, 6]
