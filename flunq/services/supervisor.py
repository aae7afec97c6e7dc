"""The local cluster: starts its processes, keeps them alive, says how they are, ends them.

The supervisor does no work of the engine. It sleeps until a child ends, a signal comes or the next
health check is due, and writes ``run/cluster.json`` whenever something changes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from typing import TYPE_CHECKING

import flunq
from flunq.errors import FlunqError, NotFoundError, RejectedError, UnavailableError, UsageError
from flunq.log.beat import sleep_to_beat
from flunq.services.supervising.child import Child
from flunq.services.supervising.layout import (
    DataDirectory,
    DirectoryInUseError,
    DirectoryLock,
    is_locked,
    private_umask,
)
from flunq.services.supervising.logfiles import rotate
from flunq.services.supervising.plan import ClusterPlan, make_plan
from flunq.services.supervising.statefile import (
    ClusterState,
    Endpoint,
    Phase,
    read_state,
    write_state,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from flunq.services.supervising.options import ClusterOptions

_log = logging.getLogger(__name__)

_START_LIMIT = 30.0
_CHECK_INTERVAL = 3.0
_ROTATION_INTERVAL = 30.0


class Supervisor:
    """One local cluster, from the lock on its data directory to the end of its last process."""

    def __init__(
        self,
        options: ClusterOptions,
        *,
        changed: Callable[[ClusterState], None] | None = None,
        start_limit: float = _START_LIMIT,
    ) -> None:
        self.options = options
        self.directory = DataDirectory(options.data)
        self.plan: ClusterPlan
        self._changed = changed
        self._start_limit = start_limit
        self._children: list[Child] = []
        self._phase: Phase = "starting"
        self._started_at = time.time()
        self._stop = asyncio.Event()
        self._shutting_down = False

    async def run(self, ready: Callable[[ClusterState], None] | None = None) -> None:
        """Run the cluster until a signal or :meth:`request_stop`."""
        self.directory.create()
        lock = DirectoryLock(self.directory)
        with self.directory.used():
            is_free = lock.acquire()
        if not is_free:
            raise in_use(self.directory)
        try:
            with private_umask():
                with self.directory.used():
                    self.plan = make_plan(self.options, self.directory)
                await self._run_locked(ready)
        finally:
            lock.release()

    def request_stop(self) -> None:
        """End the cluster in good order."""
        self._stop.set()

    def kill(self) -> None:
        """End every process at once."""
        self._stop.set()
        for child in self._children:
            child.kill()

    @property
    def state(self) -> ClusterState:
        """The cluster as ``flunq status`` shows it."""
        plan = self.plan
        return ClusterState(
            status=self._phase,
            pid=os.getpid(),
            started_at=self._started_at,
            data=str(self.directory.root),
            durability=plan.durability,
            api=Endpoint(url=plan.api_url, ca=plan.ca),
            nats=plan.nats,
            services=[child.status for child in self._children],
            workers=self.options.workers,
            replicas=self.options.stream_replicas,
            functions=list(self.options.functions),
            context=self.options.context,
            version=flunq.__version__,
        )

    async def _run_locked(self, ready: Callable[[ClusterState], None] | None) -> None:
        self._children = self._make_children()
        self._publish()
        self._install_signals()
        keeping = [asyncio.create_task(child.keep(), name=child.name) for child in self._children]
        for task in keeping:
            task.add_done_callback(self._on_keeper_done)
        watching = asyncio.create_task(self._watch())
        try:
            if await self._start():
                self.plan.save_context()
                self._enter("ready")
                self._tell(ready, self.state)
                await self._stop.wait()
        finally:
            watching.cancel()
            await self._shut_down(keeping)

    def _make_children(self) -> list[Child]:
        plans, names = self.plan.services, self.plan.server_names
        servers = [Child(each, self._on_change) for each in plans if each.name in names]
        needy = [Child(each, self._on_change, servers) for each in plans if each.name not in names]
        return [*servers, *needy]

    async def _start(self) -> bool:
        """Wait until every service is ready; False when asked to stop meanwhile."""
        everything = _task(self._all_ready())
        failures = [_task(child.given_up.wait()) for child in self._children]
        stop = _task(self._stop.wait())
        try:
            await asyncio.wait(
                [everything, stop, *failures],
                timeout=self._start_limit,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._stop.is_set():
                return False
            self._raise_failure(everything.done())
            return True
        finally:
            for task in (everything, stop, *failures):
                task.cancel()

    async def _all_ready(self) -> None:
        for child in self._children:
            await child.ready.wait()

    def _raise_failure(self, all_ready: bool) -> None:
        for child in self._children:
            if child.given_up.is_set():
                raise _cannot_start(child, self.directory)
        if not all_ready:
            late = next(child for child in self._children if not child.ready.is_set())
            raise _cannot_start(late, self.directory, limit=self._start_limit)

    async def _shut_down(self, keeping: list[asyncio.Task[None]]) -> None:
        """End the engine first, so that it can write what it knows, then the servers."""
        self._shutting_down = True
        self._phase = "stopping"
        self._publish()
        servers = [child for child in self._children if child.name in self.plan.server_names]
        engine = [child for child in self._children if child not in servers]
        await asyncio.gather(*(child.stop() for child in engine))
        await asyncio.gather(*(child.stop() for child in servers))
        self._phase = "not running"
        self._publish()
        self.plan.clean()
        await asyncio.gather(*keeping)

    async def _watch(self) -> None:
        """Look after the servers' health and the logs' size."""
        rotation_due = time.monotonic() + _ROTATION_INTERVAL
        while True:
            await sleep_to_beat(_CHECK_INTERVAL)
            for child in self._children:
                await self._check(child)
            if time.monotonic() >= rotation_due:
                rotation_due = time.monotonic() + _ROTATION_INTERVAL
                for child in self._children:
                    await asyncio.to_thread(rotate, self.directory.log_file(child.name))

    async def _check(self, child: Child) -> None:
        watch = self.plan.watches.get(child.name)
        if watch is None or not child.ready.is_set():
            return
        problem, restart = await watch.check()
        child.mark(healthy=problem is None, reason=problem)
        if restart and problem is not None:
            await child.restart(f"unhealthy: {problem}")

    def _on_keeper_done(self, keeper: asyncio.Task[None]) -> None:
        """A keeper that breaks would leave its service unattended: better to end."""
        if not keeper.cancelled() and keeper.exception() is not None:
            _log.critical("%s is not looked after", keeper.get_name(), exc_info=keeper.exception())
            self.request_stop()

    def _install_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self.kill()
        else:
            self.request_stop()

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._publish()

    def _on_change(self, child: Child) -> None:
        status = child.status
        if status.state == "backoff":
            _log.warning("%s ended: %s", child.name, child.reason)
        self._publish()

    def _publish(self) -> None:
        state = self.state
        try:
            write_state(self.directory, state)
        except OSError as error:
            # A full disk must not take the cluster down with it.
            _log.warning("cannot write %s: %s", self.directory.state, error)
        self._tell(self._changed, state)

    def _tell(self, listener: Callable[[ClusterState], None] | None, state: ClusterState) -> None:
        if listener is None:
            return
        try:
            listener(state)
        except OSError as error:
            # The terminal or pipe is gone; the cluster is not.
            _log.warning("nobody watches any more: %s", error)
            self._changed = None


def in_use(directory: DataDirectory) -> DirectoryInUseError:
    """Return the error that names the cluster which has the data directory."""
    state = read_state(directory)
    if state is None or not is_locked(directory):
        return DirectoryInUseError(f"another flunq is starting or ending on {directory.root}")
    return DirectoryInUseError(
        f"a cluster runs on {directory.root} already: pid {state.pid}, {state.api.url}",
        # The selected context may name another cluster by now.
        hint=f"flunq status --data {directory.root} shows it, flunq down --data {directory.root} "
        "ends it, flunq up with another --data starts another one",
        pid=state.pid,
        url=state.api.url,
    )


def _cannot_start(
    child: Child, directory: DataDirectory, *, limit: float | None = None
) -> FlunqError:
    status = child.status
    why = f"not ready after {limit:g} s" if limit is not None else status.reason or "it ended"
    lines = [f"  {line}" for line in child.last_log[-3:]]
    hint = f"its log is {directory.log_file(child.name)}"
    if directory.is_full:
        hint = f"the disk of {directory.root} is full: free some space, then start it again"
    # What the user got wrong keeps the exit code that the child gave it.
    kind = {2: UsageError, 3: RejectedError, 4: NotFoundError}.get(child.last_code or 0)
    return (kind or UnavailableError)(
        "\n".join([f"{child.name} does not start: {why}", *lines]),
        hint=hint,
        service=child.name,
        log=child.last_log,
    )


def _task(wait: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(wait)
