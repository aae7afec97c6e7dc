"""Values that somebody else must not see, taken out of an execution before it is exported."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.core.events import LazyEvent
    from flunq.core.protocol import Details

REDACTED = "[redacted]"
PAYLOADS = "payloads"
"""What a header says when all values were taken out."""

_PATH = re.compile(r'\.?((?:[^."\s]|"[^"]*")+(?:\.(?:[^."\s]|"[^"]*")+)*)')
_STEP = re.compile(r'"([^"]*)"|([^."]+)')

_FACTS = frozenset(
    {
        *("name", "definition", "workflow", "task", "kind", "status", "digest", "reference"),
        *("createdAt", "startedAt", "completedAt", "faultedAt", "cancelledAt", "suspendedAt"),
        *("resumedAt", "retriedAt", "skippedAt", "updatedAt", "at"),
        *("step", "turn", "parent", "parentTask", "path", "attempt", "delivery", "timeout"),
        *("next", "due", "attemptDue", "deadline", "branches", "compete", "listener", "target"),
        *("level", "main", "back", "end", "unwound", "leave", "hands", "inputFrom", "timer"),
        *("purpose", "index", "phase", "done", "foreach", "ends", "until", "filter", "unprepared"),
    }
)
"""Members of an event's data that are the engine's own words; all others may hold values."""
_ERROR = frozenset({"type", "status", "instance"})
_DISPATCH = frozenset({"id", "kind", "key", "attempt", "delivery", "deadline", "reference"})


class Redaction(msgspec.Struct, frozen=True, kw_only=True):
    """What to take out: members by path, wherever such a path occurs, or every value."""

    paths: tuple[tuple[str, ...], ...] = ()
    payloads: bool = False

    def names(self) -> list[str]:
        """Say what was taken out, for the header."""
        named = [".".join(path) for path in self.paths]
        return [PAYLOADS, *named] if self.payloads else named

    def event(self, event: LazyEvent) -> LazyEvent:
        """Return an event without the values."""
        if not self.payloads and not self.paths:
            return event
        data = event.value()
        if self.payloads and isinstance(data, dict):
            data = {name: _hidden(name, value) for name, value in data.items()}
        data = self.value(data)
        return msgspec.structs.replace(event, data=msgspec.Raw(msgspec.json.encode(data)))

    def details(self, details: Details) -> Details:
        """Return what is known of an execution without the values."""
        told = msgspec.to_builtins(details)
        if self.payloads:
            told |= {name: _veil(told[name]) for name in ("input", "output", "context")}
            told["tags"] = dict.fromkeys(told["tags"], REDACTED)
            told["failure"] = told["failure"] and _hidden("error", told["failure"])
        plain = msgspec.convert(told, type(details))
        if not self.paths:
            return plain
        return msgspec.structs.replace(
            plain,
            input=self.value(plain.input),
            output=self.value(plain.output),
            context=self.value(plain.context),
            tags=self.value(plain.tags),
        )

    def value(self, value: Any) -> Any:
        """Return a value without the members that the paths name."""
        return _cut(value, self.paths, self.paths) if self.paths else value


def read_paths(given: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Read ``customer.email``, ``.items.*.card`` or ``headers."x-api-key"``."""
    return tuple(_read_path(text) for text in given)


def _read_path(text: str) -> tuple[str, ...]:
    match = _PATH.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{text!r} is no path of a member", hint='write customer.email or headers."x-key"'
        )
    return tuple(quoted or plain for quoted, plain in _STEP.findall(match[1]))


def _cut(value: Any, active: Sequence[tuple[str, ...]], paths: Sequence[tuple[str, ...]]) -> Any:
    """Replace what a path ends at; every object may be the beginning of every path."""
    if isinstance(value, list):
        # The members of a list belong to the same path as the list, and to ``*``.
        beyond = [path[1:] for path in active if path[0] == "*" and len(path) > 1]
        if any(path == ("*",) for path in active):
            return [REDACTED for _ in value]
        return [_cut(item, (*active, *beyond), paths) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _member(name, item, active, paths) for name, item in value.items()}


def _member(
    name: str, item: Any, active: Sequence[tuple[str, ...]], paths: Sequence[tuple[str, ...]]
) -> Any:
    met = [path for path in active if path[0] in (name, "*")]
    if any(len(path) == 1 for path in met):
        return REDACTED
    return _cut(item, (*paths, *(path[1:] for path in met)), paths)


def _hidden(name: str, value: Any) -> Any:
    if name in _FACTS:
        return value
    if name == "error" and isinstance(value, dict):
        return _only(value, _ERROR)
    if name == "dispatch" and isinstance(value, dict):
        return _only(value, _DISPATCH)
    return _veil(value)


def _only(value: dict[str, Any], kept: frozenset[str]) -> dict[str, Any]:
    return {name: item if name in kept else _veil(item) for name, item in value.items()}


def _veil(value: Any) -> Any:
    return None if value is None else REDACTED
