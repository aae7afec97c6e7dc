"""The traces of a tenant as a role of the control process: one process at a time sends them."""

from __future__ import annotations

from contextlib import aclosing, closing
from importlib.metadata import version
from typing import TYPE_CHECKING
from uuid import uuid4

from flunq.client import Client
from flunq.core.ids import token
from flunq.errors import NotFoundError
from flunq.log.select import database, event_stream
from flunq.services.historian.tenure import TRACER, Tenure
from flunq.services.holding import while_in_office
from flunq.services.lasting import while_connected
from flunq.services.tracing.exporter import Exporter
from flunq.services.tracing.tracer import Tracer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flunq.core.events import LazyEvent
    from flunq.log.select import StreamSettings
    from flunq.telemetry.otlp import TraceSettings

RENEW_SECONDS = 5.0


async def run_tracing(
    wanted: TraceSettings, connection: StreamSettings, folder: Path, stop: asyncio.Event
) -> None:
    """Send spans until told to stop; raises ConnectionError when the connection is lost."""
    tenant = connection.tenant
    stream = event_stream(connection)
    async with Client(stream, tenant=tenant) as client, database(connection) as store:
        office = Tenure(
            store.state,
            tenant,
            folder / "traces" / token(tenant),
            uuid4().hex,
            office=TRACER,
            renew_seconds=RENEW_SECONDS,
        )

        async def work() -> None:
            with closing(Exporter(wanted, tenant, version=version("flunq"))) as exporter:
                history = _History(client)
                await Tracer(tenant, stream.journal, store, exporter, history).run()

        await while_connected(stream, while_in_office(office, stop, work))


class _History:
    """All events of an execution, wherever they are."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __call__(self, execution: str) -> AsyncIterator[LazyEvent]:
        try:
            async with aclosing(self._client.history(execution)) as events:  # type: ignore[type-var]
                async for event in events:
                    yield event
        except NotFoundError:
            async with aclosing(self._client.archived_history(execution)) as events:  # type: ignore[type-var]
                async for event in events:
                    yield event
