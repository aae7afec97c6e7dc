"""The place of a mistake in an expression, for a terminal."""

from __future__ import annotations

from flunq.cli import text
from flunq.cli.session import current

_AROUND = 60
"""Characters shown in front of and behind a mistake."""


def position(expression: str, offset: int) -> str:
    """Return the place in words."""
    line, column = _place(expression, offset)
    return f"line {line}, column {column}" if "\n" in expression else f"column {column}"


def excerpt(expression: str, offset: int) -> list[str]:
    """Return the line of a mistake and a caret below it; nothing where JSON is read."""
    if current().machine_readable:
        return []
    line, column = _place(expression, offset)
    whole = expression.split("\n")[line - 1]
    begin = max(0, column - 1 - _AROUND)
    before = text.neutralise(whole[begin : column - 1])
    behind = text.neutralise(whole[column - 1 : column - 1 + _AROUND])
    return [f"  {before}{behind}", f"  {' ' * text.cell_width(before)}^"]


def _place(expression: str, offset: int) -> tuple[int, int]:
    before = expression[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1
