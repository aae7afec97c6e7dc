"""YAML and JSON with a little colour, line by line and without a parser."""

from __future__ import annotations

import re

_LINE = re.compile(
    r"(?P<key>^\s*(?:- )*[\"']?[^\s#:\"'{\[][^:#{]*[\"']?:(?=\s|$))"
    r"|(?P<dim>(?:^|\s)#.*$)"
    r"|(?P<accent>\$\{.*?\}(?=\s*[\"']?\s*[,}\]]?\s*$)|\$\{.*$)"
    r"|(?P<string>\"[^\"]*\"|'[^']*')"
    r"|(?P<number>(?<![\w.-])-?\d+(?:\.\d+)?(?![\w.:/-]))"
    r"|(?P<word>(?<![\w-])(?:true|false|null)(?![\w-]))"
)


def looks_of(line: str) -> tuple[tuple[str, str], ...]:
    """Return the parts of a line with the names of their looks."""
    parts: list[tuple[str, str]] = []
    place = 0
    for match in _LINE.finditer(line):
        if match.start() > place:
            parts.append((line[place : match.start()], ""))
        parts.append((match[0], match.lastgroup or ""))
        place = match.end()
    if place < len(line) or not parts:
        parts.append((line[place:], ""))
    return tuple(parts)
