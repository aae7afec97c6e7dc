"""An event stream of a service that clients ask: what they ask is noted in the tenant's audit."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Self

from flunq.log.select import event_stream
from flunq.services.identity.audit import Audit
from flunq.services.identity.watching import Watch, WatchedStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.log.ports import AuditTrail, EventStream
    from flunq.log.select import StreamSettings


class AuditedStream(WatchedStream):
    """Connects as :func:`event_stream` does; its ports exist within ``async with``."""

    def __init__(
        self,
        connection: StreamSettings,
        *,
        streams: Callable[[StreamSettings], EventStream] = event_stream,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._inner = streams(connection)
        self._audit = Audit(self._trail, clock=clock, node=connection.name)
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        connection = self._connection
        watch = Watch(
            self._audit, tenant=connection.tenant, proof=connection.proof, clock=self._clock
        )
        super().__init__(self._inner, watch)
        self._writing = asyncio.create_task(self._audit.run())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])
        await self._inner.__aexit__(*exc_info)

    async def _trail(self, _: str) -> AuditTrail:
        return self._inner.audit
