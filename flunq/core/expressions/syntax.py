"""Where expressions are in a text, and what is wrong with them."""

from __future__ import annotations

from typing import NamedTuple

from flunq.core.expressions.errors import ExpressionSyntaxError
from flunq.core.expressions.lexer import find_closing_brace
from flunq.core.expressions.parser import parse
from flunq.core.expressions.scope import resolve

OPENING = "${"


class Source(NamedTuple):
    """An expression inside a text: its own text and where that begins."""

    text: str
    offset: int


def enclosed(text: str) -> Source | None:
    """Return the expression when the whole text is one ``${ ... }``."""
    start = len(text) - len(text.lstrip())
    end = len(text.rstrip())
    if not text.startswith(OPENING, start) or text[end - 1] != "}" or end - start < 3:
        return None
    inner = start + len(OPENING)
    brace = find_closing_brace(text, inner)
    if brace is not None and brace != end - 1:
        return None
    return Source(text[inner : end - 1], inner)


def runtime_source(text: str) -> Source:
    """Return the expression of a field that is written bare or enclosed."""
    return enclosed(text) or Source(text, 0)


def segments(text: str) -> list[str | Source]:
    """Split a text into plain pieces and embedded expressions."""
    pieces: list[str | Source] = []
    done = 0
    start = text.find(OPENING)
    while start >= 0:
        inner = start + len(OPENING)
        brace = find_closing_brace(text, inner)
        if brace is not None:
            pieces.append(text[done:start])
            pieces.append(Source(text[inner:brace], inner))
            done = inner = brace + 1
        start = text.find(OPENING, inner)
    pieces.append(text[done:])
    return [piece for piece in pieces if piece != ""]


def check(text: str, *, bare: bool) -> list[tuple[int, str]]:
    """Return the problems of an expression as (offset in the text, message).

    ``bare`` says that the text may stand without ``${ }``; a free value that is not
    enclosed as a whole has no problems, it is plain text.
    """
    source = runtime_source(text) if bare else enclosed(text)
    if source is None:
        return []
    try:
        problems = resolve(parse(source.text)).problems
    except ExpressionSyntaxError as error:
        return [(source.offset + error.offset, error.message)]
    return [(source.offset + offset, message) for offset, message in problems]
