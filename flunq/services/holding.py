"""Work that one process of a tenant does at a time, and another goes on with."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from flunq.services.lasting import before

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine
    from typing import Any

    from flunq.services.historian.tenure import Tenure


class _StoppedError(Exception):
    """It is time to end, which is no failure."""


async def while_in_office(
    office: Tenure, stop: asyncio.Event, work: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Work whenever nobody else does, until told to stop; others may go on at once."""

    async def turns() -> None:
        while True:
            await office.gained()
            with suppress(_StoppedError):
                await before(office.lost(), work(), lambda _: _StoppedError())

    try:
        with suppress(_StoppedError):
            await before(stop.wait(), turns(), lambda _: _StoppedError())
    finally:
        await office.leave()
