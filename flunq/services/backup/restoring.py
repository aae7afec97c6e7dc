"""Make a data directory from a backup."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from flunq.errors import UsageError
from flunq.services.backup import snapshots
from flunq.services.backup.access import servers_alone
from flunq.services.backup.container import open_backup
from flunq.services.backup.parts import Findings, Part, damaged
from flunq.services.backup.settling import settle
from flunq.services.supervising.layout import DataDirectory, DirectoryLock, private_umask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flunq.services.backup.container import BackupReader

    Tell = Callable[[str], None]

_RECORD = "run/cluster.json"


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was made, and what could not be."""

    data: str
    nodes: int
    streams: int
    files: int
    bytes: int
    missing: list[str]


def check_backup(source: Path, tell: Tell) -> Findings:
    """Read a whole backup; raises DamagedBackupError naming every part that is not whole."""
    with open_backup(source) as reader:
        findings = reader.check(tell)
    if findings.problems:
        raise damaged(
            findings, str(source), hint="`flunq restore --partial` uses the parts that are whole"
        )
    return findings


async def restore_backup(
    source: Path, data: Path, tell: Tell, *, partial: bool = False, nodes: int | None = None
) -> Restored:
    """Fill an empty data directory; with ``partial`` from the parts that are whole."""
    directory = DataDirectory(data)
    _require_empty(directory)
    with open_backup(source) as reader:
        findings = await asyncio.to_thread(reader.check, tell)
        if findings.problems and not partial:
            hint = "--partial goes on without these parts; a whole backup is better"
            raise damaged(findings, str(source), hint=hint)
        count = nodes or (findings.manifest.nodes if findings.manifest else 1)
        existed = directory.root.exists()
        with ExitStack() as unless_whole:
            # Half a cluster must never be taken for one.
            unless_whole.callback(_empty, directory, remove=not existed)
            with private_umask():
                await _fill(directory, reader, findings, count, tell)
            unless_whole.pop_all()
    streams = [part for part in findings.good if part.kind == "stream"]
    return Restored(
        data=str(directory.root),
        nodes=count,
        streams=len(streams),
        files=len(findings.good) - len(streams),
        bytes=sum(part.bytes for part in findings.good),
        missing=[f"{each.part}: {each.reason}" for each in findings.problems],
    )


def _require_empty(directory: DataDirectory) -> None:
    root = directory.root
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(
            f"{root} is not empty", hint="a backup is restored into a folder of its own: --data DIR"
        )


def _empty(directory: DataDirectory, *, remove: bool) -> None:
    for path in list(directory.root.glob("*")):
        shutil.rmtree(path, ignore_errors=True)
    if remove:
        shutil.rmtree(directory.root, ignore_errors=True)


async def _fill(
    directory: DataDirectory, reader: BackupReader, findings: Findings, nodes: int, tell: Tell
) -> None:
    directory.create()
    lock = DirectoryLock(directory)
    if not lock.acquire():
        raise UsageError(f"somebody works on {directory.root}")
    try:
        for part in findings.good:
            if part.kind != "stream" and part.name != _RECORD:
                tell(f"restoring {part.name}")
                await asyncio.to_thread(_copy, directory, reader, part)
        streams = [part for part in findings.good if part.kind == "stream"]
        async with servers_alone(directory, nodes) as connection:
            for part in streams:
                tell(f"restoring {part.name}")
                with reader.open(part.path) as file:
                    assert file is not None, "its checksum was just compared"
                    assert part.stream is not None, "every stream has its configuration"
                    await snapshots.put_back(
                        connection, part.name, part.stream, file, replicas=min(nodes, 3)
                    )
            await settle(connection, directory.history, streams)
    finally:
        lock.release()


def _copy(directory: DataDirectory, reader: BackupReader, part: Part) -> None:
    base = directory.history if part.kind == "lake" else directory.root
    place = base / part.name
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with reader.open(part.path) as file, place.open("wb") as target:
        assert file is not None, "its checksum was just compared"
        shutil.copyfileobj(file, target)
