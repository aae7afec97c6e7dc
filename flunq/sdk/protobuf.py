"""What a proto file says about other files, found without compiling it."""

from __future__ import annotations

import re

from flunq.sdk.executor import TaskError

WELL_KNOWN = "google/protobuf/"
"""Begins the names of files that the compiler brings along."""

# What is not closed ends with the text, so that no input makes it look twice at anything.
_TOKENS = re.compile(
    r"""//[^\n]*|/\*.*?(?:\*/|\Z)          # comments
    |"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?
    |[A-Za-z_][A-Za-z0-9_.]*|[;{}]""",
    re.DOTALL | re.VERBOSE,
)
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")
_LONGEST = 200
_BRACES = {"{": 1, "}": -1}


def proto_imports(text: str) -> list[str]:
    """Return the names of the files that a proto file imports, without the well-known ones."""
    names = [name for word, name in _statements(text) if word == "import"]
    return [_checked(name) for name in dict.fromkeys(names) if not name.startswith(WELL_KNOWN)]


def proto_package(text: str) -> str:
    """Return the package of a proto file; nothing when it has none."""
    return next((name for word, name in _statements(text) if word == "package"), "")


def _statements(text: str) -> list[tuple[str, str]]:
    """Return the ``import`` and ``package`` statements, which stand outside of all braces."""
    found: list[tuple[str, str]] = []
    statement: list[str] = []
    depth = 0
    for match in _TOKENS.finditer(text):
        piece = match[0]
        if piece in _BRACES:
            depth += _BRACES[piece]
            statement = []
        elif piece == ";":
            if depth == 0 and len(statement) > 1 and statement[0] in ("import", "package"):
                found.append((statement[0], _unquoted(statement[-1])))
            statement = []
        elif len(statement) < 4 and not piece.startswith(("//", "/*")):
            statement.append(piece)
    return found


def _unquoted(token: str) -> str:
    return token[1:-1] if token[:1] in ("'", '"') else token


def _checked(name: str) -> str:
    if len(name) > _LONGEST or not _SAFE_NAME.fullmatch(name):
        detail = (
            f"the import {name[:_LONGEST]!r} is not the name of a file below the proto's folder"
        )
        raise TaskError("validation", 400, "Not a valid proto file", detail)
    return name
