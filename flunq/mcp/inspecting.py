"""Tools that look and change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from flunq.api.views import definition_view, execution_summary, execution_view
from flunq.mcp.tools import Tool, tool_of

if TYPE_CHECKING:
    from flunq.client import Client
    from flunq.core.events import LazyEvent
    from flunq.mcp.settings import McpSettings

_SQL_SECONDS = 30.0
_Limit = Annotated[int, msgspec.Meta(ge=1, le=500)]


class ListExecutions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """List executions of workflows, newest first."""

    limit: _Limit = 20
    status: list[str] | None = None
    workflow: str | None = None


class GetExecution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Show an execution: status, input, output, error and what it waits for."""

    id: str


class GetHistory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Show the events of an execution in order: each task's input, output and errors."""

    id: str
    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Only events with a greater number."""
    limit: _Limit = 100


class Why(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say what an execution waits for, or why it failed, and what to do about it."""

    id: str


class Sql(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask the history in SQL (one SELECT, DuckDB), in a read-only sandbox. Without a query: what
    tables and columns there are."""

    query: str | None = None
    parameters: dict[str, Any] = {}
    """Values for $name in the query."""


class ListWorkflows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """List the registered workflows."""

    prefix: str = ""


class GetWorkflow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Show the document of a workflow: NAME, NAME:VERSION or NAMESPACE/NAME."""

    name: str


class _Looking:
    def __init__(self, client: Client, settings: McpSettings) -> None:
        self._client = client
        self._settings = settings

    async def executions(self, asked: ListExecutions) -> Any:
        found = await self._client.list(
            limit=asked.limit, status=asked.status, workflow=asked.workflow
        )
        return {"executions": [msgspec.to_builtins(execution_summary(each)) for each in found]}

    async def execution(self, asked: GetExecution) -> Any:
        return msgspec.to_builtins(execution_view(await self._client.get(asked.id)))

    async def history(self, asked: GetHistory) -> Any:
        events: list[Any] = []
        async for event in self._client.history(asked.id):
            if event.seq > asked.after:
                if len(events) == asked.limit:
                    return {"events": events, "more_after": events[-1]["seq"]}
                events.append(event_json(event))
        return {"events": events}

    async def why(self, asked: Why) -> Any:
        from flunq.client.why import explain

        return msgspec.to_builtins(await explain(self._client, asked.id))

    async def sql(self, asked: Sql) -> Any:
        if asked.query is None:
            return {"tables": _tables()}
        answer = await self._client.sql(
            asked.query, asked.parameters, max_rows=self._settings.max_rows, timeout=_SQL_SECONDS
        )
        found = {"rows": answer.rows(), "more": answer.more}
        return found if answer.gap is None else {**found, "warning": str(answer.gap)}

    async def workflows(self, asked: ListWorkflows) -> Any:
        found = await self._client.workflows(asked.prefix)
        return {"workflows": [msgspec.to_builtins(definition_view(each)) for each in found]}

    async def workflow(self, asked: GetWorkflow) -> Any:
        return (await self._client.workflow(asked.name)).text


def inspecting_tools(client: Client, settings: McpSettings) -> list[Tool]:
    """Return the tools that change nothing."""
    looking = _Looking(client, settings)
    return [
        tool_of(ListExecutions, looking.executions, name="list_executions"),
        tool_of(GetExecution, looking.execution, name="get_execution"),
        tool_of(GetHistory, looking.history, name="get_history"),
        tool_of(Why, looking.why, name="why"),
        tool_of(Sql, looking.sql, name="sql"),
        tool_of(ListWorkflows, looking.workflows, name="list_workflows"),
        tool_of(GetWorkflow, looking.workflow, name="get_workflow"),
    ]


def event_json(event: LazyEvent) -> dict[str, Any]:
    """Return an event as an agent reads it."""
    return {"seq": event.seq, "type": event.type, "time": event.time, "data": event.value()}


def _tables() -> dict[str, dict[str, str]]:
    from flunq.store.views import VIEWS

    return {
        name: {column.name: column.kind for column in view.columns} for name, view in VIEWS.items()
    }
