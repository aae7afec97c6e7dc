"""Responses that are read as they come: bytes, lines, server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flunq.sdk.executor import TaskError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

MAX_LINE = 8 * 1024 * 1024
"""Bytes of one line, and characters of one event's data, unless the body limit is smaller."""


class ServerEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One server-sent event."""

    event: str = "message"
    data: str = ""
    id: str | None = None


class ReplyStream:
    """The beginning of a response, and its body as it comes; read it in one way only."""

    __slots__ = ("_chunks", "_limit", "headers", "status")

    def __init__(
        self, status: int, headers: dict[str, str], chunks: AsyncGenerator[bytes, None], limit: int
    ) -> None:
        self.status = status
        self.headers = headers
        self._chunks = chunks
        self._limit = limit

    @property
    def is_events(self) -> bool:
        """Tell whether the server sends events, not one body."""
        media = self.headers.get("content-type", "").partition(";")[0]
        return media.strip().lower() == "text/event-stream"

    async def read(self) -> bytes:
        """Return the rest of the body; it has to be within the limit of bodies."""
        body = bytearray()
        async for chunk in self._chunks:
            body += chunk
            if len(body) > self._limit:
                raise _too_large("body", self._limit)
        return bytes(body)

    async def lines(self) -> AsyncGenerator[str, None]:
        """Return the lines as they are complete, without their ends."""
        limit = min(MAX_LINE, self._limit)
        rest = bytearray()
        searched = 0
        async for chunk in self._chunks:
            rest += chunk
            start = 0
            while (end := rest.find(b"\n", max(start, searched))) >= 0:
                yield _line(rest[start:end])
                start = searched = end + 1
            del rest[:start]
            searched = len(rest)
            if len(rest) > limit:
                raise _too_large("line", limit)
        if rest:
            yield _line(rest)

    async def events(self) -> AsyncGenerator[ServerEvent, None]:
        """Return the server-sent events; one that the end cuts off does not count."""
        limit = min(MAX_LINE, self._limit)
        data: list[str] = []
        event, size = "message", 0
        identity: str | None = None
        async for line in self.lines():
            if not line:
                if data:
                    yield ServerEvent(event=event, data="\n".join(data), id=identity)
                event, data, size = "message", [], 0
                continue
            name, _, value = line.removeprefix("\ufeff").partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data.append(value)
                size += len(value) + 1
            elif name == "event":
                event = value or "message"
            elif name == "id" and "\0" not in value:
                identity = value
            if size > limit:
                raise _too_large("event", limit)


def _line(raw: bytes | bytearray) -> str:
    return raw.removesuffix(b"\r").decode("utf-8", "replace")


def _too_large(what: str, limit: int) -> TaskError:
    detail = f"one {what} of the response is larger than {limit} bytes"
    return TaskError("communication", 502, "The response is too large", detail)
