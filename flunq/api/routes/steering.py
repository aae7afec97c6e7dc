"""``/v1/executions/{id}/...``: cancel, suspend, resume, retry, fork, rewind and delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from flunq.api.contract import ApiRoute, Call, Reply, json_reply
from flunq.api.routes.executions import TAG, Id
from flunq.api.views import ExecutionView, StatusView, execution_view, shown_status

if TYPE_CHECKING:
    from flunq.api.contract import Endpoint, Role

Position = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
Unset = msgspec.UnsetType


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; kept in the history."""

    reason: str = ""


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An empty object, or no body at all."""


class RetryRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to go on with; without ``input`` the failed task has the one it had."""

    input: Any | Unset = msgspec.UNSET
    reason: str = ""


class ForkRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From which event on a copy lives its own life, and what is different there."""

    at: Position | None = None
    input: Any | Unset = msgspec.UNSET
    version: str | None = None
    id: Id | None = None
    """Of the copy."""


class RewindRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To which event."""

    at: Position


async def cancel(call: Call) -> Reply:
    """End it as cancelled."""
    return _status(call, await call.client.cancel(call.id, call.body.reason))


async def suspend(call: Call) -> Reply:
    """Let it dispatch nothing new."""
    return _status(call, await call.client.suspend(call.id, call.body.reason))


async def resume(call: Call) -> Reply:
    """Let it go on."""
    return _status(call, await call.client.resume(call.id))


async def delete(call: Call) -> Reply:
    """Forget it."""
    return _status(call, await call.client.delete(call.id))


async def retry(call: Call) -> Reply:
    """Try the failed task again."""
    body: RetryRequest = call.body
    found = await call.client.retry(call.id, input=body.input, reason=body.reason)
    return json_reply(execution_view(found))


async def fork(call: Call) -> Reply:
    """Copy it up to an event."""
    body: ForkRequest = call.body
    found = await call.client.fork(
        call.id, at=body.at, input=body.input, version=body.version, new_id=body.id
    )
    location = {"location": f"/v1/executions/{found.id}"}
    return json_reply(execution_view(found), status=201, headers=location)


async def rewind(call: Call) -> Reply:
    """Go back to an event."""
    return json_reply(execution_view(await call.client.rewind(call.id, at=call.body.at)))


def _status(call: Call, status: str) -> Reply:
    return json_reply(StatusView(id=call.id, status=shown_status(status)))


def _control(
    verb: str, endpoint: Endpoint, body: Any, summary: str, answer: Any = StatusView, **more: Any
) -> ApiRoute:
    role: Role = "operator"
    return ApiRoute(
        method="POST",
        path=f"/v1/executions/{{id}}/{verb}",
        endpoint=endpoint,
        name=f"{verb}Execution",
        tag=TAG,
        role=role,
        body=body,
        optional_body=body is not RewindRequest,
        answer=answer,
        summary=summary,
        **more,
    )


ROUTES = (
    _control("cancel", cancel, Reason, "End an execution as cancelled."),
    _control("suspend", suspend, Reason, "Let an execution dispatch nothing new."),
    _control("resume", resume, Nothing, "Let a suspended execution go on."),
    _control("retry", retry, RetryRequest, "Let a faulted execution try again.", ExecutionView),
    _control(
        "fork",
        fork,
        ForkRequest,
        "Start a copy of an execution that shares its past up to an event.",
        ExecutionView,
        status=201,
    ),
    _control("rewind", rewind, RewindRequest, "Take an execution back to an event.", ExecutionView),
    ApiRoute(
        method="DELETE",
        path="/v1/executions/{id}",
        endpoint=delete,
        name="deleteExecution",
        tag=TAG,
        role="admin",
        answer=StatusView,
        summary="Forget an execution that has ended; the archive keeps its past.",
    ),
)
