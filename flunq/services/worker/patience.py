"""Doing, for as long as it takes, what others wait for and the broker cannot do at the moment."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar

from flunq.log.ports import OutcomeUnknownError, StoreFullError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
T = TypeVar("T")


async def patiently(
    ask: Callable[[], Awaitable[T]], what: str = "to ask for what commands wait for"
) -> T:
    """Ask for something until there is an answer, or store something until there is room."""
    delay = FIRST_PAUSE
    while True:
        try:
            return await ask()
        except (OutcomeUnknownError, StoreFullError) as error:
            log.warning("trying again %s: %s", what, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_PAUSE)
