"""The Python function that the built-in workload calls."""

from __future__ import annotations

import asyncio

from flunq.sdk.functions import function

NAME = "chaos-add"


@function(NAME)
async def add(n: int, milliseconds: int) -> dict[str, int]:
    """Take a while, then count on."""
    await asyncio.sleep(milliseconds / 1000)
    return {"n": n + 1}
