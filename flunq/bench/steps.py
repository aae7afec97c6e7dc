"""The Python functions that the scenarios call."""

from __future__ import annotations

import asyncio
from pathlib import Path

from flunq.sdk.functions import Step, function

NAME = "bench-echo"
NOTED = "bench-noted"


@function(NAME)
async def echo(n: int) -> dict[str, int]:
    """Return what came in: a step that costs nothing by itself."""
    return {"n": n}


@function(NOTED)
async def noted(diary: str, milliseconds: int, step: Step) -> None:
    """Leave a line with the idempotency key in a file, then take a while."""
    _append(Path(diary), step.key.encode() + b"\n")
    await asyncio.sleep(milliseconds / 1000)


def _append(path: Path, line: bytes) -> None:
    # One write to the end: nothing is lost if the process dies, and nobody's line is torn.
    with path.open("ab", buffering=0) as file:
        file.write(line)
