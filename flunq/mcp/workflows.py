"""Workflows as tools: a call starts an execution and waits for its end."""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from flunq.api.views import error_view
from flunq.errors import UsageError, WaitTimeoutError
from flunq.mcp.messages import Content
from flunq.mcp.tools import Asked, Tool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.client import Client
    from flunq.core.protocol import Definition, DefinitionText
    from flunq.mcp.settings import McpSettings

ALL = "all"
_NAME_LENGTH = 64
_NAMED = 20
"""So many names of workflows are told to somebody who named one that is not there."""
_TASK = re.compile(r"\.task\.(\w+)\.v1$")


class Shape(NamedTuple):
    """What a workflow takes, as the arguments of a tool."""

    schema: dict[str, Any]
    wrapped: bool
    """Its input is no object: it is the argument ``input``."""


class WorkflowTools:
    """The registered workflows that the settings name."""

    def __init__(self, client: Client, settings: McpSettings, *, taken: frozenset[str]) -> None:
        self._client = client
        self._settings = settings
        self._taken = taken
        self._made: dict[str, Tool] = {}

    async def check(self) -> None:
        """Raise UsageError if a workflow that was named is missing."""
        await self._wanted()

    async def all(self) -> dict[str, Tool]:
        """Return the tools by name; raises UsageError if a workflow that was named is missing."""
        latest, wanted = await self._wanted()
        tools = {}
        for definition in wanted:
            name = self._tool_name(definition, latest)
            key = f"{name}:{definition.digest}"
            if key not in self._made:
                self._made[key] = await self._tool(name, definition)
            tools[name] = self._made[key]
        return tools

    async def _wanted(self) -> tuple[list[Definition], list[Definition]]:
        """Return the newest version of each workflow, and which of them are tools."""
        if not self._settings.workflows:
            return [], []
        latest = [each for each in await self._client.workflows() if each.latest]
        everything = ALL in self._settings.workflows
        return latest, latest if everything else list(self._named(latest))

    def _named(self, latest: list[Definition]) -> Iterable[Definition]:
        for name in self._settings.workflows:
            found = [each for each in latest if name in (each.name, _full_name(each))]
            if not found:
                raise UsageError(f"there is no workflow {name}", hint=_known(latest))
            yield from found

    def _tool_name(self, definition: Definition, latest: list[Definition]) -> str:
        alike = sum(each.name == definition.name for each in latest)
        name = definition.name
        if alike > 1 or name in self._taken:
            name = f"{definition.namespace}_{name}"
        if len(name) > _NAME_LENGTH:
            digest = hashlib.sha256(_full_name(definition).encode()).hexdigest()[:8]
            name = f"{name[: _NAME_LENGTH - 9]}_{digest}"
        return name

    async def _tool(self, name: str, definition: Definition) -> Tool:
        full_name = f"{_full_name(definition)}:{definition.version}"
        text = await self._client.workflow(full_name)
        shape = shape_of(text.document)

        async def run(asked: Asked) -> Content:
            given = asked.arguments
            value = given.get("input") if shape.wrapped else given
            return await self._execute(full_name, value, asked)

        return Tool(
            name=name,
            title=definition.title,
            description=_description(text),
            schema=shape.schema,
            run=run,
            read_only=False,
        )

    async def _execute(self, workflow: str, value: Any, asked: Asked) -> Content:
        tags = {"started-by": "mcp"}
        name = self._execution_id(workflow, asked)
        run = await self._client.start(workflow, value, id=name, tags=tags)
        following = None
        if asked.progress is not None:
            asked.progress(0, f"execution {run.id} has started")
            following = asyncio.create_task(self._report(run.id, asked))
        try:
            result = await run.wait(self._settings.wait)
        except WaitTimeoutError:
            hint = f"it goes on by itself; ask again with get_execution: {run.id}"
            return Content(value={"execution": run.id, "status": "running", "hint": hint})
        finally:
            if following is not None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
        ended: dict[str, Any] = {"execution": run.id, "status": result.status}
        if result.status == "completed":
            return Content(value={**ended, "output": result.output})
        error = msgspec.to_builtins(error_view(result.failure))
        return Content(value={**ended, "error": error}, failed=True)

    def _execution_id(self, workflow: str, asked: Asked) -> str | None:
        """Return the id that a repeat of the same session gives again; None for any id."""
        if not self._settings.key:
            return None
        said = "\n".join((self._settings.key, asked.identity, workflow))
        return f"mcp-{hashlib.sha256(said.encode()).hexdigest()[:32]}"

    async def _report(self, execution: str, asked: Asked) -> None:
        assert asked.progress is not None
        count = 0
        async for event in self._client.follow(execution):
            found = _TASK.search(event.type)
            if found is not None and found[1] != "created":
                count += 1
                data = event.value()
                task = data.get("name") or data.get("task") if isinstance(data, dict) else ""
                asked.progress(count, f"{task} {found[1]}".strip())


def shape_of(document: dict[str, Any]) -> Shape:
    """Return the arguments of the tool that a document becomes."""
    stage = document.get("input")
    schema = stage.get("schema") if isinstance(stage, dict) else None
    found = schema.get("document") if isinstance(schema, dict) else None
    if not isinstance(found, dict):
        return Shape({"type": "object"}, wrapped=False)
    if found.get("type") == "object":
        return Shape(found, wrapped=False)
    if "type" not in found and "properties" in found:
        return Shape({**found, "type": "object"}, wrapped=False)
    members = {"type": "object", "properties": {"input": found}, "required": ["input"]}
    return Shape(members, wrapped=True)


def _known(latest: list[Definition]) -> str:
    """Return the names that could have been meant."""
    if not latest:
        return "none is registered; do so with: flunq apply FILE"
    names = sorted(map(_full_name, latest))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"there are {', '.join(names[:_NAMED])}{more}; or say: --tools all"


def _full_name(definition: Definition) -> str:
    return f"{definition.namespace}/{definition.name}"


def _description(text: DefinitionText) -> str:
    header = text.document.get("document", {})
    said = [str(header[name]) for name in ("title", "summary") if header.get(name)]
    named = f"The workflow {_full_name(text.definition)}, version {text.definition.version}."
    return "\n".join([*said, named])
