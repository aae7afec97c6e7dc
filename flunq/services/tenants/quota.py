"""What a tenant may use, kept by the owners of its partitions without asking anybody.

A node counts what it has itself. What other nodes have is in their leases, a second old at most,
so several nodes together may let in a few more than the quota says, never ever more.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from flunq.core.protocol import Reply
from flunq.core.tenancy import Quotas
from flunq.errors import QuotaExceededError

if TYPE_CHECKING:
    from collections.abc import Callable

RECOUNT_SECONDS = 0.05
STALE_SECONDS = 1.0


class Quota:
    """Lets starts in, or says why not."""

    def __init__(
        self,
        limits: Quotas | None = None,
        *,
        tenant: str = "default",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tenant = tenant
        self.limits = limits or Quotas()
        self.counts_bytes = asyncio.Event()
        """Set while there is a limit of bytes."""
        self.used_bytes = 0
        """Of journal and large values, as last seen."""
        self.count: Callable[[], int] = lambda: 0
        """Counts the executions that are open, here and elsewhere."""
        self.part: Callable[[], float] = lambda: 1.0
        """Says which part of the tenant this node serves."""
        self._now = now
        self._open = 0
        self._counted = float("-inf")
        self._tokens: float | None = None
        self._filled = 0.0
        self.change(self.limits)

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.limits != _NONE

    @property
    def counts_executions(self) -> bool:
        """Whether open executions are counted."""
        return self.limits.executions is not None

    def change(self, limits: Quotas) -> None:
        """Follow changed limits."""
        self.limits = limits
        self._tokens = None
        if limits.bytes is None:
            self.counts_bytes.clear()
        else:
            self.counts_bytes.set()

    def admit(self) -> QuotaExceededError | None:
        """Let one start in, or return why not."""
        limits = self.limits
        if limits.bytes is not None and self.used_bytes >= limits.bytes:
            return self._exceeded("bytes", f"{self.used_bytes:,} of {limits.bytes:,} bytes", None)
        if limits.executions is not None and not self._has_place(limits.executions):
            return self._exceeded("executions", f"{limits.executions:,} open executions", None)
        if limits.starts is not None and not self._take_token(limits.starts):
            return self._exceeded("starts", f"{limits.starts:g} starts per second", 1.0)
        self._open += 1
        return None

    def give_back(self) -> None:
        """Undo :meth:`admit`: another partition lets the start in."""
        self._open = max(self._open - 1, 0)
        if self._tokens is not None:
            self._tokens += 1

    def fits(self, more: int) -> QuotaExceededError | None:
        """Return why so many bytes more cannot be stored."""
        most = self.limits.bytes
        if most is None or self.used_bytes + more <= most:
            return None
        return self._exceeded("bytes", f"{self.used_bytes:,} of {most:,} bytes", None)

    def _exceeded(self, quota: str, used: str, retry_after: float | None) -> QuotaExceededError:
        more = {} if retry_after is None else {"retry_after": retry_after}
        return QuotaExceededError(
            f"the tenant's quota is used up: {used}",
            hint=f"raise it with: flunq tenants update {self.tenant} --quota-{quota} N; "
            "see it with: flunq tenants show",
            quota=quota,
            **more,
        )

    def _has_place(self, most: int) -> bool:
        age = self._now() - self._counted
        if age > STALE_SECONDS or (self._open >= most and age > RECOUNT_SECONDS):
            self._open = self.count()
            self._counted = self._now()
        return self._open < most

    def _take_token(self, rate: float) -> bool:
        rate *= self.part()
        burst = max(1.0, rate)
        now = self._now()
        if self._tokens is None:
            self._tokens = burst
        else:
            self._tokens = min(burst, self._tokens + (now - self._filled) * rate)
        self._filled = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def refusal(execution: str, error: QuotaExceededError) -> Reply:
    """Return the answer to a start that is not let in."""
    return Reply(code=error.status, id=execution, problem=error.problem())


_NONE = Quotas()
