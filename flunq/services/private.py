"""A cluster for one command: a real nats-server in a temporary folder and a node in this process.

It begins with its ``async with`` and leaves nothing behind: no process, no file.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from flunq.core.events import decode_batch_lazily
from flunq.errors import UnavailableError
from flunq.log.nats.server import NatsServer, generate_credentials, plan_servers
from flunq.services.lasting import begun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.client import Client
    from flunq.log.ports import EventStream
    from flunq.log.select import StreamSettings
    from flunq.services.node import NodeSettings

PARTITIONS = 1
_PREFIX = "flunq-private-"
_NEVER = 86_400.0
_PATIENCE = 2.0


class PrivateCluster:
    """Use it with ``async with``, or call ``begin``, ``open`` and ``aclose``.

    ``begin`` only launches the server, so that imports and reading can go on meanwhile.
    """

    def __init__(self, *, functions: Sequence[str] = (), tenant: str = "default") -> None:
        self.client: Client
        self._functions = tuple(functions)
        self._tenant = tenant
        self._folder: Path | None = None
        self._lock: int | None = None
        self._server: NatsServer | None = None
        self._starting: asyncio.Task[None] | None = None
        self._node: asyncio.Task[None] | None = None
        self._stream: EventStream | None = None
        self._stack = AsyncExitStack()

    async def begin(self) -> None:
        """Start the server without waiting for it."""
        self._folder, self._lock = _new_folder()
        plan = plan_servers(self._folder, credentials=generate_credentials())
        self._server = NatsServer(plan[0])
        self._starting = asyncio.create_task(self._server.start())
        # One step is enough for the process to be on its way.
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as unless_open:
            unless_open.push_async_callback(self.aclose)
            await self.open()
            unless_open.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End everything and remove the folder."""
        if self._node is not None:
            await _ended(self._node)
        with suppress(Exception):  # the server goes next; how the connection ends is no matter
            await self._stack.aclose()
        if self._starting is not None:
            await _ended(self._starting)
        if self._server is not None:
            await self._server.kill()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            _sweep(self._folder.parent)

    async def open(self) -> None:
        """Return once the engine answers; :attr:`client` talks to it."""
        if self._starting is None:
            await self.begin()
        # Imported while the server starts in a process of its own.
        from flunq.client import Client
        from flunq.log.select import database, event_stream
        from flunq.services.clock import SystemClock
        from flunq.services.node import Node

        assert self._starting is not None
        await self._starting
        settings = self._stream_settings()
        stream = await self._stack.enter_async_context(event_stream(settings))
        self._stream = stream
        store = await self._stack.enter_async_context(database(settings))
        await asyncio.gather(stream.ensure(PARTITIONS), store.ensure())
        ready, stop = asyncio.Event(), asyncio.Event()
        node = Node(self._node_settings(), stream, store, SystemClock())
        self._node = asyncio.create_task(node.run(ready.set, stop))
        trouble = UnavailableError("the engine node ended while it started")
        await begun(self._node, ready, trouble)
        # The same settings are the same connection.
        client = Client(event_stream(settings), tenant=self._tenant)
        self.client = await self._stack.enter_async_context(client)

    async def failed(self) -> None:
        """Return never, or raise what ended the node before its time."""
        assert self._node is not None
        await asyncio.wait([self._node])
        if not self._node.cancelled():
            self._node.result()
        raise UnavailableError("the engine node ended")

    async def published(self, execution: str) -> list[dict[str, Any]]:
        """Return the events that an execution has published, as they went out."""
        assert self._stream is not None
        journal = self._stream.journal
        last = await journal.last(0)
        events: list[dict[str, Any]] = []
        async for record in journal.read(0, after=0, upto=last.seq if last else 0):
            for item in decode_batch_lazily(record.data)[0].value().get("outbox", ()):
                message_id, event = item.get("publish", ("", {}))
                if message_id.startswith(f"{execution}:"):
                    events.append(event)
        return events

    def _stream_settings(self) -> StreamSettings:
        from flunq.log.select import StreamSettings

        assert self._server is not None
        credentials = self._server.config.credentials
        assert credentials is not None
        return StreamSettings(
            url=self._server.url,
            tenant=self._tenant,
            user=credentials.engine_user,
            password=credentials.engine_password,
            name="flunq-run",
        )

    def _node_settings(self) -> NodeSettings:
        from flunq.services.node import NodeSettings

        settings = self._stream_settings()
        return NodeSettings(
            nats_url=settings.url,
            user=settings.user,
            password=settings.password,
            tenant=self._tenant,
            partitions=PARTITIONS,
            node="private",
            functions=self._functions,
            profile="development",
            # Nobody takes over from a private node, so it need not prepare for that.
            checkpoint_seconds=_NEVER,
            hibernate_seconds=_NEVER,
        )


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    # Without its server a node may be slow to end, and nobody needs it any more.
    await asyncio.wait([task], timeout=_PATIENCE)
    if task.done() and not task.cancelled():
        task.exception()


def _new_folder() -> tuple[Path, int]:
    """Create a folder and mark it as in use."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = _lock(folder)
        # Somebody who tidies up may take a new one for a folder of the dead.
        if lock is not None and folder.exists():
            return folder, lock
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Mark a folder as in use for as long as this process lives; None if it is gone or in use."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _sweep(parent: Path) -> None:
    """Remove the folders of processes that were killed before they could."""
    for folder in parent.glob(f"{_PREFIX}*"):
        lock = _lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
