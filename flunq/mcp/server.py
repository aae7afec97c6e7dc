"""The server's side of a session: each request is a task of its own, answered when it is done."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from flunq.errors import FlunqError, NotFoundError
from flunq.mcp import messages
from flunq.mcp.messages import Message, ProtocolError
from flunq.mcp.resources import Resources
from flunq.mcp.tools import Asked, Toolbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.client import Client
    from flunq.mcp.settings import McpSettings

    Send: TypeAlias = Callable[[Message], None]

_log = logging.getLogger(__name__)
_INSTRUCTIONS = (
    "Durable workflows. An execution that outlasts a call goes on by itself: ask for it with "
    "get_execution, and with why if it does not move."
)
_CONCURRENT = 32


class McpServer:
    """Answers the messages of one client; ``send`` writes a message to it."""

    def __init__(self, client: Client, settings: McpSettings, send: Send) -> None:
        self._settings = settings
        self._send = send
        self._tools = Toolbox(client, settings)
        self._resources = Resources(client)
        self._running: dict[messages.Identity, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(_CONCURRENT)

    async def check(self) -> None:
        """Raise UsageError if the settings name what is not there: an agent would see nothing."""
        await self._tools.check()

    async def serve(self, lines: asyncio.Queue[bytes | None]) -> None:
        """Answer until the last line; what is still running then is left, its executions go on."""
        async with asyncio.TaskGroup() as group:
            while (line := await lines.get()) is not None:
                self._take(line, group)
            for task in list(self._running.values()):
                task.cancel()

    def _take(self, line: bytes, group: asyncio.TaskGroup) -> None:
        try:
            message = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._send(messages.refusal(None, messages.PARSE_ERROR, "this is no JSON"))
            return
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            if not (isinstance(message, dict) and ("result" in message or "error" in message)):
                self._send(messages.refusal(None, messages.INVALID_REQUEST, "this is no request"))
            return
        self._hear(message, group)

    def _hear(self, message: Message, group: asyncio.TaskGroup) -> None:
        identity, parameters = message.get("id"), message.get("params")
        parameters = parameters if isinstance(parameters, dict) else {}
        if identity is None:
            if message["method"] == "notifications/cancelled":
                self._cancel(parameters.get("requestId"))
            return
        if not isinstance(identity, (str, int)) or identity in self._running:
            refusal = messages.refusal(None, messages.INVALID_REQUEST, "this id cannot be used")
            self._send(refusal)
            return
        task = group.create_task(self._answer(identity, message["method"], parameters))
        self._running[identity] = task
        task.add_done_callback(lambda _: self._running.pop(identity, None))

    def _cancel(self, identity: Any) -> None:
        if isinstance(identity, (str, int)) and identity in self._running:
            self._running[identity].cancel()

    async def _answer(self, identity: messages.Identity, method: str, parameters: Message) -> None:
        try:
            async with self._places:
                result = await self._result(identity, method, parameters)
        except ProtocolError as error:
            self._send(messages.refusal(identity, error.code, error.message))
        except NotFoundError as error:
            self._send(messages.refusal(identity, messages.NOT_FOUND, error.message))
        except FlunqError as error:
            self._send(messages.refusal(identity, messages.INTERNAL_ERROR, error.message))
        except Exception as error:  # noqa: BLE001 - one bad request must not end the session
            _log.warning("%s failed", method, exc_info=True)
            self._send(messages.refusal(identity, messages.INTERNAL_ERROR, type(error).__name__))
        else:
            self._send(messages.response(identity, result))

    async def _result(self, identity: messages.Identity, method: str, given: Message) -> Any:
        match method:
            case "initialize":
                return self._greeting(given)
            case "ping":
                return {}
            case "tools/list":
                return {"tools": [tool.described() for tool in (await self._tools.all()).values()]}
            case "tools/call":
                return await self._call(identity, given)
            case "resources/list":
                return {"resources": await self._resources.list()}
            case "resources/templates/list":
                return {"resourceTemplates": self._resources.templates()}
            case "resources/read":
                return {"contents": [await self._resources.read(_text(given, "uri"))]}
        raise ProtocolError(messages.METHOD_NOT_FOUND, f"there is no method {method}")

    def _greeting(self, given: Message) -> Message:
        wanted = given.get("protocolVersion")
        return {
            "protocolVersion": wanted if wanted in messages.VERSIONS else messages.VERSIONS[0],
            "capabilities": {"tools": {}, "resources": {}},
            "serverInfo": {"name": "flunq", "version": self._settings.version},
            "instructions": _INSTRUCTIONS,
        }

    async def _call(self, identity: messages.Identity, given: Message) -> Message:
        name, arguments = _text(given, "name"), given.get("arguments")
        tools = await self._tools.all()
        if name not in tools:
            raise ProtocolError(messages.INVALID_PARAMS, f"there is no tool {name}")
        if arguments is not None and not isinstance(arguments, dict):
            raise ProtocolError(messages.INVALID_PARAMS, "the arguments are no object")
        meta = given.get("_meta")
        token = meta.get("progressToken") if isinstance(meta, dict) else None
        asked = Asked(
            arguments=arguments or {},
            identity=str(identity),
            progress=None if token is None else self._reporter(token),
        )
        try:
            content = await tools[name].run(asked)
        except FlunqError as error:
            content = messages.refused(error)
        return content.result(self._settings.text_limit)

    def _reporter(self, token: Any) -> Callable[[int, str], None]:
        def report(progress: int, text: str) -> None:
            said = {"progressToken": token, "progress": progress, "message": text}
            self._send(messages.notification("notifications/progress", said))

        return report


def _text(given: Message, name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise ProtocolError(messages.INVALID_PARAMS, f"{name} is missing")
    return value
