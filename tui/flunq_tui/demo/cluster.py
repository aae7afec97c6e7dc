"""The private cluster of a demonstration: in a temporary folder, gone when the monitor ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from flunq.services.demo import STEPS
from flunq.services.supervising.detach import start_in_background
from flunq.services.supervising.options import ClusterOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.client import Client
    from flunq.services.supervising.detach import Background
    from flunq.services.supervising.statefile import ClusterState

_STOP_SECONDS = 10.0


class DemoCluster:
    """Use it with ``with``: it is on its way at once, ``connect`` waits until it is ready."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="flunq-demo-"))
        self._background: Background | None = None
        self._state: ClusterState | None = None

    def __enter__(self) -> Self:
        options = ClusterOptions(data=self.folder, functions=(STEPS,), context=None)
        # Forked before there is any thread or event loop.
        self._background = start_in_background(options)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._background is not None:
            self._stop(self._background.pid)
        shutil.rmtree(self.folder, ignore_errors=True)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Client]:
        """Wait for the cluster, connect and begin with the workload."""
        from flunq_tui.demo.workload import run_workload

        assert self._background is not None
        if self._state is None:
            waiting = asyncio.to_thread(self._background.until_ready, _nothing)
            self._state = await waiting
        async with _client(self.folder, self._state) as client:
            work = asyncio.create_task(run_workload(client))
            try:
                yield client
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

    def _stop(self, pid: int) -> None:
        """End the supervisor gracefully, then at once."""
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + _STOP_SECONDS
            while time.monotonic() < deadline:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    return
                time.sleep(0.05)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@asynccontextmanager
async def _client(folder: Path, state: ClusterState) -> AsyncIterator[Client]:
    from flunq.client import connect
    from flunq.services.supervising.layout import DataDirectory
    from flunq.services.supervising.secrets import load_secrets

    nats = load_secrets(DataDirectory(folder).credentials, tenant="default").nats
    async with connect(
        url=state.nats.url,
        user=nats.client_user,
        password=nats.client_password,
        tenant="default",
    ) as client:
        yield client


def _nothing(state: ClusterState) -> None:
    """The monitor shows that it connects; more is not needed."""
