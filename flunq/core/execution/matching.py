"""Does an event meet a filter? Attributes are equal, or match a regular expression as a whole."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_REGEX_SIGNS = frozenset("*+?[](){}|^$\\")


def fits(wanted: Any, found: Any) -> bool:
    """Tell whether an attribute is what a filter wants."""
    if wanted == found:
        return isinstance(wanted, bool) is isinstance(found, bool)
    if not isinstance(wanted, str) or not isinstance(found, str):
        return False
    if _REGEX_SIGNS.isdisjoint(wanted):
        return False
    pattern = _pattern(wanted)
    return pattern is not None and bool(pattern.is_valid(found))


@lru_cache(maxsize=1024)
def _pattern(text: str) -> Any:
    """Compile a pattern with an engine that takes linear time whatever an author writes."""
    # Deferred: 30 ms that only documents with patterns should pay.
    import jsonschema_rs

    options = jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 20)
    try:
        return jsonschema_rs.validator_for({"pattern": f"^(?:{text})$"}, pattern_options=options)
    except ValueError:
        return None
