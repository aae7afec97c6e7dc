"""Validation errors of ``jsonschema`` in words that name the property to change.

Every error becomes a :class:`Problem`: the title of the schema says what is needed there, and a
choice between alternatives is reduced to the one that the value evidently means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from flunq.core.reading.limits import MAX_CANDIDATES
from flunq.core.reading.pointers import child, join
from flunq.core.reading.problems import in_text_order, quoted

if TYPE_CHECKING:
    from flunq.core.reading.problems import Problem
    from flunq.core.reading.source import Source

Explainer: TypeAlias = Callable[["Source", Any, str], Iterator["Problem"]]

_TYPE_NAMES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a text",
}
_SHOWN = 40
_EMBEDDING = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*\$\{")
"""An address with an expression inside of it."""
_TOLD_AT_ONCE = 50


def explain(source: Source, errors: Iterable[Any]) -> list[Problem]:
    """Turn the errors of one document into problems, without those that only follow from others."""
    found = list(errors)
    shifted = tuple(filter(None, map(_misindented, found)))
    problems = (problem for error in found for problem in _problems(source, error))
    return [
        problem
        for problem in in_text_order(problems)
        if problem.rule == "conflicting-properties" or not problem.path.startswith(shifted)
    ]


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that a mistyped name most likely means."""
    if len(name) > _SHOWN:
        return None
    matches = get_close_matches(name, list(islice(candidates, MAX_CANDIDATES)), n=1, cutoff=0.65)
    return matches[0] if matches else None


