"""The historian as a role of a process: connected, and gone with its connection."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flunq.log.ports import OutcomeUnknownError
from flunq.log.select import database
from flunq.services.historian.historian import Historian
from flunq.services.identity.audited import AuditedStream
from flunq.services.lasting import while_connected

if TYPE_CHECKING:
    from flunq.log.ports import Database, EventStream
    from flunq.log.select import StreamSettings
    from flunq.services.historian.settings import HistorianSettings

log = logging.getLogger(__name__)

_ENSURE_PAUSE = 0.5


async def run_historian(
    settings: HistorianSettings,
    connection: StreamSettings,
    *,
    partitions: int,
    stop: asyncio.Event,
) -> None:
    """Be a historian until told to stop; raises ConnectionError when the connection is lost."""
    async with AuditedStream(connection) as stream, database(connection) as store:
        if not await _ensure(stream, store, partitions, stop):
            return
        await while_connected(stream, Historian(settings, stream, store).run(stop))


async def _ensure(
    stream: EventStream, store: Database, partitions: int, stop: asyncio.Event
) -> bool:
    """Create what is missing; False if told to stop before the broker answered."""
    while not stop.is_set():
        try:
            await stream.ensure(partitions)
            await store.ensure()
        except OutcomeUnknownError as error:
            log.warning("the broker does not answer yet: %s", error)
            await asyncio.sleep(_ENSURE_PAUSE)
        else:
            return True
    return False
