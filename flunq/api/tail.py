"""Every event of a tenant, from a cursor on: owners are asked, pushes only say when.

A cursor has the journal position up to which each partition was read, in base 36 and joined by
``-``; where a reader is in the middle of a commit, ``.PARTITION.EVENTS`` says how far. Each
partition has its own order, so one number could not say what was seen of all of them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import msgspec

from flunq.api.problems import InvalidFieldError
from flunq.core.events import LazyEvent, decode_batch_lazily
from flunq.core.protocol import Commits, feed_subject
from flunq.errors import UnavailableError
from flunq.services.lasting import heard

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from flunq.client import Client

QUIET_SECONDS = 2.0
"""After this long without an answer a partition is asked: its last push may have been lost."""
_END = 1 << 53
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LONGEST = 12
"""Digits of a position."""


class _Head(msgspec.Struct, frozen=True):
    partition: int = -1


_heads = msgspec.json.Decoder(list[_Head]).decode


class Cursor:
    """How far each partition was read."""

    def __init__(self, after: list[int], *, partition: int = -1, taken: int = 0) -> None:
        self.after = after
        self.partition = partition
        """The one whose next commit was read in part, or -1."""
        self.taken = taken
        """How many events of that commit were read."""

    def __str__(self) -> str:
        positions = "-".join(map(_base36, self.after))
        return (
            positions
            if self.partition < 0
            else f"{positions}.{_base36(self.partition)}.{_base36(self.taken)}"
        )

    @classmethod
    def parse(cls, text: str, partitions: int) -> Self:
        """Read what ``str`` wrote; raises InvalidFieldError."""
        positions, *rest = text.split(".")
        try:
            after = [_number(each) for each in positions.split("-")]
            partition, taken = map(_number, rest) if rest else (-1, 0)
        except ValueError:
            raise _no_cursor() from None
        if len(after) != partitions or partition >= partitions:
            raise _no_cursor()
        return cls(after, partition=partition, taken=taken)


async def newest(client: Client) -> Cursor:
    """Return the cursor of now."""
    partitions = (await client.info()).partitions
    question = Commits(after=_END, upto=_END)
    pages = await asyncio.gather(
        *(client.ask_owner(number, question) for number in range(partitions))
    )
    return Cursor([page.cursor for page in pages])


class Tail:
    """Reads on from a cursor, for ever."""

    def __init__(self, client: Client, cursor: Cursor) -> None:
        self._client = client
        self._cursor = cursor
        self._due: set[int] = set(range(len(cursor.after)))
        self._asked = [0.0] * len(cursor.after)
        """When each partition was asked last."""
        self._wake = asyncio.Event()

    async def events(self) -> AsyncGenerator[tuple[str, LazyEvent], None]:
        """Yield each event with the cursor after it."""
        subject = feed_subject(self._client.tenant, "*")
        async with self._client.listening(subject, self._hear):
            while True:
                while self._due:
                    number = self._next()
                    async for item in self._read(number):
                        yield item
                await self._wait()

    def _next(self) -> int:
        """Return which partition is read next: the rest of a half-read commit comes first."""
        half = self._cursor.partition
        number = half if half in self._due else next(iter(self._due))
        self._due.discard(number)
        return number

    async def _read(self, number: int) -> AsyncGenerator[tuple[str, LazyEvent], None]:
        """Read a partition to its end."""
        cursor = self._cursor
        while True:
            self._asked[number] = asyncio.get_running_loop().time()
            try:
                page = await self._client.ask_owner(
                    number, Commits(after=cursor.after[number], upto=_END)
                )
            except UnavailableError:
                return  # between two owners; asked again when it is quiet
            for seq, raw in zip(page.seqs, page.items, strict=True):
                batch = decode_batch_lazily(bytes(raw))[1:]
                skipped = cursor.taken if cursor.partition == number else 0
                for position, event in enumerate(batch[skipped:], skipped + 1):
                    after = self._after(number, seq, position, len(batch))
                    yield after, await self._client.full_event(event)
                self._passed(number, seq)
            if not page.more:
                return

    def _after(self, number: int, seq: int, position: int, length: int) -> str:
        cursor = self._cursor
        if cursor.partition not in (-1, number):
            # Only one commit can be half read; that of the other partition comes again.
            return str(cursor)
        if position < length:
            return str(Cursor(cursor.after, partition=number, taken=position))
        after = [*cursor.after]
        after[number] = seq
        return str(Cursor(after))

    def _passed(self, number: int, seq: int) -> None:
        self._cursor.after[number] = seq
        if self._cursor.partition == number:
            self._cursor.partition, self._cursor.taken = -1, 0

    def cursor(self) -> str:
        """Return how far it was read."""
        return str(self._cursor)

    def _hear(self, body: bytes) -> None:
        heads = _heads(body)
        if heads and 0 <= heads[0].partition < len(self._cursor.after):
            self._due.add(heads[0].partition)
            self._wake.set()

    async def _wait(self) -> None:
        self._wake.clear()
        if self._due:
            return
        now = asyncio.get_running_loop().time
        await heard(self._wake, within=min(self._asked) + QUIET_SECONDS - now())
        # However busy others are: the push of a quiet one may have been lost.
        limit = now() - QUIET_SECONDS
        self._due.update(number for number, asked in enumerate(self._asked) if asked <= limit)


def _base36(number: int) -> str:
    if number < 36:
        return _DIGITS[number]
    return _base36(number // 36) + _DIGITS[number % 36]


def _number(text: str) -> int:
    if not 0 < len(text) <= _LONGEST or any(digit not in _DIGITS for digit in text):
        raise ValueError(text)
    return int(text, 36)


def _no_cursor() -> InvalidFieldError:
    return InvalidFieldError("this is no event id of this stream", path="Last-Event-ID")
