"""What an owner answers about its executions: get, list, results, history."""

from __future__ import annotations

import heapq
import re
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.claims import is_reference
from flunq.core.execution.gathering import TIMER
from flunq.core.execution.state import Gathering, State
from flunq.core.ids import split_timer
from flunq.core.protocol import (
    MAX_MESSAGE,
    MOST_PADDING,
    Commits,
    Details,
    Get,
    GroupView,
    Heed,
    History,
    ListGroups,
    ListPage,
    Mark,
    Page,
    Question,
    Result,
    Results,
    Summary,
    Watch,
)
from flunq.errors import FlunqError, NotFoundError, UnavailableError
from flunq.services.answering import given, refused
from flunq.services.worker.commit import Entry, FencedError
from flunq.services.worker.executions import STATUS_CODES, Finished
from flunq.services.worker.packs import StaleCheckpointError
from flunq.services.worker.recovery import finished_from_pack, live_from_pack

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flunq.core.document.model import Workflow
    from flunq.services.worker.owner import Owner
    from flunq.services.worker.packs import Packs

_encode = msgspec.json.Encoder().encode
_question = msgspec.json.Decoder(Question).decode
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_WILDCARDS = re.compile(r"[*?\[\]]")


class _About(msgspec.Struct):
    """Whose an event is: others may speak of the same execution in their data."""

    subject: str = ""


_about = msgspec.json.Decoder(_About).decode


