"""The bodies of OpenAPI operations: which media type, and what goes into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.sdk.executor import TaskError
from flunq.sdk.web.body import encode_body, is_json, media_type
from flunq.sdk.web.forms import (
    FORM,
    MULTIPART,
    Part,
    encode_multipart,
    field_part,
    file_part,
    plain_text,
)
from flunq_plugins.openapi_parameters import Style

if TYPE_CHECKING:
    from flunq_plugins.openapi_document import Operation, Placed, References

NO_BODY: tuple[bytes, str | None] = (b"", None)
_PREFERRED = (FORM, MULTIPART, "text/plain")
_FORMS = (FORM, MULTIPART)
_BODY = "body"


class Bodies:
    """Makes the body out of what no other place of the request took."""

    def __init__(self, operation: Operation, references: References) -> None:
        self._operation = operation
        self._references = references
        self.missing: list[str] = []
        """Names of what is required and absent."""
        self.taken: set[str] = set()
        """Names of the values that went into the body."""

    async def encode(self, left: dict[str, Any], wanted: str | None) -> tuple[bytes, str | None]:
        """Return body and content type; ``wanted`` is the content type that the caller set."""
        if self._operation.is_swagger:
            return await self._swagger(left, wanted)
        if self._operation.body is None:
            return NO_BODY
        return await self._request_body(self._operation.body, left, wanted)

    async def _request_body(
        self, body: Placed, left: dict[str, Any], wanted: str | None
    ) -> tuple[bytes, str | None]:
        definition = body.value if isinstance(body.value, dict) else {}
        self.taken = set(left)
        value = left[_BODY] if set(left) == {_BODY} else left
        if not left or value is None:
            if definition.get("required") is True:
                self.missing.append(_BODY)
            return NO_BODY
        content = definition.get("content")
        content = content if isinstance(content, dict) else {}
        media = wanted or choose_media(list(content), value)
        described: Any = next((d for m, d in content.items() if _same(m, media)), {})
        if isinstance(value, dict) and media_type(media) in _FORMS:
            schema = await self._resolved(body.child(_member(described, "schema")))
            return await self._form(value, media_type(media), schema, described)
        return _encode(value, media)

    async def _form(
        self, value: dict[str, Any], media: str, schema: Placed, described: Any
    ) -> tuple[bytes, str | None]:
        properties = _member(schema.value, "properties")
        encodings = _member(described, "encoding")
        if media == FORM:
            parts = [
                Style(
                    {"name": name, "in": "query", "schema": {}} | _encoding(encodings, name)
                ).in_query(member)
                for name, member in value.items()
                if member is not None
            ]
            return "&".join(p for group in parts for p in group).encode(), FORM
        return encode_multipart(
            [
                part
                for name, member in value.items()
                for part in await self._parts(
                    name,
                    member,
                    schema.child(_member(properties, name)),
                    _encoding(encodings, name).get("contentType"),
                )
            ]
        )

    async def _parts(
        self, name: str, value: Any, schema: Placed, content_type: str | None
    ) -> list[Part]:
        """Return the parts of one property; a list of files or texts gives several."""
        schema = await self._resolved(schema)
        items = schema
        if isinstance(value, list):
            items = await self._resolved(schema.child(_member(schema.value, "items")))
        make = file_part if _is_file(items.value) else field_part
        values = value if isinstance(value, list) else [value]
        return [make(name, item, content_type) for item in values if item is not None]

    async def _resolved(self, part: Placed) -> Placed:
        found = await self._references.resolve(part)
        return found if isinstance(found.value, dict) else found.child({})

    async def _swagger(self, left: dict[str, Any], wanted: str | None) -> tuple[bytes, str | None]:
        for parameter in self._operation.parameters:
            if parameter.get("in") == "body":
                return self._body_parameter(parameter, left, wanted)
        fields = [p for p in self._operation.parameters if p.get("in") == "formData"]
        return self._form_data(fields, left, wanted) if fields else NO_BODY

    def _body_parameter(
        self, parameter: dict[str, Any], left: dict[str, Any], wanted: str | None
    ) -> tuple[bytes, str | None]:
        if not left:
            if parameter.get("required") is True:
                self.missing.append(parameter["name"])
            return NO_BODY
        name = next((n for n in (parameter["name"], _BODY) if n in left), None)
        self.taken = set(left) if name is None else {name}
        value = left if name is None else left[name]
        return _encode(value, wanted or choose_media(self._consumed(), value))

    def _form_data(
        self, fields: list[dict[str, Any]], left: dict[str, Any], wanted: str | None
    ) -> tuple[bytes, str | None]:
        given = [field for field in fields if left.get(field["name"]) is not None]
        self.taken = {field["name"] for field in given}
        self.missing += [
            field["name"]
            for field in fields
            if field.get("required") is True and field["name"] not in self.taken
        ]
        if not given:
            return NO_BODY
        has_file = any(field.get("type") == "file" for field in given)
        consumed = [media_type(m) for m in ([wanted] if wanted else self._consumed())]
        if has_file or (MULTIPART in consumed and FORM not in consumed):
            return encode_multipart(
                [part for field in given for part in _field_parts(field, left[field["name"]])]
            )
        pairs = [part for f in given for part in Style(f).in_query(left[f["name"]])]
        return "&".join(pairs).encode(), FORM

    def _consumed(self) -> list[str]:
        operation = self._operation
        consumed = operation.definition.get("consumes") or operation.root.get("consumes")
        return [str(media) for media in consumed] if isinstance(consumed, list) else []


def choose_media(offered: list[str], value: Any) -> str:
    """Return the media type for a value: JSON if that is offered, unless a text fits better."""
    by_name = {media_type(media): media for media in offered if "*" not in media}
    for name in ("application/json", next((n for n in by_name if is_json(n)), "")):
        if name in by_name:
            return by_name[name]
    if isinstance(value, str):
        return next((m for name, m in by_name.items() if name not in _FORMS), "text/plain")
    known = next((by_name[name] for name in _PREFERRED if name in by_name), None)
    return known or next(iter(by_name.values()), "application/json")


def _encode(value: Any, media: str) -> tuple[bytes, str | None]:
    name = media_type(media)
    if is_json(name):
        return msgspec.json.encode(value), media
    if name.startswith("text/") and not isinstance(value, (str, dict, list)):
        value = plain_text(value)
    if not isinstance(value, str) and not (isinstance(value, dict) and name in _FORMS):
        detail = f"nothing turns {type(value).__name__} into {media}: give the body as a text"
        raise TaskError("validation", 400, "Not a valid body", detail)
    return encode_body(value, media)


def _field_parts(field: dict[str, Any], value: Any) -> list[Part]:
    name = field["name"]
    if field.get("type") == "file":
        return [file_part(name, value)]
    if isinstance(value, list) and field.get("collectionFormat") == "multi":
        return [field_part(name, item) for item in value]
    if isinstance(value, list):
        return [field_part(name, ",".join(plain_text(item) for item in value))]
    return [field_part(name, value)]


def _is_file(schema: dict[str, Any]) -> bool:
    """Tell whether a property holds bytes: 3.0 says ``format``, 3.1 a media type of its own."""
    if schema.get("format") == "binary":
        return True
    return "contentMediaType" in schema and not is_json(str(schema["contentMediaType"]))


def _same(media: str, other: str) -> bool:
    return media_type(media) == media_type(other)


def _member(value: Any, name: str) -> Any:
    member = value.get(name) if isinstance(value, dict) else None
    return member if isinstance(member, dict) else {}


def _encoding(encodings: dict[str, Any], name: str) -> dict[str, Any]:
    encoding: dict[str, Any] = _member(encodings, name)
    return encoding
