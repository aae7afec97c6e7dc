"""Work on files that exist: merging them, taking executions out, reading one execution."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flunq.core.protocol import MAX_MESSAGE, LakeHistory, Page, ScrubLake
from flunq.errors import ConflictError
from flunq.services.historian.compaction import next_merge
from flunq.store.lake import LakeFile, Scrubbed, now_micros
from flunq.store.writing import Events, Merge, Read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.services.historian.keeping import Keeper
    from flunq.services.historian.writer import Writer


class Workshop:
    """Merges in the process that takes up, one thing after another, so that memory stays small.

    Another process, when needed, reads: nobody waits for an answer until a merge is done.
    """

    def __init__(self, keeper: Keeper, merger: Writer, reader: Writer) -> None:
        self._keeper = keeper
        self._merger = merger
        self._reader = reader
        self._turn = asyncio.Lock()

    async def rest(self, idle_seconds: float) -> None:
        """End what has had nothing to do for so long."""
        await self._merger.rest(idle_seconds)
        await self._reader.rest(idle_seconds)

    async def sweep(self) -> None:
        """Delete what killed processes left behind."""
        async with self._turn:
            await self._keeper.sweep()

    async def compact(self, *, everything: bool = False) -> int:
        """Merge until nothing is worth it; returns how many files are gone."""
        gone = 0
        async with self._turn:
            while files := next_merge(
                self._keeper.manifest, now=now_micros(), everything=everything
            ):
                made = await self.merge(files)
                if not await self._keeper.exchange(files, made):
                    break
                gone += len(files) - len(made)
        return gone

    async def merge(self, files: Sequence[LakeFile], *, below: int | None = None) -> list[LakeFile]:
        """Make one file of several, without what was scrubbed; nobody counts it yet."""
        order = Merge(
            files=list(files),
            level=max(file.level for file in files) + 1,
            scrubbed=self._keeper.manifest.scrubbed,
            below=below,
        )
        return await self._merger.order(order, list[LakeFile])

    async def scrub(self, question: ScrubLake) -> int:
        """Take an execution's events out of every file; returns how many files were rewritten.

        The files with the events are deleted at once: a query that still reads them fails.
        """
        mark = Scrubbed(execution=question.id, at=now_micros(), upto=question.upto, by=question.by)
        async with self._turn:
            found = [
                file
                for file in self._keeper.manifest.files
                if file.first_seq <= question.upto and _may_hold(file, question.id)
            ]
            made: list[LakeFile] = []
            for file in found:
                order = Merge(files=[file], level=file.level, scrubbed=[mark])
                made += await self._merger.order(order, list[LakeFile])
            if not await self._keeper.exchange(found, made, scrubbed=[mark]):
                raise ConflictError("the archive was changed meanwhile", hint="do it again")
            await self._keeper.clean(everything=True)
        return len(found)

    async def history(self, question: LakeHistory) -> Page:
        """Return some events of an execution."""
        files = [f.path for f in self._keeper.manifest.files if _may_hold(f, question.id)]
        if not files:
            return Page(items=[])
        order = Read(
            files=files,
            execution=question.id,
            after=question.after,
            before=question.before,
            max_bytes=MAX_MESSAGE,
        )
        events = await self._reader.order(order, Events)
        return Page(items=events.items, more=events.more)

    async def stop(self) -> None:
        """End the processes."""
        await self._merger.stop()
        await self._reader.stop()


def _may_hold(file: LakeFile, execution: str) -> bool:
    return file.first_execution <= execution <= file.last_execution
