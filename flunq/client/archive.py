"""The archive of a cluster, as a client sees it: how it is, what it holds, what to do with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from flunq.core.events import LazyEvent
from flunq.core.protocol import (
    CompactLake,
    FlushLake,
    LakeHistory,
    LakeJob,
    LakeStatus,
    LakeView,
    Page,
    RebuildLake,
    ScrubLake,
    history_subject,
)
from flunq.errors import ConflictError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Ask = Callable[[str, Any], Awaitable[bytes]]

_POLL_SECONDS = 0.2
_MOST_FAILURES = 25
"""So often in a row a problem may be seen before it is one that stays."""


class Archive:
    """``client.archive``."""

    def __init__(self, ask: Ask, tenant: str) -> None:
        self._ask_raw = ask
        self._tenant = tenant

    async def status(self) -> LakeView:
        """Return how the archive is."""
        return msgspec.json.decode(await self._ask(LakeStatus()), type=LakeView)

    async def flush(self) -> LakeView:
        """Let the archive take up everything that is in the journal now; returns when it has."""
        view = msgspec.json.decode(await self._ask(FlushLake()), type=LakeView)
        newest = view.newest
        failures = 0
        while view.through < newest:
            failures = failures + 1 if view.problem else 0
            if failures > _MOST_FAILURES:
                raise ConflictError(view.problem, hint="see: flunq lake status")
            await asyncio.sleep(_POLL_SECONDS)
            view = msgspec.json.decode(await self._ask(FlushLake()), type=LakeView)
        return view

    async def compact(self) -> LakeJob:
        """Make few large files of many small ones."""
        return await self._done(CompactLake())

    async def rebuild(self, mode: Literal["full", "keep", "anew"] = "full") -> LakeJob:
        """Make all files anew from the journal; raises ConflictError where that would lose."""
        return await self._done(RebuildLake(mode=mode))

    async def scrub(self, execution: str, upto: int, *, by: str = "") -> LakeJob:
        """Take an execution's events up to a journal sequence out of every file."""
        return await self._done(ScrubLake(id=execution, upto=upto, by=by))

    async def events(
        self, execution: str, *, after: int = 0, before: int = 1 << 62
    ) -> AsyncIterator[LazyEvent]:
        """Yield an execution's archived events with ``after < seq < before``, in order."""
        more = True
        while more:
            question = LakeHistory(id=execution, after=after, before=before)
            page = msgspec.json.decode(await self._ask(question), type=Page)
            for raw in page.items:
                event = msgspec.json.decode(raw, type=LazyEvent)
                after = event.seq
                yield event
            more = page.more

    async def _done(self, question: CompactLake | RebuildLake | ScrubLake) -> LakeJob:
        """Start a job and wait for its end."""
        job = msgspec.json.decode(await self._ask(question), type=LakeJob)
        while job.state == "running":
            await asyncio.sleep(_POLL_SECONDS)
            jobs = {each.id: each for each in (await self.status()).jobs}
            if job.id not in jobs:
                raise UnavailableError(
                    "the historian was restarted meanwhile", hint="do it again: flunq lake status"
                )
            job = jobs[job.id]
        if job.state == "failed":
            detail, _, hint = job.detail.partition("; ")
            raise ConflictError(detail, hint=hint or None)
        return job

    async def _ask(self, question: Any) -> bytes:
        try:
            return await self._ask_raw(history_subject(self._tenant), question)
        except UnavailableError as error:
            raise UnavailableError(
                f"no historian answers for tenant {self._tenant}",
                hint="it is part of flunq up; elsewhere start one with: flunq serve historian",
            ) from error
