"""The way to one target: open, closed, or one at a time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from flunq.core.flow import CLOSED, HALF_OPENED, OPENED, BreakerRecord
from flunq.log.ports import OutcomeUnknownError, StoreFullError
from flunq.services.flow.health import Health
from flunq.services.lasting import heard

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from flunq.core.traffic import Breaker
    from flunq.services.flow.board import FlowBoard

log = logging.getLogger(__name__)

TRIAL = 30_000_000
"""Microseconds after which another node may try, if nothing is heard of a trial."""
LOOK_SECONDS = 5.0
"""How often an open breaker is read again, in case a notice was lost."""


class Lane:
    """Lets the tasks for one target begin when it can bear them."""

    def __init__(self, board: FlowBoard, target: str, random: Callable[[], float]) -> None:
        self.health = Health(target, random)
        self.trial = ""
        """The task that finds out whether the target answers again."""
        self._board = board
        self._firsts: deque[asyncio.Future[bool]] = deque()
        self._retries: deque[asyncio.Future[bool]] = deque()
        self._changed = asyncio.Event()
        self._told = 0
        """When it was last known for sure whether the breaker is open."""
        self._pump: asyncio.Task[None] | None = None
        self._errands: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """How many tasks wait."""
        return len(self._firsts) + len(self._retries)

    def passes(self, now: int, *, retry: bool) -> bool:
        """Tell whether a task may begin at once."""
        health = self.health
        if health.state != "closed" or self._firsts or (retry and self._retries):
            return False
        return health.delay(now, retry=retry) == 0

    def refuses(self, now: int) -> bool:
        """Tell whether the breaker is open, and no trial is due."""
        health = self.health
        if health.state == "closed" or (health.until is not None and health.until <= now):
            return False
        if now - self._told >= LOOK_SECONDS * 1_000_000:
            # Nobody waits here who would look, and whoever closed it may not have been heard.
            self._told = now
            self._later(self._look())
        return True

    async def admit(self, *, retry: bool) -> bool:
        """Return once a task may begin; True if it is the trial."""
        future = asyncio.get_running_loop().create_future()
        (self._retries if retry else self._firsts).append(future)
        self._begin()
        is_trial: bool = await future
        return is_trial

    def began(self, *, retry: bool) -> None:
        """Note that a task begins that did not wait."""
        self.health.called(self._board.clock.now(), retry=retry)

    def ended(self, task: str, *, broken: bool, rule: Breaker) -> None:
        """Note how a task ended, as far as the target is concerned."""
        now = self._board.clock.now()
        is_trial = task == self.trial
        if is_trial:
            self.trial = ""
        if broken and self.health.failed(now, rule):
            self._open(rule)
        elif is_trial and broken:
            self._later(self._open_again(rule))
        elif is_trial:
            self._later(self._close())

    def forgotten(self, task: str) -> None:
        """Note that nobody will know how a task would have ended."""
        if task == self.trial:
            self.trial = ""
            self.health.until = self._board.clock.now()
            self._changed.set()

    def heard(self, record: BreakerRecord | None) -> None:
        """Follow what another node, or the operator, decided."""
        self._told = self._board.clock.now()
        self.health.adopt(record, self._told)
        self._changed.set()

    def close(self) -> None:
        """Stop working."""
        for task in [*self._errands, *([self._pump] if self._pump else [])]:
            task.cancel()

    # -- letting tasks go --------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._run())
            self._pump.add_done_callback(self._stopped)

    async def _run(self) -> None:
        while self._tidy():
            self._changed.clear()
            health, now = self.health, self._board.clock.now()
            if health.state == "closed":
                wait = self._let_go(now)
            elif health.until is not None and health.until <= now:
                wait = await self._try()
            else:
                wait = LOOK_SECONDS if health.until is None else (health.until - now) / 1_000_000
            if wait:
                await self._sleep(wait)
        self.health.settle()

    def _stopped(self, pump: asyncio.Task[None]) -> None:
        self._pump = None
        if not pump.cancelled() and (error := pump.exception()) is not None:
            log.error("the way to %s begins again", self.health.target, exc_info=error)
        if not pump.cancelled() and self.waiting:
            self._begin()  # somebody asked after its last look

    def _tidy(self) -> bool:
        for queue in (self._firsts, self._retries):
            while queue and queue[0].done():
                queue.popleft()
        return bool(self._firsts or self._retries)

    def _let_go(self, now: int) -> float:
        """Let begin what may; return the seconds until more may."""
        waits: list[int] = []
        for queue, retry in ((self._firsts, False), (self._retries, True)):
            while queue:
                delay = self.health.delay(now, retry=retry)
                if delay:
                    waits.append(delay)
                    break
                future = queue.popleft()
                if not future.done():
                    self.health.called(now, retry=retry)
                    future.set_result(False)
        return min(waits, default=0) / 1_000_000

    async def _sleep(self, seconds: float) -> None:
        if not await heard(self._changed, min(seconds, LOOK_SECONDS)) and seconds >= LOOK_SECONDS:
            await self._look()

    async def _look(self) -> None:
        """Read the record again, in case a notice was lost."""
        if self.health.state == "closed":
            return
        try:
            kept = await self._board.breaker(self.health.target)
        except OutcomeUnknownError:
            return
        self.health.adopt(kept.record, self._board.clock.now())

    # -- the breaker -------------------------------------------------------------------------------

    def _open(self, rule: Breaker) -> None:
        now = self._told = self._board.clock.now()
        _, failures = self.health.recent(now, rule.within)
        self.health.open(now, rule)
        self.health.reason = f"{failures} calls failed within {rule.within / 1e6:g} s"
        self.health.node = self._board.node
        log.warning("the breaker of %s opens: %s", self.health.target, self.health.reason)
        self._later(self._share(self._record("open", failures), OPENED, 0))

    async def _try(self) -> float:
        """Ask to make the trial and let one task make it; return the seconds to wait."""
        now = self._board.clock.now()
        try:
            record, revision = await self._board.breaker(self.health.target)
            if record is None:
                # Its record never got stored, or somebody reset it.
                self.health.close(now)
                return 0.0
            if record.state == "closed" or record.until is None or record.until > now:
                self.health.adopt(record, now)
                return 0.0
            self.health.adopt(record, now)
            self.health.state, self.health.until = "half-open", now + TRIAL
            self.health.node = self._board.node
            trial = self._record("half-open", record.failures)
            if not await self._board.put_breaker(trial, revision):
                return 0.000_001
        except (OutcomeUnknownError, StoreFullError) as error:
            log.warning("no trial of %s yet: %r", self.health.target, error)
            return 1.0
        self._board.announce(HALF_OPENED, trial)
        if self._tidy():
            self.health.called(now)
            (self._firsts or self._retries).popleft().set_result(True)
        return 0.0

    async def _open_again(self, rule: Breaker) -> None:
        kept = await self._board.breaker(self.health.target)
        if kept.record is None or kept.record.until is None:
            self.heard(kept.record)
            return
        self.health.open(self._board.clock.now(), rule, again=True)
        await self._share(self._record("open", kept.record.failures), OPENED, kept.revision)
        self._changed.set()

    async def _close(self) -> None:
        kept = await self._board.breaker(self.health.target)
        if kept.record is not None and kept.record.until is None:
            self.heard(kept.record)
            return
        record = self._record("closed", 0)
        self.health.close(self._board.clock.now())
        self._changed.set()
        log.info("the breaker of %s closes", self.health.target)
        await self._board.drop_breaker(self.health.target)
        self._board.announce(CLOSED, record)

    async def _share(self, record: BreakerRecord, event: str, revision: int) -> None:
        """Store a record; whoever was quicker is followed."""
        if await self._board.put_breaker(record, revision):
            self._board.announce(event, record)
            return
        kept = await self._board.breaker(record.target)
        self.heard(kept.record)

    def _record(self, state: str, failures: int) -> BreakerRecord:
        health = self.health
        return BreakerRecord(
            target=health.target,
            state=state,  # type: ignore[arg-type]
            since=health.since or self._board.clock.now(),
            until=health.until,
            pause=health.pause,
            failures=failures,
            node=self._board.node,
            reason=health.reason,
        )

    def _later(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._tolerant(work))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _tolerant(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except (OutcomeUnknownError, StoreFullError) as error:
            log.warning("the breaker of %s is not shared now: %r", self.health.target, error)
