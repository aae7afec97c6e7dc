"""The semantic rules: what a schema cannot say about a workflow.

Each check reports through the visit that called it and never assumes that the structure is valid:
a document is told everything that is wrong with it at once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flunq.core.collecting import CollectingError, collecting_of
from flunq.core.cron import Cron, CronError, time_zone
from flunq.core.duration import Duration, DurationError, parse_duration
from flunq.core.expressions.syntax import enclosed
from flunq.core.pausing import PauseError, hooks_of, pause_of
from flunq.core.reading.explain import shown
from flunq.core.reading.expression_rules import check_expression
from flunq.core.reading.graph_rules import check_branches
from flunq.core.reading.pointers import child
from flunq.core.reading.problems import quoted
from flunq.core.retention import RetentionError, retention_of
from flunq.core.scheduling.policies import ScheduleError, read_settings, settings_of
from flunq.core.traffic import TrafficError, traffic_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flunq.core.reading.visit import Scope, Visit

STANDARD_VARIABLES = frozenset(
    ("context", "input", "output", "secrets", "task", "workflow", "runtime", "authorization")
)
PROTOCOLS = frozenset(("http", "openapi", "grpc", "asyncapi", "a2a", "mcp"))
DIRECTIVES = frozenset(("continue", "exit", "end"))

_OWN = re.compile(r"x[-_]|[._]")
"""How names begin that authors give to members of their own."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SUPPORTED_DSL = re.compile(r"1\.0\.[0-9]+(?:[-+].*)?")
_KINDS = {
    "timeouts": "timeout",
    "errors": "error",
    "retries": "retry policy",
    "authentications": "authentication",
    "secrets": "secret",
    "catalogs": "catalog",
}

_MEMBERS = {
    "correlation": ("from", "expect"),
    "error-filter": ("type", "status", "instance", "title", "detail", "details"),
    "errors-of-catch": ("with",),
    "event-definition": ("with",),
}
"""What has a meaning in objects that the language's schema leaves open, by role."""
_OPTIONAL = ("input", "use", "timeout", "output", "schedule", "evaluate")
"""Members of a document that nobody misses."""


def check_text(visit: Visit, role: str | None, text: str, pointer: str, scope: Scope) -> None:
    """Check a text by its role; without one it is a free value."""
    if role is None:
        if "${" in text:
            check_expression(visit, text, pointer, scope, bare=False)
    elif role == "expression":
        check_expression(visit, text, pointer, scope, bare=True)
    elif role in _KINDS:
        _check_reference(visit, role, text, pointer)
    elif role in _TEXT_CHECKS:
        _TEXT_CHECKS[role](visit, text, pointer, scope)


def check_object(
    visit: Visit, role: str, value: dict[str, Any], pointer: str, scope: Scope
) -> Scope:
    """Check an object by its role and return the scope of its members."""
    if role in _MEMBERS:
        _check_members(visit, value, pointer, _MEMBERS[role])
        if role == "error-filter":
            _check_filter(visit, value, pointer)
        elif role == "event-definition" and "with" not in value:
            message = "'event' needs the property 'with'"
            visit.complain(pointer, message, "missing-property", key=True)
    check = _OBJECT_CHECKS.get(role)
    return check(visit, value, pointer, scope) if check else scope


def check_names(visit: Visit, items: list[Any], pointer: str, kind: str) -> dict[str, int]:
    """Return the indexes by name of a list of one-key maps, reporting names used twice."""
    first: dict[str, int] = {}
    for index, item in enumerate(items):
        for name in item if isinstance(item, dict) else ():
            if name not in first:
                first[name] = index
                continue
            where = child(child(pointer, index), name)
            line, _ = visit.source.position(child(child(pointer, first[name]), name), key=True)
            message = f"the {kind} {quoted(name)} is already defined on line {line}"
            visit.complain(where, message, f"duplicate-{kind}-name", key=True)
    return first


