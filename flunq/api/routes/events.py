"""``POST /v1/events``: CloudEvents from outside, in all three modes of the HTTP binding."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

import msgspec

from flunq.api.contract import JSON, ApiRoute, Call, Reply, json_reply
from flunq.api.negotiation import media_type
from flunq.api.problems import InvalidFieldError, MediaTypeError, invalid_field, malformed
from flunq.core.events import BATCH_CONTENT_TYPE

TAG = "events"
STRUCTURED = "application/cloudevents+json"
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
_BINARY = "ce-"
_MOST = 1000
_PART = 400 * 1024
"""Events are handed on in messages of this size."""


class CloudEventIn(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A CloudEvent as others make it."""

    id: Text
    source: Text
    type: Text
    specversion: str = "1.0"
    subject: str | msgspec.UnsetType = msgspec.UNSET
    time: str | msgspec.UnsetType = msgspec.UNSET
    datacontenttype: str | msgspec.UnsetType = msgspec.UNSET
    dataschema: str | msgspec.UnsetType = msgspec.UNSET
    data: Any | msgspec.UnsetType = msgspec.UNSET
    data_base64: str | msgspec.UnsetType = msgspec.UNSET


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of the events, in their order; all of them are durable."""

    ids: list[str]


async def publish(call: Call) -> Reply:
    """Publish what came, once it is durable."""
    events = _events(call)
    for part in _parts(events):
        await call.client.emit(part)
    return json_reply(Published(ids=[event["id"] for event in events]))


def _events(call: Call) -> list[dict[str, Any]]:
    content_type = call.headers.get("content-type")
    media = media_type(content_type) if content_type else JSON
    if _BINARY + "type" in call.headers:
        return [_binary(call.headers, call.body, media)]
    if media == STRUCTURED:
        return [_checked(_json(call.body), "$")]
    if media not in (JSON, BATCH_CONTENT_TYPE):
        raise MediaTypeError(
            f"{media!r} needs the attributes as ce- headers",
            accepted=[STRUCTURED, BATCH_CONTENT_TYPE, JSON],
        )
    value = _json(call.body)
    if media == JSON and not isinstance(value, list):
        return [_checked(value, "$")]
    if not isinstance(value, list):
        raise InvalidFieldError("a batch is an array", path="$")
    if len(value) > _MOST:
        raise InvalidFieldError(f"a batch may have {_MOST} events", path="$")
    return [_checked(event, f"$[{number}]") for number, event in enumerate(value)]


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error, body) from error


def _checked(value: Any, where: str) -> dict[str, Any]:
    try:
        event = msgspec.convert(value, CloudEventIn)
    except msgspec.ValidationError as error:
        raise invalid_field(error, within=where) from error
    if event.specversion != "1.0":
        raise InvalidFieldError("only CloudEvents 1.0 are known", path=f"{where}.specversion")
    return {**value, "specversion": "1.0"}


def _binary(headers: dict[str, str], body: bytes, media: str) -> dict[str, Any]:
    """Read an event whose attributes are headers and whose data is the body."""
    event: dict[str, Any] = {
        name.removeprefix(_BINARY): _header_value(value)
        for name, value in headers.items()
        if name.startswith(_BINARY)
    }
    if body:
        event["datacontenttype"] = headers.get("content-type", JSON)
        event.update(_data(body, media))
    return _checked(event, "headers")


def _header_value(value: str) -> str:
    """Undo the percent-encoding that the binding asks for."""
    return unquote_to_bytes(value).decode("utf-8", "replace") if "%" in value else value


def _data(body: bytes, media: str) -> dict[str, Any]:
    if media == JSON or media.endswith("+json"):
        return {"data": _json(body)}
    if media.startswith("text/"):
        return {"data": body.decode("utf-8", "replace")}
    return {"data_base64": b64encode(body).decode()}


def _parts(events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    parts: list[list[dict[str, Any]]] = []
    size = _PART
    for event in events:
        length = len(msgspec.json.encode(event))
        if size + length > _PART:
            parts.append([])
            size = 0
        parts[-1].append(event)
        size += length
    return parts


ROUTES = (
    ApiRoute(
        method="POST",
        path="/v1/events",
        endpoint=publish,
        name="publishEvents",
        tag=TAG,
        role="operator",
        body=CloudEventIn | list[CloudEventIn],
        accepts=(STRUCTURED, BATCH_CONTENT_TYPE, JSON, "*/*"),
        answer=Published,
        summary="Publish CloudEvents.",
        description=(
            "Structured (`application/cloudevents+json`), a batch "
            "(`application/cloudevents-batch+json`), or binary: attributes as `ce-` headers, data "
            "as the body. An event with the same source and id is published once. Of a batch that "
            "fails in the middle the first events may be published: send it again."
        ),
        example={
            "specversion": "1.0",
            "id": "4711",
            "source": "/shop",
            "type": "com.example.order.paid",
            "data": {"amount": 12},
        },
    ),
)
