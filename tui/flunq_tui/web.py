"""The monitor in a browser of this machine; whoever has the token gets in, nobody else.

``textual-serve`` (extra ``web``) starts one process per page. It knows no authentication, so a
token stands in front of everything: once in the address, from then on in a cookie.
"""

from __future__ import annotations

import asyncio
import secrets
import shlex
import socket
import sys
from typing import TYPE_CHECKING, Any

from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from aiohttp import web

HOST = "127.0.0.1"
COOKIE = "flunq-tui"
_PARAMETER = "token"


def serve(arguments: Sequence[str], port: int, *, announce: Callable[[str], None]) -> int:
    """Serve ``flunq ARGUMENTS`` until Ctrl-C; returns the exit code."""
    try:
        from flunq_tui.web_server import run_server
    except ImportError:
        raise UsageError(
            "the browser view needs the extra 'web'", hint="pip install 'flunq[web]'"
        ) from None
    token = secrets.token_urlsafe(24)
    bound = port or free_port()
    announce(f"http://{HOST}:{bound}/?{_PARAMETER}={token}")
    command = shlex.join([sys.executable, "-m", "flunq", *arguments])
    asyncio.run(run_server(command, HOST, bound, token))
    return 0


def free_port() -> int:
    """Return a port of loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def guard(token: str) -> Any:
    """Return the middleware that lets only those in who know the token."""
    from aiohttp import web

    @web.middleware
    async def let_in(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if _is_foreign(request):
            raise web.HTTPForbidden(text="only pages of this address may ask\n")
        given = request.query.get(_PARAMETER, "")
        if given and secrets.compare_digest(given.encode(), token.encode()):
            # The token must not stay in the address bar nor in the history of the browser.
            answer = web.HTTPFound(request.path)
            answer.set_cookie(COOKIE, token, httponly=True, samesite="Strict")
            raise answer
        known = request.cookies.get(COOKIE, "")
        if not secrets.compare_digest(known.encode(), token.encode()):
            raise web.HTTPForbidden(text="the address needs the token that flunq printed\n")
        return await handler(request)

    return let_in


def _is_foreign(request: web.Request) -> bool:
    """Tell whether another site asks, or this one under a name that somebody made up for it."""
    if request.url.host not in (HOST, "localhost"):
        return True
    origin = request.headers.get("Origin")
    return origin is not None and origin != f"http://{request.host}"
