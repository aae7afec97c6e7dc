"""Where workers of one tenant get tasks and say what became of them.

A task stays in the queue, unfinished, until its outcome is durable. This process tells the queue
that it is being worked on for as long as the worker's lease lasts; when the lease or the process
ends, the task comes again.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from hashlib import blake2b
from time import time
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.api.tasks.lanes import Lane
from flunq.api.tasks.leases import Held, Lease, Leases
from flunq.core.execution.commands import Failure, Report
from flunq.core.letters import dead_letter
from flunq.core.markers import OPENING
from flunq.core.protocol import Answer, node_subject, withdraw_subject
from flunq.errors import ConflictError, NotFoundError, UnavailableError
from flunq.log.ports import NoResponderError, OutcomeUnknownError, RequestTimeoutError
from flunq.sdk.executor import ERRORS
from flunq.services.wire import claim_in, decode_dispatch, decode_withdrawals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flunq.api.tasks.lanes import Waiting
    from flunq.client import Client
    from flunq.core.execution.effects import Dispatch
    from flunq.log.ports import Blobs, Delivery, EventStream
    from flunq.services.courier import Courier

_log = logging.getLogger(__name__)
MAX_DELIVERIES = 5
"""How often a task is handed out before it is given up."""
SWEEP_SECONDS = 0.5
EXTEND_SECONDS = 10.0
HOLDER_SECONDS = 2.0
COMMIT_SECONDS = 20.0
LETTER_PAUSE = 5.0
_encode = msgspec.json.Encoder().encode


class _Word(msgspec.Struct, frozen=True):
    """What one process tells the one that holds a task."""

    verb: str
    """``check``, ``renew`` or ``settle``."""
    task: str
    lease: str


class Desk:
    """The tasks of one tenant in one process. Use it with ``async with``."""

    def __init__(
        self,
        client: Client,
        stream: EventStream,
        blobs: Blobs,
        courier: Courier,
        *,
        name: str,
        proof: str = "",
        max_deliveries: int = MAX_DELIVERIES,
    ) -> None:
        self._client = client
        self._stream = stream
        self._blobs = blobs
        self._courier = courier
        self._name = name
        self._leases = Leases(name, proof)
        self._max_deliveries = max_deliveries
        self._lanes: dict[str, Lane] = {}
        self._held: dict[str, Held] = {}

    async def run(self, ready: asyncio.Event) -> None:
        """Keep what is in hand until cancelled."""
        subject = node_subject(self._name, f"tasks-{self._client.tenant}")
        withdrawals = withdraw_subject(self._client.tenant)
        try:
            async with (
                self._stream.requests.serve(subject, self._hear),
                self._stream.requests.listen(withdrawals, self._take_withdrawals),
                asyncio.TaskGroup() as group,
            ):
                group.create_task(self._sweep())
                group.create_task(self._extend())
                ready.set()
        finally:
            for lane in list(self._lanes.values()):
                await _tolerant(lane.aclose)
            await self._courier.aclose()

    # --- handing out ----------------------------------------------------------------------------

    async def poll(self, kinds: Sequence[str], seconds: float, lease_seconds: float) -> Held | None:
        """Return the next task of these kinds, or None when none comes in time."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    delivery = await self._next(kinds)
                    held = await self._taken(delivery, lease_seconds)
                    if held is not None:
                        return held
        except TimeoutError:
            return None

    async def _taken(self, delivery: Delivery, seconds: float) -> Held | None:
        taking = asyncio.create_task(self._take(delivery, seconds))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            # Whoever asked is gone: the task is for the next one.
            taking.add_done_callback(self._offer_again)
            raise

    def _offer_again(self, taking: asyncio.Task[Held | None]) -> None:
        held = None if taking.cancelled() or taking.exception() else taking.result()
        if held is not None and self._held.pop(held.dispatch.task, None) is not None:
            self._lane(held.dispatch.kind).offer(held.delivery)

    async def _next(self, kinds: Sequence[str]) -> Delivery:
        waiting: Waiting = asyncio.get_running_loop().create_future()
        lanes = [self._lane(kind) for kind in kinds]
        try:
            for lane in lanes:
                lane.ask(waiting)
                if waiting.done():
                    break
            return (await asyncio.shield(waiting))[1]
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                kind, delivery = waiting.result()
                self._lane(kind).offer(delivery)
            raise
        finally:
            for lane in lanes:
                lane.leave(waiting)

    def _lane(self, kind: str) -> Lane:
        if kind not in self._lanes:
            self._lanes[kind] = Lane(self._stream.tasks, kind)
        return self._lanes[kind]

    async def _take(self, delivery: Delivery, seconds: float) -> Held | None:
        """Return a task that is to be handed out; None when there is nothing to be done for it."""
        dispatch = await self._read(delivery)
        if dispatch is None:
            return None
        if delivery.deliveries > self._max_deliveries:
            await self._give_up(dispatch, delivery)
            return None
        if delivery.deliveries > 1 and not await self._is_open(dispatch):
            await _tolerant(delivery.ack)
            return None
        if _has_secrets(dispatch):
            await self._refuse(dispatch, delivery)
            return None
        lease = self._leases.new(dispatch.execution, dispatch.task)
        held = Held(dispatch, delivery, lease, seconds)
        self._held[dispatch.task] = held
        return held

    async def _read(self, delivery: Delivery) -> Dispatch | None:
        body: bytes | None = delivery.data
        key = claim_in(delivery.data)
        try:
            if key is not None:
                body = await self._blobs.get(key)
            if body is not None:
                return decode_dispatch(body)
            reason = f"its body {key} is gone"
        except OutcomeUnknownError:
            await _tolerant(partial(delivery.retry, LETTER_PAUSE))
            return None
        except msgspec.DecodeError as error:
            reason = f"it cannot be read: {error}"
        name = blake2b(delivery.data, digest_size=16).hexdigest()
        kept = await self._keep_letter(delivery, name, reason)
        await _tolerant(delivery.drop if kept else partial(delivery.retry, LETTER_PAUSE))
        return None

    async def _is_open(self, dispatch: Dispatch) -> bool:
        """Tell whether anybody still waits for a task that was handed out before."""
        try:
            found = await self._client.get(dispatch.execution)
        except NotFoundError:
            return False
        except UnavailableError:
            return True
        return any(
            item.get("for") == "task"
            and item.get("task") == dispatch.reference
            and item.get("attempt") == dispatch.attempt
            for item in found.waiting
        )

    async def _give_up(self, dispatch: Dispatch, delivery: Delivery) -> None:
        times = delivery.deliveries - 1
        detail = f"{times} workers began this attempt and none finished it"
        await self._keep_letter(delivery, dispatch.task, f"given up: {detail}", dispatch)
        await self._end(dispatch, delivery, 500, "runtime", "Given up", detail)

    async def _refuse(self, dispatch: Dispatch, delivery: Delivery) -> None:
        detail = "secrets are never sent to workers over HTTP"
        await self._end(dispatch, delivery, 403, "authorization", "Secrets stay here", detail)

    async def _end(
        self,
        dispatch: Dispatch,
        delivery: Delivery,
        status: int,
        kind: str,
        title: str,
        detail: str,
    ) -> None:
        failure = Failure(type=ERRORS + kind, status=status, title=title, detail=detail)
        await self._courier.deliver(
            Report(id=dispatch.execution, task=dispatch.task, failure=failure)
        )
        await _tolerant(delivery.ack)

    async def _keep_letter(
        self, delivery: Delivery, name: str, reason: str, dispatch: Dispatch | None = None
    ) -> bool:
        facts = {}
        if dispatch is not None:
            facts = {"task": dispatch.reference, "taskId": dispatch.task, "kind": dispatch.kind}
        letter = dead_letter(
            "task",
            name,
            delivery.data,
            reason=reason,
            now=int(time() * 1_000_000),
            source="/flunq/api",
            execution=dispatch.execution if dispatch else "",
            attempts=delivery.deliveries - 1,
            **facts,
        )
        publish = self._stream.dead_letters.publish
        return await _tolerant(partial(publish, _encode(letter), message_id=f"{name}.dead"))

    # --- what workers say -----------------------------------------------------------------------

    async def finish(self, task: str, lease: str, report: Callable[[str], Report]) -> None:
        """Bring an outcome to the task's owner; returns once it is durable.

        Raises NotFoundError or ConflictError when the task is not this worker's any more.
        """
        shown = Lease.decode(lease)
        held = await self._tell(shown.holder, _Word("check", task, lease))
        if held is None and not self._leases.knows(shown, task):
            raise _gone()
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await self._courier.deliver(report(shown.execution))
        except TimeoutError:
            raise UnavailableError("the outcome is not durable yet", hint="send it again") from None
        await self._tell(shown.holder, _Word("settle", task, lease))

    async def heartbeat(self, task: str, lease: str) -> float:
        """Let a lease last as long again; returns for how long."""
        seconds = await self._tell(Lease.decode(lease).holder, _Word("renew", task, lease))
        if seconds is None:
            raise _gone()
        return seconds

    async def _tell(self, holder: str, word: _Word) -> float | None:
        """Say something to whoever holds a task; None: that process is gone."""
        if holder == self._name:
            return self._obey(word)
        subject = node_subject(holder, f"tasks-{self._client.tenant}")
        try:
            body = await self._stream.requests.request(
                subject, _encode(word), timeout=HOLDER_SECONDS
            )
        except (NoResponderError, RequestTimeoutError):
            return None
        answer = msgspec.json.decode(body, type=Answer)
        if answer.problem is not None:
            raise _refusal(answer.problem)
        return msgspec.json.decode(answer.value, type=float)

    async def _hear(self, payload: bytes) -> bytes:
        try:
            seconds = self._obey(msgspec.json.decode(payload, type=_Word))
        except (NotFoundError, ConflictError) as error:
            return _encode(Answer(problem=error.problem()))
        return _encode(Answer(value=msgspec.Raw(_encode(seconds))))

    def _obey(self, word: _Word) -> float:
        held = self._held.get(word.task)
        if held is None:
            raise NotFoundError(
                "this task is not in your hands", hint="it was cancelled, or its lease ended"
            )
        if held.lease.encode() != word.lease:
            raise ConflictError("another worker has this task by now")
        if word.verb == "settle":
            del self._held[word.task]
            self._do(held.delivery.ack)
        else:
            held.renew()
        return held.seconds

    def _take_withdrawals(self, data: bytes) -> None:
        for withdrawal in decode_withdrawals(data):
            held = self._held.pop(withdrawal.task, None)
            if held is not None:
                self._do(held.delivery.ack)

    # --- keeping --------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Give back what nobody works on."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = asyncio.get_running_loop().time()
            for task, held in list(self._held.items()):
                # While the queue is told of one, another may be settled, or taken by somebody else.
                if held.until < now and self._held.get(task) is held:
                    del self._held[task]
                    await _tolerant(partial(held.delivery.retry, 0))
            for kind, lane in list(self._lanes.items()):
                for delivery in lane.unwanted():
                    await self._put_back(kind, delivery)
                if lane.is_idle():
                    del self._lanes[kind]
                    await lane.aclose()

    async def _put_back(self, kind: str, delivery: Delivery) -> None:
        """Queue a task anew: it was handed to nobody, so its deliveries do not count."""
        dispatch = await self._read(delivery)
        if dispatch is None:
            return
        name = f"{dispatch.task} again {time()}"
        publish = self._stream.tasks.publish
        queued = await _tolerant(
            partial(publish, kind, dispatch.execution, delivery.data, message_id=name)
        )
        await _tolerant(delivery.drop if queued else partial(delivery.retry, 0))

    async def _extend(self) -> None:
        while True:
            await asyncio.sleep(EXTEND_SECONDS)
            for held in list(self._held.values()):
                await _tolerant(held.delivery.extend)

    def _do(self, errand: Callable[[], Any]) -> None:
        task = asyncio.get_running_loop().create_task(_tolerant(errand))
        _ERRANDS.add(task)
        task.add_done_callback(_ERRANDS.discard)


_ERRANDS: set[asyncio.Task[bool]] = set()


async def _tolerant(errand: Callable[[], Any]) -> bool:
    """Do something for the queue and tell whether it arrived; if not, the task comes again."""
    try:
        await errand()
    except Exception as error:  # noqa: BLE001 - no failure here may end the desk
        _log.warning("the task queue did not answer: %r", error)
        return False
    return True


def _has_secrets(dispatch: Dispatch) -> bool:
    if dispatch.secrets is None:
        return False
    marker = f"{OPENING}{dispatch.secrets.nonce}.".encode()
    return marker in _encode(dispatch.arguments)


def _gone() -> NotFoundError:
    return NotFoundError("the process that handed this task out is gone")


def _refusal(problem: dict[str, Any]) -> NotFoundError | ConflictError:
    kind = NotFoundError if problem.get("status") == NotFoundError.status else ConflictError
    return kind(str(problem.get("detail")), hint=problem.get("hint"))
