"""Waiting for something on behalf of a caller, but not longer than the process lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from flunq.api.limits import GoneError
from flunq.errors import UnavailableError
from flunq.services.lasting import before

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from flunq.api.contract import Call
    from flunq.api.services import ApiServices

T = TypeVar("T")


async def unless_stopping(services: ApiServices, work: Coroutine[Any, Any, T]) -> T:
    """Return what comes of the work; raises UnavailableError when this process is to end."""
    return await before(services.stopping.wait(), work, _about_to_end)


async def unless_gone(call: Call, work: Coroutine[Any, Any, T]) -> T:
    """Return what comes of the work; raises GoneError when the caller hangs up before that."""
    return await before(_hung_up(call), unless_stopping(call.services, work), lambda _: GoneError())


def _about_to_end(_: object) -> UnavailableError:
    return UnavailableError("this process is about to end", hint="ask again")


async def _hung_up(call: Call) -> None:
    while (await call.receive())["type"] != "http.disconnect":
        pass
