"""Large records are stored compressed: a commit repeats the same attributes for each event.

JSON never begins as a zstd frame does, so what is stored tells how to read it.
"""

from __future__ import annotations

import zstandard

LARGE = 4096
"""Bytes below which compressing costs more than it saves."""
_FRAME = b"\x28\xb5\x2f\xfd"
_MOST = 64 * 1024 * 1024
_compress = zstandard.ZstdCompressor(level=1).compress
_decompress = zstandard.ZstdDecompressor().decompress


def pack(data: bytes) -> bytes:
    """Return what to store; what hardly shrinks is stored as it is."""
    if len(data) < LARGE:
        return data
    packed = _compress(data)
    return packed if 2 * len(packed) < len(data) else data


def unpack(data: bytes) -> bytes:
    """Return what was given to :func:`pack`; raises ValueError when it is damaged."""
    if data[:4] != _FRAME:
        return data
    try:
        return _decompress(data, max_output_size=_MOST)
    except zstandard.ZstdError as error:
        raise ValueError(f"a stored record is damaged: {error}") from error
