"""URI templates with simple expansion, names taken literally from the top level of the input."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from flunq.core.execution.faults import problem

_NAME = re.compile(r"\{([^{}]*)\}")
_CLIMBING = (".", "..")


def expand(template: str, value: Any) -> str:
    """Fill in a template; raises the DSL's expression error for values that do not fit in."""
    members = value if isinstance(value, dict) else {}
    found = _NAME.sub(lambda match: _encoded(match[1], members.get(match[1])), template)
    _refuse_climbing(template, found)
    return found


def _refuse_climbing(template: str, found: str) -> None:
    """Let no value turn a segment of the path into one that leads to another folder."""
    if template == found:
        return
    before, after = (_path(text).count for text in (template, found))
    if any(after(dots) > before(dots) for dots in _CLIMBING):
        raise problem("expression", "a value in a URI makes a part of its path '.' or '..'")


def _path(uri: str) -> list[str]:
    return re.split(r"[?#]", uri, maxsplit=1)[0].replace("\\", "/").split("/")


def _encoded(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return quote(_text(value), safe="", errors="replace")
    raise problem("expression", f"{{{name}}} in a URI must be a text, number or boolean")


def _text(value: str | float) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e17:
        return str(int(value))
    return str(value)
