"""Going back into histories as a role of the control process."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flunq.log.select import StreamSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from flunq.services.control import ControlSettings

_log = logging.getLogger(__name__)
_RECONNECT_SECONDS = 1.0


def replaying_role(
    settings: ControlSettings,
) -> Callable[[asyncio.Event], Coroutine[Any, Any, None]]:
    """Return the role: a connection that is lost is made again."""

    async def run(stop: asyncio.Event) -> None:
        from flunq.services.replaying.service import run_replaying

        connection = StreamSettings(
            url=settings.nats_url,
            tenant=settings.tenant,
            user=settings.user,
            password=settings.password,
            name=f"{settings.node}-replaying",
            proof=settings.proof,
        )
        while not stop.is_set():
            try:
                await run_replaying(connection, stop)
            except Exception as error:  # noqa: BLE001 - the API beside it must go on
                _log.warning("going back into histories begins again: %s", error)
                await asyncio.sleep(_RECONNECT_SECONDS)

    return run
