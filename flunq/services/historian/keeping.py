"""The manifest as its one writer keeps it: every change goes through here, one after another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from flunq.services.worker.crashpoints import crash_point
from flunq.store.lake import (
    KEEP_RETIRED_SECONDS,
    LakeFile,
    Manifest,
    Scrubbed,
    expired,
    forget_expired,
    read_manifest,
    set_aside,
    successor,
    sweep,
    sweep_spools,
    write_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


class Keeper:
    """Holds the manifest of a lake and replaces it."""

    def __init__(
        self, folder: Path, tenant: str, *, keep_retired: float = KEEP_RETIRED_SECONDS
    ) -> None:
        self.folder = folder
        self.manifest = Manifest(tenant=tenant)
        self._keep_retired = keep_retired
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Read the manifest that is on disk."""
        async with self._turn:
            found = await asyncio.to_thread(read_manifest, self.folder)
            self.manifest = found or Manifest(tenant=self.manifest.tenant)
            await asyncio.to_thread(sweep_spools, self.folder)

    async def sweep(self) -> None:
        """Delete what killed processes left behind; nobody may be making files meanwhile."""
        async with self._turn:
            await asyncio.to_thread(sweep, self.folder, self.manifest)

    async def begin(self, *, journal: str, since: int = 0) -> None:
        """Let an empty lake belong to a journal, from a sequence on."""
        async with self._turn:
            await self._write(
                msgspec.structs.replace(
                    successor(self.manifest, through=since), journal=journal, since=since
                )
            )

    async def extend(self, files: Sequence[LakeFile], *, through: int) -> None:
        """Add the files that hold every record after the last ones up to ``through``."""
        async with self._turn:
            await self._write(successor(self.manifest, add=files, through=through))

    async def exchange(
        self,
        drop: Iterable[LakeFile],
        add: Iterable[LakeFile],
        *,
        scrubbed: Iterable[Scrubbed] = (),
    ) -> bool:
        """Put files in the place of others; False if some of those are gone meanwhile."""
        dropped = {file.path for file in drop}
        async with self._turn:
            if not dropped <= {file.path for file in self.manifest.files}:
                return False
            await self._write(successor(self.manifest, add=add, drop=dropped, scrubbed=scrubbed))
            return True

    async def replace(self, files: Sequence[LakeFile], *, through: int, since: int) -> None:
        """Put other files in the place of all, as a rebuild does."""
        async with self._turn:
            every = [file.path for file in self.manifest.files]
            fresh = successor(self.manifest, add=files, drop=every, through=through)
            await self._write(msgspec.structs.replace(fresh, since=since))

    async def clean(self, *, everything: bool = False) -> int:
        """Delete files that were retired long enough ago, or all of them; returns how many."""
        async with self._turn:
            seconds = 0.0 if everything else self._keep_retired
            gone = expired(self.manifest, keep_seconds=seconds)
            if gone:
                fresh = await asyncio.to_thread(
                    forget_expired, self.folder, successor(self.manifest), gone
                )
                await self._write(fresh)
            return len(gone)

    async def set_aside(self) -> None:
        """Move the lake out of the way, as a whole, and begin with an empty one."""
        async with self._turn:
            await asyncio.to_thread(set_aside, self.folder, self.manifest)
            self.manifest = Manifest(tenant=self.manifest.tenant)

    async def _write(self, manifest: Manifest) -> None:
        crash_point("before-manifest")
        # A cancelled historian must not leave with a manifest half known.
        writing = asyncio.create_task(asyncio.to_thread(write_manifest, self.folder, manifest))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await writing
            self.manifest = manifest
            raise
        self.manifest = manifest
        crash_point("after-manifest")
