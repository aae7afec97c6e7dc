"""The keeper of the dead letters: connected, and gone with its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.client import Client
from flunq.core.letters import letters_subject
from flunq.log.select import database
from flunq.services.identity.audited import AuditedStream
from flunq.services.lasting import while_connected
from flunq.services.letters.desk import Desk

if TYPE_CHECKING:
    import asyncio

    from flunq.log.select import StreamSettings


async def run_letters(connection: StreamSettings, stop: asyncio.Event) -> None:
    """Answer until told to stop; raises ConnectionError when the connection is lost."""
    stream = AuditedStream(connection)
    async with Client(stream, tenant=connection.tenant) as client, database(connection) as store:
        desk = Desk(client, stream, store)
        async with client.serving(letters_subject(connection.tenant), desk.answer):
            await while_connected(stream, stop.wait())
