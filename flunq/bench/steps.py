"""The Python function that the scenarios call."""

from __future__ import annotations

from flunq.sdk.functions import function

NAME = "bench-echo"


@function(NAME)
async def echo(n: int) -> dict[str, int]:
    """Return what came in: a step that costs nothing by itself."""
    return {"n": n}
