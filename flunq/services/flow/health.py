"""How one target fares, as one node sees it: pure, the time is an argument.

It counts calls and failures, says when the breaker has to open, how fast calls may go once the
target answers again, and whether it can bear another retry.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from flunq.core.traffic import Breaker

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.flow import BreakerRecord, BreakerState

SECOND = 1_000_000
REMEMBERED = 60
"""Seconds whose calls are counted."""
RETRY_SHARE = 0.2
"""Retries of a failing target, as a part of its first attempts."""
RETRY_FLOOR = 5.0
"""Retries a second that a failing target bears however little else there is."""
RETRY_BURST = 20.0
FAILING = 10 * SECOND
"""A target counts as failing for so long after a failure."""
RECOVERY = 1.5
"""Calls after an outage, as a multiple of what was normal before."""
SLOWEST = 5.0
"""Calls a second that any target bears after an outage."""
LONGEST_PAUSE = 60 * SECOND
JITTER = 0.2
NORMAL = Breaker()


class _Second:
    """The calls of one second."""

    __slots__ = ("calls", "failures", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0
        self.failures = 0


class Health:
    """What a node knows of a target."""

    def __init__(self, target: str, random: Callable[[], float]) -> None:
        self.target = target
        self.state: BreakerState = "closed"
        self.since: int | None = None
        self.until: int | None = None
        self.pause = 0
        self.reason = ""
        self.node = ""
        self.pace = 0.0
        """Calls a second after an outage; 0: as many as come."""
        self._random = random
        self._seconds: deque[_Second] = deque([_Second(0)])
        self._failures: deque[int] = deque()
        """When calls failed, those of other nodes included."""
        self._turn = 0
        """When the next call after an outage may begin."""
        self._tokens = RETRY_BURST
        self._refilled = 0

    # -- counting ----------------------------------------------------------------------------------

    def called(self, now: int, *, retry: bool = False) -> None:
        """Note that a call begins."""
        self._second(now).calls += 1
        if self.pace:
            self._turn = max(now, self._turn) + int(SECOND / self.pace)
        if not self._failures:
            return
        self._refill(now)
        if not retry:
            self._tokens = min(RETRY_BURST, self._tokens + RETRY_SHARE)
        elif self.is_failing(now):
            self._tokens -= 1.0

    def failed(self, now: int, rule: Breaker = NORMAL) -> bool:
        """Note that a call failed; tell whether that opens the breaker."""
        self._second(now).failures += 1
        self.heard(now, 1, rule.after)
        return self.state == "closed" and self._is_broken(now, rule)

    def heard(self, now: int, count: int, most: int = 0) -> None:
        """Note failures, those that other nodes tell of included."""
        if not self._failures:
            self._refilled = now
        self._failures.extend([now] * count)
        while len(self._failures) > max(most, NORMAL.after, 1_000):
            self._failures.popleft()

    def recent(self, now: int, within: int = NORMAL.within) -> tuple[int, int]:
        """Return the calls and the failures of late."""
        limit = now - within
        calls = sum(s.calls for s in self._seconds if (s.number + 1) * SECOND > limit)
        return calls, sum(moment > limit for moment in self._failures)

    def is_failing(self, now: int) -> bool:
        """Tell whether it failed of late."""
        return bool(self._failures) and self._failures[-1] > now - FAILING

    @property
    def is_new(self) -> bool:
        """Whether nothing is known that others would miss."""
        return self.state == "closed" and not self._failures and not self.pace

    # -- may a call begin? -------------------------------------------------------------------------

    def delay(self, now: int, *, retry: bool = False) -> int:
        """Return the microseconds after which a call may be asked for again; 0: it may begin."""
        if self.pace and now < self._turn:
            return self._turn - now
        if not retry or not self.is_failing(now):
            return 0
        self._refill(now)
        if self._tokens >= 1.0:
            return 0
        wait = (1.0 - self._tokens) / RETRY_FLOOR * SECOND
        return int(wait * (1 + JITTER * self._random())) + 1

    def settle(self) -> None:
        """Note that nothing waits any more: calls may come as they please."""
        self.pace = 0.0

    # -- the breaker -------------------------------------------------------------------------------

    def open(self, now: int, rule: Breaker, *, again: bool = False) -> None:
        """Open it; after a trial that failed the pause is longer."""
        self.pause = min(self.pause * 2, LONGEST_PAUSE) if again else rule.pause
        if not again:
            self.since = now
            self.pace = 0.0
        self.state = "open"
        self.until = now + int(self.pause * (1 + JITTER * self._random()))

    def adopt(self, record: BreakerRecord | None, now: int) -> None:
        """Follow what all nodes share; None: it is closed."""
        if record is None:
            self.close(now)
            return
        self.state, self.since, self.until = record.state, record.since, record.until
        self.pause, self.reason, self.node = record.pause, record.reason, record.node

    def close(self, now: int) -> None:
        """Close it; what waits goes on at a pace that the target bears."""
        if self.state == "closed":
            return
        self.pace = max(SLOWEST, RECOVERY * self._normal(self.since or now))
        self.state, self.since, self.until = "closed", None, None
        self.reason = self.node = ""
        self._failures.clear()
        self._turn = now
        self._tokens = RETRY_BURST

    def _is_broken(self, now: int, rule: Breaker) -> bool:
        limit = now - rule.within
        if sum(moment > limit for moment in self._failures) < rule.after:
            return False
        ours = [each for each in self._seconds if (each.number + 1) * SECOND > limit]
        failures = sum(each.failures for each in ours)
        return failures * 2 >= sum(each.calls for each in ours)

    def _normal(self, until: int) -> float:
        """Return how many calls a second there were before it failed."""
        before = [s for s in self._seconds if s.calls and s.number <= until // SECOND]
        good = [each for each in before if not each.failures] or before
        if not good:
            return 0.0
        # Its first and last seconds are rarely whole, so the middle tells most.
        counts = sorted(each.calls for each in good)
        return float(counts[len(counts) // 2])

    def _second(self, now: int) -> _Second:
        number = now // SECOND
        newest = self._seconds[-1]
        if newest.number == number:
            return newest
        if self.state == "closed":
            while self._seconds and self._seconds[0].number <= number - REMEMBERED:
                self._seconds.popleft()
        second = _Second(number)
        self._seconds.append(second)
        return second

    def _refill(self, now: int) -> None:
        past = max(0, now - self._refilled) / SECOND
        self._refilled = now
        self._tokens = min(RETRY_BURST, self._tokens + past * RETRY_FLOOR)
