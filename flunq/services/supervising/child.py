"""Keeping one service alive: start, wait, restart with backoff, remember why it ended."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from flunq.services.supervising.process import (
    Command,
    Process,
    describe_exit,
    last_lines,
    size_of,
    spawn,
)
from flunq.services.supervising.statefile import ServiceState, ServiceStatus
from flunq.telemetry.lines import message_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FIRST_BACKOFF = 0.1
_LONGEST_BACKOFF = 5.0
_STABLE_AFTER = 10.0
_LOOK_SECONDS = 0.05
_PERMANENT_EXITS = frozenset({2, 3, 4})
"""Wrong usage, a rejected input, something not found: starting again cannot help."""
_EARLY_DEATHS = 5
"""How often a service may end before it was ever ready until the start is given up."""


class Readiness(Protocol):
    """How to find out that a service works, beyond its process being there."""

    async def __call__(self, process: Process) -> bool:
        """Return True once it is ready, False when it never will be."""
        ...


class ServicePlan(msgspec.Struct, kw_only=True, frozen=True):
    """One service of a cluster."""

    name: str
    command: Command
    ready: Readiness
    grace: float = 10.0
    """Seconds between SIGTERM and SIGKILL."""


class Child:
    """One supervised service."""

    def __init__(
        self, plan: ServicePlan, changed: Callable[[Child], None], needs: Sequence[Child] = ()
    ) -> None:
        """Nothing is held against a service that ends before those that it ``needs`` are ready."""
        self.plan = plan
        self.name = plan.name
        self.restarts = 0
        self.reason: str | None = None
        self.last_log: list[str] = []
        self.last_code: int | None = None
        self.ready = asyncio.Event()
        self.given_up = asyncio.Event()
        self._changed = changed
        self._needs = needs
        self._state: ServiceState = "starting"
        self._since = time.time()
        self._process: Process | None = None
        self._stopping = False
        self._was_ready = False
        self._early_deaths = 0
        self._backoff = _FIRST_BACKOFF
        self._restart_reason: str | None = None
        self._reason_when_well: str | None = None
        self._log_start = 0

    @property
    def status(self) -> ServiceStatus:
        """What to tell about it."""
        process = self._process
        return ServiceStatus(
            name=self.name,
            pid=process.pid if process is not None and process.running else None,
            state=self._state,
            restarts=self.restarts,
            reason=self.reason,
            since=self._since,
        )

    async def keep(self) -> None:
        """Run it until :meth:`stop`, or until it turns out that it cannot start at all."""
        while not self._stopping:
            await self._run_once()
            if self._stopping or not self._may_try_again():
                return
            self._enter("backoff")
            if not self._was_ready and not self._has_what_it_needs():
                await self._wait_for_needs()
                self.reason = None
                continue
            await asyncio.sleep(self._backoff)
            self._backoff = min(self._backoff * 2, _LONGEST_BACKOFF)
            self.restarts += 1

    async def stop(self) -> None:
        """End it, by force once its grace is over, and do not start it again."""
        self._stopping = True
        process = self._process
        if process is not None and process.running:
            self._enter("stopping")
            await process.stop(self.plan.grace)
        self._enter("stopped")

    def kill(self) -> None:
        """End it at once."""
        self._stopping = True
        if self._process is not None:
            self._process.send(signal.SIGKILL)

    async def restart(self, reason: str) -> None:
        """End a process that is there but does not work; :meth:`keep` starts the next one."""
        if self._process is None or self._stopping:
            return
        self._restart_reason = reason
        await self._process.stop(min(self.plan.grace, 3.0))

    def mark(self, *, healthy: bool, reason: str | None = None) -> None:
        """Record what a health check found."""
        if self._state == "ready" and not healthy:
            self._reason_when_well, self.reason = self.reason, reason
            self._enter("unhealthy")
        elif self._state == "unhealthy" and healthy:
            self.reason = self._reason_when_well
            self._enter("ready")

    async def _run_once(self) -> None:
        self._enter("starting")
        started = time.monotonic()
        self._log_start = size_of(self.plan.command.log)
        try:
            self._process = process = spawn(self.plan.command)
        except OSError as error:
            self._ended(f"cannot be started: {error.strerror}", code=None)
            return
        self._changed(self)
        code = await self._watch(process)
        if time.monotonic() - started > _STABLE_AFTER:
            self._backoff = _FIRST_BACKOFF
        self._ended(self._restart_reason or describe_exit(code), code=code)
        self._restart_reason = None

    async def _watch(self, process: Process) -> int:
        """Wait for readiness and for the end, whichever comes; the end decides."""
        becoming_ready = asyncio.create_task(self._become_ready(process))
        try:
            return await process.wait_exit()
        finally:
            becoming_ready.cancel()
            await asyncio.wait([becoming_ready])

    async def _become_ready(self, process: Process) -> None:
        if await self.plan.ready(process) and not self._stopping:
            self._was_ready = True
            self._enter("ready")
            self.ready.set()

    def _ended(self, reason: str, *, code: int | None) -> None:
        self.ready.clear()
        if self._stopping:
            return
        self.reason = reason
        self.last_code = code
        lines = last_lines(self.plan.command.log, 5, after=self._log_start)
        self.last_log = [message_of(line) for line in lines]
        if not self._was_ready:
            self._early_deaths += self._has_what_it_needs()
            if code in _PERMANENT_EXITS:
                self._early_deaths = _EARLY_DEATHS

    def _has_what_it_needs(self) -> bool:
        return all(each.ready.is_set() for each in self._needs)

    async def _wait_for_needs(self) -> None:
        # There is no event for the first of: being stopped, and the last server being ready.
        while not self._stopping and not self._has_what_it_needs():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)

    def _may_try_again(self) -> bool:
        if self._was_ready or self._early_deaths < _EARLY_DEATHS:
            return True
        self._enter("failed")
        self.given_up.set()
        return False

    def _enter(self, state: ServiceState) -> None:
        if state != self._state:
            self._state = state
            self._since = time.time()
            self._changed(self)