def suggestion(name: str, candidates: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?``, or nothing."""
    meant = nearest(name, candidates)
    return f"; did you mean {quoted(meant)}?" if meant else ""


def shown(value: Any) -> str:
    """Return a short form of a value for a message."""
    if isinstance(value, dict):
        return f"an object with {quoted(next(iter(value)))}" if value else "an empty object"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return quoted(value) if isinstance(value, str) else json.dumps(value)[:_SHOWN]


def _problems(source: Source, error: Any) -> Iterator[Problem]:
    pointer = join(list(error.absolute_path))
    return _EXPLAINERS.get(error.validator, _needs)(source, error, pointer)


def _needs(source: Source, error: Any, pointer: str) -> Iterator[Problem]:
    """The value is not what the schema's title says."""
    verb = "needs" if error.absolute_path else "has to be"
    found = _found(source, error, pointer)
    message = f"{_subject(error)} {verb} {_needed(error.schema)}, not {found}"
    rule = "wrong-type" if error.validator == "type" else "wrong-value"
    yield source.problem(pointer, message, rule, hint=_type_hint(source, error, pointer))


def _refused(source: Source, error: Any, pointer: str) -> Iterator[Problem]:
    """A property stands where its neighbours do not allow it."""
    for name in error.validator_value["required"]:
        message = f"'{name}' is not allowed here"
        yield source.problem(child(pointer, name), message, "unknown-property", key=True)


def _unknown(source: Source, error: Any, pointer: str) -> Iterator[Problem]:
    known = error.schema.get("properties", {})
    for name in _unknown_names(error):
        free = [candidate for candidate in known if candidate not in error.instance]
        meant = suggestion(name, free)
        message = f"unknown property {quoted(name)}{meant}"
        hint = None if meant else f"known here: {', '.join(known)}"
        yield source.problem(child(pointer, name), message, "unknown-property", key=True, hint=hint)


def _missing(source: Source, error: Any, pointer: str) -> Iterator[Problem]:
    mistyped = _mistyped(error)
    for name in error.validator_value:
        if name in error.instance or name in mistyped:
            continue
        message = f"{_subject(error)} needs the property '{name}'"
        old = pointer == "" and "specVersion" in error.instance
        hint = "flunq convert makes version 1.0 of a document of version 0.8" if old else None
        yield source.problem(pointer, message, "missing-property", key=True, hint=hint)


def _dependent(source: Source, error: Any, pointer: str) -> Iterator[Problem]:
    mistyped = _mistyped(error)
    for name, partners in error.validator_value.items():
        if name not in error.instance:
            continue
        for partner in partners:
            if partner not in error.instance and partner not in mistyped:
                message = f"'{name}' goes with '{partner}', which is missing"
                yield source.problem(child(pointer, name), message, "missing-property", key=True)


def _choice(source: Source, error: Any, pointer: str) -> Iterator[Problem]:
    """None or several of the alternatives fit."""
    names = _exclusive_names(error.validator_value)
    if names:
        if isinstance(error.instance, dict):  # anything else is a wrong type, told elsewhere
            yield from _exclusive(source, error, pointer, names)
        return
    branch = _meant_branch(error)
    if branch is None or any(map(_is_empty, branch)):
        yield from _needs(source, error, pointer)
        return
    for cause in branch:
        yield from _problems(source, cause)


def _exclusive(source: Source, error: Any, pointer: str, names: list[str]) -> Iterator[Problem]:
    loops = "for" in error.instance  # a loop has its body in 'do'
    present = [name for name in error.instance if name in names and not (loops and name == "do")]
    if not present:
        if not _mistyped(error).intersection(names):
            message = f"{_subject(error)} needs one of {_listed(names)}"
            yield source.problem(pointer, message, "missing-property", key=True)
        return
    first = present[0]
    for other in present[1:]:
        message = f"'{other}' cannot stand beside '{first}'"
        hint = f"keep one of {_listed(present)}"
        yield source.problem(
            child(pointer, other), message, "conflicting-properties", key=True, hint=hint
        )


def _too_few(source: Source, error: Any, pointer: str) -> Iterator[Problem]:
    message = f"{_subject(error)} needs {_needed(error.schema)}, not {shown(error.instance)}"
    yield source.problem(pointer, message, "wrong-value")


def _too_many(source: Source, error: Any, pointer: str) -> Iterator[Problem]:
    names = list(error.instance)
    message = f"{_listed(names[:2], 'and')} stand together where only one is allowed"
    hint = f"{_subject(error)} needs {_needed(error.schema)}"
    if _misindented(error):
        hint = f"indent what belongs to {quoted(names[0])} by two more spaces"
    elif "additionalProperties" in error.schema and "properties" not in error.schema:
        hint = "begin each with '- ', and indent what belongs to it"
    yield source.problem(
        child(pointer, names[1]), message, "conflicting-properties", key=True, hint=hint
    )


def _enumerated(source: Source, error: Any, pointer: str) -> Iterator[Problem]:
    allowed = error.validator_value
    meant = suggestion(error.instance, allowed) if isinstance(error.instance, str) else ""
    found = _found(source, error, pointer)
    message = f"{_subject(error)} needs one of {_listed(allowed)}, not {found}{meant}"
    yield source.problem(pointer, message, "wrong-value")


def _misindented(error: Any) -> str | None:
    """Return where everything wrong follows from one name without an indented body."""
    if error.validator != "maxProperties" or next(iter(error.instance.values())) is not None:
        return None
    return join(list(error.absolute_path)) + "/"


def _limit(source: Source, error: Any, pointer: str) -> Iterator[Problem]:
    side = "at least" if error.validator.startswith("min") else "at most"
    if error.validator == "minLength":
        message = f"{_subject(error)} is empty"
    else:
        message = f"{_subject(error)} is {side} {error.validator_value}, not {error.instance}"
    yield source.problem(pointer, message, "wrong-value")


def _meant_branch(error: Any) -> list[Any] | None:
    """Return the errors of the one alternative that the value means, if it is evident."""
    branches: dict[int, list[Any]] = {}
    for cause in error.context:
        branches.setdefault(cause.schema_path[0], []).append(cause)
    meant = [causes for causes in branches.values() if not any(map(_mismatch, causes))]
    if len(meant) != 1 or not isinstance(error.instance, dict | list):
        return None
    return meant[0]


def _mismatch(cause: Any) -> bool:
    """Tell whether a cause says that another alternative is meant."""
    if cause.relative_path:
        return False
    return cause.validator == "type" or (
        cause.validator == "required" and len(cause.schema_path) == 2
        and len(cause.schema.get("properties", ())) == 1
    )  # fmt: skip


def _is_empty(cause: Any) -> bool:
    return cause.validator == "minProperties" and not cause.relative_path


def _exclusive_names(alternatives: list[Any]) -> list[str]:
    """Return the properties of which exactly one is needed, or nothing for other choices."""
    names: list[str] = []
    for alternative in alternatives:
        if not isinstance(alternative, dict) or not alternative.keys() <= {"required", "not"}:
            return []
        names.extend(alternative["required"])
    return names


def _mistyped(error: Any) -> set[str]:
    """Return the known properties that unknown ones were most likely meant to be."""
    if error.schema.get("additionalProperties", True) is not False:
        return set()
    known = error.schema.get("properties", {})
    free = [name for name in known if name not in error.instance]
    meant = (nearest(name, free) for name in _unknown_names(error))
    return {name for name in meant if name is not None}


def _unknown_names(error: Any) -> list[str]:
    """Return the first names of an object that its schema does not know."""
    known = error.schema.get("properties", {})
    return list(islice((name for name in error.instance if name not in known), _TOLD_AT_ONCE))


def _subject(error: Any) -> str:
    path = error.absolute_path
    if not path:
        return "the document"
    last = path[-1]
    return quoted(last) if isinstance(last, str) else f"item {last + 1}"


def _needed(schema: Any) -> str:
    title = schema.get("title")
    if title:
        return str(title)
    types = schema.get("type", ())
    names = [types] if isinstance(types, str) else types
    return " or ".join(_TYPE_NAMES[name] for name in names) or "another value"


def _found(source: Source, error: Any, pointer: str) -> str:
    written = source.scalar_text(pointer)
    if written is None:
        return shown(error.instance)
    return written[:_SHOWN] or "nothing"


def _type_hint(source: Source, error: Any, pointer: str) -> str | None:
    needed = error.schema.get("type", ())
    if isinstance(error.instance, dict):
        return "begin each with '- '" if needed == "array" else None
    if isinstance(error.instance, str) and _EMBEDDING.match(error.instance):
        is_template = error.absolute_path[-1] in ("endpoint", "uri")
        template = "write {name} for a member of the input, or " if is_template else "write "
        return f"{template}all of it as one expression in ${{ }}"
    if error.instance is None or isinstance(error.instance, str | list) or "string" not in needed:
        return None
    return f"without quotes it is not a text; write '{source.scalar_text(pointer)}'"


def _listed(names: Iterable[Any], word: str = "or") -> str:
    *others, last = [quoted(str(name), 80) for name in names]
    return f"{', '.join(others)} {word} {last}" if others else str(last)


_EXPLAINERS: dict[str | None, Explainer] = {
    "additionalProperties": _unknown,
    "anyOf": _choice,
    "dependentRequired": _dependent,
    "enum": _enumerated,
    "maximum": _limit,
    "maxProperties": _too_many,
    "minItems": _too_few,
    "minLength": _limit,
    "minProperties": _too_few,
    "minimum": _limit,
    "not": _refused,
    "oneOf": _choice,
    "required": _missing,
}
