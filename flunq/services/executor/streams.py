"""What a process prints: the secrets that its tasks were given do not appear in it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

from flunq.sdk.concealing import Concealer

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 2_000
"""Texts that are remembered; with more the oldest are forgotten."""


class GuardedStreams:
    """Stands between the process and its standard streams, which end in log files."""

    def __init__(self) -> None:
        self._concealer = Concealer()
        self._known: dict[str, None] = {}
        self._restore: list[Callable[[], None]] = []

    def add(self, text: str) -> None:
        """Keep a text out of the streams from now on."""
        if text in self._known:
            return
        self._known[text] = None
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]
            self._concealer = Concealer()
            for known in self._known:
                self._concealer.add(known)
        self._concealer.add(text)

    def install(self) -> None:
        """Begin to guard standard output and error."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                self._guard(stream)

    def remove(self) -> None:
        """Leave the streams as they were."""
        while self._restore:
            self._restore.pop()()

    def _guard(self, stream: TextIO) -> None:
        write = stream.write

        def guarded(text: str) -> int:
            if self._concealer and isinstance(text, str):
                write(self._concealer.text(text))
                return len(text)
            return write(text)

        # On the stream itself: loggers hold on to it, so another object would not be used.
        holder: Any = stream
        try:
            holder.write = guarded
        except AttributeError:
            return
        self._restore.append(lambda: _reset(holder, write))


def _reset(stream: Any, write: Callable[[str], int]) -> None:
    if "write" in vars(stream):
        del stream.write
    if stream.write != write:
        stream.write = write
