"""Named places where a test may make the process die, as ``kill -9`` would.

``FLUNQ_CRASH_AT=<name>[:n]`` names the place, and the how manieth time it is passed. With
``FLUNQ_CRASH_ONCE=<file>`` only the first process to get there dies: it leaves the file behind.
"""

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
        if _left <= 0 and _is_first():
            os._exit(137)


def _is_first() -> bool:
    once = os.environ.get("FLUNQ_CRASH_ONCE")
    if once is None:
        return True
    try:
        os.close(os.open(once, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True


def _go_on(name: str) -> None:
    """Cost nothing when no crash is wanted."""


crash_point: Callable[[str], None] = _die_at_the_wanted_point if _wanted else _go_on
"""Die here if ``FLUNQ_CRASH_AT=<name>[:n]`` names this point (the n-th time it is passed)."""
