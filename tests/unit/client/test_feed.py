"""The feed hands every commit on once and in order, whatever the push loses."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.client import feed as feed_module
from flunq.client.feed import Feed
from flunq.core.protocol import Commits, Page
from flunq.errors import UnavailableError
from flunq.log.ports import NoResponderError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import pytest


def event(number: int, **members: Any) -> dict[str, Any]:
    head = {"id": f"c{number}", "source": "/x", "type": "t", "time": "2026-01-01T00:00:00Z"}
    return {**head, "partition": 0, **members}


def commit(number: int) -> bytes:
    """Commit ``number`` stands at journal position ``10 * number``."""
    head = event(number, data={"number": number, "releasedThrough": 10 * number - 10})
    own = event(number, id=f"e{number}", subject="run", seq=number)
    return msgspec.json.encode([head, own])


class Broker:
    """A partition with some commits, of which only those that a test pushes are heard."""

    def __init__(self, commits: int) -> None:
        self.commits = commits
        self.asked: list[Commits] = []
        self.silent = False
        self.refused = 0
        self.trimmed = 0
        self.push: Callable[[bytes], None] = lambda _: None

    @asynccontextmanager
    async def listen(self, subject: str, receive: Callable[[bytes], None]) -> AsyncIterator[None]:
        assert subject == "feed"
        self.push = receive
        yield

    async def request(self, subject: str, data: bytes, *, timeout: float) -> bytes:
        raise NoResponderError("there is no archive")

    async def ask(self, partition: int, question: Commits) -> Page:
        if self.silent:
            self.refused += 1
            raise UnavailableError("nobody answers")
        self.asked.append(question)
        end = 10 * min(self.commits, question.upto // 10)
        if question.after >= end:
            return Page(items=[], cursor=end)
        first = max(question.after // 10, self.trimmed) + 1
        last = min(end // 10, first + 1)
        numbers = range(first, last + 1)
        items = [msgspec.Raw(commit(number)) for number in numbers]
        seqs = [10 * number for number in numbers]
        return Page(items=items, cursor=10 * last, more=10 * last < end, seqs=seqs)


async def collect(feed: Feed, count: int) -> list[str]:
    seen: list[str] = []
    async for each in feed:
        seen.append(each.id)
        if len(seen) == count:
            break
    return seen


def opened(broker: Broker, *, archived: bool = True) -> Feed:
    return Feed(broker, "feed", [0], broker.ask, archived=archived)  # type: ignore[arg-type]


async def test_pushed_commits_are_handed_on_without_their_own_event() -> None:
    broker = Broker(5)
    async with opened(broker) as feed:
        for number in (6, 7):
            broker.push(commit(number))
        assert await collect(feed, 2) == ["e6", "e7"]


async def test_a_repeated_commit_is_handed_on_once() -> None:
    broker = Broker(5)
    async with opened(broker) as feed:
        for number in (6, 6, 7, 6, 8):
            broker.push(commit(number))
        assert await collect(feed, 3) == ["e6", "e7", "e8"]


async def test_a_gap_is_filled_from_the_journal() -> None:
    broker = Broker(5)
    async with opened(broker) as feed:
        broker.push(commit(6))
        broker.commits = 11
        broker.push(commit(11))
        assert await collect(feed, 6) == [f"e{number}" for number in range(6, 12)]


async def test_a_lost_last_commit_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "QUIET_SECONDS", 0.01)
    broker = Broker(5)
    async with opened(broker) as feed:
        broker.commits = 7
        assert await collect(feed, 2) == ["e6", "e7"]


async def test_what_was_read_otherwise_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "QUIET_SECONDS", 0.01)
    broker = Broker(5)
    async with opened(broker) as feed:
        broker.commits = 9
        feed.anchor(0, 80)
        assert await collect(feed, 1) == ["e9"]


async def test_a_fail_over_delays_but_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "QUIET_SECONDS", 0.01)
    broker = Broker(5)
    async with opened(broker) as feed:
        broker.silent = True
        broker.commits = 8
        broker.push(commit(6))
        assert await collect(feed, 1) == ["e6"]
        broker.silent = False
        assert await collect(feed, 2) == ["e7", "e8"]


async def test_a_fail_over_right_after_the_history_was_read_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_module, "QUIET_SECONDS", 0.01)
    broker = Broker(5)
    async with opened(broker) as feed:
        feed.anchor(0, 60)
        broker.commits, broker.silent = 8, True
        broker.push(commit(8))
        reading = asyncio.create_task(collect(feed, 2))
        while not broker.refused:
            await asyncio.sleep(0)
        broker.silent = False
        assert await reading == ["e7", "e8"]


async def test_a_slow_reader_gets_what_was_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "KEPT", 2)
    monkeypatch.setattr(feed_module, "QUIET_SECONDS", 0.01)
    broker = Broker(0)
    async with opened(broker) as feed:
        broker.commits = 9
        for number in range(1, 10):
            broker.push(commit(number))
        assert await collect(feed, 9) == [f"e{number}" for number in range(1, 10)]


async def test_the_first_commit_may_be_lost_too() -> None:
    broker = Broker(5)
    async with opened(broker) as feed:
        broker.commits = 7
        broker.push(commit(7))
        assert await collect(feed, 2) == ["e6", "e7"]


async def test_a_gap_that_nobody_can_fill_now_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "QUIET_SECONDS", 0.01)
    broker = Broker(5)
    async with opened(broker) as feed:
        events = aiter(feed)
        broker.commits = 6
        broker.push(commit(6))
        assert (await anext(events)).id == "e6"
        broker.silent = True
        broker.commits = 9
        broker.push(commit(9))
        following = asyncio.ensure_future(anext(events))
        while broker.refused < 2:
            await asyncio.sleep(0)
        broker.silent = False
        found = [(await following).id, *[(await anext(events)).id for _ in range(2)]]
        assert found == ["e7", "e8", "e9"]


async def test_what_nobody_has_any_more_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "ARCHIVE_PAUSE", 0.0)
    broker = Broker(5)
    async with opened(broker) as feed:
        broker.commits, broker.trimmed = 9, 7
        broker.push(commit(9))
        events = aiter(feed)
        gap = await anext(events)
        assert (gap.type, gap.subject) == ("io.flunq.feed.gap", "partition-0")
        assert gap.value()["commits"] == 2
        assert [(await anext(events)).id for _ in range(2)] == ["e8", "e9"]


async def test_who_cares_for_the_present_does_not_wait_for_the_archive() -> None:
    broker = Broker(5)
    async with opened(broker, archived=False) as feed:
        broker.commits, broker.trimmed = 9, 7
        broker.push(commit(9))
        events = aiter(feed)
        gap = await anext(events)
        assert (gap.type, gap.value()["commits"]) == ("io.flunq.feed.gap", 2)
        assert "archive" in gap.value()["reason"]
        assert [(await anext(events)).id for _ in range(2)] == ["e8", "e9"]
