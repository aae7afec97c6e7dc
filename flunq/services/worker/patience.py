"""Asking for what is out of reach for a moment."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar

from flunq.log.ports import OutcomeUnknownError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
T = TypeVar("T")


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask for something until there is an answer: commands wait for it."""
    delay = FIRST_PAUSE
    while True:
        try:
            return await ask()
        except OutcomeUnknownError as error:
            log.warning("asking again for what commands wait for: %s", error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_PAUSE)
