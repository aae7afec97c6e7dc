"""One kind of task: pulled from the queue only while somebody asks for it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flunq.log.ports import Delivery, Tasks

    Waiting = asyncio.Future[tuple[str, Delivery]]
    """Somebody who waits for a task of some kinds: which one it is, and the task."""

_log = logging.getLogger(__name__)
SPARE_SECONDS = 5.0
"""How long a task that came too late for who asked waits for the next one to ask."""
IDLE_SECONDS = 30.0
_PAUSE = 1.0


class Lane:
    """Hands tasks of a kind to those who wait, in the order in which they came."""

    def __init__(self, tasks: Tasks, kind: str) -> None:
        self.kind = kind
        self._tasks = tasks
        self._asking: deque[Waiting] = deque()
        self._spare: deque[tuple[float, Delivery]] = deque()
        self._loop = asyncio.get_running_loop()
        self._asked = self._loop.time()
        self._pulling = asyncio.create_task(self._pull(), name=f"lane-{kind}")

    def ask(self, waiting: Waiting) -> None:
        """Let somebody wait for a task; what is spare is handed out at once."""
        self._asked = self._loop.time()
        self._asking.append(waiting)
        self._match()

    def leave(self, waiting: Waiting) -> None:
        """Wait no longer."""
        if waiting in self._asking:
            self._asking.remove(waiting)

    def offer(self, delivery: Delivery) -> None:
        """Take a task for the next one who asks."""
        self._spare.append((self._loop.time(), delivery))
        self._match()

    def spare(self) -> list[Delivery]:
        """Return what nobody asked for yet."""
        return [delivery for _, delivery in self._spare]

    def unwanted(self) -> list[Delivery]:
        """Return, and forget, what nobody asked for in time."""
        limit = self._loop.time() - SPARE_SECONDS
        found = []
        while self._spare and self._spare[0][0] < limit:
            found.append(self._spare.popleft()[1])
        return found

    def is_idle(self) -> bool:
        """Tell whether nobody has asked for long."""
        quiet = self._asked + IDLE_SECONDS < self._loop.time()
        return quiet and not self._asking and not self._spare

    async def aclose(self) -> None:
        """Pull no more, and let others have what is spare."""
        self._pulling.cancel()
        await asyncio.gather(self._pulling, return_exceptions=True)
        for delivery in self.spare():
            await delivery.retry(0)
        self._spare.clear()

    def _match(self) -> None:
        while self._spare and self._asking:
            waiting = self._asking.popleft()
            if not waiting.done():
                waiting.set_result((self.kind, self._spare.popleft()[1]))

    def _room(self) -> int:
        asking = sum(not waiting.done() for waiting in self._asking)
        return max(asking - len(self._spare), 0)

    async def _pull(self) -> None:
        while True:
            try:
                async for delivery in self._tasks.pull([self.kind], limit=self._room):
                    self.offer(delivery)
            except Exception as error:  # noqa: BLE001 - whoever waits goes on waiting
                _log.warning("tasks of %s are pulled again: %r", self.kind, error)
            await asyncio.sleep(_PAUSE)
