"""Events counted by second and by minute: what the overview draws."""

from __future__ import annotations

from collections import deque

from flunq_tui.model.formats import MICROSECONDS

_BLOCKS = "▁▂▃▄▅▆▇█"


class Series:
    """Counts in buckets of ``seconds``; the newest ``size`` buckets are kept."""

    def __init__(self, seconds: int, size: int) -> None:
        self.seconds = seconds
        self._buckets: deque[tuple[int, int]] = deque(maxlen=size)

    def add(self, moment: int, count: int = 1) -> None:
        """Count something that happened at a moment (microseconds)."""
        bucket = moment // (self.seconds * MICROSECONDS)
        if self._buckets and self._buckets[-1][0] >= bucket:
            last, before = self._buckets[-1]
            self._buckets[-1] = (last, before + count)
        else:
            self._buckets.append((bucket, count))

    def values(self, now: int, length: int) -> list[int]:
        """Return the newest ``length`` buckets up to now, oldest first."""
        end = now // (self.seconds * MICROSECONDS)
        known = dict(self._buckets)
        return [known.get(end - back, 0) for back in range(length - 1, -1, -1)]

    def per_second(self, now: int, over: int = 5) -> float:
        """Return the rate over the last whole buckets."""
        done = self.values(now, over + 1)[:-1]
        return sum(done) / (over * self.seconds) if done else 0.0


def sparkline(values: list[int], width: int) -> str:
    """Draw values as blocks, the newest at the right."""
    shown = values[-width:] if width else []
    highest = max(shown, default=0)
    if not highest:
        return "▁" * len(shown)
    last = len(_BLOCKS) - 1
    return "".join(_BLOCKS[-(-value * last // highest)] for value in shown)
