"""Waiting for the next message of a stream without a consumer, which costs the server memory."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flunq.log.nats.jetstream import JetStream

AWAKE_SECONDS = 30.0
"""Who got nothing for so long may do without a consumer."""
LOOK_SECONDS = 600.0
"""How often a sleeper looks by itself whether there is something."""


def may_sleep(js: JetStream) -> bool:
    """Whether nothing can come unheard.

    One server sees a subscription before it is asked what it stores, so nothing comes in between.
    Of several each learns of the subscription at its own time.
    """
    return js.connection.is_to_the_only_server


async def until_stored(
    js: JetStream, stream: str, subject: str, *, after: int, heard_on: str
) -> None:
    """Return when there may be a message of a subject after a sequence.

    Whoever publishes is heard on ``heard_on``; after a reconnect somebody may have been missed.
    """
    told = asyncio.Event()
    stop_listening = js.connection.on_reconnect(told.set)
    subscription = js.connection.client.attach(heard_on, lambda *_: told.set())
    try:
        while not told.is_set() and await js.next(stream, subject, after=after) is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await told.wait()
    finally:
        js.connection.client.detach(subscription)
        stop_listening()
