"""Functions for clusters under test: each call is written down with its idempotency key.

``FLUNQ_TEST_STEPS`` names the file; a line is written before the work begins, in one write, so that
a killed process leaves whole lines behind. ``FLUNQ_TEST_DEFECT`` gives the engine that loads this
module a defect: decisions about execution ``broken`` raise, those about ``deadly`` end the process.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import flunq
from flunq.sdk.functions import Step  # noqa: TC001 - annotations are read at run time
from flunq.services.worker import owner

FILE = "FLUNQ_TEST_STEPS"
DEFECT = "FLUNQ_TEST_DEFECT"


def _break_decisions() -> None:
    sound = getattr(owner, "decide")  # noqa: B009 - the module does not export it

    def decide(state: Any, command: Any, *others: Any) -> Any:
        if command.id == "broken":
            raise RuntimeError("a defect")
        if command.id == "deadly":
            os._exit(86)
        return sound(state, command, *others)

    setattr(owner, "decide", decide)  # noqa: B010 - the module does not export it


if os.environ.get(DEFECT):
    _break_decisions()


def _note(step: Step) -> None:
    line = f"{step.key}\t{step.task}\t{os.getpid()}\n".encode()
    file = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


@flunq.function("bump")
async def bump(n: int, step: Step) -> dict[str, int]:
    """Add one."""
    _note(step)
    return {"n": n + 1}


@flunq.function("dawdle")
async def dawdle(n: int, seconds: float, step: Step) -> dict[str, int]:
    """Add one, slowly."""
    _note(step)
    await asyncio.sleep(seconds)
    return {"n": n + 1}


@flunq.function("hold")
async def hold(path: str, step: Step) -> dict[str, str]:
    """Return once a file exists."""
    _note(step)
    while not Path(path).exists():
        await asyncio.sleep(0.02)
    return {"found": path}


@flunq.function("die")
async def die(step: Step) -> None:
    """Take the whole process down."""
    _note(step)
    os._exit(86)


@flunq.function("swell")
async def swell(size: int, step: Step) -> dict[str, str]:
    """Return a large value."""
    _note(step)
    return {"text": "x" * size}


@flunq.function("measure")
async def measure(text: str, step: Step) -> dict[str, int]:
    """Take a large value."""
    _note(step)
    return {"length": len(text)}
