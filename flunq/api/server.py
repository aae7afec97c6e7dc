"""The HTTP protocol of this server: uvicorn's, with deadlines and a limit of callers."""

from __future__ import annotations

import sys
from email.utils import formatdate
from functools import lru_cache
from time import time
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from flunq.api.contract import PROBLEM
from flunq.api.limits import LINGER_SECONDS
from flunq.api.problems import BusyError, LargeHeadersError, problem_reply
from flunq.errors import FlunqError, UsageError

if TYPE_CHECKING:
    import asyncio

    from flunq.api.limits import ApiLimits, Receive, Scope, Send

_TOO_LARGE = 431


class UnreadableError(UsageError):
    """What came is not HTTP."""

    code, title = "not-http", "Not a valid HTTP request"


def protocol_of(limits: ApiLimits) -> type[asyncio.Protocol]:
    """Return the protocol with some limits, for uvicorn's setting ``http``."""

    class LimitedProtocol(_Protocol):
        pass

    LimitedProtocol.limits = limits
    return LimitedProtocol


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


class _Protocol(H11Protocol):
    limits: ApiLimits

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waiting: asyncio.TimerHandle | None = None
        self._refused = False
        self._application = self.app
        self.app = self._begin

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a caller, unless there are too many; its first request has to come soon."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(BusyError(f"{self.limits.connections} callers are connected already"))
        else:
            self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the caller."""
        self._headers_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; a request that has begun has to go on."""
        if self._refused:
            return  # taken, so that the answer is not lost in a reset, and for nothing
        super().data_received(data)
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._waiting is None and not self.transport.is_closing():
            self._expect_headers()

    def handle_events(self) -> None:
        """Answer what came, with a date of now."""
        self.server_state.default_headers = [(b"date", _date(int(time())).encode())]
        super().handle_events()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request."""
        error = sys.exception()
        hint = getattr(error, "error_status_hint", 400)
        if hint == _TOO_LARGE:
            self._refuse(LargeHeadersError("the headers are larger than this server takes"))
        else:
            # What was sent stands behind the colon, as Python writes it.
            self._refuse(UnreadableError(str(error or msg).partition(": bytearray(")[0]))

    async def _begin(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._headers_came()
        scope["flunq.abort"] = self.transport.abort
        await self._application(scope, receive, send)

    def _expect_headers(self) -> None:
        self._waiting = self.loop.call_later(self.limits.header_seconds, self._too_slow)

    def _headers_came(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _too_slow(self) -> None:
        self._waiting = None
        self.transport.abort()

    def _refuse(self, error: FlunqError) -> None:
        """Answer without a request, as far as that is possible, and hang up."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            reply = problem_reply(error)
            headers = [
                ("date", _date(int(time()))),
                ("content-type", PROBLEM),
                ("content-length", str(len(reply.body))),
                *reply.headers.items(),
            ]
            if "connection" not in reply.headers:
                headers.append(("connection", "close"))
            head = f"HTTP/1.1 {reply.status} {STATUS_PHRASES[reply.status].decode()}\r\n"
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
            self.transport.write(f"{head}{lines}\r\n".encode("latin-1") + reply.body)
        self._refused = True
        self._headers_came()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)
