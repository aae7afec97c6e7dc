"""Server-sent events: frames, heartbeats between them, and the end when the process ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import msgspec

from flunq.api.contract import EVENT_STREAM, Streamed
from flunq.api.problems import as_flunq_error
from flunq.errors import FlunqError, InternalError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from flunq.api.services import ApiServices

_log = logging.getLogger(__name__)

RETRY = b"retry: 1000\n\n"
_BEAT = b": alive\n\n"
_KEPT = 256
"""Frames that may wait for a slow caller; beyond that the source waits."""


def frame(data: bytes, *, id: str = "", event: str = "") -> bytes:
    """Return one event; ``data`` is JSON, which has no line breaks."""
    head = b""
    if id:
        head = b"id: " + id.encode() + b"\n"
    if event:
        head += b"event: " + event.encode() + b"\n"
    return head + b"data: " + data + b"\n\n"


def event_stream(services: ApiServices, frames: AsyncGenerator[bytes, None]) -> Streamed:
    """Return frames as an answer."""
    services.waits.check()
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    chunks = _alive(services, frames)
    return Streamed(chunks=chunks, media=EVENT_STREAM, headers=headers)


async def _alive(
    services: ApiServices, frames: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    with services.waits:
        yield RETRY
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_KEPT)
        feeding = asyncio.create_task(_feed(frames, queue))
        stopping = asyncio.create_task(services.stopping.wait())
        taking = asyncio.create_task(queue.get())
        wait = services.settings.limits.heartbeat_seconds
        try:
            while not services.stopping.is_set():
                done, _ = await asyncio.wait(
                    (taking, stopping), timeout=wait, return_when=asyncio.FIRST_COMPLETED
                )
                if taking in done:
                    chunk = taking.result()
                    if chunk is None:
                        return
                    yield _with_waiting(chunk, queue)
                    taking = asyncio.create_task(queue.get())
                elif not done:
                    yield _BEAT
        finally:
            for task in (feeding, stopping, taking):
                task.cancel()
            await asyncio.gather(feeding, stopping, taking, return_exceptions=True)


def _with_waiting(chunk: bytes, queue: asyncio.Queue[bytes | None]) -> bytes:
    """Return a frame and those that wait behind it: one write for all of them."""
    parts = [chunk]
    while not queue.empty():
        following = queue.get_nowait()
        if following is None:
            queue.put_nowait(None)
            break
        parts.append(following)
    return b"".join(parts)


async def _feed(frames: AsyncGenerator[bytes, None], queue: asyncio.Queue[bytes | None]) -> None:
    try:
        async with contextlib.aclosing(frames):
            async for each in frames:
                await queue.put(each)
    except Exception as error:  # noqa: BLE001 - the caller hears of it, and the log
        known = as_flunq_error(error)
        if known is None:
            _log.error("an event stream broke off", exc_info=error)
            known = InternalError("the stream broke off; the server's log says why")
        # The caller comes again by itself, with the id of the last event it has seen.
        await queue.put(problem_frame(known))
    await queue.put(None)


def problem_frame(error: FlunqError) -> bytes:
    """Return an error as an event of its own."""
    return frame(msgspec.json.encode(error.problem()), event="problem")
