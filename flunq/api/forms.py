"""What a JSON Schema asks for as fields of an HTML form, and back from such a form to JSON."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs

import msgspec

from flunq.api.problems import InvalidFieldError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Given: TypeAlias = Mapping[str, list[str]]

PREFIX = "data."
_MOST_FIELDS = 200
_INPUTS = {"date": "date", "time": "time", "email": "email", "uri": "url", "password": "password"}
_LIMITS = {
    "minLength": "minlength",
    "maxLength": "maxlength",
    "pattern": "pattern",
    "minimum": "min",
    "maximum": "max",
}
_LONG_TEXT = 200
_encode = msgspec.json.Encoder().encode


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One member of what is asked for."""

    name: str
    schema: dict[str, Any]
    required: bool

    @property
    def kind(self) -> str:
        """Return how it is asked: choice, choices, boolean, number, text, or json for the rest."""
        if isinstance(self.schema.get("enum"), list):
            return "choice"
        kind = self.schema.get("type", "json")
        if kind in ("integer", "number"):
            return "number"
        if kind == "array" and isinstance(_items(self.schema).get("enum"), list):
            return "choices"
        return {"boolean": "boolean", "string": "text"}.get(str(kind), "json")

    @property
    def label(self) -> str:
        """Return what it is called."""
        return str(self.schema.get("title") or self.name)


def fields_of(form: dict[str, Any] | None) -> list[Field]:
    """Return the members that a schema of an object asks for, in its order."""
    members = (form or {}).get("properties")
    required = (form or {}).get("required")
    if not isinstance(members, dict):
        return []
    needed = set(required) if isinstance(required, list) else set()
    return [
        Field(name=name, schema=schema if isinstance(schema, dict) else {}, required=name in needed)
        for name, schema in members.items()
    ]


def read_form(body: bytes) -> dict[str, list[str]]:
    """Read what a browser sends; raises InvalidFieldError."""
    try:
        return parse_qs(
            body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise InvalidFieldError(f"the form cannot be read: {error}", path="$") from error


def data_of(form: dict[str, Any] | None, given: Given) -> dict[str, Any]:
    """Return what was filled in as JSON; what was left empty is left out."""
    data: dict[str, Any] = {}
    for field in fields_of(form):
        texts = given.get(PREFIX + field.name, [])
        value = _value(field, texts)
        if value is not None:
            data[field.name] = value
    return data


def _value(field: Field, texts: list[str]) -> Any:
    if field.kind == "boolean":
        # A browser says nothing of a box that is not ticked.
        return "true" in texts
    if field.kind == "choices":
        return [_json_or_text(text) for text in texts] or None
    text = texts[0] if texts else ""
    if not text:
        return None
    return text.replace("\r\n", "\n") if field.kind == "text" else _json_or_text(text)


def _json_or_text(text: str) -> Any:
    """Return text that is no JSON as it is: the schema says what is wrong with it."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def field_html(field: Field, given: Given) -> str:
    """Return a field with its label; what was given before is filled in."""
    # A browser says nothing of a box that is not ticked: defaults are for the first time alone.
    said = given.get(PREFIX + field.name, []) if given else _default(field)
    if field.kind == "choices":
        return _choices(field, said)
    help_text = str(field.schema.get("description") or "")
    described = f' aria-describedby="help-{escape(field.name)}"' if help_text else ""
    needed = " required" if field.required and field.kind != "boolean" else ""
    attributes = (
        f'id="{escape(PREFIX + field.name)}" name="{escape(PREFIX + field.name)}"'
        f"{needed}{described}"
    )
    label = f'<label for="{escape(PREFIX + field.name)}">{escape(field.label)}</label>'
    helping = f'<small id="help-{escape(field.name)}">{escape(help_text)}</small>'
    control = _control(field, attributes, said)
    parts = f"{control} {label}" if field.kind == "boolean" else f"{label}{control}"
    return f"<div>{parts}{helping if help_text else ''}</div>"


def _control(field: Field, attributes: str, said: list[str]) -> str:
    text = said[0] if said else ""
    if field.kind == "choice":
        options = [_option(value, said) for value in field.schema["enum"]]
        return f'<select {attributes}><option value=""></option>{"".join(options)}</select>'
    if field.kind == "boolean":
        checked = " checked" if "true" in said else ""
        return f'<input type="checkbox" value="true" {attributes}{checked}>'
    if field.kind == "json" or _is_long(field):
        return f'<textarea rows="4" {attributes}{_limits(field)}>{escape(text)}</textarea>'
    kind = "number" if field.kind == "number" else _INPUTS.get(str(field.schema.get("format")))
    return (
        f'<input type="{kind or "text"}" {attributes}{_limits(field)}{_step(field)}'
        f' value="{escape(text)}">'
    )


def _choices(field: Field, said: list[str]) -> str:
    boxes = []
    for value in _items(field.schema)["enum"]:
        text = _as_text(value)
        checked = " checked" if text in said else ""
        boxes.append(
            f'<label><input type="checkbox" name="{escape(PREFIX + field.name)}"'
            f' value="{escape(text)}"{checked}> {escape(_shown(value))}</label>'
        )
    return f"<fieldset><legend>{escape(field.label)}</legend>{''.join(boxes)}</fieldset>"


def _option(value: Any, said: list[str]) -> str:
    text = _as_text(value)
    selected = " selected" if text in said else ""
    return f'<option value="{escape(text)}"{selected}>{escape(_shown(value))}</option>'


def _default(field: Field) -> list[str]:
    if "default" not in field.schema:
        return []
    value = field.schema["default"]
    if field.kind == "text":
        return [str(value)]
    values = value if field.kind == "choices" and isinstance(value, list) else [value]
    return [_as_text(each) for each in values]


def _as_text(value: Any) -> str:
    return _encode(value).decode()


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else _as_text(value)


def _limits(field: Field) -> str:
    found = {html: field.schema[name] for name, html in _LIMITS.items() if name in field.schema}
    if "pattern" in found:
        # A schema looks for it anywhere in the text, a browser wants the text to be all of it.
        found["pattern"] = f".*(?:{found['pattern']}).*"
    return "".join(f' {html}="{escape(str(value))}"' for html, value in found.items())


def _step(field: Field) -> str:
    if field.kind != "number":
        return ""
    return "" if field.schema.get("type") == "integer" else ' step="any"'


def _is_long(field: Field) -> bool:
    longest = field.schema.get("maxLength", 0)
    return isinstance(longest, int) and longest > _LONG_TEXT


def _items(schema: dict[str, Any]) -> dict[str, Any]:
    items = schema.get("items")
    return items if isinstance(items, dict) else {}
