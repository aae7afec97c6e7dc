"""Which events a ``listen`` task waits for, and what an answer to it has to look like."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.expressions import ExpressionError, NeedsEvaluation, compile_template
from flunq.core.expressions.errors import ExpressionSyntaxError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_RUNTIME = re.compile(r"\s*\$\{.*\}\s*", re.DOTALL)
_PATTERN = re.compile(r"[*+?\[\](){}|^$\\]")
_PLACE = re.compile(r"\s*\$\{\s*\.data((?:\.[A-Za-z_][A-Za-z0-9_]*)+)\s*\}\s*")
_SOURCE = "/flunq/tui"
_UNSET = msgspec.UNSET


class Awaited(msgspec.Struct, frozen=True, kw_only=True):
    """An event that would meet one of the filters."""

    type: str
    attributes: dict[str, str] = {}
    """What else the filter wants, as far as it is a plain text: ``source``, ``subject``, ..."""
    data: dict[str, Any] = {}
    """What correlation expects in its data."""
    schema: Any = None
    """The schema of its data, if the workflow declares one."""


def awaited(task: Mapping[str, Any], input: Any) -> list[Awaited]:
    """Return the events that a task waits for, given its input."""
    schema = schema_of(task)
    return [
        Awaited(
            type=attributes.pop("type", ""),
            attributes={"source": _SOURCE, **attributes},
            data=_correlated(each.get("correlate"), input),
            schema=schema,
        )
        for each in _filters(task)
        for attributes in [_plain(each.get("with"))]
    ]


def schema_of(task: Mapping[str, Any]) -> Any:
    """Return the schema of an awaited event's data: ``metadata.schema``, or that of the output.

    The output of a ``listen`` is an array of what was consumed, so that the items of its schema
    speak of the data, as long as nothing transforms it.
    """
    metadata = task.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("schema"), dict):
        return metadata["schema"]
    output = task.get("output")
    if not isinstance(output, dict) or "as" in output:
        return None
    if task["listen"].get("read", "data") != "data":
        return None
    schema = output.get("schema")
    document = schema.get("document") if isinstance(schema, dict) else None
    items = document.get("items") if isinstance(document, dict) else None
    return items if isinstance(items, dict) else None


def task_at(document: Any, reference: str) -> Any:
    """Return what stands at a JSON pointer of a document; None if there is nothing."""
    for token in reference.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list) and name.isdigit() and int(name) < len(document):
            document = document[int(name)]
        elif isinstance(document, dict):
            document = document.get(name)
        else:
            return None
    return document


def _filters(task: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    listen = task.get("listen")
    to = listen.get("to") if isinstance(listen, dict) else None
    for mode in ("one", "any", "all"):
        found = to.get(mode) if isinstance(to, dict) else None
        for each in found if isinstance(found, list) else [found]:
            if isinstance(each, dict):
                yield each


def _plain(attributes: Any) -> dict[str, str]:
    """Leave out expressions and patterns: nobody can say what would meet them."""
    given = attributes if isinstance(attributes, dict) else {}
    return {
        str(name): value
        for name, value in given.items()
        if isinstance(value, str) and not _RUNTIME.fullmatch(value) and not _PATTERN.search(value)
    }


def _correlated(correlate: Any, input: Any) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for each in correlate.values() if isinstance(correlate, dict) else ():
        place = _PLACE.fullmatch(str(each.get("from", ""))) if isinstance(each, dict) else None
        expected = _value(each.get("expect"), input) if place is not None else _UNSET
        if place is not None and expected is not _UNSET:
            _put(data, place[1].split(".")[1:], expected)
    return data


def _value(expect: Any, input: Any) -> Any:
    if expect is None:
        return _UNSET
    try:
        return compile_template(expect).evaluate(input, {})
    except (ExpressionError, ExpressionSyntaxError, NeedsEvaluation, KeyError):
        return _UNSET  # it needs more than the input; whoever answers knows what to say


def _put(data: dict[str, Any], names: list[str], value: Any) -> None:
    for name in names[:-1]:
        inner = data.setdefault(name, {})
        data = inner if isinstance(inner, dict) else {}
    data[names[-1]] = value
