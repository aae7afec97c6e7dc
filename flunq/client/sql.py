"""What a query reads: the archive's files, the journal's tail from the owners, the catalog.

The order makes neither gap nor double: the manifest first, then how far each partition is, then
the tail after that manifest, then the manifest again. Whatever was trimmed or merged meanwhile is
in the files that the second manifest names, and rows of the tail that they hold are left out.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from flunq.client.presence import ABSENCE, ask_when_there
from flunq.core.capacity import Capacity
from flunq.core.events import LazyEvent
from flunq.core.protocol import Answer, Commits, Page
from flunq.errors import UnavailableError
from flunq.log.ports import NoResponderError, RequestTimeoutError
from flunq.store.lake import read_manifest
from flunq.store.query_job import (
    Chunk,
    CloseQuery,
    Done,
    KnownDefinition,
    KnownSchedule,
    Limits,
    NextRows,
    OpenQuery,
    QueryPage,
    Question,
    Refused,
    sql_subject,
)
from flunq.store.query_sources import sources_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from flunq.client.client import Client
    from flunq.core.protocol import ScheduleView
    from flunq.log.ports import Requests
    from flunq.store.lake import Manifest
    from flunq.store.query_job import QueryRequest, Reply, Sources
    from flunq.store.tail import Tail

AskOwner: TypeAlias = "Callable[[int, Commits], Awaitable[Page]]"
AskSql: TypeAlias = "Callable[[QueryRequest], Awaitable[QueryPage]]"
_END = 1 << 53
_LEAVE_SECONDS = 1.0
"""Whoever gives up waits no longer to hear that the cluster knows."""
_AT_ONCE = 8
"""Partitions whose tails are read at the same time; each has a page in memory."""


async def gather(client: Client, folder: Path, tail: Tail, sql: str) -> Sources:
    """Return everything that was committed before this was called.

    Raises UnavailableError when an owner does not answer.
    """
    info = await client.info()
    before = read_manifest(folder)
    first = await read_tail(client.ask_owner, range(info.partitions), before, tail)
    # Whatever was trimmed before ``first`` was asked for is in the files of this manifest.
    manifest = read_manifest(folder)
    sources = sources_of(client.tenant, folder, manifest, first=first)
    path = tail.finish()
    return await _with_knowledge(
        client, msgspec.structs.replace(sources, tail=path, connected=True), sql
    )


async def read_tail(ask: AskOwner, partitions: range, manifest: Manifest | None, tail: Tail) -> int:
    """Read what each partition has committed after a manifest and before now.

    Returns the first sequence that the journal still has, 0 if no owner said so.
    """
    after = manifest.through if manifest else 0
    newest = await asyncio.gather(
        *(
            ask(number, Commits(after=_END, upto=_END, sure=True, extent=number == partitions[0]))
            for number in partitions
        )
    )
    gate = asyncio.Semaphore(_AT_ONCE)

    async def read(number: int, upto: int) -> None:
        position = after
        async with gate:
            while position < upto:
                page = await ask(number, Commits(after=position, upto=upto))
                raws = zip(page.seqs, map(bytes, page.items), strict=True)
                tail.add(number, raws)
                position = page.cursor if page.more else upto

    ends = zip(partitions, newest, strict=True)
    await asyncio.gather(*(read(number, page.cursor) for number, page in ends))
    return max((page.first for page in newest), default=0)


async def _with_knowledge(client: Client, sources: Sources, sql: str) -> Sources:
    """Add what the cluster knows besides the events, if the query may ask for it."""
    definitions: list[KnownDefinition] = []
    schedules: list[KnownSchedule] = []
    if re.search(r"\bworkflows\b", sql, re.IGNORECASE):
        found = await client.workflows()
        definitions = msgspec.convert(found, list[KnownDefinition], from_attributes=True)
    if re.search(r"\bschedules\b", sql, re.IGNORECASE):
        schedules = [_schedule(each) for each in await client.schedules.list()]
    alerts = await client.alerts.history() if re.search(r"\balerts\b", sql, re.IGNORECASE) else []
    capacity = Capacity()
    if re.search(r"\b(?:streams|consumers)\b", sql, re.IGNORECASE):
        capacity = await client.ask_capacity()
    return msgspec.structs.replace(
        sources, definitions=definitions, schedules=schedules, alerts=alerts, capacity=capacity
    )


def _schedule(view: ScheduleView) -> KnownSchedule:
    known = msgspec.convert(view, KnownSchedule, from_attributes=True)
    return msgspec.structs.replace(known, next_at=view.next[0] if view.next else None)


async def ask_cluster(client: Client, question: Question, limits: Limits) -> AsyncIterator[Reply]:
    """Let the cluster run a query, for a machine without the archive; yield what it says.

    Raises RejectedError when the query is refused, WaitTimeoutError when it takes too long.
    """
    async for reply in _pages(partial(client.ask_sql, seconds=limits.seconds), question, limits):
        yield reply


async def _pages(ask: AskSql, question: Question, limits: Limits) -> AsyncIterator[Reply]:
    page = await _first_page(ask, question, limits)
    number, ended = 1, False
    try:
        while True:
            for reply in page.replies:
                ended = isinstance(reply, (Done, Refused))
                if isinstance(reply, Refused):
                    raise reply.error()
                yield reply
            if ended:
                return
            number += 1
            page = await ask(NextRows(id=page.id, number=number))
    finally:
        await ask(CloseQuery(id=page.id))


async def _first_page(ask: AskSql, question: Question, limits: Limits) -> QueryPage:
    """Begin a query; the cluster hears when its answer is given up before there is any."""
    request = OpenQuery(question=question, limits=limits, id=secrets.token_hex(16))
    try:
        return await ask(request)
    except asyncio.CancelledError:
        with suppress(TimeoutError, UnavailableError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await ask(CloseQuery(id=request.id))
        raise


_ARCHIVED = """select journal_seq, position, execution_id, seq, type, time, source, workflow,
    traceparent, data from events where partition = $partition and journal_seq < $before
    and (journal_seq > $after or journal_seq = $after and position > $position)
    order by journal_seq, position"""
_PLACE = """select journal_seq, position from events where partition = $partition
    and journal_seq > $after and execution_id || ':' || seq = $event"""
_ARCHIVE_SECONDS = 60.0
ARCHIVE_ROWS = 2_000
"""So many forgotten events are asked for at once."""


class Place(NamedTuple):
    """Where an event stands in the journal."""

    seq: int
    position: int


class Forgotten:
    """What a partition committed and the journal has no more, asked from the cluster's archive.

    Methods raise UnavailableError when the cluster answers no queries.
    """

    def __init__(self, requests: Requests, tenant: str, partition: int) -> None:
        self._requests = requests
        self._tenant = tenant
        self._partition = partition

    async def place(self, event: str, after: int) -> Place:
        """Return where an event is, or the end of ``after`` if it is not beyond that."""
        rows = await self._rows(_PLACE, event=event, after=after) if event else []
        return max((Place(*row) for row in rows), default=Place(after, 1 << 30))

    async def events(self, after: Place, before: int) -> tuple[list[LazyEvent], Place | None]:
        """Return the next events after a place, and the place to go on from, None at the end."""
        rows = await self._rows(_ARCHIVED, after=after.seq, position=after.position, before=before)
        found = [_event(self._tenant, self._partition, row[2:]) for row in rows]
        return found, Place(*rows[-1][:2]) if len(rows) == ARCHIVE_ROWS else None

    async def _rows(self, sql: str, **place: Any) -> list[list[Any]]:
        limits = Limits(seconds=_ARCHIVE_SECONDS)
        question = Question(
            sql=sql, parameters={"partition": self._partition, **place}, max_rows=ARCHIVE_ROWS
        )
        ask = partial(_ask_queries, self._requests, self._tenant)
        found: list[list[Any]] = []
        async for reply in _pages(ask, question, limits):
            if isinstance(reply, Chunk):
                found += reply.rows
        return found


async def send_query(
    requests: Requests, tenant: str, request: QueryRequest, patience: float
) -> bytes:
    """Return the encoded answer; raises NoResponderError or RequestTimeoutError.

    Somebody may be about to come for a query that begins; one that is open went with its process.
    """
    return await ask_when_there(
        requests,
        sql_subject(tenant),
        msgspec.json.encode(request),
        timeout=patience,
        absence=ABSENCE if isinstance(request, OpenQuery) else 0.0,
    )


async def _ask_queries(requests: Requests, tenant: str, request: QueryRequest) -> QueryPage:
    try:
        body = await send_query(requests, tenant, request, _ARCHIVE_SECONDS)
    except (NoResponderError, RequestTimeoutError):
        raise UnavailableError("this cluster answers no queries") from None
    answer = msgspec.json.decode(body, type=Answer)
    if answer.problem is not None:
        detail = answer.problem.get("detail") or answer.problem.get("title")
        raise UnavailableError(f"the archive was not read: {detail}")
    return msgspec.json.decode(answer.value, type=QueryPage)


def _event(tenant: str, partition: int, row: list[Any]) -> LazyEvent:
    execution, seq, kind, time, source, workflow, traceparent, data = row
    return LazyEvent(
        id=f"{execution}:{seq}",
        source=source,
        type=kind,
        time=time,
        subject=execution,
        tenant=tenant,
        workflow=workflow,
        partition=partition,
        seq=seq,
        data=msgspec.Raw(msgspec.json.encode(data)),
        traceparent=msgspec.UNSET if traceparent is None else traceparent,
    )
