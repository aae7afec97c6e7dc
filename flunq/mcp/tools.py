"""The tools of a session: looking into the cluster, steering it, and workflows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from flunq.errors import UsageError
from flunq.mcp.messages import Content, Message

if TYPE_CHECKING:
    from flunq.client import Client
    from flunq.mcp.settings import McpSettings

T = TypeVar("T")
Report: TypeAlias = Callable[[int, str], None]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a tool."""

    arguments: dict[str, Any]
    identity: str = ""
    """The id of the request."""
    progress: Report | None = None
    """Tells the caller how far it is; None if that was not asked for."""


Act: TypeAlias = Callable[[Asked], Awaitable[Content]]


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an agent can call."""

    name: str
    description: str
    schema: dict[str, Any]
    run: Act
    read_only: bool = True
    destructive: bool = False
    title: str = ""

    def described(self) -> Message:
        """Return the tool as ``tools/list`` shows it."""
        found: Message = {
            "name": self.name,
            "description": self.description,
            "inputSchema": self.schema,
            "annotations": {
                "readOnlyHint": self.read_only,
                "destructiveHint": self.destructive,
                "openWorldHint": not self.read_only,
            },
        }
        return {**found, "title": self.title} if self.title else found


class Toolbox:
    """All tools that this session may use."""

    def __init__(self, client: Client, settings: McpSettings) -> None:
        from flunq.mcp.inspecting import inspecting_tools
        from flunq.mcp.steering import steering_tools
        from flunq.mcp.workflows import WorkflowTools

        fixed = inspecting_tools(client, settings)
        if settings.allow_writes:
            fixed += steering_tools(client)
        self._fixed = {tool.name: tool for tool in fixed}
        self._workflows = WorkflowTools(client, settings, taken=frozenset(self._fixed))

    async def check(self) -> None:
        """Raise UsageError if a workflow that the settings name is missing."""
        await self._workflows.check()

    async def all(self) -> dict[str, Tool]:
        """Return the tools by name; workflows are those that are registered now."""
        return {**self._fixed, **await self._workflows.all()}


def tool_of(
    kind: type[T],
    act: Callable[[T], Awaitable[Any]],
    *,
    name: str,
    read_only: bool = True,
    destructive: bool = False,
) -> Tool:
    """Return a tool whose arguments are the members of ``kind`` and whose words are its docs."""

    async def run(asked: Asked) -> Content:
        return Content(value=await act(_read(kind, asked.arguments, name)))

    return Tool(
        name=name,
        description=" ".join((kind.__doc__ or "").split()),
        schema=schema_of(kind),
        run=run,
        read_only=read_only,
        destructive=destructive,
    )


def schema_of(kind: type[Any]) -> dict[str, Any]:
    """Return the JSON Schema of the members of a struct, without references."""
    (schema,), definitions = msgspec.json.schema_components([kind])
    found: dict[str, Any] = definitions[kind.__name__] if "$ref" in schema else schema
    return {name: value for name, value in found.items() if name not in ("title", "description")}


def _read(kind: type[T], arguments: dict[str, Any], name: str) -> T:
    try:
        return msgspec.convert(arguments, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name} cannot be called so: {error}") from None
