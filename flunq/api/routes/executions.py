"""``/v1/executions``: start them, look at them, wait for their results."""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Any, Literal

import msgspec

from flunq.api.contract import ApiRoute, Call, Reply, json_reply
from flunq.api.cursors import decode_cursor, encode_cursor
from flunq.api.durations import seconds_of
from flunq.api.problems import InvalidFieldError
from flunq.api.views import (
    EventView,
    ExecutionPage,
    ExecutionView,
    HistoryPage,
    ResultView,
    ShownStatus,
    Started,
    execution_summary,
    execution_view,
    result_view,
    shown_status,
    statuses_of,
)
from flunq.api.waiting import unless_gone
from flunq.client.arguments import TRACEPARENT
from flunq.core.execution.commands import WorkflowRef
from flunq.errors import WaitTimeoutError

TAG = "executions"
Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
Priority = Annotated[int, msgspec.Meta(ge=0, le=9)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]
_IDEMPOTENCY = "idempotency-key"
_LONGEST_KEY = 512
Cursor = tuple[int, str]


class WorkflowChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which workflow; without a version the newest, without a namespace the only one."""

    name: str
    namespace: str = ""
    version: str = ""


class StartRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A start; with the same ``id``, workflow and input it is the same execution."""

    workflow: str | WorkflowChoice
    """``name``, ``namespace/name`` or ``namespace/name:version``, or its parts."""
    input: Any = None
    id: Id | None = None
    tags: dict[str, str] = {}
    priority: Literal["high", "normal", "low"] | Priority | None = None
    """Of its tasks; more than another workflow's means more turns."""


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which executions."""

    limit: Limit = 20
    cursor: str = ""
    status: tuple[ShownStatus, ...] = ()
    """May be given several times."""
    workflow: str | None = None
    prefix: str = ""
    """What the id begins with."""


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """From where on."""

    cursor: str = ""


class ResultQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for the end, as ``30s``."""

    wait: str = "0s"


async def start(call: Call) -> Reply:
    """Start an execution once it is durable."""
    body: StartRequest = call.body
    wanted = body.id if body.id is not None else _id_of_key(call)
    call.target = wanted or ""
    run = await call.client.start(
        _reference(body.workflow),
        body.input,
        id=wanted,
        tags=body.tags,
        watch=False,
        traceparent=_trace_of(call),
        priority=body.priority,
    )
    call.target = run.id
    started = Started(id=run.id, status=shown_status(run.status), created=run.created)
    location = {"location": f"/v1/executions/{run.id}"}
    return json_reply(started, status=201 if run.created else 200, headers=location)


def _trace_of(call: Call) -> str | None:
    """Return the caller's trace context; one that is damaged counts as none."""
    given = call.headers.get("traceparent", "")
    return given if TRACEPARENT.fullmatch(given) else None


async def list_page(call: Call) -> Reply:
    """Return a page."""
    query: ListQuery = call.query
    before = decode_cursor(query.cursor, Cursor) if query.cursor else None
    found = await call.client.list(
        limit=query.limit,
        before=before,
        status=statuses_of(query.status) or None,
        workflow=query.workflow,
        prefix=query.prefix,
    )
    last = found[-1] if len(found) == query.limit else None
    following = encode_cursor((last.started_at, last.id)) if last else None
    return json_reply(
        ExecutionPage(items=[execution_summary(each) for each in found], next=following)
    )


async def get(call: Call) -> Reply:
    """Return one."""
    return json_reply(execution_view(await call.client.get(call.id)))


async def result(call: Call) -> Reply:
    """Return how it ended; 202 with where it is when it has not within the wait."""
    limits = call.services.settings.limits
    seconds = seconds_of(call.query.wait, most=limits.wait_seconds, where="?.wait")
    execution = call.id
    if seconds:
        try:
            with call.services.waits:
                ended = await unless_gone(call, call.client.result(execution, timeout=seconds))
            return json_reply(result_view(ended))
        except WaitTimeoutError:
            pass
    details = await call.client.get(execution)
    if details.ended_at is None:
        return json_reply({"id": details.id, "status": details.status}, status=202)
    view = execution_view(details)
    return json_reply(
        ResultView(id=view.id, status=view.status, output=view.output, error=view.error)
    )