class Questions:
    """Answers questions from memory, packs and the journal."""

    def __init__(
        self, owner: Owner, packs: Packs, checkpoint: Callable[[], Awaitable[None]]
    ) -> None:
        self._owner = owner
        self._checkpoint = checkpoint
        self._packs = packs

    async def answer(self, payload: bytes) -> bytes | None:
        """Answer one encoded question; never raises for what somebody asked.

        An owner that was replaced says nothing: the new one may know what it does not.
        """
        try:
            return given(await self._value(_question(payload)))
        except FencedError:
            return None
        except StaleCheckpointError:
            self._owner.doubt()
            return None
        except NotFoundError as error:
            return refused(error) if await self._may_deny() else None
        except (FlunqError, msgspec.MsgspecError) as error:
            return refused(error)

    async def _may_deny(self) -> bool:
        return await self._owner.still_owns()

    async def _value(self, question: Question) -> Any:
        if isinstance(question, Get):
            return await self._get(question.id)
        if isinstance(question, Watch):
            return await self._watch(question)
        if isinstance(question, ListPage):
            return await self._list(question)
        if isinstance(question, History):
            return await self._history(question)
        if isinstance(question, Mark):
            return await self._mark(question)
        if isinstance(question, Heed):
            return await self._heed(question)
        if isinstance(question, ListGroups):
            return await self._groups()
        return await self._commits(question)

    async def _heed(self, heed: Heed) -> int:
        """Answer once nothing happens any more that a newer pause forbids."""
        pauses = self._owner.context.pauses
        await pauses.refresh(heed.revision)
        # What was decided before is let happen by its commit.
        await self._owner.committer.flushed()
        return pauses.revision

    async def _mark(self, mark: Mark) -> int:
        committer = self._owner.committer
        committer.add(Entry(events=[], padding=max(0, min(mark.padding, MOST_PADDING))))
        await committer.flushed()
        position = committer.position
        self._owner.unwanted.update(mark.without)
        await self._checkpoint()
        if self._owner.unwanted.intersection(mark.without):
            raise UnavailableError("no checkpoint could be written", hint="do it again")
        return position

    async def _find(self, execution: str) -> tuple[State | Finished, int, int] | None:
        """Return an execution with its first and last journal sequence."""
        executions = self._owner.executions
        live = executions.live.get(execution)
        if live is not None and live.state is not None and live.first:
            return live.state, live.first, live.last
        if execution in executions.finished:
            return executions.finished[execution]
        place = executions.places.get(execution)
        if place is None:
            return None
        item = (await self._packs.load(place.pack)).get(execution)
        if item is None:
            return None
        if item.ended:
            return finished_from_pack(item), item.first, item.last
        live = await live_from_pack(self._owner.context, item)
        assert live.state is not None
        return live.state, item.first, item.last

    async def _get(self, execution: str) -> Details:
        found = await self._find(execution)
        if found is None:
            raise not_found(execution)
        details = _details(found[0], self._owner.partition)
        alike = any(map(is_reference, (details.input, details.output, details.context)))
        if len(_encode(details)) <= MAX_MESSAGE and not alike:
            return details
        post = self._owner.context.post
        slim: dict[str, Any] = {}
        for member in ("input", "output", "context"):
            value = getattr(details, member)
            if is_reference(value) or len(_encode(value)) > MAX_MESSAGE // 8:
                slim[member] = await post.stored(value)
        return msgspec.structs.replace(details, **slim)

    async def _watch(self, question: Watch) -> Results:
        results: list[Result] = []
        missing: list[str] = []
        size = 0
        for execution in question.ids:
            found = await self._find(execution)
            if found is None and execution not in self._owner.executions.live:
                missing.append(execution)
            elif found is not None and isinstance(found[0], Finished):
                result = found[0].result()
                size += len(_encode(result))
                if size > MAX_MESSAGE or is_reference(result.output):
                    self._owner.context.post.add(question.mailbox, result)
                else:
                    results.append(result)
            else:
                self._owner.watchers.add(execution, question.mailbox)
        if missing and not await self._may_deny():
            missing = []
        return Results(results=results, missing=missing)

    async def _list(self, question: ListPage) -> list[Summary]:
        """Return a page, newest first; packs are read only for what is on it."""
        executions = self._owner.executions
        before = question.before or (1 << 62, "")
        statuses = set(question.status or STATUS_CODES)
        pattern = _pattern(question.workflow)
        fresh = [
            (found.started_at, found.id)
            for found in executions.in_memory()
            if found.status in statuses
            and (found.started_at, found.id) < before
            and found.id.startswith(question.prefix)
            and fnmatchcase(str(found.workflow), pattern)
        ]
        stored = executions.places.newest(
            before,
            statuses=None if not question.status else _codes(statuses),
            workflow=None if question.workflow is None else pattern,
            prefix=question.prefix,
        )
        asleep = (row for row in stored if not executions.is_in_memory(row[1]))
        candidates = [*fresh, *islice(asleep, question.limit)]
        page: list[Summary] = []
        for _, execution in heapq.nlargest(question.limit, candidates):
            found = await self._find(execution)
            if found is not None:
                page.append(_summary(found[0]))
        return page

    async def _groups(self) -> list[GroupView]:
        """Return the groups that are open, as many as an answer has room for."""
        groups: list[GroupView] = []
        size = 0
        for execution in list(self._owner.executions.groups.open.values()):
            found = await self._find(execution)
            if found is None or not isinstance(found[0], State) or found[0].collecting is None:
                continue
            workflow = await self._owner.context.definitions.get(found[0].workflow.digest)
            groups.append(_group(found[0], found[0].collecting, workflow))
            size += len(_encode(groups[-1]))
            if size > MAX_MESSAGE:
                return groups[:-1]
        return groups

    async def _history(self, question: History) -> Page:
        found = await self._find(question.id)
        if found is None:
            raise not_found(question.id)
        _, first, last = found
        needle = f'"subject":"{question.id}"'.encode()
        items: list[msgspec.Raw] = []
        size = 0
        after = max(question.cursor, first - 1)
        journal = self._owner.context.stream.journal
        async for record in journal.read(self._owner.partition, after=after, upto=last):
            if needle in record.data:
                own = [
                    raw
                    for raw in _split(record.data)[1:]
                    if needle in bytes(raw) and _about(raw).subject == question.id
                ]
                grown = size + sum(len(bytes(raw)) for raw in own)
                if items and grown > MAX_MESSAGE:
                    return Page(items=items, cursor=after, more=True)
                items += own
                size = grown
            after = record.seq
        return Page(items=items, cursor=last)

    async def _commits(self, question: Commits) -> Page:
        position = self._owner.committer.position
        if question.sure and not await self._may_deny():
            raise FencedError(f"partition {self._owner.partition} has another owner")
        items: list[msgspec.Raw] = []
        seqs: list[int] = []
        size = 0
        after = min(question.after, position)
        journal = self._owner.context.stream.journal
        upto = min(question.upto, position)
        first = await journal.first_seq() if question.extent else 0
        async for record in journal.read(self._owner.partition, after=after, upto=upto):
            size += len(record.data)
            if items and size > MAX_MESSAGE:
                return Page(items=items, cursor=after, more=True, seqs=seqs, first=first)
            items.append(msgspec.Raw(record.data))
            seqs.append(record.seq)
            after = record.seq
        return Page(items=items, cursor=after, seqs=seqs, first=first)


