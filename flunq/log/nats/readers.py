"""Read a stream in order and for ever, whatever happens to connection, server or consumer."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from flunq.log.nats.jetstream import (
    ApiError,
    own_headers,
    parse_headers,
    parse_status,
)
from flunq.log.nats.names import partition_of_subject
from flunq.log.nats.sleeping import AWAKE_SECONDS, may_sleep, until_stored
from flunq.log.ports import NoResponderError, Record, RequestTimeoutError, StreamGoneError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.nats.connection import Collector, Reply
    from flunq.log.nats.jetstream import JetStream

_log = logging.getLogger(__name__)
EXPIRES = 5.0
"""How long one pull stays open at the server."""
QUIET_EXPIRES = 60.0
"""The same where nothing came for a while, and a lost consumer cannot go unnoticed."""
BATCH = 256
BATCH_BYTES = 16 * 1024 * 1024
TOGETHER = 32
"""So many records are handed on at once: whoever reads looks for room between two batches."""
_LONGEST_PAUSE = 1.0
_STALLED_SECONDS = 240.0
"""After so long without a message the consumer is asked whether it holds something back."""


class Position(NamedTuple):
    """What the reply subject of a consumer's message says about it."""

    deliveries: int
    seq: int
    consumer_seq: int
    time: float


class _Restart(Exception):  # noqa: N818 - control flow, not an error
    """The consumer cannot be used any more."""


def parse_position(reply: bytes) -> Position:
    """Read ``$JS.ACK...``; with a domain it has two more parts in front."""
    parts = reply.split(b".")
    base = 4 if len(parts) == 9 else 6
    return Position(
        int(parts[base]),
        int(parts[base + 1]),
        int(parts[base + 2]),
        int(parts[base + 3]) / 1_000_000_000,
    )