async def history(call: Call) -> Reply:
    """Return a page of its events."""
    cursor, seen = 0, 0
    if call.query.cursor:
        cursor, seen = decode_cursor(call.query.cursor, tuple[int, int])
    if cursor < 0 or seen < 0:
        raise InvalidFieldError("this is no cursor of ours", path="?.cursor")
    events, after, more = await call.client.history_page(call.id, cursor, seen=seen)
    items = [
        EventView(
            id=event.id,
            source=event.source,
            type=event.type,
            time=event.time,
            subject=event.subject,
            tenant=event.tenant,
            workflow=event.workflow,
            partition=event.partition,
            seq=event.seq,
            data=event.data,
            datacontenttype=event.datacontenttype,
            specversion=event.specversion,
            traceparent=None if event.traceparent is msgspec.UNSET else event.traceparent,
        )
        for event in events
    ]
    last = events[-1].seq if events else seen
    return json_reply(HistoryPage(items=items, next=encode_cursor((after, last)) if more else None))


def _reference(workflow: str | WorkflowChoice) -> str | WorkflowRef:
    if isinstance(workflow, str):
        return workflow
    return WorkflowRef(
        namespace=workflow.namespace, name=workflow.name, version=workflow.version, digest=""
    )


def _id_of_key(call: Call) -> str | None:
    """Return the id that an idempotency key stands for: the same key is the same execution."""
    key = call.headers.get(_IDEMPOTENCY)
    if key is None:
        return None
    if not key or len(key) > _LONGEST_KEY:
        raise InvalidFieldError(
            f"an idempotency key has 1 to {_LONGEST_KEY} characters", path="Idempotency-Key"
        )
    return "key-" + blake2b(key.encode("latin-1"), digest_size=16).hexdigest()


_EXAMPLE = {"workflow": "tests/hello:1.0.0", "input": {"name": "Ada"}, "id": "order-123"}

ROUTES = (
    ApiRoute(
        method="POST",
        path="/v1/executions",
        endpoint=start,
        name="startExecution",
        tag=TAG,
        role="operator",
        body=StartRequest,
        answer=Started,
        status=201,
        also=(200,),
        example=_EXAMPLE,
        summary="Start an execution.",
        description=(
            "Answered once the start is durable: 201, or 200 when the same start was made before. "
            "Repeat it safely with the same `id`, or with the same `Idempotency-Key` header; "
            "another workflow or input under the same id is a 409."
        ),
    ),
    ApiRoute(
        method="GET",
        path="/v1/executions",
        endpoint=list_page,
        name="listExecutions",
        tag=TAG,
        query=ListQuery,
        answer=ExecutionPage,
        summary="List executions, newest first.",
    ),
    ApiRoute(
        method="GET",
        path="/v1/executions/{id}",
        endpoint=get,
        name="getExecution",
        tag=TAG,
        answer=ExecutionView,
        summary="Look at an execution: its status, input, output and what it waits for.",
    ),
    ApiRoute(
        method="GET",
        path="/v1/executions/{id}/result",
        endpoint=result,
        name="getResult",
        tag=TAG,
        query=ResultQuery,
        answer=ResultView,
        also=(202,),
        summary="Wait for the end of an execution.",
        description="202 when it has not ended within `wait` (60s at most): ask again.",
    ),
    ApiRoute(
        method="GET",
        path="/v1/executions/{id}/history",
        endpoint=history,
        name="getHistory",
        tag=TAG,
        query=HistoryQuery,
        answer=HistoryPage,
        summary="Read the events of an execution, in pages.",
    ),
)
