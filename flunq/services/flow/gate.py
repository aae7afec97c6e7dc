"""Between whoever hands tasks over and the pool that runs them: what may begin, and when."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.execution.commands import Failure, Report
from flunq.core.flow import HeldTask, NodeFlow, Notice, TargetView, notices_subject, view_subject
from flunq.core.traffic import LimitAsk
from flunq.log.ports import OutcomeUnknownError
from flunq.sdk.executor import ERRORS
from flunq.services.flow.health import NORMAL, SECOND
from flunq.services.flow.lane import Lane
from flunq.services.flow.limiter import Limiter
from flunq.services.flow.targets import FUNCTION, is_broken, target_of
from flunq.services.lasting import heard

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.execution.effects import Dispatch
    from flunq.core.flow import NamedLimit
    from flunq.core.traffic import Breaker
    from flunq.log.ports import EventStream
    from flunq.services.executor.shares import PoolShare
    from flunq.services.flow.board import FlowBoard

    Done = Callable[[Report], None]
    Stopped = Callable[[], None]

log = logging.getLogger(__name__)

MOST_HELD = 1_000
"""Held tasks beyond which nothing is pulled from the queue: others may be able to run it."""
TELL_SECONDS = 0.1
LOOK_SECONDS = 60.0
"""How often the limits are read anew where tasks run, in case a notice was lost."""
MOST_TARGETS = 2_000
"""Targets that are remembered although nothing is amiss with them."""
_notice = msgspec.json.Decoder(Notice).decode


class _Held:
    """A task that waits, and whoever wants to hear of it."""

    __slots__ = (
        "asks",
        "carrier",
        "counted",
        "delivery",
        "dispatch",
        "done",
        "lane",
        "name",
        "since",
        "slot",
        "stopped",
        "why",
    )

    def __init__(
        self, dispatch: Dispatch, lane: Lane | None, asks: tuple[LimitAsk, ...], since: int
    ) -> None:
        self.dispatch = dispatch
        self.lane = lane
        self.asks = asks
        self.since = since
        self.delivery = 1
        self.counted = False
        self.done: list[Done] = []
        self.stopped: list[Stopped] = []
        self.why = "pace"
        self.name = ""
        self.carrier: asyncio.Task[None] | None = None
        self.slot: asyncio.Future[None] | None = None


class FlowGate:
    """A tenant's share of the pool, behind its breakers and limits."""

    def __init__(self, share: PoolShare, board: FlowBoard) -> None:
        self._share = share
        self._board = board
        self._clock = board.clock
        # Nodes must differ, and a simulation must not.
        self._random = Random(f"{board.node} {board.tenant}").random  # noqa: S311 - not a secret
        self._limiter = Limiter(board)
        self._lanes: dict[str, Lane] = {}
        self._held: dict[str, _Held] = {}
        self._slots: deque[_Held] = deque()
        """Held tasks that may begin as soon as a slot is free."""
        self._named: dict[str, NamedLimit] = {}
        self._choosing: list[NamedLimit] = []
        self._unsent: dict[str, int] = {}
        self._limits_changed = asyncio.Event()
        self._used = False
        """Tasks came since the limits were read."""
        share.when_free(self._fill)

    # -- as the pool -------------------------------------------------------------------------------

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the pool can run."""
        return self._share.kinds

    @property
    def draining(self) -> bool:
        """True once nothing new is taken."""
        return self._share.draining

    def hosts(self, kind: str) -> bool:
        """Tell whether tasks of a kind can run here."""
        return self._share.hosts(kind)

    def free(self) -> int:
        """Return how many more tasks fit."""
        return 0 if len(self._held) >= MOST_HELD else self._share.free()

    def when_free(self, call: Callable[[], None]) -> None:
        """Have something called when there may be room for what was refused."""
        self._share.when_free(call)

    def submit(
        self,
        dispatch: Dispatch,
        done: Done,
        *,
        stopped: Stopped | None = None,
        delivery: int = 1,
    ) -> bool:
        """Begin a task or hold it back; False when it has no place here now."""
        self._used = True
        traffic = dispatch.traffic
        if traffic is None and not self._named and self._is_free(dispatch.kind):
            return self._share.submit(dispatch, done, stopped=stopped, delivery=delivery)
        rule = NORMAL if traffic is None or traffic.breaker is None else traffic.breaker
        target = "" if rule.then == "off" else target_of(dispatch)
        asks = () if traffic is None and not self._named else self._asks(dispatch, target)
        if not target and not asks:
            return self._share.submit(dispatch, done, stopped=stopped, delivery=delivery)
        if self._share.runs(dispatch.task):
            return self._share.submit(dispatch, done, stopped=stopped, delivery=delivery)
        if not self.hosts(dispatch.kind) or self.draining:
            return False
        lane = self._lane(target) if target else None
        now = self._clock.now()
        if lane is not None and rule.then == "fail" and lane.refuses(now):
            report = _refused(dispatch, lane)
            asyncio.get_running_loop().call_soon(done, report)
            return True
        retry = dispatch.attempt > 1
        if dispatch.task not in self._held and not asks:
            assert lane is not None
            if lane.passes(now, retry=retry):
                held = self._hold(dispatch, lane, (), now, done, stopped, delivery)
                return self._begin(held)
        known = self._held.get(dispatch.task)
        if known is not None:
            _also(known, done, stopped)
            return True
        held = self._hold(dispatch, lane, asks, now, done, stopped, delivery)
        self._held[dispatch.task] = held
        held.carrier = asyncio.get_running_loop().create_task(self._carry(held, retry=retry))
        return True

    def _is_free(self, kind: str) -> bool:
        """Functions are ours: they have a breaker only where somebody asks for one."""
        return kind.startswith(FUNCTION) and kind not in self._lanes

    def runs(self, task: str) -> bool:
        """Tell whether a task is in flight or held back."""
        return task in self._held or self._share.runs(task)

    def withdraw(self, task: str) -> bool:
        """Stop a task whose outcome no longer matters; tell whether it was here."""
        held = self._held.pop(task, None)
        if held is None:
            return self._share.withdraw(task)
        self._drop(held)
        for call in held.stopped:
            call()
        return True

    def let_go(self) -> list[str]:
        """Forget what is held back, for others to run; return the ids of the tasks."""
        tasks = list(self._held)
        for held in self._held.values():
            self._drop(held)
        self._held.clear()
        return tasks

    # -- holding back ------------------------------------------------------------------------------

    def _hold(
        self,
        dispatch: Dispatch,
        lane: Lane | None,
        asks: tuple[LimitAsk, ...],
        now: int,
        done: Done,
        stopped: Stopped | None,
        delivery: int,
    ) -> _Held:
        held = _Held(dispatch, lane, asks, now)
        held.delivery = delivery
        _also(held, done, stopped)
        return held

    async def _carry(self, held: _Held, *, retry: bool) -> None:
        """Bring a task through its breaker and its limits into the pool."""
        lane, dispatch = held.lane, held.dispatch
        trial = False
        try:
            while True:
                if lane is not None and not lane.passes(self._clock.now(), retry=retry):
                    held.why = "breaker" if lane.health.state != "closed" else "pace"
                    held.name = lane.health.target
                    trial = await lane.admit(retry=retry)
                    held.counted = True
                    if trial:
                        lane.trial = dispatch.task
                if not held.asks:
                    break
                held.why, held.name = "limit", held.asks[0].key
                await self._limiter.acquire(dispatch.task, held.asks)
                if trial or lane is None or lane.health.state == "closed":
                    break
                self._limiter.release(dispatch.task, held.asks)
            if not self._begin(held):
                held.slot = asyncio.get_running_loop().create_future()
                self._slots.append(held)
                await held.slot
        except asyncio.CancelledError:
            if lane is not None:
                lane.forgotten(dispatch.task)
            raise
        except Exception as error:  # the task would be lost without a word
            log.exception("%s is not held back any more", dispatch.task)
            self._held.pop(dispatch.task, None)
            self._limiter.release(dispatch.task, held.asks)
            failure = Failure(type=ERRORS + "runtime", status=500, detail=f"flow control: {error}")
            _tell(held, Report(id=dispatch.execution, task=dispatch.task, failure=failure))

    def _begin(self, held: _Held) -> bool:
        dispatch, lane = held.dispatch, held.lane
        begun = self._share.submit(
            dispatch,
            partial(self._over, held),
            stopped=partial(self._stopped, held),
            delivery=held.delivery,
        )
        if begun:
            self._held.pop(dispatch.task, None)
            if lane is not None and not held.counted:
                lane.began(retry=dispatch.attempt > 1)
        return begun

    def _over(self, held: _Held, report: Report) -> None:
        self._limiter.release(held.dispatch.task, held.asks)
        if held.lane is not None:
            self._note(held, broken=is_broken(report.failure))
        _tell(held, report)

    def _stopped(self, held: _Held) -> None:
        dispatch = held.dispatch
        self._limiter.release(dispatch.task, held.asks)
        if held.lane is not None:
            # The engine's own timer ends a task that takes too long, before the pool does.
            if dispatch.deadline is not None and dispatch.deadline <= self._clock.now():
                self._note(held, broken=True)
            else:
                held.lane.forgotten(dispatch.task)
        for call in held.stopped:
            call()

    def _note(self, held: _Held, *, broken: bool) -> None:
        lane = held.lane
        assert lane is not None
        lane.ended(held.dispatch.task, broken=broken, rule=_rule(held.dispatch))
        if broken:
            target = lane.health.target
            if not self._unsent:
                asyncio.get_running_loop().call_later(TELL_SECONDS, self._tell_failures)
            self._unsent[target] = self._unsent.get(target, 0) + 1

    def _tell_failures(self) -> None:
        unsent, self._unsent = self._unsent, {}
        for target, count in unsent.items():
            self._board.tell(Notice(about="failed", name=target, count=count))

    def _drop(self, held: _Held) -> None:
        if held.carrier is not None:
            held.carrier.cancel()
        self._limiter.release(held.dispatch.task, held.asks)

    def _fill(self) -> None:
        """Give free slots to what was held back and may begin now."""
        while self._slots:
            slot = self._slots[0].slot
            assert slot is not None
            if not slot.done():
                if not self._begin(self._slots[0]):
                    return
                slot.set_result(None)
            self._slots.popleft()

    # -- limits ------------------------------------------------------------------------------------

    def _asks(self, dispatch: Dispatch, target: str) -> tuple[LimitAsk, ...]:
        traffic = dispatch.traffic
        asks = {ask.key: self._asked(ask) for ask in traffic.limits} if traffic else {}
        for limit in self._choosing:
            if _chooses(limit, dispatch, target or target_of(dispatch)):
                asks[limit.name] = _ask(limit)
        return tuple(ask for ask in asks.values() if ask.count or ask.concurrency)

    def _asked(self, ask: LimitAsk) -> LimitAsk:
        """Return a limit as the operator wants it, or as the document says."""
        named = self._named.get(ask.key)
        return ask if named is None or named.chooses else _ask(named)

    # -- at work -----------------------------------------------------------------------------------

    async def run(self, stream: EventStream) -> None:
        """Keep in step with the other nodes until cancelled."""
        requests = stream.requests
        tenant = self._board.tenant
        try:
            async with (
                requests.listen(notices_subject(tenant), self._hear),
                requests.serve(view_subject(self._board.node, tenant), self._answer),
                asyncio.TaskGroup() as group,
            ):
                group.create_task(self._limiter.keep())
                await self._recall()
                while True:
                    if await heard(self._limits_changed, within=LOOK_SECONDS) or self._used:
                        self._limits_changed.clear()
                        self._used = False
                        await self._read_limits()
        finally:
            self.let_go()
            for lane in self._lanes.values():
                lane.close()

    async def _recall(self) -> None:
        """Learn what the others know already."""
        try:
            for record in await self._board.breakers():
                self._lane(record.target).heard(record)
        except OutcomeUnknownError as error:
            log.warning("the breakers were not read: %r", error)
        await self._read_limits()

    async def _read_limits(self) -> None:
        try:
            self._named, _ = await self._board.limits()
        except OutcomeUnknownError as error:
            log.warning("the limits were not read: %r", error)
            asyncio.get_running_loop().call_later(1.0, self._limits_changed.set)
        self._choosing = [limit for limit in self._named.values() if limit.chooses]

    def _hear(self, data: bytes) -> None:
        notice = _notice(data)
        if notice.about == "limits":
            self._limits_changed.set()
        elif notice.node == self._board.node:
            return
        elif notice.about == "breaker":
            self._lane(notice.name).heard(notice.record)
        elif notice.about == "failed":
            self._lane(notice.name).health.heard(self._clock.now(), notice.count)
        else:
            self._limiter.heard(notice.name)

    async def _answer(self, _: bytes) -> bytes:
        return msgspec.json.encode(self.view())

    def view(self) -> NodeFlow:
        """Return what is known of targets, and what is held back."""
        return NodeFlow(
            targets=[_target_view(lane, self._clock.now()) for lane in self._lanes.values()],
            held=[_held_view(held) for held in self._held.values()],
            keys=self._limiter.waiting(),
        )

    def _lane(self, target: str) -> Lane:
        lane = self._lanes.get(target)
        if lane is None:
            if len(self._lanes) >= MOST_TARGETS:
                self._forget_targets()
            lane = self._lanes[target] = Lane(self._board, target, self._random)
        return lane

    def _forget_targets(self) -> None:
        for target, lane in list(self._lanes.items()):
            if lane.health.is_new and not lane.waiting:
                del self._lanes[target]


def _also(held: _Held, done: Done, stopped: Stopped | None) -> None:
    held.done.append(done)
    if stopped is not None:
        held.stopped.append(stopped)


def _tell(held: _Held, report: Report) -> None:
    for receive in held.done:
        receive(report)


def _rule(dispatch: Dispatch) -> Breaker:
    traffic = dispatch.traffic
    return NORMAL if traffic is None or traffic.breaker is None else traffic.breaker


def _ask(limit: NamedLimit) -> LimitAsk:
    return LimitAsk(key=limit.name, count=limit.count, per=limit.per, concurrency=limit.concurrency)


def _chooses(limit: NamedLimit, dispatch: Dispatch, target: str) -> bool:
    return (
        limit.kind in ("", dispatch.kind)
        and limit.target in ("", target)
        and limit.workflow in ("", dispatch.workflow)
    )


def _refused(dispatch: Dispatch, lane: Lane) -> Report:
    failure = Failure(
        type=ERRORS + "communication",
        status=503,
        title="The breaker is open",
        detail=f"{lane.health.target} is not called now: {lane.health.reason or 'it fails'}",
    )
    return Report(id=dispatch.execution, task=dispatch.task, failure=failure)


def _target_view(lane: Lane, now: int) -> TargetView:
    health = lane.health
    calls, failures = health.recent(now, 30 * SECOND)
    return TargetView(
        target=health.target,
        state=health.state,
        since=health.since,
        until=health.until,
        failures=failures,
        calls=calls,
        waiting=lane.waiting,
        reason=health.reason,
        node=health.node,
    )


def _held_view(held: _Held) -> HeldTask:
    dispatch: Any = held.dispatch
    return HeldTask(
        execution=dispatch.execution,
        task=dispatch.task,
        reference=dispatch.reference,
        kind=dispatch.kind,
        workflow=dispatch.workflow,
        why=held.why,  # type: ignore[arg-type]
        name=held.name,
        since=held.since,
        until=None if held.lane is None else held.lane.health.until,
    )
