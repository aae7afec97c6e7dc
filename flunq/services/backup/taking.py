"""Take a backup.

The order is what makes it consistent while the cluster works. Checkpoints come first, then the
archive, then the journals, then the inboxes: whatever a later part is referred to by is in an
earlier one. Should anything have been removed from a journal or an inbox meanwhile, because a
checkpoint made it superfluous, these are taken again. Everything else only ever grows, or can be
derived, and comes last.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import msgspec

import flunq
from flunq.errors import RejectedError, UnavailableError
from flunq.services.backup import snapshots
from flunq.services.backup.access import reach
from flunq.services.backup.container import BackupWriter
from flunq.services.backup.parts import Manifest
from flunq.services.backup.snapshots import STATE
from flunq.services.supervising.layout import DataDirectory, private_umask
from flunq.store.lake import MANIFEST, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flunq.log.nats.connection import Connection

    Tell = Callable[[str], None]

_TRIES = 20
_AGAIN = 0.5


async def take_backup(data: Path, target: Path, tell: Tell, *, folder: bool = False) -> Manifest:
    """Write a backup of a data directory's cluster; a folder, or one file."""
    directory = DataDirectory(data)
    with private_umask():
        async with reach(directory) as access:
            writer = BackupWriter(target, folder=folder)
            links = directory.run / f"backup-{os.getpid()}"
            taking = _Taking(directory, access.connection, writer, links, tell)
            try:
                await taking.run()
                manifest = Manifest(
                    flunq=flunq.__version__,
                    created_at=time.time(),
                    nodes=access.nodes,
                    running=access.running,
                    parts=writer.parts,
                )
                await asyncio.to_thread(writer.finish, manifest)
            finally:
                writer.abandon()
                shutil.rmtree(links, ignore_errors=True)
    return manifest


class _Taking:
    """One backup."""

    def __init__(
        self,
        directory: DataDirectory,
        connection: Connection,
        writer: BackupWriter,
        links: Path,
        tell: Tell,
    ) -> None:
        self._directory = directory
        self._connection = connection
        self._writer = writer
        self._links = links
        self._tell = tell

    async def run(self) -> None:
        """Put all parts into the writer."""
        bound = await self._bound()
        for name, facts in bound.items():
            self._writer.add("stream", name, self._writer.scratch / name, facts)
            (self._writer.scratch / name).unlink()
        await asyncio.to_thread(self._add_lakes)
        for name in await snapshots.list_streams(self._connection):
            if name not in bound:
                await self._add_stream(name)
        await asyncio.to_thread(self._add_files)

    async def _bound(self) -> dict[str, dict[str, Any]]:
        """Take what refers to each other by sequence, at once; again if something was removed."""
        for _ in range(_TRIES):
            streams = await snapshots.list_streams(self._connection)
            journals = [name for name in streams if name.endswith("_JOURNAL")]
            inboxes = [name for name in streams if name.endswith("_INBOX")]
            before = await self._removed([*journals, *inboxes])
            found: dict[str, dict[str, Any]] = {}
            for name in [STATE, *journals, *inboxes]:
                facts = await self._spool(name)
                if facts is not None:
                    found[name] = facts
                if name == STATE:
                    await asyncio.to_thread(self._link_lakes)
            if await self._removed(before) == before:
                return found
            self._tell("the cluster tidied up meanwhile: taking the journals again")
            await asyncio.sleep(_AGAIN)
        raise UnavailableError(
            "the cluster tidies up faster than its journals can be copied",
            hint="take the backup when there is less to do, or of the stopped cluster",
        )

    async def _removed(self, names: list[str] | dict[str, int]) -> dict[str, int]:
        return {name: await snapshots.removed(self._connection, name) for name in names}

    async def _spool(self, name: str) -> dict[str, Any] | None:
        self._tell(f"taking {name}")
        with (self._writer.scratch / name).open("wb") as file:
            return await snapshots.take(self._connection, name, file)

    async def _add_stream(self, name: str) -> None:
        facts = await self._spool(name)
        path = self._writer.scratch / name
        if facts is not None:
            await asyncio.to_thread(self._writer.add, "stream", name, path, facts)
        path.unlink()

    def _link_lakes(self) -> None:
        """Hold on to the files of every archive: a merge removes them from their folder."""
        shutil.rmtree(self._links, ignore_errors=True)
        for manifest in sorted(self._directory.history.glob(f"*/{MANIFEST}")):
            _link_lake(manifest.parent, self._links / manifest.parent.name)

    def _add_lakes(self) -> None:
        for path in sorted(self._links.rglob("*")):
            if path.is_file():
                name = path.relative_to(self._links).as_posix()
                self._tell(f"taking the archive: {name}")
                self._writer.add("lake", name, path)

    def _add_files(self) -> None:
        """Add the cluster's record: its keys and passwords, and its certificates."""
        root = self._directory.root
        certificates = sorted(p for p in (root / "certs").rglob("*") if p.is_file())
        known = [self._directory.credentials, self._directory.state, *certificates]
        for path in known:
            if path.is_file():
                self._writer.add("file", path.relative_to(root).as_posix(), path)


def _link_lake(folder: Path, into: Path) -> None:
    for left in range(_TRIES, 0, -1):
        shutil.rmtree(into, ignore_errors=True)
        manifest = read_manifest(folder)
        if manifest is None:
            return
        try:
            for file in manifest.files:
                _link(folder / file.path, into / file.path)
        except FileNotFoundError as error:
            if left == 1:
                raise RejectedError(
                    f"the archive has lost {error.filename}",
                    hint="put it back, or go on without: flunq lake rebuild --keep-archive",
                ) from error
            continue  # merged away since; another manifest says into what
        into.mkdir(parents=True, exist_ok=True)
        (into / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        return


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
