"""Executions that must be gone: from the journal, the archive, the stored states, the disk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from flunq.core.ids import partition_of
from flunq.core.protocol import MOST_PADDING, Erase, Erased, Mark
from flunq.errors import ConflictError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flunq.client.client import Client

BLOCK = 8 << 20
"""What the broker puts into one file of a stream at most."""
_PAUSE = 0.3
_PATIENCE = 600.0


class Scrubbed(msgspec.Struct, frozen=True, kw_only=True):
    """What was scrubbed, once nothing of it is left."""

    ids: tuple[str, ...]
    through: int
    """The journal has nothing up to this sequence any more."""
    blobs: int
    left: str = ""
    """What could not be looked through, because it is in use."""


async def scrub(
    client: Client,
    ids: Sequence[str],
    *,
    by: str,
    blobs: Sequence[str] = (),
    tell: Callable[[str], None] = lambda _: None,
) -> Scrubbed:
    """Remove ended executions for good; returns when that is durable.

    ``blobs`` are the large values that nothing else refers to. Raises ConflictError for one that
    has not ended, before anything is done. Doing it again is harmless.
    """
    for execution in ids:
        await _require_ended(client, execution)
    for execution in ids:
        tell(f"deleting {execution}")
        await _delete(client, execution)
    partitions = range((await client.info()).partitions)
    tell("rewriting stored states")
    marks = [
        await client.mark(number, Mark(without=_of_partition(ids, number, partitions)))
        for number in partitions
    ]
    tell("waiting for the archive")
    await client.archive.flush()
    for execution in ids:
        tell(f"taking {execution} out of the archive")
        await client.archive.scrub(execution, max(marks), by=by)
    tell("closing the journal's file")
    through = await _close_file(client, partitions)
    await client.archive.flush()
    erased = await _erase(client, Erase(upto=through, blobs=tuple(blobs)), tell)
    return Scrubbed(ids=tuple(ids), through=through, blobs=len(blobs), left=erased.detail)


async def _require_ended(client: Client, execution: str) -> None:
    try:
        details = await client.get(execution)
    except NotFoundError:
        await _require_archived(client, execution)
        return
    if details.ended_at is None:
        raise ConflictError(
            f"execution {execution} has not ended", hint=f"end it first: flunq cancel {execution}"
        )


async def _require_archived(client: Client, execution: str) -> None:
    """Its record is gone already; then its events must be somewhere."""
    await client.archive.flush()
    async for _ in client.archive.events(execution):
        return
    raise NotFoundError(f"there is nothing of execution {execution}")


async def _delete(client: Client, execution: str) -> None:
    try:
        await client.delete(execution)
    except NotFoundError:
        return


def _of_partition(ids: Sequence[str], number: int, partitions: range) -> tuple[str, ...]:
    return tuple(each for each in ids if partition_of(each, len(partitions)) == number)


async def _close_file(client: Client, partitions: range) -> int:
    """Fill the journal's newest file, so that it goes whole; returns the last sequence in it."""
    through = 0
    for _ in range(BLOCK // MOST_PADDING + 2):
        through = await client.mark(partitions[0], Mark(padding=MOST_PADDING))
    for number in partitions:
        await client.mark(number, Mark())
    return through


async def _erase(client: Client, question: Erase, tell: Callable[[str], None]) -> Erased:
    try:
        async with asyncio.timeout(_PATIENCE):
            while (erased := await client.erase(question)).state == "running":
                tell(erased.detail or "erasing")
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        raise UnavailableError("it is not erased yet", hint="do it again") from None
    if erased.state == "failed":
        raise ConflictError(erased.detail, hint="see what holds it back with: flunq lake status")
    return erased
