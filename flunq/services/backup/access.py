"""A way to the streams of a data directory, whether its cluster runs or not."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import msgspec

from flunq.errors import NotFoundError
from flunq.log.nats.connection import Connection
from flunq.log.nats.server import Cluster, NatsServer, ServerConfig, free_ports, render_config
from flunq.log.select import StreamSettings
from flunq.services.supervising.layout import (
    DataDirectory,
    DirectoryInUseError,
    DirectoryLock,
    is_locked,
    private_umask,
    write_private,
)
from flunq.services.supervising.secrets import check_store_key, load_secrets
from flunq.services.supervising.statefile import read_state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

_USER = "backup"
_LOOPBACK = "127.0.0.1"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """An open way to the streams."""

    connection: Connection
    nodes: int
    running: bool


@asynccontextmanager
async def reach(directory: DataDirectory) -> AsyncIterator[Access]:
    """Connect to the cluster of a data directory; start its servers alone if it is stopped."""
    if not directory.credentials.is_file():
        raise NotFoundError(
            f"{directory.root} holds no cluster", hint="name its folder with --data"
        )
    state = read_state(directory) if is_locked(directory) else None
    if state is None:
        async with _stopped(directory) as access:
            yield access
        return
    nats = load_secrets(directory.credentials, tenant="default").nats
    user, password = nats.engine_user, nats.engine_password
    if state.nats.external:
        user = os.environ.get("FLUNQ_NATS_USER", "")
        password = os.environ.get("FLUNQ_NATS_PASSWORD", "")
    settings = StreamSettings(
        url=state.nats.url,
        user=user or None,
        password=password or None,
        name="flunq-backup",
        ca=state.api.ca,
    )
    async with _connected(settings) as connection:
        yield Access(connection=connection, nodes=len(state.nats.urls), running=True)


@asynccontextmanager
async def _stopped(directory: DataDirectory) -> AsyncIterator[Access]:
    with _locked(directory):
        stores = sorted(path for path in directory.nats.glob("nats-*") if path.is_dir())
        nodes = len(stores) or 1
        async with servers_alone(directory, nodes) as connection:
            yield Access(connection=connection, nodes=nodes, running=False)


@contextmanager
def _locked(directory: DataDirectory) -> Iterator[None]:
    lock = DirectoryLock(directory)
    if not lock.acquire():
        raise DirectoryInUseError(
            f"somebody works on {directory.root}", hint="see `flunq status`, or wait"
        )
    try:
        yield
    finally:
        lock.release()


@asynccontextmanager
async def servers_alone(directory: DataDirectory, nodes: int) -> AsyncIterator[Connection]:
    """Run the nats-servers of a data directory, and nothing else, for one user of their own."""
    store_key = load_secrets(directory.credentials, tenant="default").store_key
    check_store_key(directory.nats / "store-key.id", store_key)
    password = secrets.token_urlsafe(24)
    async with AsyncExitStack() as stack:
        with private_umask():
            servers = [
                _OneUserServer(config, password) for config in _configs(directory, nodes, store_key)
            ]
            for server in servers:
                await server.start()
                stack.push_async_callback(server.stop, within=60.0)
        await asyncio.gather(*(server.until_healthy(within=60.0) for server in servers))
        settings = StreamSettings(
            url=",".join(server.url for server in servers),
            user=_USER,
            password=password,
            name="flunq-backup",
        )
        yield await stack.enter_async_context(_connected(settings))


class _OneUserServer(NatsServer):
    """A server that lets one user in, who may do anything."""

    def __init__(self, config: ServerConfig, password: str) -> None:
        super().__init__(config)
        self._password = password

    def _write_config(self) -> Path:
        document = json.loads(render_config(self.config))
        document["authorization"] = {"user": _USER, "password": self._password}
        self.config.directory.mkdir(parents=True, exist_ok=True)
        path = self.config.directory / f"{self.config.name}.conf"
        write_private(path, json.dumps(document, indent=2).encode())
        return path


def _configs(directory: DataDirectory, nodes: int, store_key: str) -> list[ServerConfig]:
    ports = free_ports(nodes * 3)
    routes = tuple(f"nats://{_LOOPBACK}:{port}" for port in ports[2 * nodes :])
    return [
        ServerConfig(
            directory=directory.nats if nodes == 1 else directory.nats / f"nats-{number + 1}",
            port=ports[number],
            monitor_port=ports[nodes + number],
            name="nats" if nodes == 1 else f"nats-{number + 1}",
            durability="strict",
            store_key=store_key,
            cluster=None
            if nodes == 1
            else Cluster(name="flunq", port=ports[2 * nodes + number], routes=routes),
            log_file=directory.log_file("backup-nats"),
        )
        for number in range(nodes)
    ]


@asynccontextmanager
async def _connected(settings: StreamSettings) -> AsyncIterator[Connection]:
    connection = Connection.shared(settings)
    await connection.acquire()
    try:
        yield connection
    finally:
        await connection.release()
