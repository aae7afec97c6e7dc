"""The keeper of flow control: connected, and gone with its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.client import Client
from flunq.core.flow import flow_subject
from flunq.log.select import database
from flunq.services.clock import SystemClock
from flunq.services.flow.board import FlowBoard
from flunq.services.flow.desk import FlowDesk
from flunq.services.identity.audited import AuditedStream
from flunq.services.lasting import while_connected

if TYPE_CHECKING:
    import asyncio

    from flunq.log.select import StreamSettings


async def run_flow(connection: StreamSettings, stop: asyncio.Event) -> None:
    """Answer until told to stop; raises ConnectionError when the connection is lost."""
    stream = AuditedStream(connection)
    async with Client(stream, tenant=connection.tenant) as client, database(connection) as store:
        board = FlowBoard(connection.tenant, stream, store, SystemClock())
        desk = FlowDesk(board, stream, store)
        async with client.serving(flow_subject(connection.tenant), desk.answer):
            await while_connected(stream, stop.wait())
