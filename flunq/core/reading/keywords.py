"""Keywords of JSON Schema whose errors must not quote the value.

The ones of ``jsonschema`` put the whole value into each message, at every level of nesting: a
document of some megabytes would be explained with gigabytes of text.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator


def pattern(_validator: Any, expected: str, instance: Any, _schema: Any) -> Iterator[Any]:
    """The text matches somewhere; ``$`` is its very end."""
    if isinstance(instance, str) and not _compiled(expected).search(instance):
        yield ValidationError("the text does not match")


def one_of(validator: Any, branches: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    """Exactly one alternative fits."""
    fitting, causes = _try_all(validator, branches, instance)
    if fitting != 1:
        yield ValidationError("not exactly one alternative fits", context=causes)


def any_of(validator: Any, branches: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    """One alternative fits, or more."""
    fitting, causes = _try_all(validator, branches, instance)
    if not fitting:
        yield ValidationError("no alternative fits", context=causes)


def none_of(validator: Any, refused: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    """The schema of ``not`` does not fit."""
    if validator.evolve(schema=refused).is_valid(instance):
        yield ValidationError("what must not fit does")


def max_properties(_validator: Any, limit: int, instance: Any, _schema: Any) -> Iterator[Any]:
    """The object has few enough properties."""
    if isinstance(instance, dict) and len(instance) > limit:
        yield ValidationError("too many properties")


def _try_all(validator: Any, branches: Any, instance: Any) -> tuple[int, list[Any]]:
    causes: list[Any] = []
    fitting = 0
    for index, branch in enumerate(branches):
        found = list(validator.descend(instance, branch, schema_path=index))
        fitting += not found
        causes += found
    return fitting, causes


@cache
def _compiled(expected: str) -> re.Pattern[str]:
    # Python's '$' also matches before a last line break.
    return re.compile(re.sub(r"\$$", r"\\Z", expected))
