"""From owner to executor and back: in memory where possible, through the queue otherwise."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from flunq.core.claims import reference_to
from flunq.core.execution.effects import Dispatch, Withdraw
from flunq.core.ids import token
from flunq.core.protocol import node_subject, withdraw_subject
from flunq.log.ports import Blobs, EventStream, NoResponderError, RequestTimeoutError
from flunq.services.executor.fairness import FairQueue
from flunq.services.wire import encode_claim, encode_dispatch, encode_withdrawals
from flunq.telemetry.catalog import WaitMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

    from flunq.core.execution.commands import Report
    from flunq.services.assignment import NodeLease
    from flunq.services.executor.pool import ExecutorPool
    from flunq.services.executor.shares import PoolShare
    from flunq.services.flow.gate import FlowGate

log = logging.getLogger(__name__)

MAX_TASK_MESSAGE = 700 * 1024
BACKLOG_PER_SLOT = 4
"""How many tasks may wait here for a slot before others are asked to help."""
HELD_TIMEOUT = 1.0
UNCONFIRMED_SECONDS = 2.0


def held_subject(node: str, tenant: str) -> str:
    """Return where a node says which tasks of a tenant it holds."""
    return node_subject(node, f"held.{token(tenant)}")


class NodeDispatcher:
    """The dispatcher of one node."""

    def __init__(
        self,
        *,
        node: str,
        incarnation: str,
        tenant: str,
        pool: ExecutorPool | PoolShare | FlowGate,
        stream: EventStream,
        blobs: Blobs,
        capacity: int,
        leases: Callable[[], Mapping[str, NodeLease]],
        route: Callable[[Report], None],
    ) -> None:
        self._writer = f"{node}#{incarnation}"
        self._tenant = tenant
        self._pool = pool
        self._kinds = frozenset(pool.kinds)
        self._stream = stream
        self._blobs = blobs
        self._backlog_limit = capacity * BACKLOG_PER_SLOT
        self._leases = leases
        self._route = route
        self._backlog = FairQueue()
        self._held: set[str] = set()
        self._settled = asyncio.Event()
        # Tasks from the queue share the slots, and free some too.
        pool.when_free(self._fill_slots)
        self._unreported: dict[str, tuple[float, Report]] = {}
        self._waits = WaitMeter(tenant)
        # Before Python 3.12 it takes a system call to ask which loop runs.
        self._loop = asyncio.get_running_loop()

    def takes(self, kind: str) -> bool:
        """Tell whether this node runs such tasks and has room, or nobody else has."""
        if kind not in self._kinds or self._pool.draining:
            return False
        return len(self._backlog) < self._backlog_limit or not self._others_run(kind)

    def submit(self, dispatch: Dispatch) -> None:
        """Run a task here, now or as soon as a slot is free."""
        if dispatch.task in self._held:
            return
        self._held.add(dispatch.task)
        if not self._backlog and self._begin(dispatch):
            self._waits.begun_at_once()
        else:
            self._waits.produced(dispatch.task)
            self._backlog.push(dispatch)

    async def queue(self, dispatch: Dispatch) -> None:
        """Publish a task for any executor."""
        body = encode_dispatch(dispatch)
        if len(body) > MAX_TASK_MESSAGE:
            key, _ = reference_to(body)
            await self._blobs.put(key, body)
            body = encode_claim(key)
        await self._stream.tasks.publish(
            dispatch.kind, dispatch.execution, body, message_id=dispatch.task
        )

    async def withdraw(self, execution: str, task: str, kind: str, *, ended: bool) -> None:
        """Stop a task wherever it is.

        The queue forgets an execution as a whole, so it may do that only once nothing is open.
        """
        if self.withdraw_here(task):
            return
        notice = encode_withdrawals([Withdraw(execution=execution, task=task, kind=kind)])
        await self._stream.requests.notify(withdraw_subject(self._tenant), notice)
        if ended:
            await self._stream.tasks.withdraw(execution)

    def withdraw_here(self, task: str) -> bool:
        """Stop a task if this node runs it."""
        if task not in self._held:
            return False
        self.reported(task)
        self._pool.withdraw(task)
        return True

    def held(self, tasks: Iterable[str]) -> set[str]:
        """Return those tasks that this node runs or has not yet reported."""
        return self._held.intersection(tasks)

    async def held_by(self, writer: str, tasks: Sequence[str]) -> Container[str] | None:
        """Ask another process which of these tasks it may hold; None if it is dead."""
        if writer == self._writer:
            return self._held
        node, _, incarnation = writer.partition("#")
        lease = self._leases().get(node)
        if lease is None or lease.incarnation != incarnation:
            return None
        try:
            answer = await self._stream.requests.request(
                held_subject(node, self._tenant), msgspec.json.encode(tasks), timeout=HELD_TIMEOUT
            )
        except (NoResponderError, RequestTimeoutError):
            return tasks  # it lives, so it may hold all of them
        return msgspec.json.decode(answer, type=set[str])

    def reported(self, task: str) -> None:
        """Note that a task's outcome is durable."""
        self._held.discard(task)
        self._waits.forget(task)
        self._unreported.pop(task, None)
        self._settled.set()

    def report_again(self) -> None:
        """Send outcomes again whose receipt nobody confirmed, as when a partition moved."""
        limit = self._loop.time() - UNCONFIRMED_SECONDS
        for since, report in list(self._unreported.values()):
            if since < limit:
                self._send(report)

    def let_go(self, tasks: Iterable[str]) -> None:
        """Forget tasks that have not begun: the next owner has them run elsewhere."""
        self._held.difference_update(tasks)
        self._settled.set()

    async def drain(self, within: float) -> None:
        """Let running tasks finish; those that do not will be run again elsewhere."""
        try:
            async with asyncio.timeout(within):
                while self._held:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            log.warning("%d tasks go on elsewhere", len(self._held))

    def _begin(self, dispatch: Dispatch) -> bool:
        return self._pool.submit(dispatch, self._send, delivery=dispatch.delivery)

    def _send(self, report: Report) -> None:
        # A withdrawn task is no longer held, and nobody wants its outcome.
        if report.task in self._held:
            self._unreported[report.task] = (self._loop.time(), report)
            self._route(report)

    def _fill_slots(self) -> None:
        # What was withdrawn is still there, and is passed over.
        while (first := self._backlog.first()) is not None and (
            first.task not in self._held or self._begin(first)
        ):
            self._waits.consumed(first.task)
            self._backlog.pop()

    def _others_run(self, kind: str) -> bool:
        mine = self._writer.partition("#")[0]
        return any(
            kind in lease.kinds and not lease.leaving
            for node, lease in self._leases().items()
            if node != mine
        )
