"""``/v1/tasks``: functions in any language, for workers that speak HTTP only."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from flunq.api.contract import ApiRoute, Call, Reply, json_reply, no_content
from flunq.api.durations import seconds_of
from flunq.api.views import moment
from flunq.api.waiting import unless_gone
from flunq.core.execution.commands import Failure, Report
from flunq.sdk.executor import ERRORS

TAG = "tasks"
KIND = "function:"
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Kinds = Annotated[list[Name], msgspec.Meta(min_length=1, max_length=32)]
Status = Annotated[int, msgspec.Meta(ge=100, le=599)]
_LONGEST_LEASE = 3600.0
_SHORTEST_LEASE = 1.0


class PollRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a worker can do, and how long it waits for something to do."""

    kinds: Kinds
    """Names of functions, as documents call them."""
    worker: Annotated[str, msgspec.Meta(max_length=128)] = "http"
    """Shown in the history."""
    wait: str = "20s"
    lease: str = "30s"
    """After this long without a heartbeat somebody else gets the task."""


class TaskView(msgspec.Struct, frozen=True, kw_only=True):
    """A task to work on."""

    id: str
    execution: str
    kind: str
    arguments: Any
    key: str
    """The same for every attempt: use it to do things once."""
    attempt: int
    deadline: str | None
    lease: str
    """To be shown with everything that is said about the task."""
    lease_seconds: float
    traceparent: str | None = None


class CompleteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of a task."""

    lease: str
    output: Any = None
    worker: Annotated[str, msgspec.Meta(max_length=128)] = "http"


class TaskFailure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a task failed; the document's ``catch`` sees it like this."""

    type: str = ERRORS + "runtime"
    status: Status = 500
    title: str | None = None
    detail: str | None = None


class FailRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That a task failed."""

    lease: str
    error: TaskFailure = TaskFailure()
    worker: Annotated[str, msgspec.Meta(max_length=128)] = "http"


class HeartbeatRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That it is being worked on."""

    lease: str


class Renewed(msgspec.Struct, frozen=True, kw_only=True):
    """How long the lease lasts from now on."""

    lease_seconds: float


async def poll(call: Call) -> Reply:
    """Return the next task, or 204."""
    body: PollRequest = call.body
    limits = call.services.settings.limits
    wait = seconds_of(body.wait, most=limits.wait_seconds, where="$.wait")
    lease = seconds_of(body.lease, most=_LONGEST_LEASE, where="$.lease")
    kinds = list(dict.fromkeys(KIND + kind.removeprefix(KIND) for kind in body.kinds))
    desk = await call.services.desks.get(call.client)
    with call.services.waits:
        held = await unless_gone(call, desk.poll(kinds, wait, max(lease, _SHORTEST_LEASE)))
    if held is None:
        return no_content()
    task = held.dispatch
    return json_reply(
        TaskView(
            id=task.task,
            execution=task.execution,
            kind=task.kind,
            arguments=task.arguments,
            key=task.key,
            attempt=task.attempt,
            deadline=moment(task.deadline),
            lease=held.lease.encode(),
            lease_seconds=held.seconds,
            traceparent=task.traceparent,
        )
    )


async def complete(call: Call) -> Reply:
    """Take an output, once it is durable."""
    task, body = call.id, call.body
    desk = await call.services.desks.get(call.client)

    def report(execution: str) -> Report:
        return Report(id=execution, task=task, output=body.output, node=body.worker)

    await desk.finish(task, body.lease, report)
    return no_content()


async def fail(call: Call) -> Reply:
    """Take a failure, once it is durable."""
    task, body = call.id, call.body
    desk = await call.services.desks.get(call.client)
    error = body.error
    failure = Failure(type=error.type, status=error.status, title=error.title, detail=error.detail)

    def report(execution: str) -> Report:
        return Report(id=execution, task=task, failure=failure, node=body.worker)

    await desk.finish(task, body.lease, report)
    return no_content()


async def heartbeat(call: Call) -> Reply:
    """Let the lease last."""
    desk = await call.services.desks.get(call.client)
    return json_reply(Renewed(lease_seconds=await desk.heartbeat(call.id, call.body.lease)))


ROUTES = (
    ApiRoute(
        method="POST",
        path="/v1/tasks/poll",
        endpoint=poll,
        name="pollTasks",
        tag=TAG,
        role="operator",
        body=PollRequest,
        answer=TaskView,
        also=(204,),
        audited=False,
        summary="Take the next task of some functions.",
        description="204 when none came within `wait` (60s at most): ask again.",
        example={"kinds": ["resize-image"], "worker": "w-1", "wait": "20s"},
    ),
    ApiRoute(
        method="POST",
        path="/v1/tasks/{id}/complete",
        endpoint=complete,
        name="completeTask",
        tag=TAG,
        role="operator",
        body=CompleteRequest,
        status=204,
        summary="Say what came of a task; answered once that is durable.",
    ),
    ApiRoute(
        method="POST",
        path="/v1/tasks/{id}/fail",
        endpoint=fail,
        name="failTask",
        tag=TAG,
        role="operator",
        body=FailRequest,
        status=204,
        summary="Say that a task failed; answered once that is durable.",
    ),
    ApiRoute(
        method="POST",
        path="/v1/tasks/{id}/heartbeat",
        endpoint=heartbeat,
        name="heartbeatTask",
        tag=TAG,
        role="operator",
        body=HeartbeatRequest,
        answer=Renewed,
        audited=False,
        summary="Say that a task is being worked on.",
        description="404 or 409: it was cancelled, or somebody else has it; stop working on it.",
    ),
)
