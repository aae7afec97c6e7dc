"""Events as they happen: of one execution, and of a whole tenant (server-sent events)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flunq.api.contract import EVENT_STREAM, Answer, ApiRoute, Call, no_content
from flunq.api.problems import InvalidFieldError
from flunq.api.sse import event_stream, frame
from flunq.api.tail import Cursor, Tail, newest
from flunq.core.events import TERMINAL_TYPES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from flunq.client import Client
    from flunq.core.events import LazyEvent

TAG = "events"
_LAST = "last-event-id"
_encode = msgspec.json.Encoder().encode


class FollowQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Where to begin, for those who cannot send the header ``Last-Event-ID``."""

    after: str = ""


class StreamQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events; ``type`` is what the type begins with."""

    after: str = ""
    type: str = ""
    workflow: str = ""


async def follow_execution(call: Call) -> Answer:
    """Send the events of an execution, those so far and those to come, until it has ended."""
    after = _sequence(call.headers.get(_LAST) or call.query.after)
    details = await call.client.get(call.id)
    if details.ended_at is not None and after >= details.seq:
        return no_content()  # nothing will ever follow; a browser comes no more
    return event_stream(call.services, _of_execution(call.client, call.id, after))


async def follow_tenant(call: Call) -> Answer:
    """Send the events of all executions, from now or from where the caller was."""
    given = call.headers.get(_LAST) or call.query.after
    partitions = (await call.client.info()).partitions
    cursor = Cursor.parse(given, partitions) if given else await newest(call.client)
    return event_stream(call.services, _of_tenant(Tail(call.client, cursor), call.query))


async def _of_execution(client: Client, execution: str, after: int) -> AsyncGenerator[bytes, None]:
    async for event in client.follow(execution):
        if event.seq > after:
            yield frame(_encode(event), id=str(event.seq))
        if event.type in TERMINAL_TYPES:
            yield frame(b"{}", id=str(event.seq), event="end")


async def _of_tenant(tail: Tail, query: StreamQuery) -> AsyncGenerator[bytes, None]:
    yield b"id: " + tail.cursor().encode() + b"\n\n"
    async for after, event in tail.events():
        if event.subject and _wanted(event, query):
            yield frame(_encode(event), id=after)


def _wanted(event: LazyEvent, query: StreamQuery) -> bool:
    if not event.type.startswith(query.type):
        return False
    return not query.workflow or event.workflow.startswith(query.workflow)


def _sequence(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise InvalidFieldError("the id of an event here is a number", path="Last-Event-ID")
    return int(text)


ROUTES = (
    ApiRoute(
        method="GET",
        path="/v1/executions/{id}/events",
        endpoint=follow_execution,
        name="followExecution",
        tag=TAG,
        query=FollowQuery,
        media=(EVENT_STREAM,),
        also=(204,),
        summary="Follow the events of an execution until it has ended.",
        description=(
            "Server-sent events; the id is the event's `seq`, so `Last-Event-ID` goes on where a "
            "connection broke. After the last event comes one named `end`; asking again is a 204."
        ),
    ),
    ApiRoute(
        method="GET",
        path="/v1/events/stream",
        endpoint=follow_tenant,
        name="followEvents",
        tag=TAG,
        query=StreamQuery,
        media=(EVENT_STREAM,),
        summary="Follow the events of all executions.",
        description=(
            "Server-sent events from now on, or from `Last-Event-ID` on. The id says how far each "
            "partition's journal was read, and is to be sent back as it is. What retention has "
            "taken from the journal is in the archive: ask with SQL."
        ),
    ),
)
