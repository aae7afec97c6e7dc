"""How long somebody is willing to wait, as it is written in a query or a body."""

from __future__ import annotations

import re

from flunq.api.problems import InvalidFieldError

_FORM = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d|)", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds_of(text: str, *, most: float, where: str) -> float:
    """Return seconds, no more than ``most``; raises InvalidFieldError."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise InvalidFieldError(f"{text!r} is no duration; write 30s, 500ms or 1m", path=where)
    return min(float(found.group(1)) * _UNITS[found.group(2)], most)
