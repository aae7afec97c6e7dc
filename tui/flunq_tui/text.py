"""Text that reaches a terminal: harmless, measured in cells, cut to fit."""

from __future__ import annotations

import re
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSAFE = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff{_BIDI}\ud800-\udfff]")
_SHORT = {"\n": "⏎", "\t": "⇥", "\r": "␍", "\x1b": "␛"}
_LONGEST = 4_000
"""Characters of one cell that are ever looked at; copying takes the whole value."""


def harmless(text: str) -> str:
    """Make control, escape and bidirectional characters of data visible, and cut what is huge."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_visible, text)


@lru_cache(maxsize=4096)
def fit(text: str, width: int, *, right: bool = False) -> str:
    """Return a text of exactly so many cells, with an ellipsis where something is missing."""
    if width <= 0:
        return ""
    text = harmless(text)
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else "…"
    padding = " " * (width - length)
    return padding + text if right else text + padding


def width_of(text: str) -> int:
    """Count the cells of a harmless text."""
    return cell_len(text)


def _visible(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
