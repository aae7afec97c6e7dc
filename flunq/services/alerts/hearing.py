"""Looks at events as they come: those of executions in the journal, all others on the bus."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.alerts import AlertRule, AlertState, hit
from flunq.core.events import decode_batch_lazily
from flunq.core.execution.fold import micros
from flunq.log.ports import StreamGoneError
from flunq.services.alerts.book import Places
from flunq.services.alerts.matching import ConditionError, attributes_of, could_meet, meets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from flunq.core.expressions import ExpressionEngine
    from flunq.log.ports import EventStream, Record
    from flunq.services.alerts.book import AlertBook

    Note = Callable[[AlertState], AlertState]

log = logging.getLogger(__name__)

NOTE_SECONDS = 5.0
"""How often it is noted how far events were looked at."""
MOST_DATA = 8 << 10
JOURNAL, BUS = "journal", "bus"
_PLACES = 1 << 20
"""More than one commit has events."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An event, where it stands and when it happened."""

    place: tuple[str, int]
    time: int
    attributes: dict[str, Any]
    body: msgspec.Raw

    def value(self) -> dict[str, Any]:
        """Return the event with its data."""
        return {**self.attributes, "data": msgspec.json.decode(self.body)}


class Hearing:
    """Shows events to rules; ``found`` is told of each that meets a filter."""

    def __init__(
        self,
        stream: EventStream,
        book: AlertBook,
        engine: ExpressionEngine,
        found: Callable[[AlertRule, Note], Awaitable[None]],
        trouble: Callable[[AlertRule, str], Awaitable[None]],
    ) -> None:
        self._stream = stream
        self._book = book
        self._engine = engine
        self._found = found
        self._trouble = trouble
        self._places = Places()
        self._noted = 0.0

    async def run(self, rules: Sequence[AlertRule]) -> None:
        """Go on where somebody left off, the first time with what comes from now on."""
        await self._find_places()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(JOURNAL, rules))
            group.create_task(self._follow(BUS, rules))

    async def _find_places(self) -> None:
        extent = await self._stream.journal.extent()
        known = await self._book.places()
        if known is None:
            newest = await self._stream.bus.last_seq()
            known = Places(journal=extent.last, bus=newest, created=extent.created)
            await self._book.put_places(known)
        elif known.created != extent.created:
            known = msgspec.structs.replace(known, journal=0, created=extent.created)
        self._places = known

    async def _follow(self, way: str, rules: Sequence[AlertRule]) -> None:
        source = self._stream.journal if way == JOURNAL else self._stream.bus
        try:
            async with aclosing(source.follow(after=getattr(self._places, way))) as records:  # type: ignore[type-var]
                async for record in records:
                    for seen in events_of(way, record):
                        await self._show(seen, rules)
                    await self._note(way, record.seq)
        except StreamGoneError:
            self._places = msgspec.structs.replace(self._places, **{way: 0})
            await self._book.put_places(self._places)
            raise

    async def _show(self, seen: Seen, rules: Sequence[AlertRule]) -> None:
        for rule in rules:
            if not could_meet(rule, seen.attributes):
                continue
            event = seen.value()
            try:
                met = await meets(rule, event, self._engine)
            except ConditionError as error:
                await self._trouble(rule, str(error))
                continue
            if met:
                shown = event if len(seen.body) <= MOST_DATA else seen.attributes
                note = partial(hit, rule, place=seen.place, time=seen.time, event=shown)
                await self._found(rule, note)

    async def _note(self, way: str, seq: int) -> None:
        self._places = msgspec.structs.replace(self._places, **{way: seq})
        now = asyncio.get_running_loop().time()
        if now - self._noted >= NOTE_SECONDS:
            self._noted = now
            await self._book.put_places(self._places)


async def newest_places(stream: EventStream) -> dict[str, int]:
    """Return places that only events have passed which are still to come."""
    newest = {JOURNAL: (await stream.journal.extent()).last, BUS: await stream.bus.last_seq()}
    return {way: (seq + 1) * _PLACES - 1 for way, seq in newest.items()}


def events_of(way: str, record: Record) -> Iterator[Seen]:
    """Yield the events of a record; what is unreadable is nobody's."""
    if way == JOURNAL:
        for position, event in enumerate(decode_batch_lazily(record.data)):
            yield Seen(
                place=(way, record.seq * _PLACES + position),
                time=micros(event.time),
                attributes=attributes_of(event),
                body=event.data,
            )
        return
    try:
        members = msgspec.json.decode(record.data, type=dict[str, msgspec.Raw])
        body = members.pop("data", msgspec.Raw(b"null"))
        attributes = {name: msgspec.json.decode(raw) for name, raw in members.items()}
    except (msgspec.MsgspecError, RecursionError):
        log.warning("event %d of the bus is not readable", record.seq)
        return
    time = int(record.time * 1_000_000)
    yield Seen(place=(way, record.seq * _PLACES), time=time, attributes=attributes, body=body)
