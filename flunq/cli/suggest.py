"""The nearest match for a mistyped word."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most like ``word``, if one is like it at all."""
    # Dashes would make any two options alike.
    bare = word.lstrip("-")
    names = [name for name in sorted(candidates, reverse=True) if len(name.lstrip("-")) > 1]
    known = {name.lstrip("-"): name for name in names}
    matches = get_close_matches(bare, known, n=1, cutoff=0.6)
    if not matches and len(bare) > 1:
        matches = [name for name in sorted(known) if name.startswith(bare)][:1]
    return known[matches[0]] if matches else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str | None:
    """Return a hint that names the nearest match, or nothing."""
    match = nearest(word, candidates)
    return f"did you mean {match}?" if match else None
