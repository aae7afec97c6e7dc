"""The keeper of the dead letters: connected, and gone with its connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flunq.client import Client
from flunq.core.letters import letters_subject
from flunq.log.select import database
from flunq.services.identity.audited import AuditedStream
from flunq.services.letters.desk import Desk

if TYPE_CHECKING:
    from flunq.log.ports import EventStream
    from flunq.log.select import StreamSettings


async def run_letters(connection: StreamSettings, stop: asyncio.Event) -> None:
    """Answer until told to stop; raises ConnectionError when the connection is lost."""
    stream = AuditedStream(connection)
    async with Client(stream, tenant=connection.tenant) as client, database(connection) as store:
        desk = Desk(client, stream, store)
        async with client.serving(letters_subject(connection.tenant), desk.answer):
            await _until(stop, asyncio.create_task(_loss(stream)))


async def _until(stop: asyncio.Event, lost: asyncio.Task[str]) -> None:
    stopping = asyncio.create_task(_wait_for(stop))
    try:
        await asyncio.wait([stopping, lost], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            raise ConnectionError(lost.result())
    finally:
        for each in (stopping, lost):
            each.cancel()
        await asyncio.gather(stopping, lost, return_exceptions=True)


async def _wait_for(stop: asyncio.Event) -> str:
    await stop.wait()
    return "stopped"


async def _loss(stream: EventStream) -> str:
    return await stream.wait_lost()
