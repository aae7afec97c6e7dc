"""A rule is about what comes after it was applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import msgspec

from flunq.core.alerts import AlertRule, ApplyAlerts, hit
from flunq.log.memory import MemoryDatabase, MemoryEventStream
from flunq.log.select import StreamSettings
from flunq.services.alerts.book import AlertBook
from flunq.services.alerts.desk import AlertDesk
from flunq.services.alerts.hearing import BUS, Seen, events_of

if TYPE_CHECKING:
    from flunq.client import Client
    from flunq.core.expressions import ExpressionEngine
    from flunq.services.clock import Clock

RULE = AlertRule(name="bang", on={"type": "test.bang"})
AGAIN = AlertRule(name="bang", on={"type": "test.bang"}, count=2)


async def publish(stream: MemoryEventStream, name: str) -> None:
    event = {"specversion": "1.0", "id": name, "source": "/t", "type": "test.bang"}
    body = msgspec.json.encode(event)
    await stream.bus.publish("ext", body, type="test.bang", message_id=name)


async def newest(stream: MemoryEventStream, count: int) -> list[Seen]:
    found: list[Seen] = []
    async for record in stream.bus.follow(after=0):
        found += events_of(BUS, record)
        if len(found) == count:
            break
    return found


async def test_a_new_rule_hears_nothing_older_and_one_that_is_replaced_misses_nothing() -> None:
    settings = StreamSettings(url=f"memory://{uuid4().hex}")

    async def changed() -> None:
        return None

    async with MemoryEventStream(settings) as stream, MemoryDatabase(settings) as database:
        await stream.ensure(1)
        await database.ensure()
        book = AlertBook("default", database)
        nobody: Any = None
        desk = AlertDesk(
            cast("Client", nobody),
            stream,
            book,
            cast("ExpressionEngine", nobody),
            cast("Clock", nobody),
            changed,
        )
        await publish(stream, "before")
        await desk.answer(msgspec.json.encode(ApplyAlerts(rules=[RULE])))
        await publish(stream, "between")
        await desk.answer(msgspec.json.encode(ApplyAlerts(rules=[AGAIN])))
        state, _ = await book.state("bang")
        counts = []
        for seen in await newest(stream, 2):
            state = hit(AGAIN, state, seen.place, seen.time, {})
            counts.append(len(state.hits))
    assert counts == [0, 1]
