"""How questions of clients are answered: with a value, or with what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from flunq.core.protocol import Answer
from flunq.errors import FlunqError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_Q = TypeVar("_Q")
_encode = msgspec.json.Encoder().encode


async def answered(
    payload: bytes, read: Callable[[bytes], _Q], value: Callable[[_Q], Awaitable[Any]]
) -> bytes:
    """Answer one encoded question; never raises for what somebody asked."""
    try:
        return given(await value(read(payload)))
    except (FlunqError, msgspec.MsgspecError) as error:
        return refused(error)
    except RecursionError:
        return refused(UsageError("the question is nested too deeply"))


def given(value: Any) -> bytes:
    """Return the answer with a value."""
    return _encode(Answer(value=msgspec.Raw(_encode(value))))


def refused(error: FlunqError | msgspec.MsgspecError) -> bytes:
    """Return the answer that says why there is no value; what cannot be read is wrong usage."""
    known = error if isinstance(error, FlunqError) else UsageError(str(error))
    return _encode(Answer(problem=known.problem()))
