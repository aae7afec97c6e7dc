"""What the monitor keeps for the next time: filters, columns, order, queries, theme, last view."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 1
MOST = 200
"""Filters of a view, and queries, that are kept."""


class Looks(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How somebody wants to see one view."""

    filters: dict[str, str] = {}
    """Filters by the names that they were given."""
    hidden: list[str] | None = None
    """Columns that are not shown; None: as the view begins."""
    sort: tuple[str, bool] | None = None
    """The column that is sorted by, and whether backwards."""


class Kept(msgspec.Struct, kw_only=True):
    """Everything that is kept."""

    version: int = VERSION
    theme: str = ""
    view: str = ""
    views: dict[str, Looks] = {}
    queries: dict[str, str] = {}


class _Version(msgspec.Struct):
    version: int = VERSION


class Memory:
    """The file, read when it is first asked for; a damaged one is put aside."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._kept: Kept | None = None
        self._may_write = True

    @property
    def kept(self) -> Kept:
        """What is kept; changes are written by :meth:`save`."""
        if self._kept is None:
            self._kept = self._read()
        return self._kept

    def looks(self, view: str) -> Looks:
        """Return how a view is to be seen."""
        return self.kept.views.setdefault(view, Looks())

    def keep_filter(self, view: str, name: str, text: str) -> None:
        """Keep a filter of a view by name; an empty one is forgotten."""
        _keep(self.looks(view).filters, name, text)
        self.save()

    def keep_query(self, name: str, sql: str) -> None:
        """Keep a query by name; an empty one is forgotten."""
        _keep(self.kept.queries, name, sql)
        self.save()

    def save(self) -> None:
        """Write everything in one go; a disk that refuses costs the memory and nothing else."""
        if self._path is None or not self._may_write:
            return
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _replace(self._path, msgspec.json.format(msgspec.json.encode(self.kept), indent=2))

    def _read(self) -> Kept:
        if self._path is None:
            return Kept()
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return Kept()
        except OSError:
            self._may_write = False
            return Kept()
        try:
            # What a newer monitor wrote is left as it is.
            self._may_write = msgspec.json.decode(content, type=_Version).version <= VERSION
            return msgspec.json.decode(content, type=Kept)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            if self._may_write:
                self._put_aside()
            return Kept()

    def _put_aside(self) -> None:
        assert self._path is not None
        with suppress(OSError):
            self._path.replace(self._path.with_suffix(".damaged"))


def _keep(known: dict[str, str], name: str, text: str) -> None:
    known.pop(name, None)
    if text:
        known[name] = text
    while len(known) > MOST:
        del known[next(iter(known))]


def _replace(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # its mode is 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)  # noqa: PTH105 - mkstemp names it by a text
    finally:
        with suppress(OSError):  # unless it is the file by now
            os.unlink(name)  # noqa: PTH108 - as above
