"""What is counted of one limit: who has a slot, and how many began of late. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from flunq.core.traffic import LimitAsk

LEASE = 15_000_000
"""Microseconds after which the slot of a holder that is not heard of is free again."""
GRAINS = 64
"""Into so many parts the time of a rate is divided: a record stays small at any rate."""


class Ledger(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The record of one key, shared by all nodes."""

    key: str
    slots: dict[str, int] = {}
    """When the lease of each holder ends, by task."""
    begun: list[tuple[int, int]] = []
    """How many began, and up to when that counts as the moment of it."""
    count: int = 0
    per: int = 0
    concurrency: int = 0
    used: int = 0
    """When it was last changed."""

    def expire(self, now: int) -> bool:
        """Free the slots of holders that were not heard of; tell whether there were any."""
        gone = [task for task, until in self.slots.items() if until <= now]
        for task in gone:
            del self.slots[task]
        return bool(gone)

    def admit(self, task: str, ask: LimitAsk, now: int) -> int:
        """Count a task in; otherwise return the microseconds after which that may go."""
        if task in self.slots:
            return 0
        self.count, self.per, self.concurrency = ask.count, ask.per, ask.concurrency
        self.expire(now)
        if ask.concurrency and len(self.slots) >= ask.concurrency:
            return max(1, min(self.slots.values()) - now)
        if ask.count:
            wait = self._rate_wait(ask, now)
            if wait:
                return wait
            self._count_in(ask, now)
        if ask.concurrency:
            self.slots[task] = now + LEASE
        self.used = now
        return 0

    def renew(self, task: str, now: int) -> None:
        """Let a holder keep its slot; one that was taken from it by mistake comes back."""
        self.slots[task] = now + LEASE
        self.used = now

    def release(self, task: str, now: int) -> bool:
        """Free a slot; tell whether there was one."""
        self.used = now
        return self.slots.pop(task, None) is not None

    def is_idle(self, now: int) -> bool:
        """Tell whether nobody would miss the record."""
        return not self.slots and all(moment + self.per <= now for moment, _ in self.begun)

    def _rate_wait(self, ask: LimitAsk, now: int) -> int:
        self.begun = [each for each in self.begun if each[0] > now - ask.per]
        if sum(count for _, count in self.begun) < ask.count:
            return 0
        return self.begun[0][0] + ask.per - now

    def _count_in(self, ask: LimitAsk, now: int) -> None:
        """Note a beginning; its moment is rounded up, so that no window sees too many."""
        grain = max(1, ask.per // GRAINS) if ask.count > GRAINS else 1
        moment = -(-now // grain) * grain
        if self.begun and self.begun[-1][0] == moment:
            self.begun[-1] = (moment, self.begun[-1][1] + 1)
        else:
            self.begun.append((moment, 1))
