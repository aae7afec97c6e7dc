"""What the memory backend has beyond the contract: faults, an outside clock, lost connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flunq.log.memory import MemoryBroker, MemoryEventStream, Operation
from flunq.log.memory.services import matches
from flunq.log.ports import (
    OutcomeUnknownError,
    SequenceConflictError,
    StreamGoneError,
    TransportLostError,
)
from flunq.log.select import StreamSettings
from tests.support.reading import next_within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class OneFault:
    """Disturbs the first operation of a name."""

    def __init__(self, name: str, *, late: float | None = None, before: bool = False) -> None:
        self.name = name
        self.late = late
        self.fails_before = before
        self.seen: list[Operation] = []

    def hits(self, operation: Operation) -> bool:
        return operation.name == self.name and len(self.seen) == 1

    async def before(self, operation: Operation) -> float | None:
        if operation.name == self.name:
            self.seen.append(operation)
        if self.hits(operation) and self.fails_before:
            raise OutcomeUnknownError("before")
        return self.late if self.hits(operation) else None

    async def after(self, operation: Operation) -> None:
        if self.hits(operation):
            raise OutcomeUnknownError("after")


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
async def stream(broker: MemoryBroker) -> AsyncIterator[MemoryEventStream]:
    async with MemoryEventStream(StreamSettings(name="n1"), broker) as connected:
        await connected.ensure(8)
        yield connected


async def test_an_unknown_outcome_may_have_been_stored(
    broker: MemoryBroker, stream: MemoryEventStream
) -> None:
    broker.faults = OneFault("journal.append")
    with pytest.raises(OutcomeUnknownError):
        await stream.journal.append(0, b"x", expected=0, headers={})
    assert await stream.journal.last(0) is not None
    assert broker.faults.seen == [Operation("n1", "journal.append", "0")]


async def test_an_unknown_outcome_may_not_have_been_stored(
    broker: MemoryBroker, stream: MemoryEventStream
) -> None:
    broker.faults = OneFault("journal.append", before=True)
    with pytest.raises(OutcomeUnknownError):
        await stream.journal.append(0, b"x", expected=0, headers={})
    assert await stream.journal.last(0) is None


async def test_an_unknown_outcome_may_be_stored_later(
    broker: MemoryBroker, stream: MemoryEventStream
) -> None:
    broker.faults = OneFault("journal.append", late=0.01)
    with pytest.raises(OutcomeUnknownError):
        await stream.journal.append(0, b"x", expected=0, headers={})
    assert await stream.journal.last(0) is None
    record = await anext(stream.journal.follow(after=0))
    assert record.data == b"x"


async def test_a_late_write_that_lost_the_race_changes_nothing(
    broker: MemoryBroker, stream: MemoryEventStream
) -> None:
    broker.faults = OneFault("journal.append", late=0.0)
    with pytest.raises(OutcomeUnknownError):
        await stream.journal.append(0, b"late", expected=0, headers={})
    broker.faults = None
    broker.log("default/journal").append("0", b"first", partition=0, expected=0)
    with pytest.raises(SequenceConflictError):
        await stream.journal.append(0, b"x", expected=0, headers={})
    records = [r.data async for r in stream.journal.read(0, after=0, upto=9)]
    assert records == [b"first"]


async def test_a_recreated_inbox_tells_its_readers(
    broker: MemoryBroker, stream: MemoryEventStream
) -> None:
    created = await stream.inbox.created()
    waiting = asyncio.create_task(next_within(stream.inbox.read(0, after=0)))
    await asyncio.sleep(0.01)
    broker.recreate_log("default/inbox")
    with pytest.raises(StreamGoneError):
        await waiting
    assert await stream.inbox.created() != created


async def test_a_deleted_journal_is_not_an_empty_one(
    broker: MemoryBroker, stream: MemoryEventStream
) -> None:
    broker.delete_log("default/journal")
    with pytest.raises(StreamGoneError):
        await stream.journal.last(0)


async def test_a_lost_connection_ends_everything(stream: MemoryEventStream) -> None:
    following = asyncio.create_task(next_within(stream.journal.follow(after=0)))
    watching = asyncio.create_task(stream.wait_lost())
    await asyncio.sleep(0.01)
    stream.lose("cut")
    assert await watching == "cut"
    with pytest.raises(TransportLostError):
        await following
    with pytest.raises(TransportLostError):
        await stream.journal.last(0)


async def test_wake_ups_follow_the_given_clock() -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    broker = MemoryBroker(now=lambda: int((loop.time() - start) * 1_000_000))
    async with MemoryEventStream(StreamSettings(), broker) as stream:
        await stream.ensure(1)
        await stream.schedules.wake_at(0, "b", 30_000)
        assert await anext(stream.schedules.wakes(0)) == "b"
        assert broker.now() >= 30_000


async def test_forgotten_brokers_start_anew() -> None:
    url = "memory://test-forget"
    broker = MemoryBroker.at(url)
    assert MemoryBroker.at(url) is broker
    MemoryBroker.forget(url)
    assert MemoryBroker.at(url) is not broker
    MemoryBroker.forget(url)


@pytest.mark.parametrize(
    ("pattern", "subject", "verdict"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("*.b", "a.c", False),
        ("a.b.c", "a.b", False),
    ],
)
def test_patterns_match_as_the_broker_does(pattern: str, subject: str, verdict: bool) -> None:
    assert matches(pattern, subject) is verdict
