"""Waiting for the next message of a stream without a consumer, which costs the server memory."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from flunq.log.nats.jetstream import PUBLISH_TIMEOUT

if TYPE_CHECKING:
    from flunq.log.nats.jetstream import JetStream

AWAKE_SECONDS = 30.0
"""Who got nothing for so long may do without a consumer."""
SECOND_LOOK_SECONDS = 2 * PUBLISH_TIMEOUT
"""What came right before the subscription is stored by then, or published again and heard."""
LOOK_SECONDS = 600.0
"""How often a sleeper looks by itself after that."""


def may_sleep(js: JetStream) -> bool:
    """Whether nothing can come unheard: of several servers each learns late of a subscription."""
    return js.connection.is_to_the_only_server


async def until_stored(
    js: JetStream, stream: str, subject: str, *, after: int, heard_on: str
) -> None:
    """Return when there may be a message of a subject after a sequence.

    Whoever publishes is heard on ``heard_on``; after a reconnect somebody may have been missed.
    """
    told = asyncio.Event()
    pause = SECOND_LOOK_SECONDS
    stop_listening = js.connection.on_reconnect(told.set)
    subscription = js.connection.client.attach(heard_on, lambda *_: told.set())
    try:
        while not told.is_set() and await js.next(stream, subject, after=after) is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await told.wait()
            pause = LOOK_SECONDS
    finally:
        js.connection.client.detach(subscription)
        stop_listening()
