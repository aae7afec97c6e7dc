"""``call: asyncapi``."""

from __future__ import annotations

import asyncio
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from flunq.sdk.executor import JSON, Call, Executor, TaskError
from flunq.sdk.web.documents import load_document

if TYPE_CHECKING:
    from flunq.sdk.context import TaskContext
    from flunq_plugins.asyncapi_document import AsyncApiDocument, Operation
    from flunq_plugins.asyncapi_message import Codec, Validators
    from flunq_plugins.asyncapi_sessions import Sessions
    from flunq_plugins.asyncapi_transport import Route, Transport


class AsyncApiExecutor(Executor):
    """Publishes and receives the messages of operations that AsyncAPI documents describe."""

    kinds = ("asyncapi",)

    def __init__(self) -> None:
        self._validators: Validators | None = None
        self._opening = asyncio.Lock()
        self._sessions: Sessions | None = None

    async def aclose(self) -> None:
        """End the subscriptions that are open between two calls."""
        if self._sessions is not None:
            await self._sessions.close()

    async def execute(self, call: Call, context: TaskContext) -> JSON:
        """Publish the message and return it, or return the messages that came."""
        wanted = _Wanted(call.arguments)
        seconds = None if call.deadline is None else call.deadline / 1_000_000 - time.time()
        try:
            async with asyncio.timeout(seconds):
                return await self._execute(call, wanted, context)
        except TimeoutError:
            detail = f"{wanted.name}: not done within the time limit"
            if seconds is not None:
                raise TaskError("timeout", 408, detail=detail) from None
            raise TaskError("communication", 504, detail=detail) from None

    async def _execute(self, call: Call, wanted: _Wanted, context: TaskContext) -> JSON:
        validators = await self._opened()
        from flunq_plugins.asyncapi_document import AsyncApiDocument
        from flunq_plugins.asyncapi_message import Codec

        document = AsyncApiDocument(await load_document(wanted.document, context))
        publishes = wanted.message is not None
        operation = document.find(wanted.operation, wanted.channel, publishes=publishes)
        codec = Codec(document, operation, validators)
        route = await _route(document, operation, wanted, context)
        from flunq_plugins.asyncapi_transport import transport_for

        transport = await transport_for(route.target.protocol)
        if wanted.message is None:
            return await self._consume(call, wanted, codec, transport, route, context)
        return await self._publish(call, wanted.message, codec, transport, route, context)

    async def _publish(
        self,
        call: Call,
        message: dict[str, Any],
        codec: Codec,
        transport: Transport,
        route: Route,
        context: TaskContext,
    ) -> JSON:
        outbound = codec.encode(message, call.key, call.traceparent)
        async with asyncio.timeout(context.settings.request_timeout):
            await transport.publish(route, outbound, context)
        return message

    async def _consume(
        self,
        call: Call,
        wanted: _Wanted,
        codec: Codec,
        transport: Transport,
        route: Route,
        context: TaskContext,
    ) -> JSON:
        from flunq_plugins.asyncapi_consume import Consumption, Gathering, Selection
        from flunq_plugins.asyncapi_sessions import Sessions

        selection = Selection(wanted.arguments, codec, context)
        if "batch" in wanted.arguments:
            if self._sessions is None:
                self._sessions = Sessions()
            gathering = Gathering(wanted.arguments, selection)
            return await self._sessions.fetch(call.key, gathering, transport, route, context)
        consumption = Consumption(wanted.arguments, selection, context.settings.max_body)
        async with transport.subscribe(route, context) as source:
            return await consumption.run(source)

    async def _opened(self) -> Validators:
        async with self._opening:
            validators = self._validators
            if validators is None:
                # Importing takes too long for the loop.
                module = await asyncio.to_thread(import_module, "flunq_plugins.asyncapi_message")
                validators = self._validators = module.Validators()
            return validators


class _Wanted:
    """What the arguments ask for."""

    def __init__(self, arguments: Any) -> None:
        self.arguments = _object(arguments, "with")
        self.document = self.arguments.get("document")
        self.operation = _optional_text(self.arguments, "operation")
        self.channel = _optional_text(self.arguments, "channel")
        if (self.operation is None) is (self.channel is None):
            raise _invalid("it needs either an operation or a channel")
        self.name = self.operation or self.channel
        message = self.arguments.get("message")
        self.message = None if message is None else _object(message, "message")
        if self.message is None and self.arguments.get("subscription") is None:
            raise _invalid("it needs a message or a subscription")
        server = _object(self.arguments.get("server") or {}, "server")
        self.server = _optional_text(server, "name")
        self.variables = _object(server.get("variables") or {}, "server.variables")
        self.protocol = None if self.server else _optional_text(self.arguments, "protocol")
        self.policy = self.arguments.get("authentication")


async def _route(
    document: AsyncApiDocument, operation: Operation, wanted: _Wanted, context: TaskContext
) -> Route:
    from flunq_plugins.asyncapi_access import access_for
    from flunq_plugins.asyncapi_message import located
    from flunq_plugins.asyncapi_server import Selection, choose_server, locate
    from flunq_plugins.asyncapi_transport import Route

    selection = Selection(name=wanted.server, variables=wanted.variables, protocol=wanted.protocol)
    server = choose_server(document, operation, selection)
    message = wanted.message or {}
    target = locate(document, operation, server, selection, lambda text: located(text, message))
    return Route(
        target=target,
        access=await access_for(wanted.policy, document.schemes(server), context),
        bindings=operation.bindings.get(target.protocol, {}),
    )


def _optional_text(members: dict[str, Any], name: str) -> str | None:
    value = members.get(name)
    if value is not None and (not isinstance(value, str) or not value):
        raise _invalid(f"{name} must be a text")
    return value


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"{what} must be an object")
    return value


def _invalid(problem: str) -> TaskError:
    return TaskError("validation", 400, "Not a valid AsyncAPI call", problem)
