"""The cluster under measurement: one of its own in a temporary folder, or one that runs."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flunq.client import Client
from flunq.log.select import StreamSettings, event_stream
from flunq.services.supervising.inside import running
from flunq.services.supervising.options import ClusterOptions
from flunq.services.supervising.secrets import load_secrets
from flunq.services.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flunq.bench.options import BenchOptions
    from flunq.log.nats.server import Credentials

    Tell = Callable[[str], None]

FUNCTIONS = "flunq.bench.steps"


class BenchCluster:
    """A cluster, a client of it and, if it is ours, its processes and its journal."""

    def __init__(
        self,
        client: Client,
        *,
        durability: str,
        find_pids: Callable[[], dict[str, int]] = dict,
        engine: StreamSettings | None = None,
        access: StreamSettings | None = None,
        data: Path | None = None,
        tell: Tell = lambda _: None,
    ) -> None:
        self.client = client
        self.tell = tell
        """Say what is going on."""
        self.durability = durability
        self._find_pids = find_pids
        self.engine = engine
        """How to connect as the engine does; None for somebody else's cluster."""
        self.access = access
        """How to connect as a client does; None for somebody else's cluster."""
        self.data = data

    @property
    def pids(self) -> dict[str, int]:
        """The processes of the cluster as they are now, by name; none of somebody else's."""
        return self._find_pids()

    def environment(self) -> dict[str, str]:
        """Return what lets the ``flunq`` command find this cluster and its data, and no other."""
        assert self.access is not None
        return {
            "FLUNQ_CONFIG_DIR": str(self.data),
            "FLUNQ_DATA": str(self.data),
            "FLUNQ_NATS_URL": self.access.url,
            "FLUNQ_NATS_USER": self.access.user or "",
            "FLUNQ_NATS_PASSWORD": self.access.password or "",
        }

    async def prepare(self, text: str) -> str:
        """Register a workflow and return its name."""
        applied = await self.client.apply(text)
        return f"{applied['namespace']}/{applied['name']}:{applied['version']}"


@asynccontextmanager
async def own_cluster(options: BenchOptions, tell: Tell) -> AsyncIterator[BenchCluster]:
    """Start real processes in a temporary folder; end and remove them afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="flunq-bench-", dir=options.folder))
    try:
        async with _supervised(options, folder) as supervisor:
            nats = load_secrets(supervisor.directory.credentials, tenant="default").nats
            access = _settings(supervisor, nats, engine=False)
            client = Client(event_stream(access))
            async with client:
                yield BenchCluster(
                    client,
                    durability=options.durability,
                    find_pids=partial(_pids, supervisor),
                    engine=_settings(supervisor, nats, engine=True),
                    access=access,
                    data=folder,
                    tell=tell,
                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _supervised(options: BenchOptions, folder: Path) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(
        ClusterOptions(
            data=folder,
            workers=options.workers,
            partitions=options.partitions,
            durability=options.durability,
            functions=(FUNCTIONS,),
            context=None,
            log_level="warning",
        )
    )
    async with running(supervisor):
        yield supervisor


def _pids(supervisor: Supervisor) -> dict[str, int]:
    return {service.name: service.pid for service in supervisor.state.services if service.pid}


def _settings(supervisor: Supervisor, nats: Credentials, *, engine: bool) -> StreamSettings:
    return StreamSettings(
        url=supervisor.state.nats.url,
        user=nats.engine_user if engine else nats.client_user,
        password=nats.engine_password if engine else nats.client_password,
        name="flunq-bench",
    )
