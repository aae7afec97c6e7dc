"""Asking those who may not be there yet: a control process serves some things after all else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flunq.log.ports import NoResponderError

if TYPE_CHECKING:
    from flunq.log.ports import Requests

ABSENCE = 10.0
"""Seconds for which nobody may be there: a control process has started again sooner."""
_PAUSE = 0.05


async def ask_when_there(
    requests: Requests,
    subject: str,
    payload: bytes,
    *,
    timeout: float,  # noqa: ASYNC109 - as the port has it
    absence: float = ABSENCE,
) -> bytes:
    """Ask until somebody is there, and once only then; the timeout is for the answer.

    Raises NoResponderError when nobody comes, RequestTimeoutError when no answer does.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + absence
    while True:
        try:
            return await requests.request(subject, payload, timeout=timeout)
        except NoResponderError:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(_PAUSE)
