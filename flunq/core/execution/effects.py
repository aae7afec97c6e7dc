"""What a decision asks of the world. Released only after its events are committed."""

from __future__ import annotations

from typing import Any

import msgspec

from flunq.core.execution.commands import Cancel, Failure, Report, Start
from flunq.core.markers import Grant
from flunq.core.traffic import Traffic


class Dispatch(msgspec.Struct, frozen=True, kw_only=True, tag="dispatch", gc=False):
    """Run one attempt of an effectful task; open until its report arrives."""

    execution: str
    task: str
    """The task id: step instance and attempt."""
    kind: str
    """Which executor: ``http``, ``function:NAME``, ..."""
    reference: str
    key: str
    """The idempotency key: the same for every attempt."""
    attempt: int
    delivery: int = 1
    """Raised by each re-dispatch after a crash."""
    arguments: Any
    deadline: int | None = None
    """Microseconds since the epoch at which the engine gives up on it, if it has a timeout."""
    traceparent: str | None = None
    secrets: Grant | None = None
    """What the markers in the arguments may stand for."""
    workflow: str = ""
    """``namespace/name`` of the definition."""
    traffic: Traffic | None = None
    """Limits, breaker and priority, where its metadata say any."""


class Withdraw(msgspec.Struct, frozen=True, kw_only=True, tag="withdraw"):
    """Stop an attempt whose outcome no longer matters."""

    execution: str
    task: str
    kind: str


class Arm(msgspec.Struct, frozen=True, kw_only=True, tag="arm"):
    """Fire a timer at ``due`` (microseconds since the epoch), never early."""

    execution: str
    timer: str
    due: int


class Disarm(msgspec.Struct, frozen=True, kw_only=True, tag="disarm"):
    """Forget a timer."""

    execution: str
    timer: str


class Finish(msgspec.Struct, frozen=True, kw_only=True, tag="finish", gc=False):
    """Tell whoever waits that the execution has ended."""

    execution: str
    status: str
    output: Any = None
    failure: Failure | None = None


class Publish(msgspec.Struct, frozen=True, kw_only=True, tag="publish"):
    """Publish a CloudEvent on the tenant's bus; kept in the commit's outbox until acknowledged."""

    execution: str
    id: str
    event: dict[str, Any]


class Tell(msgspec.Struct, frozen=True, kw_only=True, tag="tell"):
    """Send a command to another execution: start or cancel a child, answer a parent."""

    execution: str
    command: Start | Cancel | Report


class Bury(msgspec.Struct, frozen=True, kw_only=True, tag="bury"):
    """Keep a letter about a task whose retries are used up, for people to look at."""

    execution: str
    id: str
    letter: dict[str, Any]


Effect = Dispatch | Withdraw | Arm | Disarm | Finish | Publish | Tell | Bury
OUTBOX_TYPES = (Publish, Withdraw, Tell, Bury)
"""Effects that leave no open task or timer behind, so the commit itself must remember them."""
