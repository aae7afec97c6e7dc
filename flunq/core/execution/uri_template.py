"""URI templates with simple expansion, names taken literally from the top level of the input."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from flunq.core.execution.faults import problem

_NAME = re.compile(r"\{([^{}]*)\}")


def expand(template: str, value: Any) -> str:
    """Fill in a template; raises the DSL's expression error for arrays and objects."""
    members = value if isinstance(value, dict) else {}
    return _NAME.sub(lambda match: _encoded(match.group(1), members.get(match.group(1))), template)


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
