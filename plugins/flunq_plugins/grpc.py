"""``call: grpc``."""

from __future__ import annotations

import asyncio
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flunq.sdk.egress import EgressPolicy
from flunq.sdk.executor import JSON, Call, Executor, TaskError
from flunq.sdk.web.addresses import checked_addresses
from flunq.sdk.web.authentication import credentials
from flunq.sdk.web.shared import http_client
from flunq_plugins.grpc_sources import Loader

if TYPE_CHECKING:
    from flunq.sdk.context import ExecutorContext, TaskContext
    from flunq_plugins.grpc_calls import Caller, Request
    from flunq_plugins.grpc_channel import Place
    from flunq_plugins.grpc_schema import Method, Schemas

_SECURE_PORTS = frozenset({443, 8443})
_DEFAULT_PORT = 443
_PUBLIC_ONLY = EgressPolicy()


class GrpcExecutor(Executor):
    """Calls methods of gRPC services that proto files describe."""

    kinds = ("grpc",)

    def __init__(self) -> None:
        self._loader = Loader()
        self._opening = asyncio.Lock()
        self._caller: Caller | None = None
        self._schemas: Schemas | None = None

    async def start(self, context: ExecutorContext) -> None:
        """Do nothing: libraries and connections come with the first call."""

    async def aclose(self) -> None:
        """Close all connections."""
        if self._caller is not None:
            await self._caller.close()

    async def execute(self, call: Call, context: TaskContext) -> JSON:
        """Call the method; replies that are streamed become an array."""
        wanted = _Wanted(call.arguments)
        seconds, has_deadline = _time_left(call, context.settings.request_timeout)
        try:
            async with asyncio.timeout(seconds):
                return await self._call(call, wanted, context, seconds)
        except TimeoutError:
            detail = f"{wanted.where}: no complete answer within {seconds:.1f} s"
            if has_deadline:
                raise TaskError("timeout", 408, detail=detail) from None
            raise TaskError("communication", 504, detail=detail) from None

    async def _call(
        self, call: Call, wanted: _Wanted, context: TaskContext, seconds: float
    ) -> JSON:
        caller, schemas = await self._opened(context)
        schema = await schemas.of(await self._loader.load(wanted.proto, context))
        method = schema.method(wanted.service, wanted.method)
        place, request = await self._request(call, wanted, method, context)
        return await caller.call(place, method, request, seconds)

    async def _request(
        self, call: Call, wanted: _Wanted, method: Method, context: TaskContext
    ) -> tuple[Place, Request]:
        from flunq_plugins.grpc_calls import Request
        from flunq_plugins.grpc_channel import Place

        addresses = await checked_addresses(wanted.host, wanted.port, context.settings.egress)
        place = Place(wanted.host, wanted.port, wanted.secure, tuple(addresses))
        metadata = await _metadata(call, wanted, place, context)
        messages = await asyncio.to_thread(_encoded, wanted.arguments, method)
        return place, Request(messages=messages, metadata=metadata)

    async def _opened(self, context: TaskContext) -> tuple[Caller, Schemas]:
        async with self._opening:
            if self._caller is None or self._schemas is None:
                await _import("flunq_plugins.grpc_calls")
                await _import("flunq_plugins.grpc_schema")
                from flunq_plugins.grpc_calls import Caller
                from flunq_plugins.grpc_schema import Schemas

                self._caller = Caller(context.settings.max_body)
                self._schemas = Schemas()
            return self._caller, self._schemas


async def _import(module: str) -> None:
    try:
        # Importing takes too long for the loop.
        await asyncio.to_thread(import_module, module)
    except ImportError as error:
        detail = f"call: grpc needs {error.name}: pip install 'flunq[grpc]'"
        raise TaskError("configuration", 400, "gRPC is not installed", detail) from error


def _time_left(call: Call, limit: float) -> tuple[float, bool]:
    if call.deadline is None:
        return limit, False
    left = max(0.0, call.deadline / 1_000_000 - time.time())
    return (left, True) if left < limit else (limit, False)


class _Wanted:
    """What the arguments ask for."""

    def __init__(self, arguments: Any) -> None:
        members = _object(arguments, "with")
        service = _object(members.get("service"), "service")
        self.proto = members.get("proto")
        self.service = _text(service.get("name"), "service.name")
        self.method = _text(members.get("method"), "method")
        self.host = _text(service.get("host"), "service.host")
        self.port = _port(service.get("port"))
        self.policy = service.get("authentication")
        tls = members.get("tls")
        self.secure = tls if isinstance(tls, bool) else self.port in _SECURE_PORTS
        self.arguments = members.get("arguments")

    @property
    def where(self) -> str:
        """Return service, method and address for messages."""
        return f"{self.service}/{self.method} at {self.host}:{self.port}"


def _encoded(arguments: Any, method: Method) -> list[bytes]:
    values = _stream(arguments) if method.streams_requests else [arguments]
    return [method.encode({} if value is None else value) for value in values]


def _stream(arguments: Any) -> list[Any]:
    """Return the requests of a stream: ``{messages: [...]}``, or one message."""
    if isinstance(arguments, list):
        return arguments
    if isinstance(arguments, dict) and list(arguments) == ["messages"]:
        messages = arguments["messages"]
        if isinstance(messages, list):
            return messages
    return [arguments]


async def _metadata(
    call: Call, wanted: _Wanted, place: Place, context: TaskContext
) -> list[tuple[str, str]]:
    headers = {"idempotency-key": _metadata_text(call.key)}
    if call.traceparent:
        headers["traceparent"] = call.traceparent
    if wanted.policy is not None:
        granted = await credentials(wanted.policy, context, await http_client(context))
        if not granted.headers:
            problem = f"call: grpc cannot answer the challenges of {granted.scheme} authentication"
            raise _unusable(problem)
        if not place.secure and any(_is_public(address) for address in place.addresses):
            problem = f"credentials would go to {wanted.host} unencrypted"
            raise _unusable(f"{problem}; write metadata: {{grpc: {{tls: true}}}} in the task")
        headers |= granted.headers
    return list(headers.items())


def _is_public(address: str) -> bool:
    return _PUBLIC_ONLY.refusal(address) is None


def _metadata_text(text: str) -> str:
    """Escape what metadata cannot carry: task names are part of keys, and free text."""
    return text if text.isascii() and text.isprintable() else quote(text, safe="/:#.~ ")


def _port(value: Any) -> int:
    if value is None:
        return _DEFAULT_PORT
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 65536:
        raise _invalid("service.port must be a number from 1 to 65535")
    return value


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"{what} must be an object")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise _invalid(f"{what} must be a text")
    return value


def _unusable(problem: str) -> TaskError:
    return TaskError("configuration", 400, "The authentication policy cannot be used", problem)


def _invalid(problem: str) -> TaskError:
    return TaskError("validation", 400, "Not a valid gRPC call", problem)
