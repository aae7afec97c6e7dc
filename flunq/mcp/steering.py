"""Tools that change something; a session has them only if it was started so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.api.views import execution_view
from flunq.mcp.tools import Tool, tool_of

if TYPE_CHECKING:
    from flunq.client import Client


class StartExecution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Start an execution of a workflow and return its id at once. A repeat with the same id and
    input is the same execution."""

    workflow: str
    input: Any = {}
    id: str | None = None
    tags: dict[str, str] = {}


class CancelExecution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End an execution as cancelled."""

    id: str
    reason: str = ""


class SuspendExecution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let an execution begin no further task until it is resumed."""

    id: str
    reason: str = ""


class ResumeExecution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let a suspended execution go on."""

    id: str


class RetryExecution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let a failed execution go on from the task that failed."""

    id: str
    reason: str = ""


class ApplyWorkflow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Register a workflow document (YAML or JSON, Serverless Workflow DSL 1.0)."""

    document: str
    dry_run: bool = False


class EmitEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Publish a CloudEvent that executions may listen for."""

    type: str
    source: str = "flunq://mcp"
    subject: str | None = None
    data: Any = None
    attributes: dict[str, str] = {}
    """Extension attributes."""


class _Steering:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def start(self, asked: StartExecution) -> Any:
        run = await self._client.start(
            asked.workflow, asked.input, id=asked.id, tags=asked.tags, watch=False
        )
        return {"id": run.id, "status": run.status, "created": run.created}

    async def cancel(self, asked: CancelExecution) -> Any:
        return {"id": asked.id, "status": await self._client.cancel(asked.id, asked.reason)}

    async def suspend(self, asked: SuspendExecution) -> Any:
        return {"id": asked.id, "status": await self._client.suspend(asked.id, asked.reason)}

    async def resume(self, asked: ResumeExecution) -> Any:
        return {"id": asked.id, "status": await self._client.resume(asked.id)}

    async def retry(self, asked: RetryExecution) -> Any:
        details = await self._client.retry(asked.id, reason=asked.reason)
        return msgspec.to_builtins(execution_view(details))

    async def apply(self, asked: ApplyWorkflow) -> Any:
        return await self._client.apply(asked.document, dry_run=asked.dry_run)

    async def emit(self, asked: EmitEvent) -> Any:
        from flunq.client.ids import new_id

        event = {**asked.attributes, "specversion": "1.0", "id": new_id(), "type": asked.type}
        event |= {"source": asked.source, "data": asked.data}
        if asked.subject is not None:
            event["subject"] = asked.subject
        return {"id": event["id"], "sequences": list(await self._client.emit([event]))}


def steering_tools(client: Client) -> list[Tool]:
    """Return the tools that change something."""
    steering = _Steering(client)
    return [
        _writing(StartExecution, steering.start, "start_execution"),
        _writing(CancelExecution, steering.cancel, "cancel_execution", destructive=True),
        _writing(SuspendExecution, steering.suspend, "suspend_execution"),
        _writing(ResumeExecution, steering.resume, "resume_execution"),
        _writing(RetryExecution, steering.retry, "retry_execution"),
        _writing(ApplyWorkflow, steering.apply, "apply_workflow"),
        _writing(EmitEvent, steering.emit, "emit_event"),
    ]


def _writing(kind: type[Any], act: Any, name: str, *, destructive: bool = False) -> Tool:
    return tool_of(kind, act, name=name, read_only=False, destructive=destructive)
