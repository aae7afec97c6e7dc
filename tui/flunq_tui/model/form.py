"""A form made from a JSON Schema: fields, and the value that their texts mean.

Objects inside objects become sections. What a field cannot say by itself (patterns, limits,
alternatives) is checked by the schema once there is a value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Path: TypeAlias = tuple[str, ...]
Schema: TypeAlias = "dict[str, Any]"

_SIMPLE = frozenset({"string", "integer", "number"})
_DEEPEST = 4
"""Objects inside objects that become sections; what is deeper is JSON."""
_LIMITS = (
    ("format", "{}"),
    ("minimum", ">= {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "<= {}"),
    ("exclusiveMaximum", "< {}"),
    ("minLength", ">= {} characters"),
    ("maxLength", "<= {} characters"),
    ("pattern", "/{}/"),
    ("multipleOf", "multiple of {}"),
)
_canonical = msgspec.json.Encoder(order="sorted").encode
_WHERE = re.compile(r"^(.*) \(at /(.+)\)$", re.DOTALL)


class FieldError(ValueError):
    """A text is not what its field wants; ``field`` names it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field
        self.problem = problem


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One member of the value."""

    path: Path = ()
    """Where in the value it stands; empty: it is the value."""
    kind: str
    """``string``, ``integer``, ``number``, ``choice`` or ``json``."""
    title: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()
    """What is shown of the values that are possible."""
    values: tuple[Any, ...] = ()
    """The possible values, in the order of the choices; empty: the choices themselves."""
    default: str = ""
    limits: str = ""

    @property
    def name(self) -> str:
        """Its path with dots."""
        return ".".join(self.path)

    @property
    def section(self) -> str:
        """The object that it is part of."""
        return ".".join(self.path[:-1])


def fields_of(schema: Any) -> list[Field]:
    """Return the fields of an object's schema; one field of JSON for anything else."""
    root = schema if isinstance(schema, dict) else {}
    found = _resolved(root, root)
    if not _has_members(found):
        names = found.get("required")
        example = {str(name): None for name in names} if isinstance(names, list) else {}
        default = found.get("default", example)
        return [Field(kind="json", default=_shown(default))]
    return list(_members(found, root, ()))


def texts_of(fields: Sequence[Field], value: Any) -> dict[str, str]:
    """Return the texts with which the fields say a value."""
    texts: dict[str, str] = {}
    for each in fields:
        found = _at(value, each.path)
        if found is msgspec.UNSET:
            continue
        texts[each.name] = _text(found, each.kind)
    return texts


def says(fields: Sequence[Field], value: Any) -> bool:
    """Tell whether the fields can say all that a value has, and as it is; it may lack something."""
    optional = [msgspec.structs.replace(each, required=False) for each in fields]
    try:
        said = value_of(optional, texts_of(fields, value))
    except FieldError:
        return False
    return _canonical(said) == _canonical(value)


def value_of(fields: Sequence[Field], texts: Mapping[str, str]) -> Any:
    """Return what the texts mean; raises FieldError.

    A member of an object that need not be there is required once another member of it is given.
    """
    if len(fields) == 1 and not fields[0].path:
        return _parse(fields[0], texts.get("", ""))
    value: dict[str, Any] = {}
    for each in fields:
        text = texts.get(each.name, "")
        if text == "" and not (each.required and each.kind == "string"):
            if each.required and _is_begun(each, fields, texts):
                raise FieldError(each.name, "required")
            continue
        if text == "" and not _is_begun(each, fields, texts):
            continue
        _put(value, each.path, _parse(each, text))
    return value


def complain(schema: Any, value: Any) -> None:
    """Let the schema check a value; raises FieldError with the member that is wrong."""
    from flunq.core.document.schemas import Schema as Checked
    from flunq.core.document.schemas import SchemaError

    if not isinstance(schema, dict):
        return
    try:
        complaint = Checked({"document": schema}).complaint(value)
    except SchemaError:
        return  # it refers to what only the cluster has, and the cluster checks too
    if complaint is not None:
        match = _WHERE.match(complaint)
        place = match[2].replace("/", ".") if match else ""
        raise FieldError(place, match[1] if match else complaint)


