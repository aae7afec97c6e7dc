"""How long work lasts: until it is told to stop, until its connection is lost, and then again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from flunq.errors import FlunqError
from flunq.log.ports import OutcomeUnknownError, TransportLostError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from flunq.log.ports import EventStream

Role: TypeAlias = "Callable[[asyncio.Event], Coroutine[Any, Any, None]]"
"""Work of a process; it ends when the event is set."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_E = TypeVar("_E")

AGAIN_SECONDS = 1.0
"""How long work that ended before its time rests before it begins again."""
REMIND_SECONDS = 30.0
"""How long an outage that has been told of is not told again."""
_OUTAGES = (ConnectionError, FlunqError, OutcomeUnknownError, TransportLostError)
"""What says by itself why it happened; anything else is a defect, and its traceback is wanted."""


async def kept_up(what: str, work: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Do something until told to stop: whatever ends it before that, it begins again."""
    told, quiet_until = "", 0.0
    now = asyncio.get_running_loop().time
    while not stop.is_set():
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - what runs beside it must go on
            inner = innermost(error)
            is_outage, text = isinstance(inner, _OUTAGES), str(inner)
            is_known = is_outage and text == told and now() < quiet_until
            level = logging.DEBUG if is_known else logging.WARNING
            trace = None if is_outage else error
            _log.log(level, "%s begins again: %s", what, inner, exc_info=trace)
            if not is_known:
                told, quiet_until = text, now() + REMIND_SECONDS
            await asyncio.sleep(AGAIN_SECONDS)


def innermost(error: BaseException) -> BaseException:
    """Return what matters of an error: a task group wraps it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def before(
    end: Coroutine[Any, Any, _E], work: Coroutine[Any, Any, _T], late: Callable[[_E], Exception]
) -> _T:
    """Return what comes of the work; raises what ``late`` makes of the end if that comes first."""
    working, ending = asyncio.create_task(work), asyncio.create_task(end)
    try:
        await asyncio.wait([working, ending], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise late(ending.result())
    finally:
        working.cancel()
        ending.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)


async def heard(event: asyncio.Event, within: float | None) -> bool:
    """Wait for an event no longer than so many seconds, if any; tell whether it is set."""
    try:
        async with asyncio.timeout(within):
            return await event.wait()
    except TimeoutError:
        return False


async def while_connected(stream: EventStream, work: Coroutine[Any, Any, _T]) -> _T:
    """Return what comes of the work; raises ConnectionError when the connection is lost."""
    return await before(stream.wait_lost(), work, ConnectionError)


async def begun(running: asyncio.Task[Any], ready: asyncio.Event, trouble: Exception) -> None:
    """Return once it is ready; raises what ended it before that, or else the trouble."""
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([waiting, running], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if running.done() and not ready.is_set():
        running.result()
        raise trouble
