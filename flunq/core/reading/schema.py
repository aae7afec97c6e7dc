"""The structure of a document, checked against our JSON Schema of the language.

``jsonschema_rs`` gives the verdict, in microseconds. Only a document that it refuses is looked at
again, with ``jsonschema``, to say what is wrong in words; valid tasks are skipped on the way, so
that the cost is that of the broken parts. Both libraries are imported at the first use.
"""

from __future__ import annotations

from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from flunq.core.reading.explain import explain
from flunq.core.reading.limits import MAX_PROBLEMS
from flunq.core.reading.pointers import join
from flunq.resources import load_schema

if TYPE_CHECKING:
    from flunq.core.reading.problems import Problem
    from flunq.core.reading.source import Source

TASK = "#/$defs/task"


def is_valid(value: Any) -> bool:
    """Tell whether a value has the structure of a workflow document."""
    return bool(verdict_validator().is_valid(value))


def check_structure(source: Source) -> list[Problem]:
    """Return what is wrong with the structure of a document, nothing if it is valid."""
    if is_valid(source.value):
        return []
    try:
        found = list(islice(reference_validator().iter_errors(source.value), MAX_PROBLEMS))
    except RecursionError:  # the caller's own stack was deep already
        found = []
    return explain(source, found) or [_bare_verdict(source)]


@cache
def verdict_validator() -> Any:
    """Return the fast validator of a whole document."""
    import jsonschema_rs

    return jsonschema_rs.validator_for(load_schema("workflow"), validate_formats=True)


@cache
def reference_validator(*, skip_valid_tasks: bool = True) -> Any:
    """Return the explaining validator of a whole document."""
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.validators import extend

    from flunq.core.reading import keywords as own

    keywords: dict[str, Any] = {
        "anyOf": own.any_of,
        "maxProperties": own.max_properties,
        "not": own.none_of,
        "oneOf": own.one_of,
        "pattern": own.pattern,
    }
    if skip_valid_tasks:
        keywords["$ref"] = _follow_unless_valid_task
    formats = FormatChecker(formats=())
    for name in ("date-time", "json-pointer", "uri", "uri-template"):
        formats.checks(name)(_format_check(name))
    validator: Any = extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]
    return validator(load_schema("workflow"), format_checker=formats)


def _format_check(name: str) -> Any:
    import jsonschema_rs

    one_format = jsonschema_rs.validator_for({"format": name}, validate_formats=True)
    return one_format.is_valid


def _follow_unless_valid_task(validator: Any, ref: str, instance: Any, _schema: Any) -> Any:
    if ref == TASK and _task_validator().is_valid(instance):
        return ()
    return validator._validate_reference(ref=ref, instance=instance)


@cache
def _task_validator() -> Any:
    import jsonschema_rs

    schema = load_schema("workflow")
    task_only = {"$schema": schema["$schema"], "$defs": schema["$defs"], "$ref": TASK}
    return jsonschema_rs.validator_for(task_only, validate_formats=True)


def _bare_verdict(source: Source) -> Problem:
    import jsonschema_rs

    try:
        verdict_validator().validate(source.value)
    except jsonschema_rs.ValidationError as error:
        return source.problem(join(error.instance_path), error.message[:200], "wrong-value")
    return source.problem("", "the document is not a workflow", "wrong-value")
