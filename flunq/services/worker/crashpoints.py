"""Named places where a test may make the process die, as ``kill -9`` would."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_wanted = os.environ.get("FLUNQ_CRASH_AT", "")
_name, _, _count = _wanted.partition(":")
_left = int(_count) if _count.isdigit() else 1


def _die_at_the_wanted_point(name: str) -> None:
    global _left
    if name == _name:
        _left -= 1
        if _left <= 0:
            os._exit(137)


def _go_on(name: str) -> None:
    """Cost nothing when no crash is wanted."""


crash_point: Callable[[str], None] = _die_at_the_wanted_point if _wanted else _go_on
"""Die here if ``FLUNQ_CRASH_AT=<name>[:n]`` names this point (the n-th time it is passed)."""
