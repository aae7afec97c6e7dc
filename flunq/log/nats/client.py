"""The nats-py client with a short way in and out for the hot paths.

nats-py keeps the connection: handshake, reconnects, pings, replay of subscriptions. Messages of
subscriptions made here go straight to a callback, without a ``Msg`` object, a queue and a task in
between; sends are synchronous, so that a cancelled caller cannot leave half a command behind.
This is the only module that touches names that nats-py keeps private.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from flunq.log.beat import sleep_to_beat
from flunq.log.nats.library import Client, Subscription, errors
from flunq.log.ports import MessageTooLargeError, TransportLostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.client import Srv

    Receive = Callable[[bytes, bytes, bytes, bytes], None]
    """Called with subject, reply subject, payload and raw header block."""

_log = logging.getLogger(__name__)
_CRLF = b"\r\n"
LONGEST_COMMAND = 4_000
"""Bytes; a server that is told nothing else takes 4,096 with the word that begins the command."""
BACKLOG_LIMIT = 64 * 1024 * 1024
"""Bytes that may wait for a server that does not read before sends are refused."""


class DirectClient(Client):
    """A nats-py client whose subscriptions can bypass its queues."""

    def __init__(self) -> None:
        super().__init__()
        self._direct: dict[int, Receive] = {}
        self._heard = False
        self._asked = asyncio.Event()
        self.calm_seconds = 0.0
        """How long the server may be silent when nothing was sent to it."""
        self.when_down: Callable[[], None] = lambda: None
        """Called when a connection that was there turns out to be broken."""

    def attach(self, subject: str, receive: Receive) -> int:
        """Subscribe; ``receive`` runs inside the read loop and must not block."""
        _checked(subject.encode())
        self._sid += 1
        sid = self._sid
        self._subs[sid] = Subscription(self, sid, subject)
        self._direct[sid] = receive
        if self.is_connected:
            self._put((f"SUB {subject} {sid}\r\n".encode(),))
        return sid

    def detach(self, sid: int) -> None:
        """Undo :meth:`attach`."""
        self._direct.pop(sid, None)
        if self._subs.pop(sid, None) is not None and self.is_connected:
            self._put((f"UNSUB {sid}\r\n".encode(),))

    def send(self, subject: str, data: bytes, *, reply: str = "", headers: bytes = b"") -> None:
        """Queue one message for the socket."""
        if not subject.isprintable() or " " in subject:
            raise ValueError(f"{subject!r} is no subject")  # the rest of it would be a command
        self._asked.set()
        size = len(headers) + len(data)
        if size > self._max_payload:
            raise MessageTooLargeError(f"{size} bytes, the server takes {self._max_payload}")
        if self._pending_data_size > BACKLOG_LIMIT:
            raise TransportLostError("the server does not read what is sent to it")
        if headers:
            command = f"HPUB {subject} {reply} {len(headers)} {size}\r\n".encode()
            self._put((_checked(command), headers, data, _CRLF))
        else:
            command = f"PUB {subject} {reply} {size}\r\n".encode()
            self._put((_checked(command), data, _CRLF))

    def push(self) -> None:
        """Hand what is queued to the socket now; nats-py writes a ping ahead of the queue."""
        if self.is_connected and self._pending and self._transport is not None:
            parts, self._pending = self._pending, []
            self._pending_data_size = 0
            self._transport.writelines(parts)

    async def flushed(self) -> None:
        """Return once the server has seen what was sent.

        Unlike ``flush`` of nats-py it may be cancelled: the read loop ends when the future of an
        answered ping was, and ``asyncio.wait_for`` of Python 3.11 forgets a cancellation that
        comes together with the answer.
        """
        seen: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        await self._send_ping(seen)
        await asyncio.shield(seen)

    def forget_unsent(self) -> None:
        """Drop what was queued for a connection that is gone.

        Its senders have been told that the outcome is unknown; sending it later would only make
        that outcome later still.
        """
        self._pending.clear()
        self._pending_data_size = 0

    def reconnect_for_ever(self, servers: list[str]) -> None:
        """From now on a broken connection is made again, to any of the servers."""
        self.options["allow_reconnect"] = True
        self.options["max_reconnect_attempts"] = -1
        self.set_server_pool(servers)

    def abort(self) -> None:
        """Cut the socket without waiting for a peer that may never answer."""
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    @property
    def server_version(self) -> str:
        """The version that the connected server announced."""
        return str(self._server_info.get("version", ""))

    def _put(self, parts: tuple[bytes, ...]) -> None:
        self._pending.extend(parts)
        self._pending_data_size += sum(map(len, parts))
        queue = self._flush_queue
        if queue is not None and queue.empty() and self.is_connected:
            queue.put_nowait(asyncio.get_running_loop().create_future())

    async def _connect_to_server(self, s: Srv) -> None:
        # nats-py forgets the socket of an attempt that failed after it was connected.
        self.abort()
        await super()._connect_to_server(s)

    async def _process_op_err(self, e: Exception) -> None:
        # What is wrong with the connection is known: a graceful end would only wait for a peer
        # that may be silent, for minutes.
        if self.is_connected and self.options["allow_reconnect"]:
            self.abort()
            self.when_down()
        await super()._process_op_err(e)

    async def _ping_interval(self) -> None:
        """Ask for a sign of life where nothing is heard after something was sent, or for long."""
        usual = self.options["ping_interval"]
        while True:
            if not self._pings_outstanding:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.calm_seconds - usual):
                        await self._asked.wait()
            self._asked.clear()
            self._heard = False
            await sleep_to_beat(usual)
            if self._heard:
                self._pings_outstanding = 0
            elif self.is_connected:
                self._pings_outstanding += 1
                if self._pings_outstanding > self.options["max_outstanding_pings"]:
                    await self._process_op_err(errors.StaleConnectionError())
                    return
                await self._send_ping()

    async def _process_pong(self) -> None:
        self._heard = True
        await super()._process_pong()

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        self._heard = True
        receive = self._direct.get(sid)
        if receive is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        try:
            receive(subject, reply, data, headers or b"")
        except Exception:  # noqa: BLE001 - an exception here would end the read loop
            _log.exception("a receiver of %s failed", subject.decode(errors="replace"))


def _checked(command: bytes) -> bytes:
    """Return a command that the server takes: at a longer one it closes the connection of all."""
    if len(command) > LONGEST_COMMAND:
        raise MessageTooLargeError(f"a subject of {len(command)} bytes is too long")
    return command
