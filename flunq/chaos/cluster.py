"""The private cluster that is made to fail."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from flunq.chaos import faults, streams
from flunq.chaos.faults import usable
from flunq.log.select import StreamSettings
from flunq.services.supervising.inside import running
from flunq.services.supervising.network import free_ports, http_get
from flunq.services.supervising.options import ClusterOptions
from flunq.services.supervising.secrets import load_secrets
from flunq.services.supervisor import Supervisor
from flunq.testing.proxy import proxy_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.chaos.faults import Fault
    from flunq.chaos.options import ChaosOptions
    from flunq.testing.proxy import Proxy

STEPS = "flunq.chaos.steps"
_READY_LIMIT = 60.0
_PULSE, _BREATH = 0.06, 0.04
"""A slow server stands still for so long, and works for so long."""


class ChaosCluster:
    """A running cluster, and what may be done to its processes."""

    def __init__(self, supervisor: Supervisor, proxies: list[Proxy]) -> None:
        self._supervisor = supervisor
        self._proxies = proxies

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
        if fault.part == "consumers" or fault.action == "fill":
            return [fault.part]
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
        """Do it; returns when it is over."""
        engine = self.settings(engine=True)
        if fault.action == "fill":
            await streams.fill(engine, fault.seconds)
        elif fault.action == "lose":
            await streams.lose_consumers(engine)
        elif fault.action == "stall":
            await streams.stall_consumers(engine, fault.seconds)
        elif fault.action == "blackhole":
            await self._swallow(names, fault.seconds)
        else:
            await self._signal({name: self._pid(name) for name in names}, fault)

    async def _signal(self, pids: dict[str, int | None], fault: Fault) -> None:
        if fault.action == "kill":
            for pid in pids.values():
                _send(pid, signal.SIGKILL)
            return
        ends = time.monotonic() + fault.seconds
        pulse = _PULSE if fault.action == "slow" else fault.seconds
        while (left := ends - time.monotonic()) > 0:
            await self._stop_for(pids, min(pulse, left))
            if fault.action == "slow":
                await asyncio.sleep(_BREATH)

    async def _stop_for(self, pids: dict[str, int | None], seconds: float) -> None:
        for pid in pids.values():
            _send(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            for name, pid in pids.items():
                if self._pid(name) == pid:
                    _send(pid, signal.SIGCONT)

    async def _swallow(self, names: list[str], seconds: float) -> None:
        """Whatever a node sends to NATS, and whatever it is sent, gets lost without a word."""
        proxies = [self._proxies[int(name.rpartition("-")[2]) - 1] for name in names]
        for proxy in proxies:
            proxy.swallowing = True
            await proxy.blackhole()
        try:
            await asyncio.sleep(seconds)
        finally:
            for proxy in proxies:
                proxy.swallowing = False

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
    try:
        async with AsyncExitStack() as stack:
            port, proxies = free_ports(1)[0], []
            if faults.BLACKHOLE in usable(options.faults, options.nodes):
                proxies = [
                    await stack.enter_async_context(proxy_to(port)) for _ in range(options.workers)
                ]
            supervisor = Supervisor(_cluster_options(options, folder, port, proxies))
            await stack.enter_async_context(running(supervisor))
            yield ChaosCluster(supervisor, proxies)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cluster_options(
    options: ChaosOptions, folder: Path, port: int, proxies: list[Proxy]
) -> ClusterOptions:
    return ClusterOptions(
        data=folder,
        nodes=options.nodes,
        workers=options.workers,
        durability=options.durability,
        functions=(STEPS, *options.functions),
        nats_port=port if proxies else 0,
        node_nats_urls=tuple(f"nats://127.0.0.1:{proxy.port}" for proxy in proxies),
        context=None,
        log_level="warning",
    )
