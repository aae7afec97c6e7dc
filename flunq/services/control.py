"""The control process: it serves the HTTP API, with the roles of :mod:`flunq.services.roles`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from importlib.metadata import version
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import msgspec

from flunq.errors import UsageError
from flunq.log.select import StreamSettings, calm_seconds
from flunq.services.historian.settings import Pace
from flunq.services.identity.keys import internal_proof
from flunq.services.identity.settings import IdentitySettings
from flunq.services.tenants.usage import memory_bytes
from flunq.telemetry.catalog import describe_process

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence

    from flunq.services.base import Lifecycle
    from flunq.services.lasting import Role

    AsgiApp = Callable[
        [
            MutableMapping[str, Any],
            Callable[[], Awaitable[MutableMapping[str, Any]]],
            Callable[[MutableMapping[str, Any]], Awaitable[None]],
        ],
        Awaitable[None],
    ]

_log = logging.getLogger(__name__)

URGENT = frozenset({"api", "clients", "tasks"})
"""Connections on which somebody waits for an answer: their silence is noticed early."""


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
    identity: IdentitySettings = IdentitySettings()
    """Keys, limits and the keeping of the audit."""
    tls_cert: str | None = None
    """File with the API's certificate; without it the API speaks plain HTTP."""
    tls_key: str | None = None
    profile: Literal["development", "production"] = "production"
    secrets_key: str = ""
    """Opens the vault, for the secrets that webhooks of alerts are signed with."""
    data_dir: str | None = None
    """Where the archive is; without it this process has no historian."""
    durability: Literal["strict", "fast", "external"] = "external"
    node: str = "control"
    partitions: int = 8
    replicas: int = 1
    lease_ttl: float = 3.0
    roles: tuple[str, ...] = ("api",)
    pace: Pace = Pace()
    """When the archive makes files."""
    cors_origins: tuple[str, ...] = ()
    """Origins of web pages that may call the API."""
    body_limit: int = 8 << 20
    """Bytes that the body of a request may have."""

    @property
    def proof(self) -> str:
        """What other processes of the cluster know requests of the API by."""
        key = self.identity.token_key
        return internal_proof(key) if key else ""

    @property
    def machine_folder(self) -> Path:
        """Where processes of this machine tell each other who does what."""
        return Path(self.data_dir or f"{gettempdir()}/flunq-{self.node}")

    def connection(self, part: str, *, tenant: str | None = None) -> StreamSettings:
        """Return how a part of this process connects, as another tenant if one is named."""
        return StreamSettings(
            url=self.nats_url,
            tenant=self.tenant if tenant is None else tenant,
            user=self.user,
            password=self.password,
            replicas=self.replicas,
            durability="fast" if self.durability == "fast" else "strict",
            name=f"{self.node}-{part}",
            proof=self.proof,
            lease_ttl=self.lease_ttl,
            ping_seconds=1.0 if part in URGENT else 3.0,
            calm_seconds=calm_seconds(self.nats_url),
        )


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
    settings: ControlSettings,
    app: AsgiApp,
    lifecycle: Lifecycle,
    *,
    roles: Sequence[Role] = (),
    protocol: type[asyncio.Protocol],
) -> None:
    """Serve the API until asked to stop, with the given roles beside it.

    ``protocol`` is the HTTP protocol of its connections, which dates its answers itself.
    """
    import uvicorn  # nothing else in this module is heavy

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Signals belong to the lifecycle."""
            yield

        async def main_loop(self) -> None:
            """Let nothing tick: the protocol knows the date, and nothing else changes by itself."""
            await lifecycle.stop.wait()

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            host, port = sock.getsockname()[:2]
            scheme = "http" if settings.tls_cert is None else "https"
            _log.info("the API listens on %s://%s:%s", scheme, host, port)
            describe_process("control", version("flunq"), memory_bytes)
            lifecycle.ready()
            started.set()

    async def run_later(role: Role) -> None:
        # What a role imports would hold the first answer up.
        await started.wait()
        await role(lifecycle.stop)

    started = asyncio.Event()
    sock = _listening_socket(settings)
    server = Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=3,
            server_header=False,
            date_header=False,
            ws="none",
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
            http=protocol,
        )
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[sock]))
        for role in roles:
            group.create_task(run_later(role))


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
