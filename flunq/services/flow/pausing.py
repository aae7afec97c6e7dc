"""Pauses workflows and lets them go on, and makes sure that every owner knows."""

from __future__ import annotations

import asyncio
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from flunq.client.refusals import value_of
from flunq.core.flow import PAUSED, RESUMED, PauseView, WorkflowPause
from flunq.core.protocol import (
    Answer,
    ClusterInfo,
    DefinitionText,
    Heed,
    Info,
    Resolve,
    ask_subject,
    catalog_subject,
)
from flunq.errors import ConflictError, NotFoundError, RejectedError, UnavailableError
from flunq.log.ports import NoResponderError, RequestTimeoutError
from flunq.services.flow.pauses import MOST_PAUSES

if TYPE_CHECKING:
    from flunq.core.execution.commands import WorkflowRef
    from flunq.core.flow import PauseWorkflow
    from flunq.log.ports import EventStream
    from flunq.services.flow.board import FlowBoard
    from flunq.services.flow.pauses import Pauses

T = TypeVar("T")
ASK_SECONDS = 1.0
PATIENCE = 1.5
"""How long an owner is asked that does not answer: a partition may be on its way to another."""
AGAIN_SECONDS = 0.1
_encode = msgspec.json.Encoder().encode


class Pausing:
    """Changes the pauses of one tenant."""

    def __init__(self, board: FlowBoard, pauses: Pauses, stream: EventStream) -> None:
        self._board = board
        self._pauses = pauses
        self._requests = stream.requests
        self._partitions = 0

    async def list(self) -> list[PauseView]:
        """Return what is paused, the newest first."""
        await self._pauses.refresh()
        found = sorted(self._pauses.found, key=lambda pause: -pause.since)
        return [_view(pause) for pause in found]

    async def pause(self, question: PauseWorkflow) -> PauseView:
        """Pause a workflow; returns once the owners know."""
        version = question.name.partition(":")[2]
        definition = (
            await self._ask_catalog(Resolve(name=question.name), DefinitionText)
        ).definition
        wanted = WorkflowPause(
            id=token_hex(8),
            namespace=definition.namespace,
            name=definition.name,
            version=definition.version if version and version != "latest" else "",
            since=self._board.clock.now(),
            reason=question.reason,
            starts_only=question.starts_only,
        )
        pause, revision = await self.put(wanted)
        return msgspec.structs.replace(_view(pause), unheard=await self.spread(revision))

    async def put(self, wanted: WorkflowPause) -> tuple[WorkflowPause, int]:
        """Store a pause, or what it changes in the one there is; return it and the revision."""

        def edit(found: tuple[WorkflowPause, ...]) -> tuple[WorkflowPause, ...]:
            known = next((each for each in found if str(each) == str(wanted)), None)
            if known is None and len(found) >= MOST_PAUSES:
                raise ConflictError(f"{MOST_PAUSES} workflows are paused, and no more can be")
            rest = tuple(each for each in found if each is not known)
            return (*rest, wanted if known is None else _again(known, wanted))

        revision = await self._pauses.change(edit)
        stored = next(each for each in self._pauses.found if str(each) == str(wanted))
        if stored.id == wanted.id:
            self._board.publish(PAUSED, "workflows", str(stored), _told(stored))
            await self._board.flush()
        return stored, revision

    async def resume(self, name: str) -> PauseView:
        """Let a paused workflow go on; returns once the owners know."""
        await self._number()
        await self._pauses.refresh()
        pause = _chosen(self._pauses.found, name)
        revision = await self._pauses.change(
            lambda found: tuple(each for each in found if each.id != pause.id)
        )
        self._board.publish(RESUMED, "workflows", str(pause), _told(pause))
        await self._board.flush()
        return msgspec.structs.replace(_view(pause), unheard=await self.spread(revision))

    async def spread(self, revision: int) -> tuple[int, ...]:
        """Have every owner act on the pauses of a revision; return those that did not say so.

        A partition without an owner is no danger: its next one reads the pauses before anything.
        """
        numbers = range(await self._number())
        heard = await asyncio.gather(*(self._told(number, revision) for number in numbers))
        return tuple(number for number in numbers if not heard[number])

    async def _number(self) -> int:
        """Return how many partitions there are."""
        if not self._partitions:
            self._partitions = (await self._ask_catalog(Info(), ClusterInfo)).partitions
        return self._partitions

    async def _told(self, number: int, revision: int) -> bool:
        loop = asyncio.get_running_loop()
        deadline, payload = loop.time() + PATIENCE, _encode(Heed(revision=revision))
        subject = ask_subject(self._board.tenant, number)
        while loop.time() < deadline:
            try:
                body = await self._requests.request(subject, payload, timeout=ASK_SECONDS)
            except RequestTimeoutError:
                continue
            except NoResponderError:
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if msgspec.json.decode(body, type=Answer).problem is None:
                return True
            await asyncio.sleep(AGAIN_SECONDS)
        return False

    async def _ask_catalog(self, question: Any, kind: type[T]) -> T:
        subject = catalog_subject(self._board.tenant)
        try:
            body = await self._requests.request(subject, _encode(question), timeout=ASK_SECONDS)
        except (NoResponderError, RequestTimeoutError):
            raise UnavailableError(
                "no engine node answers", hint="look with: flunq status"
            ) from None
        return msgspec.json.decode(value_of(body), type=kind)


def pause_of_errors(
    ref: WorkflowRef, hook: WorkflowRef | None, reason: str, now: int
) -> WorkflowPause:
    """Return the pause of a workflow whose executions fail."""
    return WorkflowPause(
        id=token_hex(8),
        namespace=ref.namespace,
        name=ref.name,
        version=ref.version,
        since=now,
        reason=reason,
        hook=hook,
    )


def _again(known: WorkflowPause, wanted: WorkflowPause) -> WorkflowPause:
    """Return what becomes of a pause when somebody wants another one of the same."""
    if wanted.starts_only and not known.starts_only:
        raise ConflictError(
            f"{known} is paused already, and its executions are",
            hint=f"let it go on first: flunq workflows resume {known}",
        )
    reason = wanted.reason or known.reason
    return msgspec.structs.replace(known, reason=reason, starts_only=wanted.starts_only)


def _chosen(found: tuple[WorkflowPause, ...], name: str) -> WorkflowPause:
    def named(each: WorkflowPause) -> tuple[str, str]:
        return str(each), str(each).partition("/")[2]

    chosen = [each for each in found if name in named(each)] or [
        each for each in found if name in (text.partition(":")[0] for text in named(each))
    ]
    if not chosen:
        raise NotFoundError(f"{name} is not paused", hint="list them with: flunq workflows list")
    if len(chosen) > 1:
        names = ", ".join(sorted(map(str, chosen)))
        raise RejectedError(f"'{name}' may be several pauses", hint=f"name one of: {names}")
    return chosen[0]


def _view(pause: WorkflowPause) -> PauseView:
    return PauseView(
        workflow=str(pause),
        since=pause.since,
        reason=pause.reason,
        starts_only=pause.starts_only,
    )


def _told(pause: WorkflowPause) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.to_builtins(_view(pause))
    del members["unheard"]
    return members
