"""Commands on their way into an execution, and what their senders are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.claims import is_reference
from flunq.core.execution.commands import (
    Command,
    Continue,
    Deliver,
    Fire,
    Migrate,
    Report,
    Restore,
    Start,
)
from flunq.core.protocol import Reply
from flunq.errors import ConflictError, IdConflictError, NotFoundError, UnavailableError
from flunq.services.worker.listeners import BusShare

if TYPE_CHECKING:
    from flunq.core.execution.commands import Failure, WorkflowRef
    from flunq.core.execution.state import State

Settle = Callable[[Reply], None]
STEPS = frozenset({Report, Fire, Deliver, Continue})
"""What the engine tells an execution: it may take its next step, and there is nothing to fetch."""


class Job(msgspec.Struct):
    """A command on its way into an execution."""

    command: Command
    settle: Settle | None = None
    inbox: int | None = None
    mailbox: str | None = None
    share: BusShare | None = None
    complete: bool = False
    """What a start refers to has been fetched."""
    follows: bool = False
    """Its sender goes to another partition itself if told to."""

    @property
    def is_accepted(self) -> bool:
        """Whether the inbox holds it: nobody would send it again."""
        return self.inbox is not None or self.share is not None


def name_of_input(command: Command) -> str:
    """Return what names an input in every process that meets it."""
    parts = [type(command).__name__.lower(), command.id]
    if isinstance(command, Report):
        parts.append(command.task)
    elif isinstance(command, Fire):
        parts.append(command.timer)
    elif isinstance(command, Deliver):
        event = command.event
        parts += [command.listener, str(event.get("source")), str(event.get("id"))]
    return " ".join(parts)


def is_awaited_child(command: Command) -> bool:
    """Tell whether a command starts an execution whose parent waits for it."""
    return isinstance(command, Start) and bool(command.parent_task)


def is_fork(command: Command) -> bool:
    """Tell whether somebody wants another execution from the past of one."""
    if isinstance(command, Start):
        return bool(command.forked_from)
    return isinstance(command, Restore) and command.kind == "forked"


def is_incomplete(command: Command) -> bool:
    """Tell whether something that a command refers to has to be fetched in any case."""
    if isinstance(command, Start):
        return is_reference(command.input)
    return isinstance(command, (Restore, Migrate))


def reply_to(command: Command, state: State, rejection: Failure | None) -> Reply:
    """Return what the sender of a command that was applied is told."""
    if rejection is None:
        code = 201 if isinstance(command, Start) else 200
        return Reply(code=code, id=state.id, status=state.status)
    problem = {
        "type": rejection.type,
        "title": rejection.title,
        "status": rejection.status,
        "detail": rejection.detail,
    }
    return Reply(code=rejection.status, id=state.id, status=state.status, problem=problem)


def name_of(ref: WorkflowRef) -> str:
    """Return a reference the way people write it."""
    name = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
    return f"{name}:{ref.version}" if ref.version else name


def unknown(execution: str) -> dict[str, Any]:
    """Return the problem of an execution that this partition does not know."""
    return NotFoundError(
        f"no execution {execution}", hint="list the newest with: flunq list"
    ).problem()


def conflict(execution: str) -> Reply:
    """Return the answer to a start whose id is taken by something else."""
    problem = IdConflictError(
        f"execution {execution} exists, with another workflow or input",
        hint=f"look at it with: flunq get {execution}",
    )
    return Reply(code=409, id=execution, problem=problem.problem())


def ending(execution: str) -> Reply:
    """Return the answer to who takes back an end that is not safe yet."""
    problem = UnavailableError(f"execution {execution} is about to end or to go", hint="try again")
    return Reply(code=503, id=execution, problem=problem.problem())


def deleted(execution: str) -> Reply:
    """Return the answer to the late copy of a start whose execution was deleted since."""
    problem = ConflictError(f"execution {execution} was deleted meanwhile")
    return Reply(code=409, id=execution, problem=problem.problem())


def full(execution: str) -> Reply:
    """Return the answer to a start for which there is no room on the disk."""
    problem = UnavailableError(
        "the store takes no more data", hint="free disk space, then look with: flunq doctor"
    )
    return Reply(code=503, id=execution, problem=problem.problem())


def still_running(execution: str) -> dict[str, Any]:
    """Return the problem of deleting what has not ended."""
    return ConflictError(
        f"execution {execution} has not ended", hint=f"end it first: flunq cancel {execution}"
    ).problem()
