"""Executions that lie in packs: out of memory while nothing happens, back before their timers."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flunq.errors import FlunqError
from flunq.log.ports import OutcomeUnknownError, StoreFullError
from flunq.services.worker.packs import StaleCheckpointError
from flunq.services.worker.timers import HORIZON, WAKE, first_of

if TYPE_CHECKING:
    from flunq.core.execution.state import State
    from flunq.services.worker.executions import Live
    from flunq.services.worker.owner import Owner

log = logging.getLogger(__name__)

WAKE_AHEAD = 20_000_000
"""Microseconds before its next timer that a sleeping execution is brought back."""


class Sleepers:
    """Lets the executions of one owner sleep, and wakes them in time."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._waking = False
        self._lost: set[str] = set()
        """Those that could not be brought back, which was said."""
        self._reminded_of = 0
        """The hour that the broker will remind the partition of."""

    def keep_time(self) -> None:
        """Get ready for the timers that have come near, in memory and in packs."""
        self._owner.timers.sort_near()
        if not self._waking:
            self._waking = True
            self._owner.spawn(self._wake_due())

    async def ask_for_reminder(self) -> None:
        """Let the broker remind whoever owns the partition of its next far timers."""
        owner = self._owner
        due = first_of([owner.timers.next_far(), owner.executions.places.next_due()])
        if due is None or due < owner.context.clock.now() + WAKE:
            return
        hour = due // WAKE * WAKE - HORIZON
        if hour != self._reminded_of:
            schedules, number = owner.context.stream.schedules, owner.partition
            try:
                await schedules.wake_at(number, str(hour // WAKE), hour)
            except (OutcomeUnknownError, StoreFullError) as error:
                log.warning("partition %d: the broker will be asked again: %s", number, error)
            else:
                self._reminded_of = hour

    async def bring_back(self, execution: str) -> None:
        """Bring an execution back from its pack; one that cannot be holds up no other."""
        try:
            await self._owner.load(execution)
        except FlunqError as error:
            if execution not in self._lost:
                self._lost.add(execution)
                log.error("execution %s cannot go on: %s", execution, error)
        else:
            self._lost.discard(execution)

    def wake(self, live: Live) -> None:
        """Take an execution into memory that a pack holds."""
        owner, state = self._owner, live.state
        assert state is not None
        owner.executions.live[state.id] = live
        live.touched = asyncio.get_running_loop().time()
        owner.hearing.listeners.note(live)
        for timer, due in state.timers.items():
            owner.timers.arm(state.id, timer, due)

    def let_sleep(self, state: State) -> None:
        """Take an execution out of memory that a pack holds and that expects nothing soon."""
        del self._owner.executions.live[state.id]
        for timer in state.timers:
            self._owner.timers.disarm(state.id, timer)

    async def _wake_due(self) -> None:
        executions, clock = self._owner.executions, self._owner.context.clock
        try:
            for execution in executions.places.due_until(clock.now() + WAKE_AHEAD):
                if executions.place_if_asleep(execution) is not None:
                    await self.bring_back(execution)
        except StaleCheckpointError:
            self._owner.doubt()
        finally:
            self._waking = False