def check_root(visit: Visit) -> None:
    """Report members of the document that look like mistyped ones; others are the author's."""
    document = visit.document if isinstance(visit.document, dict) else {}
    free = [name for name in _OPTIONAL if name not in document]
    for name in document:
        if name in ("document", "do", *_OPTIONAL) or _OWN.match(name):
            continue
        meant = visit.suggestion(name, free)
        if meant:
            message = f"unknown property {quoted(name)}{meant}"
            visit.complain(child("", name), message, "unknown-property", key=True)


def check_evaluation(visit: Visit) -> None:
    """Check ``evaluate``, which the language's schema leaves open."""
    evaluate = visit.document.get("evaluate") if isinstance(visit.document, dict) else None
    if evaluate is None:
        return
    if not isinstance(evaluate, dict):
        message = f"'evaluate' needs an object with 'language' or 'mode', not {shown(evaluate)}"
        visit.complain("/evaluate", message, "wrong-type")
        return
    _check_members(visit, evaluate, "/evaluate", ("language", "mode"))
    language, mode = evaluate.get("language", "jq"), evaluate.get("mode", "strict")
    if language != "jq":
        message = f"expressions cannot be written in {shown(str(language))}"
        visit.complain("/evaluate/language", message, "expression-language", hint="use jq")
    if mode not in ("strict", "loose"):
        message = f"evaluation is strict or loose, not {shown(str(mode))}"
        visit.complain("/evaluate/mode", message, "evaluation-mode")


def check_switch(visit: Visit, cases: list[Any], pointer: str, scope: Scope) -> None:
    """Check the cases of a switch against each other."""
    check_names(visit, cases, pointer, "case")
    default: str | None = None
    for where, name, case in _named_items(cases, pointer):
        target = case.get("then")
        if isinstance(target, str):
            _check_target(visit, child(where, "then"), target, scope)
        if "when" in case:
            continue
        if default is not None:
            message = f"{quoted(name)} is a second default; {quoted(default)} has no 'when' either"
            visit.complain(where, message, "several-defaults", key=True)
        default = default or name


def report_unknown_target(
    visit: Visit, pointer: str, target: str, siblings: Mapping[str, int]
) -> None:
    """Report a ``then`` that names no task of its list, now that all names are known."""
    if target in visit.task_names:
        message = f"'then' cannot leave its own list of tasks; {quoted(target)} is in another one"
        visit.complain(pointer, message, "then-out-of-scope", hint=_targets(siblings))
        return
    meant = visit.suggestion(target, [*siblings, *DIRECTIVES])
    visit.complain(
        pointer, f"'then' names an unknown task {shown(target)}{meant}", "unknown-then-target",
        hint=None if meant else _targets(siblings),
    )  # fmt: skip


def called_names(document: Any) -> Iterator[tuple[str, str]]:
    """Yield every ``call`` that is neither a protocol nor a declared function, with its pointer."""
    use = document.get("use", {})
    declared = use.get("functions", {}).keys() | PROTOCOLS
    stack: list[tuple[str, Any]] = [("", {"use": use, "do": document.get("do", [])})]
    while stack:
        pointer, value = stack.pop()
        if isinstance(value, list):
            stack.extend((child(pointer, i), value[i]) for i in reversed(range(len(value))))
        elif isinstance(value, dict):
            name = value.get("call")
            if isinstance(name, str) and name not in declared and _is_task(pointer):
                yield name, child(pointer, "call")
            stack.extend(
                (child(pointer, key), value[key])
                for key in reversed(value)
                if key not in ("set", "with", "metadata", "input", "output", "export")
            )


def _is_task(pointer: str) -> bool:
    parent = pointer.rpartition("/")[0]
    return parent.rpartition("/")[2].isdecimal() or parent == "/use/functions"


