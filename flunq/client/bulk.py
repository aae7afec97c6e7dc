"""One command to many executions: at a rate, each with its own outcome."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from flunq.core.statuses import ENDED
from flunq.errors import ConflictError, FlunqError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

IN_FLIGHT = 64


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that a command is meant for."""

    id: str
    status: str = ""
    """What it was when it was chosen."""
    workflow: str = ""
    started_at: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one of them."""

    id: str
    before: str
    status: str = ""
    """What it is now; empty if that is not known."""
    result: str
    """``done``, ``unchanged`` or ``failed``."""
    error: str = ""


class Bulk:
    """Applies a command to executions, several at the same time but no more than a rate allows."""

    def __init__(
        self,
        act: Callable[[str], Awaitable[str]],
        *,
        wanted: frozenset[str],
        rate: float | None = None,
        noted: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        self._act = act
        self._wanted = wanted
        """A status that ends an execution and is what the command is for."""
        self._rate = rate
        self._noted = noted
        self.outcomes: list[Outcome] = []

    async def run(self, targets: Sequence[Target]) -> None:
        """Apply the command to all; what was done so far stands in ``outcomes`` if cancelled."""
        line = iter(targets)
        async with asyncio.TaskGroup() as group:
            if self._rate is None:
                for _ in range(min(IN_FLIGHT, len(targets))):
                    group.create_task(self._work(line))
            else:
                await self._paced(line, group)

    async def _work(self, line: Iterator[Target]) -> None:
        for target in line:
            await self._apply(target)

    async def _paced(self, line: Iterator[Target], group: asyncio.TaskGroup) -> None:
        """Begin one after another; slow answers hold the others up only when there are many."""
        assert self._rate is not None
        loop = asyncio.get_running_loop()
        room = asyncio.Semaphore(IN_FLIGHT)
        due = loop.time()

        async def one(target: Target) -> None:
            try:
                await self._apply(target)
            finally:
                room.release()

        for target in line:
            await asyncio.sleep(max(0.0, due - loop.time()))
            await room.acquire()
            group.create_task(one(target))
            due = max(due, loop.time() - 1.0) + 1.0 / self._rate

    async def _apply(self, target: Target) -> None:
        try:
            status = await self._act(target.id)
        except FlunqError as error:
            self._note(self._refused(target, error))
            return
        changed = status in self._wanted or status not in ENDED
        result = "done" if changed else "unchanged"
        self._note(Outcome(id=target.id, before=target.status, status=status, result=result))

    def _refused(self, target: Target, error: FlunqError) -> Outcome:
        # It went its own way since it was chosen; one of which only an id was given may never have
        # been there.
        gone = isinstance(error, NotFoundError) and bool(target.status)
        passed = gone or isinstance(error, ConflictError)
        return Outcome(
            id=target.id,
            before=target.status,
            result="unchanged" if passed else "failed",
            error=error.message,
        )

    def _note(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._noted(outcome)
