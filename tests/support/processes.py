"""A cluster of real processes for tests: supervised from here, its children are ``flunq serve``.

What a test may do to them: kill, stop and continue by name. What it may ask afterwards: every
history, and who was called with which idempotency key.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter, defaultdict
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flunq.client.client import Client
from flunq.core.events import TERMINAL_TYPES
from flunq.errors import UnavailableError
from flunq.log.nats import NatsEventStream
from flunq.log.select import StreamSettings
from flunq.services.supervising.options import ClusterOptions
from flunq.services.supervising.secrets import load_secrets
from flunq.services.supervisor import Supervisor
from tests.support.serve import OVERLAY
from tests.support.steps import FILE
from tests.support.waiting import eventually, is_stopped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    from flunq.client.run import Run
    from flunq.core.events import LazyEvent
    from flunq.services.supervising.statefile import ServiceStatus

STEPS = Path(__file__).with_name("steps.py")
SERVE = (sys.executable, "-P", str(Path(__file__).with_name("serve.py")))


class Cluster:
    """A running cluster; use :func:`running_cluster`."""

    def __init__(self, supervisor: Supervisor, steps: Path) -> None:
        self.supervisor = supervisor
        self._steps = steps

    def service(self, name: str) -> ServiceStatus:
        """Return what the supervisor knows about a process."""
        return next(each for each in self.supervisor.state.services if each.name == name)

    def pid(self, name: str) -> int | None:
        """Return a process's id while it runs."""
        return self.service(name).pid

    def send(self, name: str, number: signal.Signals) -> int | None:
        """Send a signal to a process if it runs; returns its id."""
        pid = self.pid(name)
        if pid is not None:
            os.kill(pid, number)
        return pid

    def kill(self, name: str) -> None:
        """Kill a process as the kernel would."""
        self.send(name, signal.SIGKILL)

    @asynccontextmanager
    async def stopped(self, name: str) -> AsyncIterator[None]:
        """Keep a process stopped while the block runs; those that it has started go on."""
        pid = self.send(name, signal.SIGSTOP)
        try:
            if pid is not None:
                await eventually(lambda: is_stopped(pid))
            yield
        finally:
            if pid is not None and self.pid(name) == pid:
                os.kill(pid, signal.SIGCONT)

    async def restarted(self, name: str, times: int = 1) -> None:
        """Return once a process was restarted so often and works again."""
        await eventually(
            lambda: self.service(name).restarts >= times and self.service(name).state == "ready"
        )

    @asynccontextmanager
    async def client(self, url: str | None = None) -> AsyncIterator[Client]:
        """Connect as a user would."""
        async with Client(NatsEventStream(self.settings("client", url))) as client:
            yield client

    def settings(self, role: str = "client", url: str | None = None) -> StreamSettings:
        """Return settings that connect to the server as ``client`` or ``engine``."""
        path = self.supervisor.directory.credentials
        secrets = load_secrets(path, tenant="default").nats
        engine = role == "engine"
        return StreamSettings(
            url=url or self.supervisor.state.nats.url,
            user=secrets.engine_user if engine else secrets.client_user,
            password=secrets.engine_password if engine else secrets.client_password,
            name=f"test-{role}",
        )

    def calls(self) -> Calls:
        """Return what the functions wrote down so far."""
        text = self._steps.read_text() if self._steps.exists() else ""
        return Calls([line.split("\t") for line in text.splitlines()])

    def log(self, name: str) -> str:
        """Return a process's log."""
        return self.supervisor.directory.log_file(name).read_text()


class Calls:
    """The calls of functions: key, attempt and process of each."""

    def __init__(self, lines: Sequence[Sequence[str]]) -> None:
        self.keys = Counter(line[0] for line in lines)
        self.tasks = Counter(line[1] for line in lines)
        self.by_key: defaultdict[str, list[int]] = defaultdict(list)
        """The processes that were called with each key, in order."""
        for line in lines:
            self.by_key[line[0]].append(int(line[2]))

    def of(self, execution: str) -> int:
        """Return how many calls an execution made."""
        return sum(n for key, n in self.keys.items() if key.startswith(f"{execution}:"))


@asynccontextmanager
async def running_cluster(
    data: Path,
    *,
    node: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    **changes: Any,
) -> AsyncIterator[Cluster]:
    """Run a cluster with the functions of ``steps.py`` while the block runs.

    ``node`` are settings of its nodes beyond the options of a cluster.
    """
    steps = data / "steps.txt"
    data.mkdir(parents=True, exist_ok=True)
    members = {"data": data, "context": None, "functions": (str(STEPS),), "program": SERVE}
    supervisor = Supervisor(ClusterOptions(**members | changes))
    with environ({FILE: str(steps), OVERLAY: json.dumps(node or {}), **(environment or {})}):
        ready = asyncio.Event()
        task = asyncio.create_task(supervisor.run(lambda _: ready.set()))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        try:
            if not task.done():
                yield Cluster(supervisor, steps)
        finally:
            supervisor.request_stop()
            await task


@contextmanager
def environ(values: dict[str, str]) -> Iterator[None]:
    """Set variables that the children inherit."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


async def start_insistently(
    client: Client, workflow: str, value: Any, id: str, *, within: float = 40.0
) -> Run:
    """Start with one id until it is acknowledged, as a careful caller does."""
    deadline = time.monotonic() + within
    while True:
        try:
            return await client.start(workflow, value, id=id)
        except UnavailableError:
            if time.monotonic() > deadline:
                raise


async def history(client: Client, execution: str) -> list[LazyEvent]:
    """Return an execution's events."""
    return [event async for event in client.history(execution)]


async def check_histories(client: Client, executions: Iterable[str]) -> None:
    """Every history counts from 1 without gaps and has exactly one end, its last event."""
    for execution in executions:
        events = await history(client, execution)
        assert [event.seq for event in events] == list(range(1, len(events) + 1)), (
            execution,
            [(event.seq, event.type.split(".")[-2], event.source) for event in events],
        )
        ends = [event.seq for event in events if event.type in TERMINAL_TYPES]
        assert ends == [len(events)], f"{execution}: {[event.type for event in events]}"


def check_keys(keys: Iterable[str], steps: Sequence[str], executions: Iterable[str]) -> None:
    """Each step of each execution was called, with one idempotency key of its own."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for key in keys:
        found[key.partition(":")[0]].append(key)
    for execution in executions:
        assert len(found[execution]) == len(steps), found[execution]
