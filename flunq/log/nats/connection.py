"""One connection per process: deadlines, a watchdog, requests with little overhead."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
import secrets
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from flunq.errors import UnavailableError
from flunq.log.nats.asking import introduction
from flunq.log.nats.client import DirectClient
from flunq.log.nats.library import errors
from flunq.log.nats.server import require_version
from flunq.log.nats.tls import tls_options
from flunq.log.ports import (
    NoResponderError,
    NotPermittedError,
    RequestTimeoutError,
    TransportLostError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nats.aio.client import Server

    from flunq.log.select import StreamSettings

_log = logging.getLogger(__name__)
_DENIED = re.compile(r'permissions violation for publish to "?([^"\s]+)"?', re.IGNORECASE)
NO_RESPONDERS = b"NATS/1.0 503"
CONNECT_TIMEOUT = 2
MOST_PINGS = 2
"""One more without an answer, and the network or the server is silent."""
GIVE_UP_SECONDS = 0.2
PATIENCE = 5.0
"""Seconds without a connection after which the socket is cut."""


class Reply(NamedTuple):
    """A message that came back: payload, raw header block, subject when it is not the inbox."""

    data: bytes
    headers: bytes
    subject: str = ""


class DisconnectedError(RequestTimeoutError):
    """The connection broke while an answer was awaited; it may or may not have arrived."""


class Pending:
    """A request that waits for one answer."""

    __slots__ = ("fails_on_disconnect", "future", "subject")

    def __init__(self, subject: str, *, fails_on_disconnect: bool) -> None:
        self.subject = subject
        self.fails_on_disconnect = fails_on_disconnect
        self.future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def receive(self, reply: Reply) -> None:
        """Take the answer."""
        if not self.future.done():
            self.future.set_result(reply)

    def fail(self, error: Exception) -> None:
        """Give up."""
        if not self.future.done():
            self.future.set_exception(error)


class Collector:
    """Answers of which there may be many, in order; ``None`` in between marks a disconnect."""

    __slots__ = ("_items", "_waiter", "subject")
    fails_on_disconnect = True

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self._items: list[tuple[bytes, Reply] | Exception] = []
        self._waiter: asyncio.Future[None] | None = None

    def receive(self, reply: Reply) -> None:
        """Take an answer that carries no reply subject of its own."""
        self.receive_with(b"", reply)

    def receive_with(self, reply_subject: bytes, reply: Reply) -> None:
        """Take an answer."""
        self._items.append((reply_subject, reply))
        self._wake()

    def fail(self, error: Exception) -> None:
        """Let the reader see an error after what came before it."""
        self._items.append(error)
        self._wake()

    async def take(self, *, within: float) -> list[tuple[bytes, Reply] | Exception]:
        """Return everything that has come, at least one thing; raises TimeoutError."""
        if not self._items:
            loop = asyncio.get_running_loop()
            waiter = self._waiter = loop.create_future()
            handle = loop.call_later(within, _time_out, waiter)
            try:
                await waiter
            finally:
                self._waiter = None
                handle.cancel()
        items, self._items = self._items, []
        return items

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _time_out(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


class _Repeats:
    """Sends the same again and again until it is cancelled."""

    __slots__ = ("_every", "_handle", "_send")

    def __init__(self, send: Callable[[], None], every: float) -> None:
        self._send = send
        self._every = every
        self._handle = asyncio.get_running_loop().call_later(every, self._again)

    def cancel(self) -> None:
        """Send no more."""
        self._handle.cancel()

    def _again(self) -> None:
        self._handle = asyncio.get_running_loop().call_later(self._every, self._again)
        self._send()


class Connection:
    """A shared connection; ``acquire`` and ``release`` count its users."""

    def __init__(self, settings: StreamSettings) -> None:
        self.settings = settings
        self.client = DirectClient()
        self.inbox = f"_INBOX_{settings.user}" if settings.user else "_INBOX"
        self.introduction = introduction(settings.claim, settings.proof)
        """Header block by which requests say who asks."""
        self._prefix = f"{self.inbox}.{secrets.token_hex(8)}."
        self._cut = len(self._prefix)
        self._waiting: dict[bytes, Pending | Collector] = {}
        self._counter = 0
        self._users = 0
        self._opening = asyncio.Lock()
        self._up = asyncio.Event()
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._cutting: asyncio.TimerHandle | None = None
        self._on_reconnect: dict[Callable[[], None], None] = {}
        self._last_error: Exception | None = None
        self._closing = False

    @classmethod
    def shared(cls, settings: StreamSettings) -> Connection:
        """Return this event loop's connection for a server, a user and a name."""
        known = _connections.setdefault(asyncio.get_running_loop(), {})
        key = (
            settings.url,
            settings.user,
            settings.password,
            settings.name,
            settings.ca,
            settings.claim,
            settings.proof,
        )
        if key not in known:
            known[key] = cls(settings)
        return known[key]

    async def acquire(self) -> None:
        """Connect, if nobody has; each ``acquire`` needs a ``release``."""
        async with self._opening:
            if self._users == 0:
                await self._open()
            self._users += 1

    async def release(self) -> None:
        """Close, if nobody else uses it."""
        async with self._opening:
            self._users -= 1
            if self._users == 0:
                await self._close()

    @property
    def is_to_the_only_server(self) -> bool:
        """Whether no other server is known: what lives on it cannot end without a disconnect."""
        return len(self.client.servers) == 1

    async def lost(self) -> str:
        """Return, with the reason, when the connection is gone for good."""
        return await asyncio.shield(self._lost)

    def on_reconnect(self, call: Callable[[], None]) -> Callable[[], None]:
        """Run ``call`` after each reconnect; returns what undoes that."""
        self._on_reconnect[call] = None
        return lambda: self._on_reconnect.pop(call, None)

    async def ready(self, within: float) -> None:
        """Wait until connected; raises TimeoutError or TransportLostError."""
        if self.client.is_connected:
            return
        self._check_lost()
        async with asyncio.timeout(within):
            await self._up.wait()
        self._check_lost()

    async def settle(self) -> None:
        """Wait until the server has seen what was sent so far, such as a subscription.

        Without a connection there is nothing to wait for: a reconnect subscribes again first.
        """
        await self._flushed(5.0)

    async def send(self, subject: str, data: bytes, *, headers: bytes = b"") -> None:
        """Send without an answer; raises RequestTimeoutError when there is no connection."""
        if not self.client.is_connected:
            await self._wait_connected(subject, 5.0)
        self.client.send(subject, data, headers=headers)

    async def request(
        self,
        subject: str,
        data: bytes,
        *,
        within: float,
        headers: bytes = b"",
        patient: bool = False,
        again_after: float | None = None,
        repeatable: bool = False,
    ) -> Reply:
        """Ask and wait for one answer.

        Raises NoResponderError, NotPermittedError or RequestTimeoutError; at once as
        DisconnectedError when the connection breaks, unless ``patient``: then somebody else than
        the server answers, who may still do so after a reconnect. With ``again_after`` the same
        is asked again whenever so many seconds have passed, when it is ``repeatable`` after a
        reconnect; the first answer to any of them counts.
        """
        if not self.client.is_connected:
            await self._wait_connected(subject, within)
        pending = Pending(subject, fails_on_disconnect=not patient)
        token, reply = self._expect(pending)
        handle = asyncio.get_running_loop().call_later(within, _time_out, pending.future)
        send = partial(self.client.send, subject, data, reply=reply, headers=headers)
        repeats = None if again_after is None else _Repeats(send, again_after)
        forget = self.on_reconnect(send) if repeatable else None
        try:
            send()
            answer = await pending.future
        except TimeoutError:
            raise RequestTimeoutError(f"{subject}: no answer within {within:g} s") from None
        finally:
            handle.cancel()
            if repeats is not None:
                repeats.cancel()
            if forget is not None:
                forget()
            self._waiting.pop(token, None)
        if answer.headers.startswith(NO_RESPONDERS):
            raise NoResponderError(f"nobody answers on {subject}")
        return answer

    @contextlib.contextmanager
    def collect(self, subject: str, data: bytes) -> Iterator[Collector]:
        """Ask for many answers; yields their :class:`Collector`."""
        collector = Collector(subject)
        token, reply = self._expect(collector)
        try:
            if self.client.is_connected:
                self.client.send(subject, data, reply=reply)
            else:
                collector.fail(DisconnectedError(subject))
            yield collector
        finally:
            self._waiting.pop(token, None)

    @contextlib.contextmanager
    def channel(self) -> Iterator[Collector]:
        """Open a subject of its own for answers; its end tells the server that nobody listens."""
        subject = f"{self.inbox}.{secrets.token_hex(8)}"
        collector = Collector(subject)
        key = subject.encode()
        self._waiting[key] = collector

        def receive(origin: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
            collector.receive_with(reply, Reply(data, headers, origin.decode()))

        sid = self.client.attach(subject, receive)
        try:
            yield collector
        finally:
            self._waiting.pop(key, None)
            self.client.detach(sid)

    def ask(self, subject: str, data: bytes, answers: Collector) -> None:
        """Send a request whose answers go to a channel."""
        if not self.client.is_connected:
            raise DisconnectedError(subject)
        self.client.send(subject, data, reply=answers.subject)

    def _expect(self, waiting: Pending | Collector) -> tuple[bytes, str]:
        self._counter += 1
        token = str(self._counter)
        key = token.encode()
        self._waiting[key] = waiting
        return key, self._prefix + token

    def _receive(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        waiting = self._waiting.get(subject[self._cut :])
        if waiting is None:
            return
        if reply and isinstance(waiting, Collector):
            waiting.receive_with(reply, Reply(data, headers))
        else:
            waiting.receive(Reply(data, headers))

    async def _wait_connected(self, subject: str, within: float) -> None:
        try:
            await self.ready(within)
        except TimeoutError:
            raise RequestTimeoutError(f"{subject}: not connected within {within:g} s") from None

    def _check_lost(self) -> None:
        if self._lost.done():
            raise TransportLostError(self._lost.result())

    async def _open(self) -> None:
        self.client = DirectClient()
        self.client.when_down = self._cut_later
        self.client.calm_seconds = max(self.settings.ping_seconds, self.settings.calm_seconds)
        self._up.clear()
        await self._connect_once()
        require_version(self.client.server_version, f"the nats-server at {self.settings.url}")
        self.client.reconnect_for_ever(self.settings.url.split(","))
        self._closing = False
        if self._lost.done():
            self._lost = asyncio.get_running_loop().create_future()
        self.client.attach(f"{self._prefix}*", self._receive)
        self._up.set()

    async def _connect_once(self) -> None:
        """Connect without retries: only so does a wrong password say what it is."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT * 3):
                await self.client.connect(**self._options())
        except (OSError, errors.Error, TimeoutError) as error:
            self._closing = True
            await self._give_up()
            raise self._explain(error) from error

    async def _give_up(self) -> None:
        """Close what never was connected; a failed handshake has no end to wait for."""
        self.client.abort()
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                await self.client.close()
        except TimeoutError:
            _log.debug("the socket of a failed connection was left to itself")

    def _explain(self, error: Exception) -> UnavailableError:
        where = self.settings.url
        if "authorization" in str(error).lower():
            return UnavailableError(
                f"the nats-server at {where} refuses these credentials",
                hint="check user and password; `flunq up` writes them into its context",
                refused=True,
            )
        if isinstance(error, ssl.SSLError):
            reason = getattr(error, "verify_message", "") or error.reason or str(error)
            return UnavailableError(
                f"the certificate of the nats-server at {where} is not trusted: {reason}",
                hint="name its authority's file: ca in the context, or FLUNQ_CA",
            )
        cause = self._last_error or error
        return UnavailableError(
            f"no nats-server answers at {where}: {cause or type(cause).__name__}",
            hint="start one with `flunq up`, or check the address",
        )

    def _options(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "servers": settings.url.split(","),
            "name": settings.name,
            "user": settings.user,
            "password": settings.password,
            "connect_timeout": CONNECT_TIMEOUT,
            "reconnect_time_wait": 0.1,
            "ping_interval": settings.ping_seconds,
            "max_outstanding_pings": MOST_PINGS,
            "inbox_prefix": self.inbox,
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,
            "reconnect_to_server_handler": _pick_server,
            "disconnected_cb": self._disconnected,
            "reconnected_cb": self._reconnected,
            "closed_cb": self._closed,
            "error_cb": self._error,
            **tls_options(settings),
        }

    async def _close(self) -> None:
        self._closing = True
        self._keep_socket()
        self._fail_waiting(everything=True)
        if not await self._flushed(2.0):
            # A graceful end would wait for a peer that does not read, for many minutes.
            self.client.forget_unsent()
            self.client.abort()
        await self.client.close()
        known = _connections.get(asyncio.get_running_loop(), {})
        for key in [key for key, connection in known.items() if connection is self]:
            del known[key]

    async def _flushed(self, within: float) -> bool:
        if not self.client.is_connected:
            return False
        try:
            self.client.push()
            async with asyncio.timeout(within):
                await self.client.flushed()
        except (errors.Error, TimeoutError, OSError):
            return False
        return True

    def _cut_later(self) -> None:
        """Cut a socket that stays unconnected: nats-py may wait for its end for minutes."""
        self._keep_socket()
        self._cutting = asyncio.get_running_loop().call_later(PATIENCE, self._cut_socket)

    def _cut_socket(self) -> None:
        if not self.client.is_connected:
            _log.warning("no connection to NATS for %g s, cutting the socket", PATIENCE)
            self.client.abort()
            self._cut_later()

    def _keep_socket(self) -> None:
        if self._cutting is not None:
            self._cutting.cancel()

    def _fail_waiting(self, *, everything: bool) -> None:
        for waiting in list(self._waiting.values()):
            if everything or waiting.fails_on_disconnect:
                waiting.fail(DisconnectedError(waiting.subject))

    async def _disconnected(self) -> None:
        self._up.clear()
        self.client.forget_unsent()
        self._fail_waiting(everything=False)

    async def _reconnected(self) -> None:
        self._keep_socket()
        self._up.set()
        for call in list(self._on_reconnect):
            call()

    async def _closed(self) -> None:
        self._keep_socket()
        if not self._closing and not self._lost.done():
            self._lost.set_result(f"NATS closed the connection: {self.client.last_error}")
        self._fail_waiting(everything=True)
        self._up.set()

    async def _error(self, error: Exception) -> None:
        self._last_error = error
        if denied := _DENIED.search(str(error)):
            self._deny(denied[1])
        else:
            _log.debug("NATS: %r", error)

    def _deny(self, subject: str) -> None:
        for waiting in list(self._waiting.values()):
            if waiting.subject.lower() == subject.lower():
                waiting.fail(NotPermittedError(f"this user may not publish to {subject}"))


_connections: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[tuple[str | None, ...], Connection]
] = WeakKeyDictionary()


def _pick_server(servers: list[Server], info: dict[str, Any]) -> tuple[Server, float]:
    """Choose the server that failed least, after a wait that grows and is never the same."""
    least = min(server.reconnects for server in servers)
    chosen = random.choice([s for s in servers if s.reconnects == least])  # noqa: S311 - no secret
    ceiling = min(2.0, 0.05 * 2 ** min(least, 6))
    return chosen, random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter
