"""The DSL's standard errors."""

from __future__ import annotations

from typing import Any

from flunq.core.execution.commands import Failure

BASE = "https://serverlessworkflow.io/spec/1.0.0/errors/"

_STATUS = {
    "configuration": 400,
    "validation": 400,
    "expression": 400,
    "authentication": 401,
    "authorization": 403,
    "timeout": 408,
    "communication": 500,
    "runtime": 500,
}


class TaskError(Exception):
    """A task cannot go on; the transition that finds out has left no trace yet."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


def standard(kind: str, detail: str) -> Failure:
    """Return a standard error without its instance."""
    return Failure(
        type=BASE + kind,
        status=_STATUS[kind],
        title=f"{kind.capitalize()} error",
        detail=detail,
    )


def problem(kind: str, detail: str) -> TaskError:
    """Return the exception for a standard error."""
    return TaskError(standard(kind, detail))


def too_large(detail: str) -> TaskError:
    """Return the exception for a value that is larger than a limit."""
    return TaskError(Failure(type=BASE + "runtime", status=413, title="Too large", detail=detail))


def at(failure: Failure, instance: str) -> Failure:
    """Return the error with the pointer of the component that raised it."""
    return Failure(
        type=failure.type,
        status=failure.status,
        title=failure.title,
        detail=failure.detail,
        instance=instance,
    )


def to_data(failure: Failure) -> dict[str, Any]:
    """Return the error as problem details, absent members left out."""
    data: dict[str, Any] = {"type": failure.type, "status": failure.status}
    if failure.title is not None:
        data["title"] = failure.title
    if failure.detail is not None:
        data["detail"] = failure.detail
    if failure.instance is not None:
        data["instance"] = failure.instance
    return data


def from_data(data: dict[str, Any]) -> Failure:
    """Read what :func:`to_data` wrote."""
    return Failure(
        type=data["type"],
        status=data["status"],
        title=data.get("title"),
        detail=data.get("detail"),
        instance=data.get("instance"),
    )
