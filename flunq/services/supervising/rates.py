"""Messages per second of the NATS servers, from two readings of their monitors."""

from __future__ import annotations

import time

import msgspec

from flunq.services.supervising.network import http_get


class _Totals(msgspec.Struct):
    in_msgs: int = 0
    out_msgs: int = 0


class MessageRates:
    """Remembers the last reading."""

    def __init__(self) -> None:
        self._last: tuple[float, int, int] | None = None

    async def read(self, monitors: list[str]) -> str | None:
        """Return the rates since the last call; None without a monitor or a first reading."""
        try:
            totals = [await _totals(monitor) for monitor in monitors]
        except (OSError, TimeoutError, msgspec.DecodeError):
            self._last = None
            return None
        now = time.monotonic()
        taken = sum(each.in_msgs for each in totals), sum(each.out_msgs for each in totals)
        before, self._last = self._last, (now, *taken)
        if before is None or not monitors:
            return None
        seconds = max(now - before[0], 0.001)
        rates = [max(0.0, (b - a) / seconds) for a, b in zip(before[1:], taken, strict=True)]
        return f"{rates[0]:,.0f}/s in, {rates[1]:,.0f}/s out"


async def _totals(monitor: str) -> _Totals:
    _, body = await http_get(f"{monitor}/varz", within=1.0)
    return msgspec.json.decode(body, type=_Totals)
