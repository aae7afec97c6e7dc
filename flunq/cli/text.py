"""Text that reaches a terminal: harmless, measured in cells, coloured only where that is wanted."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from flunq.cli.session import ColorMode, current

if TYPE_CHECKING:
    from typing import TextIO

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSAFE = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff{_BIDI}]")
_UNSAFE_IN_JSON = re.compile(f"[\x7f-\x9f\u2028\u2029\ufeff{_BIDI}]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\x1b": "\\e"}
_CODES = {
    "black": 30,
    "red": 31,
    "green": 32,
    "yellow": 33,
    "blue": 34,
    "magenta": 35,
    "cyan": 36,
    "bold": 1,
    "dim": 2,
}
_STATUS_STYLES = {
    **dict.fromkeys(("completed", "valid", "ok", "ready", "up", "healthy"), "green"),
    **dict.fromkeys(("running", "started", "starting"), "cyan"),
    **dict.fromkeys(("waiting", "pending", "suspended", "warn", "stopping"), "yellow"),
    **dict.fromkeys(("faulted", "rejected", "quarantined", "fail", "failed", "dead"), "red"),
    **dict.fromkeys(("cancelled", "stopped", "down"), "magenta"),
}


def neutralise(text: str) -> str:
    """Make data harmless: control, escape and bidirectional characters become visible."""
    return _SURROGATE.sub("\ufffd", _UNSAFE.sub(_visible, text))


def neutralise_lines(text: str) -> str:
    """Make a text of several lines harmless, keeping its lines and tabs."""
    return "\n".join(
        "\t".join(neutralise(part) for part in line.split("\t")) for line in text.split("\n")
    )


def escape_json(text: str) -> str:
    """Escape what a terminal could act on inside a JSON text, without changing its value."""
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def has_unsafe(text: str) -> bool:
    """Tell whether a text holds characters that a terminal could act on."""
    return _UNSAFE_IN_JSON.search(text) is not None


def cell_width(text: str) -> int:
    """Count the terminal cells that a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # 20 ms that ASCII tables need not pay

    return cell_len(text)


def shorten(text: str, width: int) -> str:
    """Cut a text to so many cells, with an ellipsis where something is missing."""
    if cell_width(text) <= width:
        return text
    mark = "…" if unicode_terminal(sys.stdout) else "..."
    kept = text[: max(width - len(mark), 0)]
    while kept and cell_width(kept) > width - len(mark):
        kept = kept[:-1]
    return kept + mark


def unicode_terminal(stream: TextIO) -> bool:
    """Tell whether a stream can show symbols outside ASCII."""
    return "utf" in (getattr(stream, "encoding", None) or "").lower()


def color_wanted(stream: TextIO) -> bool:
    """Decide on colour: ``--color`` first, then the environment, then the terminal."""
    mode = current().color
    if mode is not ColorMode.AUTO:
        return mode is ColorMode.ALWAYS
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR") or os.environ.get("CLICOLOR_FORCE"):
        return True
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal; a closed one is not."""
    return not stream.closed and stream.isatty()


def paint(text: str, style: str, stream: TextIO) -> str:
    """Colour a text with one of the terminal's own sixteen colours, if colour is wanted."""
    if not style or not color_wanted(stream):
        return text
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


def status_style(word: str) -> str:
    """Return the colour of a status word; an unknown word has none."""
    return _STATUS_STYLES.get(word.lower(), "")


def _visible(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
