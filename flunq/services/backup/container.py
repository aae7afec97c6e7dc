"""A backup on disk: a folder, or the same files in one tar archive."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import msgspec

from flunq.errors import NotFoundError, UsageError
from flunq.services.backup.parts import MANIFEST, RECORD, Findings, Manifest, Part, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flunq.services.backup.parts import Kind

_BLOCK = 1024 * 1024
_PRIVATE = 0o600


class BackupWriter:
    """Writes a backup beside its final name; :meth:`finish` gives it that name."""

    def __init__(self, target: Path, *, folder: bool) -> None:
        self.target = target
        self.scratch = target.with_name(f".{target.name}.scratch-{os.getpid()}")
        """A folder for what is being made; it is on the disk that the backup goes to."""
        self.parts: list[Part] = []
        self._fresh = target.with_name(f".{target.name}.partial-{os.getpid()}")
        self._archive: tarfile.TarFile | None = None
        if target.exists():
            raise UsageError(f"{target} exists already", hint="name a file that does not exist")
        target.parent.mkdir(parents=True, exist_ok=True)
        self.scratch.mkdir(mode=0o700)
        if folder:
            self._fresh.mkdir(mode=0o700)
        else:
            file = os.fdopen(
                os.open(self._fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, _PRIVATE), "wb"
            )
            self._archive = tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by finish and abandon

    def add(
        self, kind: Kind, name: str, source: Path, stream: dict[str, Any] | None = None
    ) -> Part:
        """Copy a file into the backup as one part."""
        digest = hashlib.sha256()
        with source.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._store(f"{kind}/{name}", _Hashing(file, digest), size)
        part = Part(name=name, kind=kind, bytes=size, sha256=digest.hexdigest(), stream=stream)
        self.parts.append(part)
        self._store_bytes(part.path + RECORD, msgspec.json.encode(part))
        return part

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, make sure that all is on disk, and give the backup its name."""
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        self._store_bytes(MANIFEST, text)
        if self._archive is not None:
            self._archive.close()
            assert self._archive.fileobj is not None
            self._archive.fileobj.close()
            _sync(self._fresh)
        else:
            for path in [*self._fresh.rglob("*"), self._fresh]:
                _sync(path)
        self._fresh.rename(self.target)
        _sync(self.target.parent)

    def abandon(self) -> None:
        """Remove what is not part of a finished backup."""
        if self._archive is not None and self._archive.fileobj is not None:
            self._archive.fileobj.close()
        shutil.rmtree(self.scratch, ignore_errors=True)
        if self._fresh.is_dir():
            shutil.rmtree(self._fresh, ignore_errors=True)
        else:
            self._fresh.unlink(missing_ok=True)

    def _store_bytes(self, path: str, data: bytes) -> None:
        scratch = self.scratch / "bytes"
        scratch.write_bytes(data)
        with scratch.open("rb") as file:
            self._store(path, file, len(data))

    def _store(self, path: str, source: Any, size: int) -> None:
        if self._archive is not None:
            header = tarfile.TarInfo(path)
            header.size, header.mode = size, _PRIVATE
            self._archive.addfile(header, source)
            return
        place = self._fresh / path
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT, _PRIVATE), "wb") as file:
            shutil.copyfileobj(source, file, _BLOCK)


class _Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes], digest: Any) -> None:
        self._file = file
        self._digest = digest

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        data = self._file.read(size)
        self._digest.update(data)
        return data


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class BackupReader:
    """Reads a backup, whatever state it is in; use :func:`open_backup`."""

    def __init__(self, source: Path, archive: tarfile.TarFile | None) -> None:
        self._source = source
        self._archive = archive
        self._members: dict[str, tarfile.TarInfo] = {}
        if archive is not None:
            with suppress(tarfile.TarError, OSError, EOFError):
                for member in archive:
                    self._members[member.name] = member

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes] | None]:
        """Open a file of the backup; None when it is not there."""
        if self._archive is None:
            file = self._source / path
            if not file.is_file():
                yield None
                return
            with file.open("rb") as found:
                yield found
            return
        member = self._members.get(path)
        inside = self._archive.extractfile(member) if member is not None else None
        yield inside

    def names(self) -> list[str]:
        """Return the files of the backup."""
        if self._archive is not None:
            return list(self._members)
        files = (path for path in self._source.rglob("*") if path.is_file())
        return sorted(path.relative_to(self._source).as_posix() for path in files)

    def check(self, tell: Callable[[str], None]) -> Findings:
        """Read every part and compare it with its checksum."""
        manifest, problems = self._manifest()
        parts = manifest.parts if manifest is not None else self._recorded(problems)
        good = []
        for part in parts:
            tell(f"checking {part.name}")
            reason = self._fault(part)
            if reason is None:
                good.append(part)
            else:
                problems.append(Problem(part=part.name, reason=reason))
        return Findings(manifest=manifest, good=good, problems=problems)

    def _manifest(self) -> tuple[Manifest | None, list[Problem]]:
        text = self._read(MANIFEST)
        if text is None:
            reason = "missing: the backup was cut off, or never finished"
            return None, [Problem(part=MANIFEST, reason=reason)]
        try:
            return msgspec.json.decode(text, type=Manifest), []
        except msgspec.MsgspecError as error:
            return None, [Problem(part=MANIFEST, reason=f"damaged: {error}")]

    def _recorded(self, problems: list[Problem]) -> list[Part]:
        """Return the parts that tell of themselves, where there is no manifest to do so."""
        names = self.names()
        found = []
        for name in names:
            if not name.endswith(RECORD):
                continue
            try:
                found.append(msgspec.json.decode(self._read(name) or b"", type=Part))
            except msgspec.MsgspecError as error:
                problems.append(Problem(part=name, reason=f"damaged: {error}"))
        known = {part.path for part in found}
        records = {name.removesuffix(RECORD) for name in names if name.endswith(RECORD)}
        told = known | records | {MANIFEST}
        problems += [
            Problem(part=name, reason="incomplete")
            for name in names
            if name not in told and not name.endswith(RECORD)
        ]
        return found

    def _read(self, path: str) -> bytes | None:
        try:
            with self.open(path) as file:
                return file.read() if file is not None else None
        except (tarfile.TarError, OSError, EOFError):
            return None

    def _fault(self, part: Part) -> str | None:
        digest, size = hashlib.sha256(), 0
        if not _is_inside(part.name):
            return "its name leads out of the backup"
        try:
            with self.open(part.path) as file:
                if file is None:
                    return "missing"
                while block := file.read(_BLOCK):
                    digest.update(block)
                    size += len(block)
        except (tarfile.TarError, OSError, EOFError) as error:
            return f"cannot be read: {error}"
        if size != part.bytes:
            return f"cut off: {size} of {part.bytes} bytes are there"
        return None if digest.hexdigest() == part.sha256 else "damaged: its checksum is wrong"


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


@contextmanager
def open_backup(source: Path) -> Iterator[BackupReader]:
    """Open a backup for reading."""
    if source.is_dir():
        yield BackupReader(source, None)
        return
    if not source.is_file():
        raise NotFoundError(f"there is no backup at {source}")
    try:
        # Damaged headers are stepped over: what lies behind them may be whole.
        archive = tarfile.open(source, "r:", ignore_zeros=True)  # noqa: SIM115 - closed below
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UsageError(
            f"{source} is no backup: {error}", hint="name a file that flunq backup wrote"
        ) from error
    with archive:
        yield BackupReader(source, archive)
