"""Functions in code that documents of the suite call."""

from __future__ import annotations

import flunq
from flunq.core.json import JSON  # noqa: TC001 - annotations of functions are read at run time
from flunq.sdk.executor import TaskError


async def echo(value: JSON = None) -> JSON:
    """Return the argument."""
    return value


async def add(a: int, b: int) -> int:
    """Return the sum."""
    return a + b


async def fail(status: int = 503, kind: str = "communication") -> JSON:
    """Fail."""
    raise TaskError(kind, status, "Out of order", "as asked")


# A cluster loads this file by its path. The tests import it, and must not fill the registry that
# all tests of a process share.
if __name__ != "tests.conformance.functions":
    for each in (echo, add, fail):
        flunq.function(each.__name__)(each)
