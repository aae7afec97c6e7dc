"""The lake made anew from the journal, beside the one that queries read meanwhile."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from flunq.errors import ConflictError
from flunq.services.historian.compaction import fitting
from flunq.services.historian.ingest import Ingest
from flunq.store.lake import MANIFEST, has_files, lost_files

if TYPE_CHECKING:
    from flunq.log.ports import Extent, Journal
    from flunq.services.historian.keeping import Keeper
    from flunq.services.historian.settings import Pace
    from flunq.services.historian.workshop import Workshop
    from flunq.services.historian.writer import Writer
    from flunq.store.lake import LakeFile

_ANEW = "set it aside and begin anew with: flunq lake rebuild --anew"


class Rebuilding:
    """Checks that lake and journal fit together, and makes the lake anew."""

    def __init__(
        self, journal: Journal, keeper: Keeper, workshop: Workshop, writer: Writer, pace: Pace
    ) -> None:
        self._journal = journal
        self._keeper = keeper
        self._workshop = workshop
        self._writer = writer
        self._pace = pace

    async def check(self) -> None:
        """Raise ConflictError where going on would mix histories or leave a gap."""
        extent = await self._journal.extent()
        manifest = self._keeper.manifest
        folder = self._keeper.folder
        if manifest.journal not in ("", extent.created):
            raise ConflictError(
                f"the archive in {folder} belongs to a journal that was made on "
                f"{manifest.journal}; this one was made on {extent.created}",
                hint=_ANEW,
            )
        if manifest.through > extent.last:
            raise ConflictError(
                f"the archive in {folder} goes up to {manifest.through}, but the journal ends at "
                f"{extent.last}: it has lost records",
                hint=_ANEW,
            )
        if extent.first > manifest.through + 1:
            if not manifest.generation and await asyncio.to_thread(has_files, folder):
                raise ConflictError(
                    f"the archive in {folder} has files but no {MANIFEST}, and the journal begins "
                    f"at {extent.first}: what came before is in those files alone",
                    hint=f"put the {MANIFEST} of that archive back, or {_ANEW}",
                )
            raise ConflictError(
                f"the archive in {folder} ends at {manifest.through}, but the journal begins at "
                f"{extent.first}: what is between was archived somewhere else",
                hint=f"start the historian with that folder, or {_ANEW}",
            )
        if not manifest.generation:
            await self._keeper.begin(journal=extent.created)

    async def run(self, mode: Literal["full", "keep", "anew"]) -> str:
        """Make all files anew; queries read the old ones until the last moment."""
        extent = await self._journal.extent()
        if mode == "anew":
            await self._keeper.set_aside()
            await self._keeper.begin(journal=extent.created, since=extent.first - 1)
            return f"begun anew at {extent.first}; the files before are set aside"
        await self.check()
        self._refuse_loss(extent, mode)
        lost = await self._lost_before(extent.first)
        kept = await self._keep_before(extent.first, lost) if extent.first > 1 else []
        made, through = await self._read_journal(extent)
        await self._keeper.replace(
            [*kept, *made], through=through, since=self._keeper.manifest.since
        )
        rows = sum(file.rows for file in (*kept, *made))
        done = f"{rows} events in {len(kept) + len(made)} files"
        if not lost:
            return done
        return f"{done}; lost with {len(lost)} damaged files: up to {sum(f.rows for f in lost)}"

    def _refuse_loss(self, extent: Extent, mode: str) -> None:
        if mode == "full" and extent.first > 1:
            raise ConflictError(
                f"the journal begins at {extent.first}: what came before is in the archive alone",
                hint="keep that part with: flunq lake rebuild --keep-archive",
            )

    async def _lost_before(self, first: int) -> list[LakeFile]:
        """Return the damaged files with events that the journal no longer has."""
        lost = await asyncio.to_thread(lost_files, self._keeper.folder, self._keeper.manifest)
        return [file for file in lost if file.first_seq < first]

    async def _keep_before(self, first: int, lost: list[LakeFile]) -> list[LakeFile]:
        """Take over the events that the journal no longer has, as far as their files are whole."""
        listed = self._keeper.manifest.files
        old = [file for file in listed if file.first_seq < first and file not in lost]
        kept: list[LakeFile] = []
        for _, files in groupby(sorted(old, key=lambda f: f.day), key=lambda file: file.day):
            rest = list(files)
            while rest:
                together = fitting(rest)
                kept += await self._workshop.merge(together, below=first)
                rest = rest[len(together) :]
        return kept

    async def _read_journal(self, extent: Extent) -> tuple[list[LakeFile], int]:
        """Return files of everything the journal has, and up to which sequence."""
        made: list[LakeFile] = []
        reached = extent.first - 1
        complete = asyncio.Event()
        if extent.last < extent.first:
            return made, reached

        async def publish(files: list[LakeFile], through: int) -> None:
            nonlocal reached
            made.extend(files)
            reached = through
            if through >= extent.last:
                complete.set()

        ingest = Ingest(
            self._journal, self._writer, self._pace, after=extent.first - 1, publish=publish
        )
        ingest.flush_soon(extent.last)
        reading = asyncio.create_task(ingest.run())
        waiting = asyncio.create_task(complete.wait())
        try:
            await asyncio.wait([reading, waiting], return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            for task in (reading, waiting):
                task.cancel()
            await asyncio.gather(reading, waiting, return_exceptions=True)
        return made, reached
