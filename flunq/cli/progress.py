"""What is going on, on stderr: a line that updates in place on a terminal, plain lines elsewhere.

Nothing is shown for the first 300 ms, so that a fast command stays silent.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flunq.cli import diagnostics, text
from flunq.cli.session import ProgressMode, current

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 0.3
_FRAME = 0.1
_PLAIN_INTERVAL = 1.0
_UNICODE_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_FRAMES = "|/-\\"
_CLEAR = "\r\x1b[K"


class Progress:
    """The line that tells what a command is doing."""

    def __init__(self, message: str, mode: ProgressMode) -> None:
        self._message = message
        self._mode = mode
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def update(self, message: str) -> None:
        """Replace the message."""
        self._message = message

    def start(self) -> None:
        """Begin to show the message, in a thread because commands block."""
        self._thread.start()

    def stop(self) -> None:
        """Clear the line."""
        self._done.set()
        self._thread.join()

    def _show(self) -> None:
        if self._done.wait(_PATIENCE):
            return
        if self._mode is ProgressMode.AUTO:
            self._animate()
        else:
            self._print_lines()

    def _animate(self) -> None:
        frames = _UNICODE_FRAMES if text.unicode_terminal(sys.stderr) else _ASCII_FRAMES
        turn = 0
        while True:
            frame = frames[turn % len(frames)]
            line = text.shorten(text.neutralise(self._message), 70)
            diagnostics.write_status(f"{_CLEAR}{text.paint(frame, 'cyan', sys.stderr)} {line}")
            turn += 1
            if self._done.wait(_FRAME):
                diagnostics.write_status(_CLEAR)
                return

    def _print_lines(self) -> None:
        shown = None
        while True:
            message = self._message
            if message != shown:
                diagnostics.say(self._plain_line(message))
                shown = message
            if self._done.wait(_PLAIN_INTERVAL):
                return

    def _plain_line(self, message: str) -> str:
        if self._mode is ProgressMode.PLAIN:
            return text.neutralise(message)
        from flunq.cli.output import compact_json

        return compact_json({"time": time.time(), "message": message})


class Silence(Progress):
    """Progress that nobody wants to see."""

    def __init__(self) -> None:
        super().__init__("", ProgressMode.NONE)

    def start(self) -> None:
        """Show nothing."""

    def stop(self) -> None:
        """Nothing to clear."""


@contextmanager
def progress(message: str) -> Iterator[Progress]:
    """Show a message while the block runs."""
    mode = effective_mode()
    shown = Silence() if mode is ProgressMode.NONE else Progress(message, mode)
    shown.start()
    try:
        yield shown
    finally:
        shown.stop()


def effective_mode() -> ProgressMode:
    """Decide how to show progress: ``-q`` wins, then ``--progress``, then the terminal."""
    session = current()
    if session.quiet:
        return ProgressMode.NONE
    if session.progress is ProgressMode.AUTO and not text.is_terminal(sys.stderr):
        return ProgressMode.PLAIN
    return session.progress
