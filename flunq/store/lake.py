"""A tenant's lake on disk: immutable Parquet files, and one manifest that says which count.

A file is never changed once a manifest names it. What a manifest no longer names is kept in
``retired`` for some minutes, because a query may still be reading it. What no manifest names at
all is left over from a process that was killed: nobody has ever read it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING

import msgspec

from flunq.core.ids import token
from flunq.errors import ConflictError, InternalError

if TYPE_CHECKING:
    from collections.abc import Iterable

MANIFEST = "manifest.json"
SCRATCH = "scratch"
"""Files that are being made; nothing in this folder outlives the process that made it."""
KEEP_RETIRED_SECONDS = 300.0
VERSION = 1


class LakeFile(msgspec.Struct, frozen=True, kw_only=True):
    """One Parquet file; ``path`` is relative to the lake's folder."""

    path: str
    rows: int
    bytes: int
    first_seq: int
    """Smallest journal sequence of its rows."""
    last_seq: int
    day: str
    first_execution: str
    last_execution: str
    level: int = 0
    """How often its rows were merged."""
    raw: int = 0
    """Bytes of its rows as JSON lines: what they take in memory."""


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is no longer part of the lake; it may be deleted some time after ``at``."""

    path: str
    at: int


class Scrubbed(msgspec.Struct, frozen=True, kw_only=True):
    """An execution whose rows were removed for good; ``at`` in microseconds."""

    execution: str
    at: int
    upto: int = 0
    """Rows up to this journal sequence are gone; a later execution may have the same id."""
    by: str = ""
    """Who wanted it."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the lake consists of at one moment."""

    version: int = VERSION
    tenant: str
    generation: int = 0
    """Grows by one with each manifest."""
    through: int = 0
    """The journal sequence up to which every record is in the files."""
    since: int = 0
    """Records up to this one were gone from the journal before the lake began."""
    journal: str = ""
    """When the journal that the sequences belong to was made."""
    created_at: int = 0
    files: list[LakeFile] = []
    retired: list[Retired] = []
    scrubbed: list[Scrubbed] = []


def now_micros() -> int:
    """Return the time in microseconds since the epoch."""
    return time_ns() // 1_000


def lake_folder(data_dir: str | Path, tenant: str) -> Path:
    """Return the folder of a tenant's lake in a data directory."""
    return Path(data_dir) / "history" / token(tenant)


def read_manifest(folder: Path) -> Manifest | None:
    """Return the newest manifest; None where there is no lake yet."""
    try:
        found = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise InternalError(
            f"{folder / MANIFEST} cannot be read: {error}",
            hint="rebuild the archive with: flunq lake rebuild",
        ) from error
    if found.version != VERSION:
        raise InternalError(
            f"{folder / MANIFEST} has version {found.version}; this flunq reads {VERSION}",
            hint="use the version of flunq that wrote it, or a newer one",
        )
    return found


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step; on disk when this returns.

    The lake has one writer. A manifest that does not follow the one on disk means that there were
    two: the second gives way.
    """
    current = read_manifest(folder)
    found = current.generation if current else 0
    if manifest.generation != found + 1:
        raise ConflictError(
            f"the archive in {folder} is at generation {found}, not {manifest.generation - 1}",
            hint="another historian writes there; it goes on alone",
        )
    fresh = folder / f".{MANIFEST}.{os.getpid()}"
    with fresh.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / MANIFEST)
    sync_folder(folder)


def successor(
    manifest: Manifest,
    *,
    add: Iterable[LakeFile] = (),
    drop: Iterable[str] = (),
    through: int | None = None,
    scrubbed: Iterable[Scrubbed] = (),
) -> Manifest:
    """Return the manifest that follows: with some files more, and some retired."""
    now = now_micros()
    dropped = set(drop)
    kept = [file for file in manifest.files if file.path not in dropped]
    return msgspec.structs.replace(
        manifest,
        generation=manifest.generation + 1,
        through=manifest.through if through is None else through,
        created_at=now,
        files=[*kept, *add],
        retired=[*manifest.retired, *(Retired(path=path, at=now) for path in sorted(dropped))],
        scrubbed=[*manifest.scrubbed, *scrubbed],
    )


def sync_folder(folder: Path) -> None:
    """Make sure that what was created or renamed in a folder survives a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def expired(manifest: Manifest, *, keep_seconds: float = KEEP_RETIRED_SECONDS) -> list[Retired]:
    """Return the retired files that no query can be reading any more."""
    limit = now_micros() - int(keep_seconds * 1_000_000)
    return [retired for retired in manifest.retired if retired.at <= limit]


def forget_expired(folder: Path, manifest: Manifest, gone: list[Retired]) -> Manifest:
    """Delete retired files and return the manifest without them, not written yet."""
    for retired in gone:
        (folder / retired.path).unlink(missing_ok=True)
    rest = [retired for retired in manifest.retired if retired not in gone]
    return msgspec.structs.replace(manifest, retired=rest)


def set_aside(folder: Path, manifest: Manifest) -> Path:
    """Move a lake into a folder of its own, where nobody writes; returns that folder."""
    aside = folder / f"set-aside-{manifest.generation}-{now_micros()}"
    aside.mkdir(mode=0o700)
    (aside / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    # The manifest goes last: without one the files would be taken for leftovers.
    for day in sorted(folder.glob("day=*")):
        day.rename(aside / day.name)
    sync_folder(aside)
    (folder / MANIFEST).unlink(missing_ok=True)
    sync_folder(folder)
    return aside


def has_files(folder: Path) -> bool:
    """Tell whether there are Parquet files, whatever a manifest says."""
    return any(folder.glob("day=*/*.parquet"))


def lost_files(folder: Path, manifest: Manifest) -> list[LakeFile]:
    """Return the files that are gone, or not as long as they were written."""
    return [file for file in manifest.files if _length(folder / file.path) != file.bytes]


def _length(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def sweep_spools(folder: Path) -> None:
    """Delete the rows that a killed writer had collected; only its historian may call this."""
    for spool in (folder / SCRATCH).glob("*.jsonl"):
        spool.unlink(missing_ok=True)


def sweep(folder: Path, manifest: Manifest | None) -> list[str]:
    """Delete what a killed process left behind; only the lake's writer may call this."""
    known: set[str] = set()
    if manifest is not None:
        known = {file.path for file in manifest.files} | {file.path for file in manifest.retired}
    swept = []
    leftovers = [*folder.glob("day=*/*"), *folder.glob(f"{SCRATCH}/**/*")]
    for path in [*leftovers, *folder.glob(f".{MANIFEST}.*")]:
        name = str(path.relative_to(folder))
        if name not in known and path.is_file():
            path.unlink(missing_ok=True)
            swept.append(name)
    for day in folder.glob("day=*"):
        with suppress(OSError):  # it is not empty
            day.rmdir()
    return swept
