"""A form made from a JSON Schema: fields, and the value that their texts mean."""

from __future__ import annotations

from typing import Any

import msgspec

_SIMPLE = frozenset({"string", "integer", "number", "boolean"})


class FieldError(ValueError):
    """A text is not what its field wants; ``field`` names it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field
        self.problem = problem


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One member of the value."""

    name: str
    kind: str
    """``string``, ``integer``, ``number``, ``boolean``, ``choice`` or ``json``."""
    title: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()
    default: str = ""


def fields_of(schema: Any) -> list[Field]:
    """Return the fields of an object's schema; one field of JSON for anything else."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or not properties:
        required = schema.get("required") if isinstance(schema, dict) else None
        names = required if isinstance(required, list) else ()
        example = {str(name): None for name in names}
        return [Field(name="", kind="json", default=msgspec.json.encode(example).decode())]
    wanted = schema.get("required") or ()
    return [_field(str(name), each, name in wanted) for name, each in properties.items()]


def value_of(fields: list[Field], texts: dict[str, str]) -> Any:
    """Return what the texts mean; raises FieldError."""
    if len(fields) == 1 and not fields[0].name:
        return _parse(fields[0], texts.get("", ""))
    value: dict[str, Any] = {}
    for each in fields:
        text = texts.get(each.name, "")
        if text == "" and not (each.required and each.kind == "string"):
            if each.required:
                raise FieldError(each.name, "required")
            continue
        value[each.name] = _parse(each, text)
    return value


def _field(name: str, schema: Any, required: bool) -> Field:
    schema = schema if isinstance(schema, dict) else {}
    options = schema.get("enum")
    kind = schema.get("type")
    title = str(schema.get("title") or schema.get("description") or "")
    default = schema.get("default", msgspec.UNSET)
    shown = "" if default is msgspec.UNSET else _shown(default)
    if isinstance(options, list) and options and all(isinstance(each, str) for each in options):
        return Field(
            name=name,
            kind="choice",
            title=title,
            required=required,
            choices=tuple(options),
            default=shown,
        )
    known = kind if isinstance(kind, str) and kind in _SIMPLE else "json"
    return Field(name=name, kind=known, title=title, required=required, default=shown)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _parse(field: Field, text: str) -> Any:
    if field.kind in ("string", "choice"):
        if field.kind == "choice" and text not in field.choices:
            raise FieldError(field.name, ", ".join(field.choices))
        return text
    try:
        if field.kind == "integer":
            return int(text)
        if field.kind == "number":
            return float(text)
        if field.kind == "boolean":
            return _boolean(text)
        return msgspec.json.decode(text or "{}")
    except (ValueError, msgspec.DecodeError) as error:
        raise FieldError(field.name, str(error)) from None


def _boolean(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.casefold() not in words:
        raise ValueError("true, false")
    return words[text.casefold()]
