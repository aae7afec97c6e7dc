"""Subscriptions that outlive one call: a ``foreach`` asks for messages again and again.

Between two calls the subscription stays open and what comes in waits in memory, so that nothing
is missed while the workflow works on a message. A session that nobody asks for is closed.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flunq.sdk.context import TaskContext
    from flunq.sdk.executor import JSON
    from flunq_plugins.asyncapi_consume import Gathering
    from flunq_plugins.asyncapi_message import Inbound
    from flunq_plugins.asyncapi_transport import Route, Transport

IDLE_SECONDS = 300.0
MAX_SESSIONS = 1024


class Session:
    """One open subscription and the messages that wait."""

    def __init__(self, transport: Transport, route: Route, context: TaskContext) -> None:
        self.users = 0
        self.idle_since = 0.0
        self._waiting: deque[Inbound] = deque()
        self._size = 0
        self._limit = context.settings.max_body
        self._changed = asyncio.Condition()
        self._error: Exception | None = None
        self._pump = asyncio.create_task(self._receive(transport, route, context))

    async def next(self) -> Inbound:
        """Return the next message; raises what ended the subscription."""
        async with self._changed:
            while not self._waiting:
                if self._error is not None:
                    raise self._error
                await self._changed.wait()
            inbound = self._waiting.popleft()
            self._size -= len(inbound.body)
            self._changed.notify_all()
            return inbound

    @property
    def has_message(self) -> bool:
        """Tell whether a message is waiting."""
        return bool(self._waiting)

    async def close(self) -> None:
        """End the subscription; what waits is lost."""
        self._pump.cancel()
        await asyncio.wait([self._pump])

    async def _receive(self, transport: Transport, route: Route, context: TaskContext) -> None:
        try:
            async with transport.subscribe(route, context) as source:
                async for inbound in source:
                    await self._put(inbound)
        except Exception as error:  # noqa: BLE001 - raised again where somebody asks for messages
            self._error = error
        async with self._changed:
            self._changed.notify_all()

    async def _put(self, inbound: Inbound) -> None:
        async with self._changed:
            self._waiting.append(inbound)
            self._size += len(inbound.body)
            self._changed.notify_all()
            # A protocol that can make its server wait does so.
            await self._changed.wait_for(lambda: self._size <= self._limit)


class Sessions:
    """Open sessions, by the step that they belong to."""

    def __init__(self) -> None:
        self._open: dict[tuple[Any, ...], Session] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def fetch(
        self,
        key: str,
        gathering: Gathering,
        transport: Transport,
        route: Route,
        context: TaskContext,
    ) -> list[JSON]:
        """Return the next messages of a step, none when its time is over."""
        place = (key, route.target)
        session = self._open.get(place)
        if session is None:
            session = self._open[place] = Session(transport, route, context)
        session.users += 1
        finished = True
        try:
            messages = await gathering.run(session)
            finished = gathering.finishes(messages)
            return messages
        finally:
            session.users -= 1
            session.idle_since = time.monotonic()
            if finished:
                await self._end(place)
            self._plan_sweep()

    async def close(self) -> None:
        """End all of them."""
        if self._sweep is not None:
            self._sweep.cancel()
        for place in list(self._open):
            await self._end(place)
        await asyncio.gather(*self._closing)

    async def _end(self, place: tuple[Any, ...]) -> None:
        session = self._open.get(place)
        if session is not None and not session.users:
            del self._open[place]
            await session.close()

    def _plan_sweep(self) -> None:
        if self._open and self._sweep is None:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(IDLE_SECONDS / 4, self._close_idle)

    def _close_idle(self) -> None:
        self._sweep = None
        oldest = time.monotonic() - IDLE_SECONDS
        unused = [place for place, session in self._open.items() if not session.users]
        unused.sort(key=lambda place: self._open[place].idle_since)
        surplus = max(0, len(self._open) - MAX_SESSIONS)
        for number, place in enumerate(unused):
            if number < surplus or self._open[place].idle_since < oldest:
                task = asyncio.get_running_loop().create_task(self._end(place))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
        self._plan_sweep()
