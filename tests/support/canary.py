"""Look for a text in files, also inside of what was compressed there."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FRAME = b"\x28\xb5\x2f\xfd"
_MOST = 1024 * 1024


def files_with(folder: Path, *texts: bytes) -> list[str]:
    """Return the files below a folder that hold one of the texts."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        str(path.relative_to(folder))
        for path in files
        if any(text in content for content in _contents(path.read_bytes()) for text in texts)
    ]


def _contents(data: bytes) -> Iterator[bytes]:
    """Yield the bytes themselves, then each zstd frame among them (journal, Parquet) unpacked."""
    yield data
    start = data.find(_FRAME)
    while start >= 0:
        with suppress(zstandard.ZstdError):
            frame = data[start : start + _MOST]
            yield zstandard.ZstdDecompressor().decompressobj().decompress(frame)
        start = data.find(_FRAME, start + 1)
