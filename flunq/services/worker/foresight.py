"""What timers lead to, decided in idle moments shortly before they are due.

Where many are due together, deciding about each of them is most of what the last ones wait for.
A decision about a copy of a state holds as long as the execution has no other event, as nothing
else changes a state; until then nobody sees anything of it. Only who holds an open task is noted
without an event, so states with open tasks are left out.
"""

from __future__ import annotations

import asyncio
import logging
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import msgspec

from flunq.core.execution.commands import Fire
from flunq.core.execution.decide import Decision, decide
from flunq.core.execution.effects import Arm, Dispatch, Effect
from flunq.core.execution.state import State, decode_state, encode_state
from flunq.services.worker.commit import Entry
from flunq.services.worker.timers import Moment

if TYPE_CHECKING:
    from flunq.services.worker.executions import Live
    from flunq.services.worker.owner import Owner

log = logging.getLogger(__name__)

AHEAD = 400_000
"""Microseconds before a timer is due that it is looked at."""
LATE = 100_000
"""Microseconds after which what was foreseen would not tell the truth about when it happened."""
SOON = 1_000_000
"""Microseconds: a time limit shorter than this must not begin before its task does."""
MOST = 2_000
"""Decisions that are kept at most."""
FEW = 16
"""Running tasks of an execution that is worth a copy for each of its timers."""
LARGE = 4 * 1024
"""Bytes of a state that is not copied for this, and of events that are not kept."""
SLICE_SECONDS = 0.001
"""Looking goes on for so long before other work of the process gets its turn."""
MANY = 1_000
"""Timers of definitions that are remembered because nothing of them was kept."""
PAUSE = 0.01
"""Seconds until the next look when the owner is busy, or nothing more is near."""


class Foreseen(msgspec.Struct, kw_only=True):
    """What will follow if nothing else happens to an execution before its timer is due.

    As much of it as can be is done before: what is freed then need not be when many are due.
    """

    moment: Moment
    before: State
    seq: int
    after: State
    entry: Entry
    effects: list[Effect]
    """What is not in the entry yet: who runs a task is known when it begins."""
    failures: int
    more: bool

    def holds(self, live: Live, now: int) -> bool:
        """Tell whether nothing has happened to the execution, and the moment is the right one."""
        due = self.moment[0]
        return (
            live.state is self.before
            and self.before.seq == self.seq
            and not (live.answers or live.tainted)
            and due <= now <= due + LATE
        )


class Foresight:
    """Looks ahead at the timers of one owner."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._unseen: list[Moment] = []
        """A heap of timers that have not come near."""
        self._foreseen: dict[str, Foreseen] = {}
        """By execution: of two timers the second cannot know what the first will change."""
        self._in_vain: set[tuple[str, str]] = set()
        """Timers (definition, name) of which nothing was kept: with others it is no better."""
        self._handle: asyncio.TimerHandle | None = None
        self._closed = False

    def expect(self, moment: Moment) -> None:
        """Look at a timer when it has come near."""
        heappush(self._unseen, moment)
        if self._unseen[0] is moment:
            self._schedule()

    def take(self, moment: Moment) -> Foreseen | None:
        """Return what was foreseen for a moment that has come, and forget it."""
        execution = moment[1]
        foreseen = self._foreseen.get(execution)
        if foreseen is None or foreseen.moment != moment:
            return None
        return self._foreseen.pop(execution)

    def close(self) -> None:
        """Look no more."""
        self._closed = True
        self._unseen.clear()
        self._foreseen.clear()
        if self._handle is not None:
            self._handle.cancel()

    def _schedule(self, at_least: float = 0.0) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._unseen and not self._closed:
            left = (self._unseen[0][0] - AHEAD - self._owner.context.clock.now()) / 1_000_000
            loop = asyncio.get_running_loop()
            self._handle = loop.call_later(max(left, at_least), self._look)

    def _look(self) -> None:
        self._handle = None
        unseen, now = self._unseen, self._owner.context.clock.now()
        idle = self._is_idle()
        loop = asyncio.get_running_loop()
        end = loop.time() + SLICE_SECONDS
        while loop.time() < end:
            if not unseen or unseen[0][0] > now + (AHEAD if idle else 0):
                self._schedule(at_least=PAUSE)
                return
            moment = heappop(unseen)
            if moment[0] > now:
                self._try(moment)
        self._schedule()

    def _is_idle(self) -> bool:
        """Tell whether there is nothing else to do, and nothing under suspicion of killing us."""
        owner = self._owner
        suspicion = owner.watched is not None or owner.context.trials.under_way
        return owner.committer.is_idle and not suspicion and len(self._foreseen) < MOST

    def _try(self, moment: Moment) -> None:
        try:
            self._foresee(moment)
        except Exception:  # it comes again in its time, and is dealt with then
            log.debug("what a timer leads to cannot be foreseen", exc_info=True)

    def _foresee(self, moment: Moment) -> None:
        due, execution, timer = moment
        owner = self._owner
        live = owner.executions.live.get(execution)
        if live is None or execution in self._foreseen:
            return
        state = _state_if_calm(live)
        if state is None or state.timers.get(timer) != due:
            return
        kind = live.workflow_of().digest, timer
        if kind in self._in_vain:
            return
        body = encode_state(state)
        if len(body) > LARGE:
            return
        fire = Fire(id=execution, timer=timer)
        after, decision = decide(decode_state(body), fire, due, owner.environment(live), {})
        entry, later = Entry(events=[]), decision.effects
        owner.writer.add_events(decision.events, entry)
        if not any(isinstance(effect, Dispatch) for effect in later):
            owner.writer.add_effects(after, later, entry)
            entry.size, later = entry.weight(), []
        concerned = owner.executions.groups.are_concerned(decision.events)
        if _is_worth_keeping(decision, entry, due) and not concerned:
            self._foreseen[execution] = Foreseen(
                moment=moment,
                before=state,
                seq=state.seq,
                after=after,
                entry=entry,
                effects=later,
                failures=owner.heeding.failures(live, decision.events),
                more=decision.more,
            )
            return
        if len(self._in_vain) >= MANY:
            self._in_vain.clear()
        self._in_vain.add(kind)


def _is_worth_keeping(decision: Decision, entry: Entry, due: int) -> bool:
    """Tell whether a decision holds until its timer fires, and is small."""
    if decision.need is not None or any(_is_urgent(each, due) for each in decision.effects):
        return False
    return bool(entry.events) and not entry.blobs and sum(map(len, entry.events)) <= LARGE


def _is_urgent(effect: Effect, now: int) -> bool:
    """Tell whether an effect begins a time so short that it matters when it does."""
    return isinstance(effect, Arm) and effect.due < now + SOON


def _state_if_calm(live: Live) -> State | None:
    """Return the state of an execution if only events will change it, and it is small."""
    if live.state is None or live.state.tasks or len(live.state.frames) > FEW:
        return None
    return None if live.tainted or live.evaluating or live.answers else live.state
