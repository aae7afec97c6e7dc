"""Requests and notices over core NATS."""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from flunq.core.ids import is_mailbox
from flunq.log.nats.asking import asker_of
from flunq.log.nats.packing import unpack
from flunq.log.ports import asker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flunq.log.nats.connection import Connection
    from flunq.log.ports import Handler

_log = logging.getLogger(__name__)


class NatsRequests:
    """Ask, answer, tell and listen; nothing is stored."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def request(
        self,
        subject: str,
        data: bytes,
        *,
        timeout: float,  # noqa: ASYNC109 - the port's signature
        repeatable: bool = False,
    ) -> bytes:
        """Ask and wait; raises NoResponderError or RequestTimeoutError."""
        connection = self._connection
        reply = await connection.request(
            subject,
            data,
            within=timeout,
            headers=connection.introduction,
            patient=True,
            repeatable=repeatable,
        )
        return reply.data

    @asynccontextmanager
    async def serve(self, subject: str, handler: Handler) -> AsyncIterator[None]:
        """Answer requests to a subject while the context is open; None means no answer."""
        service = _Service(self._connection, subject, handler)
        async with self._subscribed(subject, service.receive):
            try:
                yield
            finally:
                await service.aclose()

    async def notify(self, subject: str, data: bytes) -> None:
        """Send without an answer."""
        await self._connection.send(subject, data)

    @asynccontextmanager
    async def listen(self, subject: str, receive: Callable[[bytes], None]) -> AsyncIterator[None]:
        """Call ``receive`` for each notice while the context is open."""

        def hear(_subject: bytes, _reply: bytes, data: bytes, _headers: bytes) -> None:
            receive(unpack(data))

        async with self._subscribed(subject, hear):
            yield

    def mailbox(self) -> str:
        """Return a fresh subject that only this connection listens to."""
        return f"{self._connection.inbox}.{secrets.token_hex(8)}"

    @asynccontextmanager
    async def _subscribed(
        self, subject: str, receive: Callable[[bytes, bytes, bytes, bytes], None]
    ) -> AsyncIterator[None]:
        client = self._connection.client
        sid = client.attach(subject, receive)
        try:
            await self._connection.settle()
            yield
        finally:
            client.detach(sid)


class _Service:
    """One ``serve`` context: the requests that are being worked on."""

    def __init__(self, connection: Connection, subject: str, handler: Handler) -> None:
        self._connection = connection
        self._subject = subject
        self._handler = handler
        self._running: set[asyncio.Task[None]] = set()

    def receive(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        """Start working on a request.

        The server lets anybody name any subject for the answer, and this process may publish
        where whoever asks may not: what would go elsewhere than to an inbox is not done at all.
        """
        if reply and not is_mailbox(reply.decode()):
            _log.warning("a request on %s wants its answer at %s: refused", self._subject, reply)
            return
        work = self._work(subject.decode(), reply.decode(), data, headers)
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def aclose(self) -> None:
        """Give up what is unfinished."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _work(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        asker.set(asker_of(subject, reply, headers))
        try:
            answer = await self._handler(data)
            if answer is not None and reply:
                await self._connection.send(reply, answer)
        except Exception:  # noqa: BLE001 - one bad request must not end the service
            _log.exception("a request on %s failed", self._subject)
