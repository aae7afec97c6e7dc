"""Reads the tenant's events for the schedules that wait for some; one reader for all of them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.log.ports import OutcomeUnknownError, StreamGoneError
from flunq.services.wire import decode_event

if TYPE_CHECKING:
    from flunq.log.ports import Bus, Record
    from flunq.services.schedules.actor import Actor

log = logging.getLogger(__name__)

PAUSE = 1.0


class Follower:
    """Hands each event of the bus to the schedules that it may concern, in order."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._listeners: dict[str, Actor] = {}
        self._anew: list[Actor] = []
        """Those that have still to learn that the bus is another one."""
        self._changed = asyncio.Event()

    def add(self, name: str, actor: Actor) -> None:
        """Let a schedule hear events."""
        if self._listeners.get(name) is not actor:
            self._listeners[name] = actor
            self._changed.set()

    def remove(self, name: str) -> None:
        """Let a schedule hear no more events."""
        if self._listeners.pop(name, None) is not None and not self._listeners:
            self._changed.set()

    async def run(self) -> None:
        """Follow the bus while anybody listens."""
        while True:
            self._changed.clear()
            if not self._listeners:
                await self._changed.wait()
                continue
            changed = asyncio.ensure_future(self._changed.wait())
            following = asyncio.ensure_future(self._follow())
            try:
                await asyncio.wait([changed, following], return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    following.result()
            finally:
                changed.cancel()
                following.cancel()
                await asyncio.gather(changed, following, return_exceptions=True)

    async def _follow(self) -> None:
        # Whoever joins meanwhile interrupts this: it goes on with the next round.
        while self._anew:
            await self._anew[0].begin_anew()
            del self._anew[0]
        # Who joins now begins with the next round: here it would miss what was read already.
        hearing = dict(self._listeners)
        if not hearing:
            return
        after = min(actor.position() for actor in hearing.values())
        try:
            async for record in self._bus.follow(after=after):
                await self._hand_out(record, hearing)
        except StreamGoneError as error:
            # A new stream counts from 1: nothing of it was heard yet.
            log.warning("the events of the tenant begin anew: %s", error)
            self._anew = list(self._listeners.values())
        except OutcomeUnknownError as error:
            log.warning("the events of the tenant are out of reach: %s", error)
        await asyncio.sleep(PAUSE)

    async def _hand_out(self, record: Record, hearing: dict[str, Actor]) -> None:
        waiting = [
            actor
            for name, actor in hearing.items()
            if self._listeners.get(name) is actor and record.seq > actor.position()
        ]
        if not waiting:
            return
        event = _event_of(record)
        for actor in waiting:
            if actor.wants(str(event.get("type", ""))):
                await actor.take(record.seq, event)
            else:
                actor.skip(record.seq)


def _event_of(record: Record) -> dict[str, Any]:
    try:
        return decode_event(record.data)
    except msgspec.MsgspecError:
        log.warning("event %d of the bus is not readable", record.seq)
        return {}
