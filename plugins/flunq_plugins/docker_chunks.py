"""Streams of very many very small pieces, taken apart many at a time.

An engine sends each line of a container's output as a chunk of its own; one event for each would
cost far more than the line.
"""

from __future__ import annotations

import struct

_FRAME = struct.Struct("!BxxxI")
_HEAD = _FRAME.size
_STDERR = 2
_MAX_SIZE_LINE = 1024
_MAX_PIECE = 4 * 1024 * 1024


class StreamError(ValueError):
    """The stream is not what it should be."""


class Chunks:
    """Decodes a body with chunked transfer coding."""

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0
        """Bytes that the current chunk still lacks, its line break included."""
        self.ended = False

    def feed(self, received: bytes) -> bytes:
        """Return what of the body has become known."""
        data = self._rest + received
        pieces: list[bytes] = []
        begin = 0
        while not self.ended:
            if self._left:
                begin, complete = self._content(data, begin, pieces)
                if not complete:
                    break
            line = data.find(b"\r\n", begin)
            if line < 0:
                if len(data) - begin > _MAX_SIZE_LINE:
                    raise StreamError("a chunk without a length")
                break
            self._left = _length(data[begin:line]) + 2
            self.ended = self._left == 2
            begin = line + 2
        self._rest = data[begin:]
        return b"".join(pieces)

    def _content(self, data: bytes, begin: int, pieces: list[bytes]) -> tuple[int, bool]:
        """Take what is there of a chunk; tell where it ends and whether that is all of it."""
        end = begin + self._left
        if end <= len(data):
            pieces.append(data[begin : end - 2])
            self._left = 0
            return end, True
        # The line break at the end of a chunk may come in two halves.
        taken = max(0, min(len(data) - begin, self._left - 2))
        pieces.append(data[begin : begin + taken])
        self._left -= taken
        return begin + taken, False


def _length(line: bytes) -> int:
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError as error:
        raise StreamError(f"no length of a chunk: {line[:20]!r}") from error


class Outputs:
    """Takes a stream of both outputs apart: each piece has its output and its length before it."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """Return what a chunk adds to ``stdout`` and ``stderr``."""
        data = self._rest + chunk
        pieces: tuple[list[bytes], list[bytes]] = ([], [])
        begin, size = 0, len(data)
        while begin + _HEAD <= size:
            stream, length = _FRAME.unpack_from(data, begin)
            end = begin + _HEAD + length
            if end > size:
                break
            pieces[stream == _STDERR].append(data[begin + _HEAD : end])
            begin = end
        self._rest = data[begin:]
        if len(self._rest) > _MAX_PIECE:
            raise StreamError("a piece of output that is too long")
        return b"".join(pieces[0]), b"".join(pieces[1])