def _named_items(items: list[Any], pointer: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for index, item in enumerate(items):
        for name, value in item.items() if isinstance(item, dict) else ():
            if isinstance(value, dict):
                yield child(child(pointer, index), name), name, value


def _check_members(
    visit: Visit, value: dict[str, Any], pointer: str, known: tuple[str, ...]
) -> None:
    for name in value:
        if name in known:
            continue
        meant = visit.suggestion(name, [candidate for candidate in known if candidate not in value])
        message = f"unknown property {quoted(name)}{meant}"
        hint = None if meant else f"known here: {', '.join(known)}"
        visit.complain(child(pointer, name), message, "unknown-property", key=True, hint=hint)


def _check_filter(visit: Visit, wanted: dict[str, Any], pointer: str) -> None:
    for name, value in wanted.items():
        if isinstance(value, str) and enclosed(value) is not None:
            message = f"{quoted(name)} is compared as it stands, no expression is evaluated here"
            member = "detail" if name == "details" else name
            hint = f"compare in 'when' of the catch, as in: when: .{member} == $input.wanted"
            visit.complain(child(pointer, name), message, "static-filter", hint=hint)


def _targets(siblings: Mapping[str, int]) -> str:
    if not siblings:
        return "it can be continue, exit or end"
    names = ", ".join(list(siblings)[:12])
    return f"it can name continue, exit, end or a task of this list: {names}"


def _check_target(visit: Visit, pointer: str, target: str, scope: Scope) -> None:
    if target in DIRECTIVES:
        return
    if target not in scope.siblings:
        reachable = {} if scope.side_by_side else scope.siblings
        visit.unknown_targets.append((pointer, target, reachable))
    elif scope.side_by_side:
        message = f"'then' cannot lead from one branch of a fork to another, {quoted(target)}"
        visit.complain(pointer, message, "then-out-of-scope", hint=_targets({}))


def _check_task(visit: Visit, task: dict[str, Any], pointer: str, scope: Scope) -> Scope:
    target = task.get("then")
    if isinstance(target, str):
        _check_target(visit, child(pointer, "then"), target, scope)
    _check_effect(visit, task, pointer)
    if "call" in task or "run" in task or "listen" in task:
        check_traffic(visit, task.get("metadata"), child(pointer, "metadata"))
    fork = task.get("fork")
    if isinstance(fork, dict):
        check_branches(visit, fork, child(pointer, "fork"))
    loop, iterator = task.get("for"), task.get("foreach")
    if isinstance(loop, dict):
        scope = scope.binding(loop.get("each", "item"), loop.get("at", "index"))
    if isinstance(iterator, dict):
        scope = scope.binding(iterator.get("item", "item"), iterator.get("at", "index"))
    name = task.get("call")
    if isinstance(name, str) and "@" in name:
        _check_catalog(visit, name, pointer)
    return scope


def _check_effect(visit: Visit, task: dict[str, Any], pointer: str) -> None:
    cases = task.get("switch")
    if not isinstance(cases, list) or task.get("then", "continue") != "continue":
        return
    targets = [case.get("then") for _, _, case in _named_items(cases, "")]
    if targets and all(target == "continue" for target in targets):
        message = "the switch goes on with the next task in every case"
        visit.complain(child(pointer, "switch"), message, "switch-without-effect", key=True)


def _check_catalog(visit: Visit, name: str, pointer: str) -> None:
    catalog = name.rpartition("@")[2]
    if "://" not in name and catalog != "default":
        _check_reference(visit, "catalogs", catalog, child(pointer, "call"))


def _check_reference(visit: Visit, component: str, name: str, pointer: str) -> None:
    declared = visit.names_of(component)
    if name in declared:
        return
    kind = _KINDS[component]
    message = f"unknown {kind} {shown(name)}{visit.suggestion(name, declared)}"
    hint = f"declare it in 'use.{component}'"
    if component == "timeouts" and _duration(name) is not None:
        hint = f"a timeout is written {{after: {name}}}"
    visit.complain(pointer, message, f"unknown-{kind.replace(' policy', '')}", hint=hint)


def _check_variable_name(visit: Visit, name: str, pointer: str, _scope: Scope) -> None:
    if not _VARIABLE.fullmatch(name):
        bare = name.removeprefix("$")
        hint = f"write '{bare}', without the dollar" if _VARIABLE.fullmatch(bare) else None
        message = f"{shown(name)} is not the name of a variable"
        visit.complain(pointer, message, "variable-name", hint=hint)
    elif name in STANDARD_VARIABLES:
        visit.complain(pointer, f"${name} already has a meaning", "variable-name")


def _check_loop(visit: Visit, loop: dict[str, Any], pointer: str, scope: Scope) -> Scope:
    each = loop.get("each", loop.get("item", "item"))
    if each == loop.get("at", "index"):
        message = f"the item and its index are both named {quoted(str(each))}"
        visit.complain(pointer, message, "variable-name", key=True)
    return scope.binding(each, loop.get("at", "index"))


def _check_catch(_visit: Visit, catch: dict[str, Any], _pointer: str, scope: Scope) -> Scope:
    return scope.binding(catch.get("as", "error"))


def _check_retry(visit: Visit, retry: dict[str, Any], pointer: str, scope: Scope) -> Scope:
    limit = retry.get("limit")
    attempt = limit.get("attempt") if isinstance(limit, dict) else None
    count = attempt.get("count") if isinstance(attempt, dict) else None
    if isinstance(count, int | float) and count < 0:
        where = f"{pointer}/limit/attempt/count"
        visit.complain(where, f"'count' is at least 0, not {count}", "retry-limit")
    jitter = retry.get("jitter")
    if isinstance(jitter, dict):
        shortest, longest = _duration(jitter.get("from")), _duration(jitter.get("to"))
        if shortest and longest and shortest.approximate() > longest.approximate():
            message = "the jitter ends before it begins"
            visit.complain(f"{pointer}/jitter/to", message, "retry-jitter")
    return scope


def _check_schedule(visit: Visit, schedule: dict[str, Any], pointer: str, scope: Scope) -> Scope:
    interval = _duration(schedule.get("every"))
    if interval is not None and interval.approximate() == 0:
        message = "'every' needs an interval longer than nothing"
        visit.complain(f"{pointer}/every", message, "schedule-interval")
    for name in ("every", "after"):
        text = schedule.get(name)
        if isinstance(text, str) and enclosed(text) is not None:
            message = f"'{name}' cannot be an expression: there is no data yet"
            visit.complain(child(pointer, name), message, "schedule-interval")
    _check_policies(visit)
    return scope


def _check_policies(visit: Visit) -> None:
    """Check what the metadata of the document say about its schedule."""
    try:
        policies = read_settings(settings_of(visit.document))
        time_zone(policies.timezone or "UTC")
    except (ScheduleError, CronError) as error:
        hint = "timezone, overlap, catchUp and missed: see flunq schedules update --help"
        visit.complain("/document/metadata/schedule", str(error), "schedule-policy", hint=hint)


def check_retention(visit: Visit) -> None:
    """Check what the metadata of the document say about its ended executions."""
    try:
        retention_of(visit.document)
    except RetentionError as error:
        hint = "such as retention: {after: {days: 30}, keep: 1000}"
        visit.complain("/document/metadata/retention", str(error), "retention", hint=hint)


def check_pause(visit: Visit) -> None:
    """Check what the metadata of the document say about errors and about hooks."""
    for read, hint in (
        (pause_of, "such as pause: {after: 3, within: PT10M}"),
        (hooks_of, "such as hooks: {faulted: tell-operators}"),
    ):
        try:
            read(visit.document)
        except PauseError as error:
            visit.complain(error.pointer, str(error), "pause", hint=hint)


def check_collecting(visit: Visit) -> None:
    """Check what the metadata of the document say about collecting starts."""
    try:
        collecting_of(visit.document)
    except CollectingError as error:
        hint = "such as start: {debounce: {for: PT5S}} or start: {batch: {for: PT2S, size: 100}}"
        visit.complain(error.pointer, str(error), "start", hint=hint)


def check_document_traffic(visit: Visit) -> None:
    """Check what the metadata of the document say about traffic."""
    head = visit.document.get("document") if isinstance(visit.document, dict) else None
    if isinstance(head, dict):
        check_traffic(visit, head.get("metadata"), "/document/metadata")


def check_traffic(visit: Visit, metadata: Any, pointer: str) -> None:
    """Check what metadata say about limits, breakers and priorities."""
    try:
        traffic_of(metadata, pointer)
    except TrafficError as error:
        hint = "such as limits: [{key: payments, rate: 10/1s, concurrency: 5}]"
        visit.complain(error.pointer, str(error), "traffic", hint=hint)


def _check_schema(visit: Visit, schema: dict[str, Any], pointer: str, scope: Scope) -> Scope:
    from flunq.core.document.schemas import SchemaError, dialect_of

    document = schema.get("document")
    try:
        dialect = dialect_of(schema)
    except SchemaError as error:
        visit.complain(f"{pointer}/format", str(error), "schema-format")
        return scope
    if isinstance(document, dict):
        whole = {"$schema": dialect, **document} if dialect else document
        _check_json_schema(visit, whole, f"{pointer}/document")
    return scope


def _check_json_schema(visit: Visit, document: dict[str, Any], pointer: str) -> None:
    import jsonschema_rs

    elsewhere: list[str] = []

    def retrieve(uri: str) -> Any:
        elsewhere.append(uri)
        return {}

    try:
        jsonschema_rs.meta.validate(document)
        try:  # the meta-schemas say nothing of regular expressions and of links that lead nowhere
            jsonschema_rs.validator_for(document, retriever=retrieve, validate_formats=True)
        except jsonschema_rs.ValidationError:
            if not elsewhere:
                raise
    except jsonschema_rs.ValidationError as error:
        where = pointer
        for part in error.instance_path:
            where = child(where, part)
        visit.complain(where, f"not a JSON Schema: {error.message[:120]}", "bad-schema")
    except (ValueError, jsonschema_rs.ReferencingError):
        pass  # a dialect of its own is judged when it is used


def _check_duration_text(visit: Visit, text: str, pointer: str, scope: Scope) -> None:
    if enclosed(text) is not None:
        check_expression(visit, text, pointer, scope, bare=False)
        return
    _report_duration(visit, text, pointer)


def _check_duration_object(
    visit: Visit, value: dict[str, Any], pointer: str, scope: Scope
) -> Scope:
    _report_duration(visit, value, pointer)
    return scope


def _report_duration(visit: Visit, value: Any, pointer: str) -> None:
    try:
        parse_duration(value)
    except DurationError as error:
        visit.complain(pointer, f"not a duration: {error}", "duration")


def _duration(value: Any) -> Duration | None:
    try:
        return parse_duration(value)
    except DurationError:
        return None


def _check_cron(visit: Visit, text: str, pointer: str, _scope: Scope) -> None:
    try:
        Cron(text)
    except CronError as error:
        hint = "five fields: minute, hour, day of the month, month, day of the week"
        visit.complain(pointer, str(error), "cron-syntax", hint=hint)


def _check_dsl(visit: Visit, text: str, pointer: str, _scope: Scope) -> None:
    if not _SUPPORTED_DSL.fullmatch(text):
        message = f"version {shown(text)} of the DSL is not supported"
        visit.complain(pointer, message, "unsupported-dsl", hint="use 1.0.3")


_TEXT_CHECKS: dict[str, Callable[[Visit, str, str, Scope], None]] = {
    "cron": _check_cron,
    "dsl": _check_dsl,
    "duration": _check_duration_text,
    "variable": _check_variable_name,
}
_OBJECT_CHECKS: dict[str, Callable[[Visit, dict[str, Any], str, Scope], Scope]] = {
    "catch": _check_catch,
    "duration": _check_duration_object,
    "iterator": _check_loop,
    "retry": _check_retry,
    "schedule": _check_schedule,
    "schema": _check_schema,
    "task": _check_task,
}