class OrderedReader:
    """An ephemeral consumer without acknowledgements, made again from the position when lost.

    Where nothing comes for a while it has no consumer: a subscription to ``heard_on``, where
    everything that it reads is published, tells when it needs one again. None: it always has one.
    """

    def __init__(
        self,
        js: JetStream,
        stream: str,
        subject: str,
        *,
        after: int | None,
        heard_on: str | None = None,
    ) -> None:
        self._js = js
        self._stream = stream
        self._subject = subject
        self._heard_on = heard_on
        self._position = after
        self._created: str | None = None
        self._consumer = ""
        self._consumer_seq = 0

    async def batches(self) -> AsyncIterator[list[Record]]:
        """Yield what has arrived, at least one record at a time.

        Raises StreamGoneError when the stream was deleted, or deleted and made again.
        """
        pause = 0.0
        while True:
            await asyncio.sleep(pause)
            try:
                await self._create()
                with self._js.connection.channel() as answers:
                    try:
                        async for batch in self._pull(answers):
                            pause = 0.0
                            yield batch
                    finally:
                        self._discard()
                await self._sleep()
            except (_Restart, NoResponderError, RequestTimeoutError, ApiError) as reason:
                pause = min(max(pause * 2, 0.02), _LONGEST_PAUSE)
                level = logging.WARNING if pause == _LONGEST_PAUSE else logging.DEBUG
                _log.log(
                    level, "reading %s again after %s: %r", self._stream, self._position, reason
                )

    async def _create(self) -> None:
        info = await self._js.insist(f"STREAM.INFO.{self._stream}")
        if self._created not in (None, info["created"]):
            raise StreamGoneError(f"the stream {self._stream} was made again")
        self._created = info["created"]
        newest = int(info["state"]["last_seq"])
        if self._position is None:
            self._position = newest
        if self._position > newest:
            raise StreamGoneError(
                f"the stream {self._stream} ends at {newest}, before {self._position}"
            )
        name = f"r{secrets.token_hex(8)}"
        config = {
            "name": name,
            "ack_policy": "none",
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._position + 1,
            "filter_subject": self._subject,
            "inactive_threshold": 180_000_000_000,
            "mem_storage": True,
            "num_replicas": 1,
        }
        await self._js.call(
            f"CONSUMER.CREATE.{self._stream}.{name}.{self._subject}",
            {"stream_name": self._stream, "config": config, "action": "create"},
        )
        self._consumer, self._consumer_seq = name, 0

    async def _pull(self, answers: Collector) -> AsyncIterator[list[Record]]:
        """Yield what comes; ends when nothing did for a while and something else will tell."""
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        quiet = unchecked = 0.0
        while True:
            expires = self._patience(quiet)
            request = {"batch": BATCH, "max_bytes": BATCH_BYTES, "expires": int(expires * 1e9)}
            self._js.connection.ask(subject, msgspec.json.encode(request), answers)
            wanted, got = BATCH, 0
            items: list[tuple[bytes, Reply] | Exception] = []
            while wanted > 0 or items:
                items = items or await _take(answers, expires)
                now, items = items[:TOGETHER], items[TOGETHER:]
                batch, end = self._sort(now)
                wanted, got = wanted - len(batch), got + len(batch)
                if batch:
                    yield batch
                if isinstance(end, Exception):
                    raise end
                if end:
                    break
            quiet, unchecked = (0.0, 0.0) if got else (quiet + expires, unchecked + expires)
            if quiet >= AWAKE_SECONDS and self._may_sleep():
                return
            if unchecked >= _STALLED_SECONDS:
                unchecked = 0.0
                await self._check_stalled()

    def _may_sleep(self) -> bool:
        return self._heard_on is not None and may_sleep(self._js)

    async def _sleep(self) -> None:
        assert self._position is not None
        assert self._heard_on is not None
        await until_stored(
            self._js, self._stream, self._subject, after=self._position, heard_on=self._heard_on
        )

    def _patience(self, quiet: float) -> float:
        """Return how long the next pull stays open: idle readers cost a pull now and then."""
        if quiet < EXPIRES or not self._js.connection.is_to_the_only_server:
            return EXPIRES
        return QUIET_EXPIRES

    def _sort(
        self, items: list[tuple[bytes, Reply] | Exception]
    ) -> tuple[list[Record], bool | Exception]:
        """Return the records among the answers, and whether (or why) they were the last.

        What came before a break is good, and accepted once: it must reach the reader.
        """
        records: list[Record] = []
        for item in items:
            if isinstance(item, Exception):
                return records, item
            reply_subject, reply = item
            status = parse_status(reply.headers)
            if status is None:
                try:
                    if record := self._accept(reply_subject, reply):
                        records.append(record)
                except _Restart as gap:
                    return records, gap
            elif ends_pull(status.code, status.text):
                return records, True
            else:
                return records, _Restart(f"{status.code} {status.text}")
        return records, False

    def _accept(self, reply_subject: bytes, reply: Reply) -> Record | None:
        position = parse_position(reply_subject)
        if position.consumer_seq != self._consumer_seq + 1:
            raise _Restart(f"expected delivery {self._consumer_seq + 1}, got {position}")
        self._consumer_seq += 1
        assert self._position is not None
        if position.seq <= self._position:
            return None
        self._position = position.seq
        headers = own_headers(parse_headers(reply.headers)) if reply.headers else {}
        return Record(
            seq=position.seq,
            data=reply.data,
            partition=partition_of_subject(reply.subject),
            headers=headers,
            subject=reply.subject,
            time=position.time,
        )

    async def _check_stalled(self) -> None:
        info = await self._js.call(f"CONSUMER.INFO.{self._stream}.{self._consumer}")
        if info.get("num_pending", 0) > 0:
            raise _Restart(f"{info['num_pending']} messages are held back")

    def _discard(self) -> None:
        client = self._js.connection.client
        if self._consumer and client.is_connected:
            client.send(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._consumer}", b"")
        self._consumer = ""


def ends_pull(code: int, text: str) -> bool:
    """Tell whether a status only says that a pull is over, and the consumer is well."""
    return code in (404, 408) or (
        code == 409 and ("max" in text.lower() or "batch" in text.lower())
    )


async def _take(answers: Collector, expires: float) -> list[tuple[bytes, Reply] | Exception]:
    try:
        return await answers.take(within=expires + 2.0)
    except TimeoutError:
        raise _Restart("the pull never ended") from None