def not_found(execution: str) -> NotFoundError:
    """Return the error for an execution that this partition does not know."""
    return NotFoundError(f"no execution {execution}", hint="list the newest with: flunq list")


def _pattern(workflow: str | None) -> str:
    """Return what the full name of a workflow looks like that was asked for by a part of it."""
    if workflow is None:
        return "*"
    name = _WILDCARDS.sub("?", workflow)
    name = name if "/" in name else f"*/{name}"
    return name if ":" in name else f"{name}:*"


def _codes(statuses: set[str]) -> list[int]:
    return [code for code, status in enumerate(STATUS_CODES) if status in statuses]


def _summary(found: State | Finished) -> Summary:
    return Summary(
        id=found.id,
        namespace=found.workflow.namespace,
        workflow=found.workflow.name,
        version=found.workflow.version,
        status=found.status,
        started_at=found.started_at,
        ended_at=found.ended_at or None,
        tags=found.tags,
        parent=found.parent,
    )


def _details(found: State | Finished, partition: int) -> Details:
    return Details(
        id=found.id,
        namespace=found.workflow.namespace,
        workflow=found.workflow.name,
        version=found.workflow.version,
        digest=found.workflow.digest,
        status=found.status,
        started_at=found.started_at,
        ended_at=found.ended_at or None,
        tags=found.tags,
        parent=found.parent,
        partition=partition,
        seq=found.seq,
        input=found.input,
        output=found.output,
        context=found.context if isinstance(found, State) else None,
        failure=found.failure,
        waiting=_waiting(found) if isinstance(found, State) else [],
        reason=found.reason if isinstance(found, State) and found.suspended else "",
    )


def _group(state: State, gathering: Gathering, workflow: Workflow) -> GroupView:
    """Return what a group is; its key is that of each of its inputs."""
    value = state.input[0] if gathering.kind == "batch" else state.input
    return GroupView(
        execution=state.id,
        workflow=str(state.workflow),
        kind=gathering.kind,
        key=workflow.collecting.key_of(value) if workflow.collecting is not None else None,
        starts=gathering.count,
        size=gathering.size,
        since=state.started_at,
        due=state.timers.get(TIMER),
        status=state.status,
    )


def _waiting(state: State) -> list[dict[str, Any]]:
    tasks = [
        {
            "for": "task",
            "task": opened.reference,
            "kind": opened.kind,
            "attempt": opened.attempt,
            "node": opened.node,
            "id": task,
            "delivery": opened.delivery,
        }
        for task, opened in state.tasks.items()
    ]
    timers = [
        {"for": "timer", "task": _timer_of(state, timer), "timer": timer, "due": due}
        for timer, due in state.timers.items()
    ]
    if state.collecting is not None:
        timers = [{**each, "starts": state.collecting.count} for each in timers]
    listeners = [
        {"for": "event", "task": state.frames[step].reference, "listener": listener}
        for listener, step in state.listeners.items()
    ]
    return tasks + timers + listeners


def _timer_of(state: State, timer: str) -> str:
    frame = state.frames.get(split_timer(timer)[0])
    return frame.reference if frame else "/"
