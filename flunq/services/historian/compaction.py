"""Which files of a lake are worth merging: a plan, without doing anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flunq.store.lake import LakeFile, Manifest

LARGEST = 128 << 20
"""A file of about this size is not merged any more."""
FEW = 6
"""So many files of about one size are merged into one."""
HEAVY_ROW = 8 << 10
HEAVY_BYTES = 16 << 20
"""Rows above so many bytes are merged only as long as all of them fit into memory."""
_SMALLEST_TIER = 256 << 10
_GROWTH = 6


def tier(size: int) -> int:
    """Return the size class of a file: each is some times larger than the one before."""
    found, limit = 0, _SMALLEST_TIER
    while size > limit:
        found, limit = found + 1, limit * _GROWTH
    return found


def next_merge(manifest: Manifest, *, now: int, everything: bool = False) -> list[LakeFile]:
    """Return files of one day to merge now; none when all is well.

    A day that is over gets as few files as possible, one that goes on keeps few of each size.
    """
    if len(manifest.files) < 2:
        return []
    today = _day(now)
    by_day = sorted(manifest.files, key=lambda file: file.day, reverse=True)
    for day, files in groupby(by_day, key=lambda file: file.day):
        small = sorted((f for f in files if not _is_full(f)), key=lambda f: (f.bytes, f.path))
        wanted = fitting(small) if everything or day < today else _alike(small)
        if len(wanted) > 1:
            return wanted
    return []


def _alike(files: Sequence[LakeFile]) -> list[LakeFile]:
    for _, group in groupby(files, key=lambda file: tier(file.bytes)):
        alike = list(group)
        wanted = fitting(alike)
        if len(alike) >= FEW and len(wanted) > 1:
            return wanted
    return []


def fitting(files: Iterable[LakeFile]) -> list[LakeFile]:
    """Take the first ones, as long as one file can hold them."""
    taken: list[LakeFile] = []
    size = raw = rows = 0
    for file in files:
        size, raw, rows = size + file.bytes, raw + file.raw, rows + file.rows
        if taken and (size > LARGEST or _is_heavy(raw, rows)):
            break
        taken.append(file)
    return taken


def _is_full(file: LakeFile) -> bool:
    return file.bytes >= LARGEST or _is_heavy(2 * file.raw, 2 * file.rows)


def _is_heavy(raw: int, rows: int) -> bool:
    return raw > HEAVY_BYTES and raw > HEAVY_ROW * rows


def _day(now: int) -> str:
    """Return the day that is not over yet, with an hour for late events."""
    moment = datetime.fromtimestamp(now / 1_000_000, UTC) - timedelta(hours=1)
    return f"{moment:%Y-%m-%d}"
