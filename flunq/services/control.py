"""The control process: the HTTP API, and the roles that need one place in a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import msgspec

from flunq.errors import UsageError
from flunq.telemetry.metrics import registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, MutableMapping, Sequence

    from flunq.services.base import Lifecycle

    AsgiApp = Callable[
        [
            MutableMapping[str, Any],
            Callable[[], Awaitable[MutableMapping[str, Any]]],
            Callable[[MutableMapping[str, Any]], Awaitable[None]],
        ],
        Awaitable[None],
    ]
    Role = Callable[[asyncio.Event], Coroutine[Any, Any, None]]

_log = logging.getLogger(__name__)


class ControlSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a control process is started with."""

    nats_url: str
    user: str | None = None
    password: str | None = None
    tenant: str = "default"
    host: str = "127.0.0.1"
    port: int = 0
    socket: int | None = None
    """A listening socket that the supervisor holds, so that no request is refused in a restart."""
    token_key: str | None = None
    """What bearer tokens are signed with."""
    profile: Literal["development", "production"] = "production"
    data_dir: str | None = None
    durability: str = "external"


class Health:
    """What the process knows about the things it depends on."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], Awaitable[str | None]]] = {}

    def add(self, name: str, check: Callable[[], Awaitable[str | None]]) -> None:
        """Add a check: it returns None when all is well, otherwise what is wrong."""
        self._checks[name] = check

    async def problems(self) -> dict[str, str]:
        """Return what is wrong, by check."""
        found = {name: await check() for name, check in self._checks.items()}
        return {name: problem for name, problem in found.items() if problem is not None}


def nats_reachable(urls: str) -> Callable[[], Awaitable[str | None]]:
    """Return a check that one of these NATS servers greets us; it costs no login."""

    async def check() -> str | None:
        problem = None
        for url in urls.split(","):
            problem = await _greeting_problem(url)
            if problem is None:
                break
        return problem

    return check


async def _greeting_problem(url: str) -> str | None:
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 4222)
            greeting = await reader.readline()
            writer.close()
    except (OSError, TimeoutError) as error:
        return f"{url} does not answer: {error or 'timed out'}"
    return None if greeting.startswith(b"INFO ") else f"{url} is not a NATS server"


async def run_control(
    settings: ControlSettings, app: AsgiApp, lifecycle: Lifecycle, *, roles: Sequence[Role] = ()
) -> None:
    """Serve the API until asked to stop, with the given roles beside it."""
    import uvicorn  # nothing else in this module is heavy

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Signals belong to the lifecycle."""
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            host, port = sock.getsockname()[:2]
            _log.info("the API listens on http://%s:%s", host, port)
            registry.gauge("flunq_up", "1 while the service works.", service="control").set(1)
            lifecycle.ready()

    sock = _listening_socket(settings)
    server = Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=3,
            server_header=False,
            ws="none",
        )
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[sock]))
        for role in roles:
            group.create_task(role(lifecycle.stop))
        await lifecycle.stop.wait()
        server.should_exit = True


def _listening_socket(settings: ControlSettings) -> socket.socket:
    if settings.socket is not None:
        sock = socket.socket(fileno=settings.socket)
        sock.setblocking(False)
        return sock
    try:
        sock = socket.create_server((settings.host, settings.port), backlog=1024)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}",
            hint="name another port with --api-port",
        ) from error
    sock.setblocking(False)
    return sock
