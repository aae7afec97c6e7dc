"""What a partition hears: the tenant's events, and lifecycle events while somebody listens to them.

Its positions are part of every commit, so that a new owner goes on where the last one was.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from flunq.core.execution.commands import Deliver
from flunq.services.worker.inbox import InboxPosition
from flunq.services.worker.jobs import Job
from flunq.services.worker.listeners import BusShare, Listeners

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.services.worker.executions import Live

Heard = tuple[dict[str, Any], list[tuple[str, str]]]
"""An event and those that listen: execution and listener."""


class Hearing:
    """The listeners of one partition and how far it has heard."""

    def __init__(
        self,
        submit: Callable[[Job], None],
        *,
        bus: InboxPosition,
        lifecycle: InboxPosition,
    ) -> None:
        self._submit = submit
        self.listeners = Listeners()
        self.bus = bus
        self.lifecycle = lifecycle
        """Where it stands in the journal of all partitions, while it is wanted."""
        self.lifecycle_wanted = asyncio.Event()
        self._lifecycle_recorded = lifecycle.floor > 0
        """Some commit has a position in the journal; it is void as soon as a later one has none."""
        self._before: dict[str, int] = {}
        """Those that listened under the last owner, with their newest commits."""

    def facts(self) -> dict[str, Any] | None:
        """Return what a commit says of it; nothing while nobody listens."""
        if not (self.listeners or self._lifecycle_recorded):
            return None
        facts = self.bus.facts()
        if self.listeners.wants_lifecycle:
            facts["journal"] = self.lifecycle.facts()
            self._lifecycle_recorded = True
        return facts

    def hear(self, sequence: int, event: dict[str, Any]) -> None:
        """Hand an event of the bus to the listeners that it may concern."""
        if self.bus.read(sequence):
            listeners = self.listeners.candidates(str(event.get("type", "")))
            self._hand_on(self.bus, sequence, [(event, listeners)])

    def hear_lifecycle(self, sequence: int, heard: list[Heard]) -> None:
        """Hand the lifecycle events of a commit to those that they may concern."""
        self._hand_on(self.lifecycle, sequence, heard)

    def _hand_on(self, position: InboxPosition, sequence: int, heard: list[Heard]) -> None:
        count = sum(len(listeners) for _, listeners in heard)
        if not count:
            position.consumed(sequence)
            return
        share = BusShare(count, lambda: position.consumed(sequence))
        for event, listeners in heard:
            for execution, listener in listeners:
                deliver = Deliver(id=execution, listener=listener, event=event)
                self._submit(Job(deliver, share=share))

    def follow_lifecycle(self, sequence: int) -> None:
        """Read lifecycle events from a journal sequence on, if somebody listens to them now."""
        if self.listeners.wants_lifecycle and not self.lifecycle_wanted.is_set():
            if not self.lifecycle.floor:
                self.lifecycle = InboxPosition(floor=sequence)
            self.lifecycle_wanted.set()

    def take_up(self, live: Live) -> None:
        """Note what an execution listened to under the last owner; nothing has happened to it."""
        if live.state is None or live.tainted:
            return
        self.listeners.note(live)
        if live.state.listeners:
            self._before[live.state.id] = live.last

    def go_on(self, newest: int) -> None:
        """Hear on from where the last owner was; where nobody listened, after the newest event.

        Who has begun to listen meanwhile is not meant: what is older does not concern it.
        """
        if not self._before:
            self.bus = InboxPosition(floor=newest)
        lifecycle = self.listeners.lifecycle_executions()
        began = [last for execution, last in self._before.items() if execution in lifecycle]
        if began:
            # A listener that no later commit speaks of has begun with its newest commit.
            self.follow_lifecycle(min(began))
        else:
            self.forget_lifecycle()
        self._before.clear()

    def forget_lifecycle(self) -> None:
        """Nobody listens any more: whoever does later begins anew."""
        self.lifecycle = InboxPosition()
        self.lifecycle_wanted.clear()