# -- from the schema -------------------------------------------------------------------------------


def _has_members(schema: Schema) -> bool:
    members = schema.get("properties")
    return isinstance(members, dict) and bool(members)


def _members(schema: Schema, root: Schema, path: Path) -> Iterator[Field]:
    wanted = schema.get("required")
    names = wanted if isinstance(wanted, list) else []
    for name, given in schema["properties"].items():
        member = _resolved(given, root)
        place = (*path, str(name))
        if _has_members(member) and len(place) <= _DEEPEST:
            yield from _members(member, root, place)
        else:
            yield _field(place, member, required=name in names)


def _resolved(schema: Any, root: Schema) -> Schema:
    """Follow references inside of the schema; one that leads elsewhere allows anything."""
    for _ in range(_DEEPEST):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str):
            break
        schema = _at(root, tuple(reference.removeprefix("#/").split("/")))
    return schema if isinstance(schema, dict) else {}


def _field(path: Path, schema: Schema, *, required: bool) -> Field:
    title = str(schema.get("title") or schema.get("description") or "")
    default = schema.get("default", schema.get("const", msgspec.UNSET))
    kind, values = _kind(schema)
    return Field(
        path=path,
        kind=kind,
        title=title,
        required=required,
        choices=tuple(_shown(each) for each in values),
        values=values,
        default="" if default is msgspec.UNSET else _text(default, kind),
        limits=_limits(schema),
    )


def _kind(schema: Schema) -> tuple[str, tuple[Any, ...]]:
    options = schema.get("enum")
    if isinstance(options, list) and options:
        return "choice", tuple(options)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), None)
    if kind == "boolean":
        return "choice", (True, False)
    return (kind if isinstance(kind, str) and kind in _SIMPLE else "json"), ()


def _limits(schema: Schema) -> str:
    return ", ".join(text.format(schema[name]) for name, text in _LIMITS if name in schema)


# -- texts and values ------------------------------------------------------------------------------


def _is_begun(field: Field, fields: Sequence[Field], texts: Mapping[str, str]) -> bool:
    """Tell whether the object that a field is part of has to be there."""
    if len(field.path) == 1:
        return True
    mine = [each for each in fields if each.path[:-1] == field.path[:-1]]
    return any(texts.get(each.name, "") not in ("", each.default) for each in mine)


def _shown(value: Any, *, indent: bool = False) -> str:
    if isinstance(value, str) and not indent:
        return value
    encoded = msgspec.json.encode(value)
    return (msgspec.json.format(encoded, indent=2) if indent else encoded).decode()


def _text(value: Any, kind: str) -> str:
    """Return the text with which a field says a value."""
    is_text = isinstance(value, str) and kind in ("string", "choice")
    return value if is_text else _shown(value, indent=kind == "json")


def _at(value: Any, path: Path) -> Any:
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return msgspec.UNSET
        value = value[name]
    return value


def _put(value: dict[str, Any], path: Path, member: Any) -> None:
    for name in path[:-1]:
        value = value.setdefault(name, {})
    value[path[-1]] = member


def _parse(field: Field, text: str) -> Any:
    if field.kind == "choice":
        return _chosen(field, text)
    if field.kind == "string":
        return text
    try:
        if field.kind == "integer":
            return int(text)
        if field.kind == "number":
            return _number(text)
        return msgspec.json.decode(text or "{}")
    except (ValueError, msgspec.DecodeError) as error:
        raise FieldError(field.name, str(error)) from None


def _number(text: str) -> int | float:
    try:
        return int(text)  # 5 is not 5.0 in what expressions make of it
    except ValueError:
        return float(text)


def _chosen(field: Field, text: str) -> Any:
    if text not in field.choices:
        raise FieldError(field.name, ", ".join(field.choices))
    return (field.values or field.choices)[field.choices.index(text)]
