"""``/v1/schedules``: look at them, pause, resume, skip, trigger."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from flunq.api.contract import ApiRoute, Call, Reply, json_reply
from flunq.api.routes.executions import Id
from flunq.api.views import FireView, ScheduleSummary, fire_view, schedule_summary
from flunq.core.cron import micros_of

TAG = "schedules"


class SchedulePage(msgspec.Struct, frozen=True, kw_only=True):
    """The schedules in force."""

    items: list[ScheduleSummary]


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which schedules."""

    prefix: str = ""


class ShowQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the next fires to tell."""

    count: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5


class PauseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    reason: str = ""


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An empty object, or no body at all."""


class SkipRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of the next fires to skip, or up to which moment (RFC 3339)."""

    count: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class TriggerRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to start with; the same ``id`` starts once."""

    id: Id | None = None
    input: Any | msgspec.UnsetType = msgspec.UNSET


async def list_all(call: Call) -> Reply:
    """Return the schedules in force."""
    found = await call.client.schedules.list(call.query.prefix)
    return json_reply(SchedulePage(items=[schedule_summary(each) for each in found]))


async def get(call: Call) -> Reply:
    """Return one schedule."""
    found = await call.client.schedules.get(_name(call), count=call.query.count)
    return json_reply(schedule_summary(found))


async def pause(call: Call) -> Reply:
    """Let it start nothing."""
    found = await call.client.schedules.pause(_name(call), call.body.reason)
    return json_reply(schedule_summary(found))


async def resume(call: Call) -> Reply:
    """Let it go on."""
    return json_reply(schedule_summary(await call.client.schedules.resume(_name(call))))


async def skip(call: Call) -> Reply:
    """Let its next fires pass."""
    until = None if call.body.until is None else micros_of(call.body.until)
    found = await call.client.schedules.skip(_name(call), count=call.body.count, until=until)
    return json_reply(schedule_summary(found))


async def unskip(call: Call) -> Reply:
    """Let no fire pass that is still to come."""
    return json_reply(schedule_summary(await call.client.schedules.unskip(_name(call))))


async def trigger(call: Call) -> Reply:
    """Start its workflow now."""
    body: TriggerRequest = call.body
    fired = await call.client.schedules.trigger(_name(call), id=body.id, input=body.input)
    return json_reply(fire_view(fired))


def _name(call: Call) -> str:
    return f"{call.parameters['namespace']}/{call.parameters['name']}"


_PATH = "/v1/schedules/{namespace}/{name}"

ROUTES = (
    ApiRoute(
        method="GET",
        path="/v1/schedules",
        endpoint=list_all,
        name="listSchedules",
        tag=TAG,
        query=ListQuery,
        answer=SchedulePage,
        summary="List the schedules in force.",
    ),
    ApiRoute(
        method="GET",
        path=_PATH,
        endpoint=get,
        name="getSchedule",
        tag=TAG,
        query=ShowQuery,
        answer=ScheduleSummary,
        summary="Look at a schedule and its next fires.",
    ),
    ApiRoute(
        method="POST",
        path=_PATH + "/pause",
        endpoint=pause,
        name="pauseSchedule",
        tag=TAG,
        role="operator",
        body=PauseRequest,
        optional_body=True,
        answer=ScheduleSummary,
        summary="Let a schedule start nothing until it is resumed.",
    ),
    ApiRoute(
        method="POST",
        path=_PATH + "/resume",
        endpoint=resume,
        name="resumeSchedule",
        tag=TAG,
        role="operator",
        body=Nothing,
        optional_body=True,
        answer=ScheduleSummary,
        summary="Let a paused schedule go on.",
    ),
    ApiRoute(
        method="POST",
        path=_PATH + "/skip",
        endpoint=skip,
        name="skipSchedule",
        tag=TAG,
        role="operator",
        body=SkipRequest,
        optional_body=True,
        answer=ScheduleSummary,
        summary="Skip the next fires of a schedule.",
    ),
    ApiRoute(
        method="POST",
        path=_PATH + "/unskip",
        endpoint=unskip,
        name="unskipSchedule",
        tag=TAG,
        role="operator",
        body=Nothing,
        optional_body=True,
        answer=ScheduleSummary,
        summary="Skip nothing that is still to come.",
    ),
    ApiRoute(
        method="POST",
        path=_PATH + "/trigger",
        endpoint=trigger,
        name="triggerSchedule",
        tag=TAG,
        role="operator",
        body=TriggerRequest,
        optional_body=True,
        answer=FireView,
        summary="Start the workflow of a schedule now.",
    ),
)
