"""The contract of an executor: what runs one attempt of an effectful task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.json import JSON

if TYPE_CHECKING:
    from flunq.sdk.context import ExecutorContext, TaskContext


__all__ = ["ERRORS", "JSON", "Call", "Executor", "TaskError"]

ERRORS = "https://serverlessworkflow.io/spec/1.0.0/errors/"
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
    """A failure that the workflow sees as a DSL error and may catch and retry.

    ``type`` is a URI or the short name of a standard error (``communication``, ``runtime``...),
    whose status is then the default.
    """

    def __init__(
        self,
        type: str = "runtime",
        status: int | None = None,
        title: str | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(detail or title or type)
        self.type = ERRORS + type if type in _STATUS else type
        self.status = _STATUS.get(type, 500) if status is None else status
        self.title = title
        self.detail = detail


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a task, as an executor sees it."""

    execution: str
    task: str
    """The task id: step instance and attempt."""
    kind: str
    reference: str
    key: str
    """The idempotency key: the same for every attempt and delivery."""
    attempt: int
    arguments: Any
    delivery: int = 1
    deadline: int | None = None
    """Microseconds since the epoch at which the engine gives up on it."""
    traceparent: str | None = None


class Executor(ABC):
    """Runs the tasks of some kinds. One instance serves many calls at the same time."""

    kinds: tuple[str, ...] = ()

    async def start(self, context: ExecutorContext) -> None:  # noqa: B027 - few need it
        """Get ready; called once, before the first call."""

    async def aclose(self) -> None:  # noqa: B027 - few need it
        """Release everything; called once, after the last call."""

    @abstractmethod
    async def execute(self, call: Call, context: TaskContext) -> JSON:
        """Run one attempt and return its output.

        Raise :class:`TaskError` for a failure of the task. Any other exception becomes a
        ``runtime`` error. The coroutine is cancelled when nobody wants the outcome any more.
        """
