"""What ``run`` tasks have in common: their arguments, and what they give back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.sdk.executor import JSON, Call, TaskError
from flunq_plugins.process_child import Output, invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.sdk.context import TaskContext

RETURNS = ("stdout", "stderr", "code", "all", "none")
_EXCERPT = 2000
_REMEDY = (
    "allow them with `flunq serve --programs`, FLUNQ_PROGRAMS=true "
    "or `programs = true` in flunq.toml"
)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a process left."""

    code: int
    stdout: str
    stderr: str
    ending: str = ""
    """How it ended, in words, if not with its code."""


class Asked:
    """The arguments of a ``run`` task."""

    def __init__(self, call: Call) -> None:
        arguments = mapping(call.arguments, "run")
        self.kind = call.kind.partition(":")[2]
        self.process = mapping(arguments.get(self.kind), self.kind)
        self.origin = arguments.get("of") or {}
        self.awaited = arguments.get("await") is not False
        self.returns = arguments.get("return") or "stdout"
        self.stdin = text(self.process.get("stdin")).encode()
        if self.returns not in RETURNS:
            raise invalid(f"return must be one of {', '.join(RETURNS)}")

    def required(self, name: str) -> str:
        """Return a text that must be there."""
        value = self.process.get(name)
        if value is None or value == "":
            raise invalid(f"{self.kind}.{name} is missing or empty")
        return text(value)

    @property
    def arguments(self) -> list[str]:
        """The arguments, in order; null is an empty one, so that the others keep their places."""
        given = self.process.get("arguments") or []
        if not isinstance(given, list):
            raise invalid(f"{self.kind}.arguments must be a list")
        return [text(value) for value in given]

    def pairs(self, name: str) -> dict[str, str]:
        """Return a mapping of texts; members that are null are left out."""
        members = mapping(self.process.get(name) or {}, f"{self.kind}.{name}")
        return {key: text(value) for key, value in members.items() if value is not None}

    def environment(self, call: Call) -> dict[str, str]:
        """Return the declared variables and those that say who is calling."""
        own = {
            "FLUNQ_EXECUTION": call.execution,
            "FLUNQ_KEY": call.key,
            "FLUNQ_ATTEMPT": str(call.attempt),
        }
        if call.traceparent:
            own["TRACEPARENT"] = call.traceparent
        return self.pairs("environment") | own

    def output(self, result: Result) -> JSON:
        """Return what was asked for; a failure unless the exit code is asked for."""
        if self.returns == "code":
            return result.code
        if self.returns == "all":
            return {"code": result.code, "stdout": result.stdout, "stderr": result.stderr}
        if result.code != 0:
            raise failed(self.kind, result)
        if self.returns == "none":
            return None
        return result.stderr if self.returns == "stderr" else result.stdout


def collect(asked: Asked, stream: str, limit: int, full: Callable[[], None]) -> Output:
    """Return what collects ``stdout`` or ``stderr``: all if it is wanted, else its end."""
    wanted = asked.awaited and asked.returns in (stream, "all")
    return Output(limit if wanted else None, full)


def failed(kind: str, result: Result) -> TaskError:
    """Return the error for a process that did not succeed."""
    detail = result.ending or f"exit code {result.code}"
    said = result.stderr or result.stdout
    if said:
        detail += f": {said[-_EXCERPT:].strip()}"
    return TaskError("runtime", 500, f"The {kind} failed", detail)


def too_large(stream: str, limit: int) -> TaskError:
    """Return the error for an output that is not taken."""
    detail = f"{stream} is larger than {limit} bytes; `return: code` or `none` does not keep it"
    return TaskError("runtime", 500, "The output is too large", detail)


def require_programs(context: TaskContext) -> None:
    """Refuse what runs local programs where that is not allowed."""
    if not context.settings.programs:
        raise TaskError(
            "authorization",
            403,
            "Programs are not allowed here",
            f"this process does not run local programs or containers; {_REMEDY}",
        )


def mapping(value: Any, what: str) -> dict[str, Any]:
    """Return an object."""
    if not isinstance(value, dict):
        raise invalid(f"{what} must be an object")
    return value


def text(value: Any) -> str:
    """Return a text as it is, nothing for null and anything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
