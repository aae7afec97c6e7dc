"""What can be done to the broker's streams and consumers while it runs."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flunq.log.nats import NatsEventStream
from flunq.log.nats.jetstream import ApiError, JetStream
from flunq.log.ports import NoResponderError, RequestTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.select import StreamSettings

UNANSWERED = (ApiError, NoResponderError, RequestTimeoutError)
_HEADROOM = 2_000
_RESTORED_WITHIN = 30.0


async def fill(settings: StreamSettings, seconds: float) -> None:
    """Let journal and inbox be full for a while: each further byte is refused."""
    async with NatsEventStream(settings) as stream:
        js = JetStream(stream.connection)
        names = (stream.names.journal_stream, stream.names.inbox_stream)
        before = [await _limit(js, name, None) for name in names]
        try:
            await asyncio.sleep(seconds)
        finally:
            for name, limit in zip(names, before, strict=True):
                await _insist_on_limit(js, name, limit)


async def _limit(js: JetStream, name: str, wanted: int | None) -> int:
    """Set the most bytes that a stream may have, by default what it has; return the old limit."""
    info = await js.insist(f"STREAM.INFO.{name}")
    config: dict[str, Any] = info["config"]
    limit = info["state"]["bytes"] + _HEADROOM if wanted is None else wanted
    await js.insist(f"STREAM.UPDATE.{name}", {**config, "max_bytes": limit})
    return int(config["max_bytes"])


async def _insist_on_limit(js: JetStream, name: str, limit: int) -> None:
    async with asyncio.timeout(_RESTORED_WITHIN):
        while True:
            try:
                await _limit(js, name, limit)
            except UNANSWERED:
                await asyncio.sleep(0.1)
            else:
                return


async def lose_consumers(settings: StreamSettings) -> None:
    """Delete every consumer that the cluster has."""
    async with NatsEventStream(settings) as stream:
        js = JetStream(stream.connection)
        async for name, consumer in _consumers(js, stream):
            with suppress(ApiError):
                await js.insist(f"CONSUMER.DELETE.{name}.{consumer}")


async def stall_consumers(settings: StreamSettings, seconds: float) -> None:
    """Let the broker deliver nothing for a while, without a word."""
    until = datetime.fromtimestamp(time.time(), UTC) + timedelta(seconds=seconds)
    async with NatsEventStream(settings) as stream:
        js = JetStream(stream.connection)
        async for name, consumer in _consumers(js, stream):
            with suppress(ApiError):
                pause = {"pause_until": until.isoformat()}
                await js.insist(f"CONSUMER.PAUSE.{name}.{consumer}", pause)
    await asyncio.sleep(seconds)


async def _consumers(js: JetStream, stream: NatsEventStream) -> AsyncIterator[tuple[str, str]]:
    names = stream.names
    for name in (names.journal_stream, names.inbox_stream, names.tasks_stream):
        listed = await js.insist(f"CONSUMER.NAMES.{name}")
        for consumer in listed.get("consumers") or []:
            yield name, consumer
