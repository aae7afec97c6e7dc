"""Names: from free text to what the language takes, each used once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DIRECTIVES = frozenset(("continue", "exit", "end"))
_MAX_LABEL = 63
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_IN_LABEL = re.compile(r"[^a-z0-9]+")
_NOT_IN_VARIABLE = re.compile(r"[^A-Za-z0-9_]+")
_VERSION = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?((?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)")


class Names:
    """Gives out names of one scope, none of them twice."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {*taken, *DIRECTIVES}

    def unique(self, wanted: str) -> str:
        """Return the name, with a number behind it if it is taken."""
        name, number = wanted, 2
        while name in self._taken:
            name, number = f"{wanted}-{number}", number + 1
        self._taken.add(name)
        return name


def label(text: str, default: str = "workflow") -> str:
    """Return a DNS label: ``sendOrder Confirmation`` becomes ``send-order-confirmation``."""
    words = _NOT_IN_LABEL.sub("-", _HUMP.sub("-", text).lower())
    return words.strip("-")[:_MAX_LABEL].strip("-") or default


def variable(text: str, default: str = "item") -> str:
    """Return a name that an expression can use after a dollar."""
    name = _NOT_IN_VARIABLE.sub("_", text).strip("_") or default
    return f"_{name}" if name[0].isdecimal() else name


def semantic_version(text: str) -> str | None:
    """Return a version of three numbers, or None for a text that is no version."""
    found = _VERSION.fullmatch(text.strip())
    if found is None:
        return None
    numbers = (str(int(part or 0)) for part in found.group(1, 2, 3))
    return ".".join(numbers) + found.group(4)
