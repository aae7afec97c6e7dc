"""Puts lines together into queries: one ends at a semicolon outside of quotes and comments."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"'(?:[^']|'')*'"  # text
    r'|"(?:[^"]|"")*"'  # a quoted name
    r"|--[^\n]*(?:\n|$)"
    r"|/\*.*?\*/"
    r"|(?P<tag>\$[A-Za-z_]*\$).*?(?P=tag)"
    r"|(?P<open>['\"]|/\*|\$[A-Za-z_]*\$)"  # what is not closed yet
    r"|(?P<end>;)"
    r"|.",
    re.DOTALL,
)


def split_queries(content: str) -> tuple[list[str], str]:
    """Return the finished queries of a text, and what is left of it."""
    queries: list[str] = []
    start = 0
    for token in _TOKEN.finditer(content):
        if token.group("open"):
            break
        if token.group("end"):
            queries.append(content[start : token.start()].strip())
            start = token.end()
    return [query for query in queries if query], content[start:]


class Buffer:
    """The lines of a query that has no end yet."""

    def __init__(self) -> None:
        self._content = ""

    @property
    def pending(self) -> bool:
        """Whether a query was begun."""
        return bool(self._content.strip())

    def add(self, line: str) -> list[str]:
        """Take a line; return the queries that it completes."""
        queries, self._content = split_queries(f"{self._content}{line}\n")
        return queries

    def clear(self) -> None:
        """Forget what was typed."""
        self._content = ""
