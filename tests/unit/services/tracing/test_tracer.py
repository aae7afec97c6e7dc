"""The way of spans from the journal to a collector that fails, refuses and comes back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.core.events import LazyEvent, join_batch
from flunq.log.memory import MemoryBroker, MemoryDatabase, MemoryEventStream
from flunq.log.select import StreamSettings
from flunq.services.tracing.exporter import Exporter
from flunq.services.tracing.tracer import BATCH, YOUNG, Tracer
from flunq.telemetry.otlp import TraceSettings
from tests.support.http_stub import Answer, HttpStub
from tests.support.traces import history

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATH = "/v1/traces"


class Place:
    """A journal, a store and a collector."""

    def __init__(self, stub: HttpStub, stream: MemoryEventStream, store: MemoryDatabase) -> None:
        self.stub, self.stream, self.store = stub, stream, store
        self.asked: list[str] = []

    async def commit(self, *events: LazyEvent) -> None:
        last = await self.stream.journal.last(0)
        body = join_batch(msgspec.json.encode(event) for event in events)
        expected = last.seq if last else 0
        await self.stream.journal.append(0, body, expected=expected, headers={})

    async def history(self, execution: str) -> AsyncIterator[LazyEvent]:
        self.asked.append(execution)
        for event in history():
            yield event

    @asynccontextmanager
    async def tracing(self) -> AsyncIterator[Exporter]:
        settings = TraceSettings(endpoint=self.stub.url + PATH)
        with closing(Exporter(settings, "default", version="1", first_pause=0.01)) as exporter:
            journal = self.stream.journal
            tracer = Tracer("default", journal, self.store, exporter, self.history, pause=0.0)
            running = asyncio.create_task(tracer.run())
            try:
                yield exporter
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def spans(self) -> list[Any]:
        request = await self.stub.arrived.get()
        scopes = request.json()["resourceSpans"][0]["scopeSpans"]
        spans: list[Any] = scopes[0]["spans"]
        return spans

    async def begun(self) -> None:
        """Wait until the position was noted the first time."""
        while await self.store.state.get("default.traces") is None:
            await asyncio.sleep(0)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    broker, settings = MemoryBroker(), StreamSettings(name="control")
    async with HttpStub() as stub, MemoryEventStream(settings, broker) as stream:
        store = MemoryDatabase(settings, broker)
        await stream.ensure(1)
        await store.ensure()
        yield Place(stub, stream, store)


async def test_spans_are_sent_once_they_end(place: Place) -> None:
    async with place.tracing():
        await place.begun()
        await place.commit(*history())
        assert [span["name"] for span in await place.spans()] == ["pay", "safe", "shop/order"]


async def test_nothing_of_a_cluster_that_was_faster_is_left_out(place: Place) -> None:
    await place.commit(*history())
    async with place.tracing():
        assert [span["name"] for span in await place.spans()] == ["pay", "safe", "shop/order"]


async def test_what_had_happened_long_before_is_not_sent(place: Place) -> None:
    *_, last = history()
    for number in range(YOUNG):
        await place.commit(msgspec.structs.replace(last, subject=f"old-{number}"))
    async with place.tracing():
        await place.begun()
        await place.commit(*history())
        assert [span["name"] for span in await place.spans()] == ["pay", "safe", "shop/order"]
    assert place.asked == []


async def test_another_process_goes_on_where_one_was_and_sends_nothing_twice(place: Place) -> None:
    *before, last = history()
    async with place.tracing():
        await place.begun()
        await place.commit(*before)
        first = await place.spans()
    await place.commit(last)
    async with place.tracing():
        second = await place.spans()
    assert [span["name"] for span in (*first, *second)] == ["pay", "safe", "shop/order"]
    assert place.asked == ["e1"]


async def test_a_collector_that_is_away_gets_everything_when_it_is_back(place: Place) -> None:
    away = [Answer(503), Answer(hang_up=True), Answer(429, headers={"retry-after": "0"})]
    place.stub.answer(PATH, *away, Answer(json={}))
    async with place.tracing():
        await place.begun()
        await place.commit(*history())
        bodies = [await place.spans() for _ in range(4)]
    assert bodies[0] == bodies[3]


async def test_what_a_collector_refuses_for_good_holds_nothing_up(place: Place) -> None:
    place.stub.answer(PATH, Answer(400), Answer(json={}))
    async with place.tracing() as exporter:
        await place.begun()
        *before, last = history()
        await place.commit(*before)
        refused = await place.spans()
        await place.commit(last)
        assert [span["name"] for span in await place.spans()] == ["shop/order"]
    assert (len(refused), exporter.problem) == (2, "")


async def test_a_beginning_that_nobody_knows_is_passed_over(place: Place) -> None:
    *_, last = history()
    stray = msgspec.structs.replace(last, subject="e9")
    async with place.tracing():
        await place.begun()
        await place.commit(stray, *history())
        names = [span["name"] for span in await place.spans()]
    assert names == ["pay", "safe", "shop/order"]


async def test_a_collector_that_stays_away_holds_nobody_up_and_is_told_of_once(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.stub.answer(PATH, Answer(hang_up=True))
    async with place.tracing() as exporter:
        await place.begun()
        for number in range(200):
            events = [msgspec.structs.replace(each, subject=f"e{number}") for each in history()]
            await place.commit(*events)
        sizes = [len(await place.spans()) for _ in range(5)]
        assert exporter.problem != ""
        place.stub.answer(PATH, Answer(json={}))
    assert max(sizes) <= BATCH
    assert caplog.text.count("takes no spans for now") == 1
