"""The slots of a process, shared by its tenants: whoever runs least is served first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.execution.commands import Report
    from flunq.core.execution.effects import Dispatch
    from flunq.sdk.context import ExecutorContext
    from flunq.services.executor.pool import ExecutorPool

MOST = 3 / 4
"""The part of the slots that one of several tenants may have."""


class PoolShares:
    """Hands the slots of a pool to tenants.

    A tenant alone may have all of them. One of several leaves a quarter to the others, and a slot
    that becomes free goes to the one that waits and runs least.
    """

    def __init__(self, pool: ExecutorPool) -> None:
        self.pool = pool
        self._shares: dict[str, PoolShare] = {}
        self._waiting: dict[str, PoolShare] = {}
        pool.when_free(self._offer)

    def share(self, tenant: str, context: ExecutorContext | None = None) -> PoolShare:
        """Return a tenant's part; ``context`` is what its calls see."""
        share = self._shares[tenant] = PoolShare(self, tenant, context)
        return share

    def close(self, tenant: str) -> None:
        """Forget a tenant; the others have more."""
        self._shares.pop(tenant, None)
        self._waiting.pop(tenant, None)

    def admits(self, tenant: str, task: str) -> bool:
        """Tell whether a tenant may begin a task, as far as the others are concerned."""
        return len(self._shares) < 2 or self.pool.runs(task, tenant) or self.left(tenant) > 0

    def left(self, tenant: str) -> int:
        """Return how many more tasks a tenant may begin."""
        free = self.pool.free()
        if len(self._shares) < 2:
            return free
        most = max(1, int(self.pool.capacity * MOST))
        return max(0, min(free, most - self.pool.load(tenant)))

    def wait(self, share: PoolShare) -> None:
        """Note that a tenant has more to do than it may begin."""
        self._waiting[share.tenant] = share

    def _offer(self) -> None:
        if not self._waiting:
            return
        waiting = sorted(self._waiting.values(), key=lambda each: self.pool.load(each.tenant))
        self._waiting.clear()
        for share in waiting:
            share.offer()


class PoolShare:
    """A pool as one tenant sees it."""

    def __init__(
        self, shares: PoolShares, tenant: str, context: ExecutorContext | None = None
    ) -> None:
        self.tenant = tenant
        self._shares = shares
        self._pool = shares.pool
        self._context = context
        self._on_free: list[Callable[[], None]] = []

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the pool can run."""
        return self._pool.kinds

    @property
    def draining(self) -> bool:
        """True once nothing new is taken."""
        return self._pool.draining

    def hosts(self, kind: str) -> bool:
        """Tell whether tasks of a kind can run here."""
        return self._pool.hosts(kind)

    def free(self) -> int:
        """Return how many more tasks fit."""
        return self._shares.left(self.tenant)

    def when_free(self, call: Callable[[], None]) -> None:
        """Have something called when there may be room for what was refused."""
        self._on_free.append(call)

    def offer(self) -> None:
        """Tell that a slot is free."""
        for call in self._on_free:
            call()

    def runs(self, task: str) -> bool:
        """Tell whether a task is in flight."""
        return self._pool.runs(task, self.tenant)

    def submit(
        self,
        dispatch: Dispatch,
        done: Callable[[Report], None] | None = None,
        *,
        stopped: Callable[[], None] | None = None,
        delivery: int = 1,
    ) -> bool:
        """Begin a task, or join it if it is in flight; False when it has no place here."""
        begun = self._shares.admits(self.tenant, dispatch.task) and self._pool.submit(
            dispatch,
            done,
            stopped=stopped,
            delivery=delivery,
            tenant=self.tenant,
            context=self._context,
        )
        if not begun:
            self._shares.wait(self)
        return begun

    def withdraw(self, task: str) -> bool:
        """Stop a task whose outcome no longer matters; tell whether it was in flight."""
        return self._pool.withdraw(task, self.tenant)
