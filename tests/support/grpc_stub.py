"""A gRPC server in the test process that does as it is told and writes down what it was asked.

``async with GrpcStub(PROTO) as stub: stub.answer("Method", {...})``; the proto file is compiled by
the plugin's own compiler, so the server needs no generated code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import grpc
import grpc.aio

from flunq_plugins.grpc_schema import Schemas
from flunq_plugins.grpc_sources import Sources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Behaviour = Callable[[list[Any], grpc.aio.ServicerContext[Any, Any]], AsyncIterator[Any]]


class GrpcStub:
    """Serves the services of one proto file on a free port of the loopback."""

    def __init__(
        self,
        proto: str,
        service: str,
        *,
        credentials: grpc.ServerCredentials | None = None,
        max_message: int = 128 << 20,
    ) -> None:
        self.port = 0
        self.requests: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self._sources = Sources(entry="stub.proto", files={"stub.proto": proto})
        self._service = service
        self._credentials = credentials
        self._behaviours: dict[str, Behaviour] = {}
        self._server = grpc.aio.server(options=[("grpc.max_send_message_length", max_message)])

    def answer(self, method: str, *replies: Any) -> None:
        """Have a method answer with values in the JSON mapping, or bytes as they are."""

        async def behave(_: list[Any], __: Any) -> AsyncIterator[Any]:
            for reply in replies:
                yield reply

        self._behaviours[method] = behave

    def fail(self, method: str, code: grpc.StatusCode, details: str = "") -> None:
        """Have a method fail."""

        async def behave(
            _: list[Any], context: grpc.aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[Any]:
            await context.abort(code, details)
            yield None

        self._behaviours[method] = behave

    def behave(self, method: str, behaviour: Behaviour) -> None:
        """Have a method do what a function does with the requests."""
        self._behaviours[method] = behaviour

    async def __aenter__(self) -> Self:
        self._schema = await Schemas().of(self._sources)
        self._server.add_generic_rpc_handlers((self,))  # type: ignore[arg-type]
        if self._credentials is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", self._credentials)
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """Return what handles a call; grpc asks."""
        name = details.method.rpartition("/")[2]
        method = self._schema.method(self._service, name)
        self.metadata.append(dict(details.invocation_metadata or ()))  # type: ignore[arg-type]

        async def handle(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            received = [_decoded(method, data) async for data in requests]
            self.requests.append(received)
            async for reply in self._behaviours[name](received, context):
                yield reply if isinstance(reply, bytes) else _encoded(method, reply)

        return grpc.stream_stream_rpc_method_handler(handle)


def _decoded(method: Any, data: bytes) -> Any:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(method.request.FromString(data), descriptor_pool=method.pool)


def _encoded(method: Any, value: Any) -> bytes:
    from google.protobuf.json_format import ParseDict

    message = ParseDict(value, method.reply(), descriptor_pool=method.pool)
    return bytes(message.SerializeToString())
