"""What the audit says of a request: how it ended, whatever way that was."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from flunq.api.contract import Answer, Reply
from flunq.api.problems import as_flunq_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_A = TypeVar("_A", bound=Answer)


async def noted(work: Awaitable[_A], note: Callable[[str], None]) -> _A:
    """Return the answer to a request; its status is noted, also when there is none."""
    result = "failed"
    try:
        answer = await work
        result = str(answer.status) if isinstance(answer, Reply) else "200"
    except Exception as error:  # whatever it is, it is noted and goes on
        known = as_flunq_error(error)
        result = "500" if known is None else str(known.status)
        raise
    finally:
        note(result)
    return answer
