"""Waiting for something on behalf of a caller, but not longer than the process lives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from flunq.api.limits import GoneError
from flunq.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from flunq.api.contract import Call
    from flunq.api.services import ApiServices

T = TypeVar("T")


async def unless_stopping(services: ApiServices, work: Coroutine[Any, Any, T]) -> T:
    """Return what comes of the work; raises UnavailableError when this process is to end."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(services.stopping.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise UnavailableError("this process is about to end", hint="ask again")
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def unless_gone(call: Call, work: Coroutine[Any, Any, T]) -> T:
    """Return what comes of the work; raises GoneError when the caller hangs up before that."""
    working = asyncio.create_task(unless_stopping(call.services, work))
    leaving = asyncio.create_task(_hung_up(call))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise GoneError
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _hung_up(call: Call) -> None:
    while (await call.receive())["type"] != "http.disconnect":
        pass
