"""Calls on channels: unary and streams both ways, with limits, failures as DSL errors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc.aio
import msgspec
from grpc import StatusCode

from flunq.sdk.executor import JSON, TaskError
from flunq_plugins.grpc_channel import Channels, Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq_plugins.grpc_schema import Method

_EXCERPT = 500
_SMALL = 16 * 1024
"""Messages up to this many bytes are decoded on the loop."""
_OVERHEAD = 64
"""What each message of a stream counts for besides its bytes."""
_ERRORS: dict[StatusCode, tuple[str, int]] = {
    StatusCode.CANCELLED: ("communication", 499),
    StatusCode.INVALID_ARGUMENT: ("validation", 400),
    StatusCode.DEADLINE_EXCEEDED: ("timeout", 408),
    StatusCode.NOT_FOUND: ("communication", 404),
    StatusCode.ALREADY_EXISTS: ("communication", 409),
    StatusCode.PERMISSION_DENIED: ("authorization", 403),
    StatusCode.RESOURCE_EXHAUSTED: ("communication", 429),
    StatusCode.FAILED_PRECONDITION: ("communication", 400),
    StatusCode.ABORTED: ("communication", 409),
    StatusCode.OUT_OF_RANGE: ("validation", 400),
    StatusCode.UNIMPLEMENTED: ("communication", 501),
    StatusCode.UNAVAILABLE: ("communication", 503),
    StatusCode.UNAUTHENTICATED: ("authentication", 401),
}
_OTHER_ERRORS = ("communication", 500)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent: encoded messages and metadata."""

    messages: list[bytes]
    metadata: list[tuple[str, str]]


class Caller:
    """Calls methods over channels that it keeps."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._channels = Channels(limit)

    async def close(self) -> None:
        """Close all channels."""
        await self._channels.close()

    async def call(self, place: Place, method: Method, request: Request, seconds: float) -> JSON:
        """Return the reply, or the array of replies; raises TaskError."""
        channel = await self._channels.take(place)
        call = _begin(channel, method, request, seconds)
        try:
            if method.streams_replies:
                return await self._collected(call, method)
            return await _decoded(await call, method)
        except grpc.aio.AioRpcError as error:
            raise _failed(error, method, place) from None
        finally:
            call.cancel()
            self._channels.release(place)

    async def _collected(self, replies: AsyncIterator[bytes], method: Method) -> list[JSON]:
        collected: list[JSON] = []
        size = 0
        async for data in replies:
            size += len(data) + _OVERHEAD
            if size > self._limit:
                raise _too_large(self._limit)
            collected.append(await _decoded(data, method))
        return collected


async def _decoded(data: bytes, method: Method) -> JSON:
    if len(data) > _SMALL:
        return await asyncio.to_thread(method.decode, data)
    return method.decode(data)


def _begin(channel: Any, method: Method, request: Request, seconds: float) -> Any:
    """Start a call; without serializers grpc hands over bytes."""
    options = {"timeout": seconds, "metadata": request.metadata}
    if method.streams_requests:
        stream = channel.stream_stream if method.streams_replies else channel.stream_unary
        return stream(method.path)(_each(request.messages), **options)
    single = channel.unary_stream if method.streams_replies else channel.unary_unary
    return single(method.path)(request.messages[0], **options)


async def _each(messages: list[bytes]) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


def _failed(error: grpc.aio.AioRpcError, method: Method, place: Place) -> TaskError:
    code = error.code()
    type, status = _ERRORS.get(code, _OTHER_ERRORS)
    where = f"{method.path.removeprefix('/')} at {place.host}:{place.port}"
    detail = f"{where}: {code.name}"
    reason = error.details()
    if reason:
        detail += f": {reason[:_EXCERPT]}"
    return TaskError(type, status, f"gRPC status {code.name}", detail)


def _too_large(limit: int) -> TaskError:
    detail = f"the replies are larger than {limit} bytes"
    return TaskError("communication", 502, "The response is too large", detail)
