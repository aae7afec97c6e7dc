"""The private cluster that is made to fail."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from flunq.chaos import faults
from flunq.errors import UnavailableError
from flunq.log.select import StreamSettings
from flunq.services.supervising.network import http_get
from flunq.services.supervising.options import ClusterOptions
from flunq.services.supervising.secrets import load_secrets
from flunq.services.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from flunq.chaos.faults import Fault
    from flunq.chaos.options import ChaosOptions

STEPS = "flunq.chaos.steps"
_READY_LIMIT = 60.0


class ChaosCluster:
    """A running cluster, and what may be done to its processes."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def settings(self, *, engine: bool = False) -> StreamSettings:
        """Return how to connect, as a client or as the engine does."""
        path = self._supervisor.directory.credentials
        nats = load_secrets(path, tenant="default").nats
        return StreamSettings(
            url=self._supervisor.state.nats.url,
            user=nats.engine_user if engine else nats.client_user,
            password=nats.engine_password if engine else nats.client_password,
            name="flunq-chaos",
        )

    async def targets(self, fault: Fault) -> list[str]:
        """Settle whom a fault hits."""
        names = [service.name for service in self._supervisor.state.services]
        if fault.part == "all":
            return names
        if fault.part == "control":
            return ["control"]
        prefix = "nats" if fault.part == "nats" else "node-"
        choice = sorted(name for name in names if name.startswith(prefix))
        if fault.which in (faults.LEADER, faults.FOLLOWER):
            leader = await self._leader(choice)
            followers = [name for name in choice if name != leader]
            choice = [leader] if fault.which == faults.LEADER else followers
        first = int(fault.draw * len(choice))
        count = 2 if fault.which == faults.TWO else 1
        return [choice[(first + n) % len(choice)] for n in range(count)]

    async def inject(self, names: list[str], fault: Fault) -> None:
        """Do it; returns when a pause is over."""
        pids = {name: self._pid(name) for name in names}
        number = signal.SIGKILL if fault.action == "kill" else signal.SIGSTOP
        for pid in pids.values():
            _send(pid, number)
        if fault.action == "pause":
            try:
                await asyncio.sleep(fault.seconds)
            finally:
                for name, pid in pids.items():
                    if self._pid(name) == pid:
                        _send(pid, signal.SIGCONT)

    async def until_ready(self) -> bool:
        """Wait until every process works again; False if that takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_READY_LIMIT):
                while not self._all_ready():  # noqa: ASYNC110 - the supervisor wakes nobody
                    await asyncio.sleep(0.02)
                return True
        return False

    def _all_ready(self) -> bool:
        return all(each.state == "ready" for each in self._supervisor.state.services)

    def _pid(self, name: str) -> int | None:
        services = self._supervisor.state.services
        return next((each.pid for each in services if each.name == name), None)

    async def _leader(self, names: list[str]) -> str:
        """Ask the servers who leads the group that keeps the streams' configuration."""
        for monitor in self._supervisor.state.nats.monitors:
            with suppress(OSError, TimeoutError, msgspec.DecodeError):
                _, body = await http_get(f"{monitor}/jsz", within=2.0)
                leader = msgspec.json.decode(body).get("meta_cluster", {}).get("leader")
                if leader in names:
                    return str(leader)
        return names[0]


def _send(pid: int | None, number: signal.Signals) -> None:
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@asynccontextmanager
async def chaos_cluster(options: ChaosOptions) -> AsyncIterator[ChaosCluster]:
    """Start a cluster in a temporary folder; end and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="flunq-chaos-", dir=options.folder))
    supervisor = Supervisor(
        ClusterOptions(
            data=folder,
            nodes=options.nodes,
            workers=options.workers,
            durability=options.durability,
            functions=(STEPS, *options.functions),
            context=None,
            log_level="warning",
        )
    )
    ready = asyncio.Event()
    running = asyncio.create_task(supervisor.run(lambda _: ready.set()))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait([waiting, running], return_when=asyncio.FIRST_COMPLETED)
        if not ready.is_set():
            running.result()
            raise UnavailableError("the cluster ended while it started")
        with _cancelled_by(running):
            yield ChaosCluster(supervisor)
    finally:
        waiting.cancel()
        supervisor.request_stop()
        await asyncio.wait([running])
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _cancelled_by(running: asyncio.Task[None]) -> Iterator[None]:
    """Ctrl-C ends the cluster, as in ``flunq up``; what works with it ends then."""
    me = asyncio.current_task()
    assert me is not None

    def cancel(_: object) -> None:
        me.cancel()

    running.add_done_callback(cancel)
    try:
        yield
    except asyncio.CancelledError:
        if running.done():
            running.result()
            raise KeyboardInterrupt from None
        raise
    finally:
        running.remove_done_callback(cancel)
