"""Answers about flow control: shows breakers, limits and held tasks, and changes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.flow import (
    CLOSED,
    OPENED,
    BreakerRecord,
    DeleteLimit,
    FlowQuestion,
    HeldTask,
    LimitView,
    ListBreakers,
    ListHeld,
    ListLimits,
    ListPauses,
    NamedLimit,
    NodeFlow,
    PauseWorkflow,
    ResetBreaker,
    ResumeWorkflow,
    SetLimit,
    TargetView,
    TripBreaker,
    view_subject,
)
from flunq.errors import ConflictError, NotFoundError
from flunq.log.ports import NoResponderError, RequestTimeoutError, RevisionConflictError
from flunq.services.answering import answered
from flunq.services.flow.pauses import Pauses
from flunq.services.flow.pausing import Pausing
from flunq.services.flow.targets import as_target

if TYPE_CHECKING:
    from flunq.core.flow import BreakerState
    from flunq.log.ports import Database, EventStream
    from flunq.services.flow.board import FlowBoard

ASK_SECONDS = 1.0
MOST_TRIES = 10
MOST_SHOWN = 2_000
_question = msgspec.json.Decoder(FlowQuestion).decode
_view = msgspec.json.Decoder(NodeFlow).decode


class FlowDesk:
    """Keeps the flow control of one tenant."""

    def __init__(self, board: FlowBoard, stream: EventStream, database: Database) -> None:
        self._board = board
        self._requests = stream.requests
        self._leases = database.leases
        self._pausing = Pausing(board, Pauses(database.definitions, board.tenant), stream)

    async def answer(self, payload: bytes) -> bytes:
        """Answer one encoded question; never raises for what somebody asked."""
        return await answered(payload, _question, self._value)

    async def _value(self, question: FlowQuestion) -> Any:
        if isinstance(question, ListBreakers):
            return await self._breakers()
        if isinstance(question, TripBreaker):
            return await self._trip(question)
        if isinstance(question, ResetBreaker):
            return await self._reset(question.name)
        if isinstance(question, ListHeld):
            return await self._held(question.execution)
        if isinstance(question, ListLimits):
            return await self._limits()
        if isinstance(question, SetLimit):
            return await self._change(question.name, _exact(question.limit))
        if isinstance(question, DeleteLimit):
            return await self._change(question.name, None)
        return await self._pause(question)

    async def _pause(self, question: PauseWorkflow | ResumeWorkflow | ListPauses) -> Any:
        if isinstance(question, PauseWorkflow):
            return await self._pausing.pause(question)
        if isinstance(question, ResumeWorkflow):
            return await self._pausing.resume(question.name)
        return await self._pausing.list()

    # -- what the nodes see ------------------------------------------------------------------------

    async def _views(self) -> list[NodeFlow]:
        nodes = sorted(await self._leases.live())
        found = await asyncio.gather(*map(self._ask, nodes))
        return [view for view in found if view is not None]

    async def _ask(self, node: str) -> NodeFlow | None:
        subject = view_subject(node, self._board.tenant)
        try:
            return _view(await self._requests.request(subject, b"", timeout=ASK_SECONDS))
        except (NoResponderError, RequestTimeoutError):
            return None  # it runs no tasks, or is about to be gone

    async def _held(self, execution: str) -> list[HeldTask]:
        views = await self._views()
        held = [task for view in views for task in view.held]
        wanted = [task for task in held if execution in ("", task.execution)]
        return sorted(wanted, key=lambda task: task.since)[:MOST_SHOWN]

    # -- breakers ----------------------------------------------------------------------------------

    async def _breakers(self) -> list[TargetView]:
        found: dict[str, TargetView] = {}
        for record in await self._board.breakers():
            found[record.target] = _of_record(record)
        for view in await self._views():
            for seen in view.targets:
                found[seen.target] = _together(found.get(seen.target), seen)
        return sorted(found.values(), key=lambda each: (each.state == "closed", each.target))

    async def _trip(self, question: TripBreaker) -> TargetView:
        now = self._board.clock.now()
        target = as_target(question.name)
        length = int(question.seconds * 1_000_000)
        record = BreakerRecord(
            target=target,
            state="open",
            since=now,
            until=now + length if length else None,
            pause=length or 5_000_000,
            reason=question.reason or "somebody opened it",
        )
        for _ in range(MOST_TRIES):
            kept = await self._board.breaker(target)
            if await self._board.put_breaker(record, kept.revision):
                self._board.announce(OPENED, record)
                await self._board.flush()
                return _of_record(record)
        raise ConflictError(f"the breaker of {target} changes all the time", hint="try again")

    async def _reset(self, name: str) -> TargetView:
        kept = await self._board.breaker(name)
        target = name if kept.record is not None else as_target(name)
        if target != name:
            kept = await self._board.breaker(target)
        if kept.record is None:
            raise NotFoundError(
                f"the breaker of {target} is not open", hint="list them with: flunq breakers list"
            )
        await self._board.drop_breaker(target)
        self._board.announce(CLOSED, msgspec.structs.replace(kept.record, state="closed"))
        await self._board.flush()
        return TargetView(target=target, state="closed")

    # -- limits ------------------------------------------------------------------------------------

    async def _limits(self) -> list[LimitView]:
        named, _ = await self._board.limits()
        waiting: dict[str, int] = {}
        for view in await self._views():
            for key, count in view.keys.items():
                waiting[key] = waiting.get(key, 0) + count
        now = self._board.clock.now()
        ledgers = {each.key: each for each in await self._board.ledgers()}
        found = {name: _of_named(limit) for name, limit in named.items()}
        for key, ledger in ledgers.items():
            base = found.get(key) or LimitView(
                name=key, count=ledger.count, per=ledger.per, concurrency=ledger.concurrency
            )
            running = sum(until > now for until in ledger.slots.values())
            found[key] = msgspec.structs.replace(base, running=running)
        for key, count in waiting.items():
            base = found.get(key) or LimitView(name=key)
            found[key] = msgspec.structs.replace(base, waiting=count)
        return [found[key] for key in sorted(found)][:MOST_SHOWN]

    async def _change(self, name: str, limit: NamedLimit | None) -> LimitView:
        """Set a limit, or take it back; returns it as it is, or was."""
        for _ in range(MOST_TRIES):
            named, revision = await self._board.limits()
            if limit is None and name not in named:
                raise NotFoundError(
                    f"no limit {name!r} is set", hint="list them with: flunq limits list"
                )
            meant = named[name] if limit is None else limit
            rest = {key: each for key, each in named.items() if key != name}
            try:
                wanted = rest if limit is None else {**rest, name: limit}
                await self._board.put_limits(wanted, revision)
            except RevisionConflictError:
                continue
            await self._board.flush()
            return _of_named(meant)
        raise ConflictError("the limits change all the time", hint="try again")


def _of_record(record: BreakerRecord) -> TargetView:
    return TargetView(
        target=record.target,
        state=record.state,
        since=record.since,
        until=record.until,
        failures=record.failures,
        reason=record.reason,
        node=record.node,
    )


def _together(known: TargetView | None, seen: TargetView) -> TargetView:
    """Add what one node sees; the record that all share says whether it is open."""
    if known is None:
        # Without a record the breaker is closed, whatever a node has not heard yet.
        state: BreakerState = "closed"
        return msgspec.structs.replace(
            seen, state=state, since=None, until=None, reason="", node=""
        )
    return msgspec.structs.replace(
        known,
        calls=known.calls + seen.calls,
        waiting=known.waiting + seen.waiting,
        failures=max(known.failures, seen.failures),
    )


def _exact(limit: NamedLimit) -> NamedLimit:
    if not limit.target:
        return limit
    return msgspec.structs.replace(limit, target=as_target(limit.target))


def _of_named(limit: NamedLimit) -> LimitView:
    chosen = {"kind": limit.kind, "target": limit.target, "workflow": limit.workflow}
    return LimitView(
        name=limit.name,
        count=limit.count,
        per=limit.per,
        concurrency=limit.concurrency,
        set=True,
        choice=" ".join(f"{name}={value}" for name, value in chosen.items() if value),
    )
