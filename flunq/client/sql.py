"""What a query reads: the archive's files, the journal's tail from the owners, the catalog.

The order makes neither gap nor double: the manifest first, then how far each partition is, then
the tail after that manifest, then the manifest again. Whatever was trimmed or merged meanwhile is
in the files that the second manifest names, and rows of the tail that they hold are left out.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from flunq.core.protocol import Commits, Page
from flunq.errors import RejectedError
from flunq.store.lake import read_manifest
from flunq.store.query_job import (
    CloseQuery,
    Done,
    KnownDefinition,
    KnownSchedule,
    NextRows,
    OpenQuery,
    Refused,
)
from flunq.store.query_sources import sources_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from flunq.client.client import Client
    from flunq.core.protocol import Definition, ScheduleView
    from flunq.store.lake import Manifest
    from flunq.store.query_job import Limits, Question, Reply, Sources
    from flunq.store.tail import Tail

AskOwner: TypeAlias = "Callable[[int, Commits], Awaitable[Page]]"
_END = 1 << 53
_AT_ONCE = 8
"""Partitions whose tails are read at the same time; each has a page in memory."""


async def gather(client: Client, folder: Path, tail: Tail, sql: str) -> Sources:
    """Return everything that was committed before this was called.

    Raises UnavailableError when an owner does not answer.
    """
    info = await client.info()
    before = read_manifest(folder)
    await read_tail(client.ask_owner, range(info.partitions), before, tail)
    manifest = read_manifest(folder)
    sources = sources_of(client.tenant, folder, manifest)
    path = tail.finish()
    return await _with_knowledge(
        client, msgspec.structs.replace(sources, tail=path, connected=True), sql
    )


async def read_tail(
    ask: AskOwner, partitions: range, manifest: Manifest | None, tail: Tail
) -> None:
    """Read what each partition has committed after a manifest and before now."""
    after = manifest.through if manifest else 0
    newest = await asyncio.gather(
        *(ask(number, Commits(after=_END, upto=_END, sure=True)) for number in partitions)
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


async def _with_knowledge(client: Client, sources: Sources, sql: str) -> Sources:
    """Add what the catalog and the keeper of schedules know, if the query may ask for it."""
    definitions: list[KnownDefinition] = []
    schedules: list[KnownSchedule] = []
    if re.search(r"\bworkflows\b", sql, re.IGNORECASE):
        definitions = [_definition(each) for each in await client.workflows()]
    if re.search(r"\bschedules\b", sql, re.IGNORECASE):
        schedules = [_schedule(each) for each in await client.schedules.list()]
    return msgspec.structs.replace(sources, definitions=definitions, schedules=schedules)


def _definition(known: Definition) -> KnownDefinition:
    return KnownDefinition(
        namespace=known.namespace,
        name=known.name,
        version=known.version,
        digest=known.digest,
        title=known.title,
        latest=known.latest,
        created_at=known.created_at,
    )


def _schedule(known: ScheduleView) -> KnownSchedule:
    return KnownSchedule(
        namespace=known.namespace,
        name=known.name,
        version=known.version,
        status=known.status,
        schedule=known.schedule,
        timezone=known.timezone,
        overlap=known.overlap,
        next_at=known.next[0] if known.next else None,
        paused_at=known.paused_at,
        reason=known.reason,
        pending=known.pending,
    )


async def ask_cluster(client: Client, question: Question, limits: Limits) -> AsyncIterator[Reply]:
    """Let the cluster run a query, for a machine without the archive; yield what it says.

    Raises RejectedError when the query is refused.
    """
    page = await client.ask_sql(OpenQuery(question=question, limits=limits), limits.seconds)
    number, ended = 1, False
    try:
        while True:
            for reply in page.replies:
                ended = isinstance(reply, (Done, Refused))
                if isinstance(reply, Refused):
                    raise RejectedError(reply.message, hint=reply.hint)
                yield reply
            if ended:
                return
            number += 1
            page = await client.ask_sql(NextRows(id=page.id, number=number), limits.seconds)
    finally:
        await client.ask_sql(CloseQuery(id=page.id), limits.seconds)
