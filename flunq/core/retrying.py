"""How long to wait before a DSL retry: pure arithmetic, the same at every replay."""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal

import msgspec

from flunq.core.duration import DAY

Backoff = Literal["constant", "linear", "exponential"]

MAX_DELAY = 365 * DAY
_MAX_DOUBLINGS = 60


class RetryDelay(msgspec.Struct, frozen=True, kw_only=True):
    """The delay part of a retry policy, in microseconds."""

    delay: int = 0
    backoff: Backoff = "constant"
    jitter_from: int = 0
    jitter_to: int = 0


def delay_before(policy: RetryDelay, retry: int, seed: str) -> int:
    """Return the delay before the ``retry``-th retry (from 1).

    Constant keeps the delay, linear multiplies it by the number of the retry, exponential
    doubles it each time. Jitter is added to it, drawn from ``seed`` and the number.
    """
    factor = 1
    if policy.backoff == "linear":
        factor = retry
    elif policy.backoff == "exponential":
        factor = 2 ** min(retry - 1, _MAX_DOUBLINGS)
    return min(policy.delay * factor + _jitter(policy, retry, seed), MAX_DELAY)


def _jitter(policy: RetryDelay, retry: int, seed: str) -> int:
    low, high = sorted((policy.jitter_from, policy.jitter_to))
    if high == 0:
        return 0
    digest = blake2b(f"{seed}:{retry}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return low + int.from_bytes(digest, "big") % (high - low + 1)
