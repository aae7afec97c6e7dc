"""Slots and turns under limits: one worker per key asks for many tasks at once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from flunq.core.flow import Notice
from flunq.log.ports import OutcomeUnknownError, RevisionConflictError, StoreFullError
from flunq.services.flow.ledger import LEASE
from flunq.services.lasting import heard

if TYPE_CHECKING:
    from flunq.core.traffic import LimitAsk
    from flunq.services.flow.board import FlowBoard
    from flunq.services.flow.ledger import Ledger

log = logging.getLogger(__name__)

RENEW_SECONDS = LEASE / 3 / 1_000_000
LONGEST_WAIT = 1.0
"""Seconds after which a worker looks again, whatever it heard."""
IDLE = 60_000_000
"""Microseconds after which the record of a key that nobody uses is removed."""
_RETRY_SECONDS = 0.2


class _Waiter(NamedTuple):
    task: str
    ask: LimitAsk
    admitted: asyncio.Future[None]


class KeyDesk:
    """The tasks of this node under one key."""

    def __init__(self, board: FlowBoard, key: str) -> None:
        self.key = key
        self.waiting: deque[_Waiter] = deque()
        self.held: set[str] = set()
        self.last_used = 0
        self._board = board
        self._over: set[str] = set()
        self._renewing = False
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._known: tuple[Ledger, int] | None = None

    async def acquire(self, task: str, ask: LimitAsk) -> None:
        """Return once the task may begin."""
        admitted = asyncio.get_running_loop().create_future()
        self.waiting.append(_Waiter(task, ask, admitted))
        self._work()
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled():
                self.release(task)
            raise

    def release(self, task: str) -> None:
        """Give the slot of a task back."""
        if task in self.held:
            self.held.discard(task)
            self._over.add(task)
            self._work()

    def renew(self) -> None:
        """Keep the slots of what runs."""
        if self.held:
            self._renewing = True
            self._work()

    def look(self) -> None:
        """Look again: another node gave something back."""
        if self.waiting:
            self._known = None
            self._wake.set()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits, runs or is on its way."""
        return not (self.waiting or self.held or self._over or self._worker)

    def close(self) -> None:
        """Stop working."""
        if self._worker is not None:
            self._worker.cancel()

    def _work(self) -> None:
        self._wake.set()
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._run())
            self._worker.add_done_callback(self._stopped)

    def _stopped(self, worker: asyncio.Task[None]) -> None:
        self._worker = None
        if not worker.cancelled() and (error := worker.exception()) is not None:
            log.error("the limit %s begins again", self.key, exc_info=error)
        if not worker.cancelled() and (self.waiting or self._over):
            self._work()

    async def _run(self) -> None:
        while self.waiting or self._over or self._renewing:
            self._wake.clear()
            try:
                wait = await self._turn()
            except RevisionConflictError:
                self._known = None
                continue
            except (OutcomeUnknownError, StoreFullError) as error:
                log.warning("the limit %s is not counted now: %r", self.key, error)
                self._known = None
                wait = _RETRY_SECONDS
            if wait:
                await self._sleep(wait)

    async def _sleep(self, seconds: float) -> None:
        if not await heard(self._wake, within=min(seconds, LONGEST_WAIT)):
            self._known = None

    async def _turn(self) -> float:
        """Do once what there is to do; return the seconds until more can be done."""
        ledger, revision = self._known or await self._board.ledger(self.key)
        now = self.last_used = self._board.clock.now()
        over, renewing = set(self._over), self._renewing
        was_full = bool(ledger.concurrency) and len(ledger.slots) >= ledger.concurrency
        freed = [task for task in over if ledger.release(task, now)]
        for task in self.held if renewing else ():
            ledger.renew(task, now)
        admitted, wait = self._admit(ledger, now)
        slots = [waiter.task for waiter in admitted if waiter.ask.concurrency]
        self._known = None
        if freed or admitted or renewing:
            self._known = ledger, await self._board.put_ledger(ledger, revision)
        self._over -= over
        self._renewing = self._renewing and not renewing
        self._let_begin(admitted, slots)
        if freed and was_full:
            self._board.tell(Notice(about="freed", name=self.key))
        return wait

    def _admit(self, ledger: Ledger, now: int) -> tuple[list[_Waiter], float]:
        """Count in as many as may begin, in the order in which they came."""
        while self.waiting and self.waiting[0].admitted.done():
            self.waiting.popleft()
        admitted: list[_Waiter] = []
        for waiter in self.waiting:
            if waiter.admitted.done():
                continue
            wait = ledger.admit(waiter.task, waiter.ask, now)
            if wait:
                return admitted, wait / 1_000_000
            admitted.append(waiter)
        return admitted, 0.0

    def _let_begin(self, admitted: list[_Waiter], slots: list[str]) -> None:
        self.held.update(slots)
        done = set(map(id, admitted))
        if done:
            self.waiting = deque(each for each in self.waiting if id(each) not in done)
        for waiter in admitted:
            if waiter.admitted.done():  # withdrawn while the count was on its way
                self.release(waiter.task)
            else:
                waiter.admitted.set_result(None)


class Limiter:
    """All limits of one tenant on one node."""

    def __init__(self, board: FlowBoard) -> None:
        self._board = board
        self._desks: dict[str, KeyDesk] = {}

    async def acquire(self, task: str, asks: tuple[LimitAsk, ...]) -> None:
        """Return once a task may begin under all its limits."""
        with ExitStack() as unless_all:
            # All take them in one order, so that no two wait for each other.
            for ask in sorted(asks, key=lambda each: each.key):
                await self._desk(ask.key).acquire(task, ask)
                unless_all.callback(self.release, task, (ask,))
            unless_all.pop_all()

    def release(self, task: str, asks: tuple[LimitAsk, ...]) -> None:
        """Give back what a task had."""
        for ask in asks:
            desk = self._desks.get(ask.key)
            if desk is not None:
                desk.release(task)

    def heard(self, key: str) -> None:
        """Look again at a key: another node gave something back."""
        desk = self._desks.get(key)
        if desk is not None:
            desk.look()

    def waiting(self) -> dict[str, int]:
        """Return how many tasks wait, by key."""
        return {key: len(desk.waiting) for key, desk in self._desks.items() if desk.waiting}

    async def keep(self) -> None:
        """Renew what is held and forget what nobody uses, until cancelled."""
        try:
            while True:
                await asyncio.sleep(RENEW_SECONDS)
                for desk in list(self._desks.values()):
                    desk.renew()
                await self._tidy()
        finally:
            for desk in self._desks.values():
                desk.close()

    async def _tidy(self) -> None:
        now = self._board.clock.now()
        for key, desk in list(self._desks.items()):
            if desk.is_quiet and desk.last_used + IDLE < now:
                del self._desks[key]
                try:
                    ledger, _ = await self._board.ledger(key)
                    if ledger.is_idle(now) and ledger.used + IDLE < now:
                        await self._board.drop_ledger(key)
                except OutcomeUnknownError as error:
                    log.info("the limit %s is kept for now: %r", key, error)

    def _desk(self, key: str) -> KeyDesk:
        desk = self._desks.get(key)
        if desk is None:
            desk = self._desks[key] = KeyDesk(self._board, key)
        return desk
