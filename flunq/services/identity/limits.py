"""How often somebody may ask: one bucket of tokens for each, refilled with time."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from flunq.services.identity.principal import TooManyRequestsError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

MOST_KNOWN = 10_000
"""Those who asked the longest ago are forgotten first; a full bucket is what they get again."""


class Limiter:
    """Buckets of one size; ``rate`` tokens come per second, ``burst`` fit; 0 is no limit."""

    def __init__(self, *, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = max(burst, 1.0)
        self._clock = clock
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, who: Hashable, what: str) -> None:
        """Use one token up; raises TooManyRequestsError when there is none."""
        if self._rate <= 0:
            return
        level, now = self._level(who)
        if level < 1.0:
            raise TooManyRequestsError(what, retry_after=(1.0 - level) / self._rate)
        self._keep(who, level - 1.0, now)

    def check(self, who: Hashable, what: str) -> None:
        """Raise TooManyRequestsError when there is no token left, without using one."""
        if self._rate <= 0 or who not in self._buckets:
            return
        level, _ = self._level(who)
        if level < 1.0:
            raise TooManyRequestsError(what, retry_after=(1.0 - level) / self._rate)

    def spend(self, who: Hashable) -> None:
        """Use one token up if there is one."""
        if self._rate > 0:
            level, now = self._level(who)
            self._keep(who, max(level - 1.0, 0.0), now)

    def _level(self, who: Hashable) -> tuple[float, float]:
        now = self._clock()
        level, since = self._buckets.get(who, (self._burst, now))
        return min(self._burst, level + max(0.0, now - since) * self._rate), now

    def _keep(self, who: Hashable, level: float, now: float) -> None:
        self._buckets[who] = (level, now)
        self._buckets.move_to_end(who)
        if len(self._buckets) > MOST_KNOWN:
            self._buckets.popitem(last=False)
