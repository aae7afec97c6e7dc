"""What can be told to an execution. Each is the ``data`` of one CloudEvent on its way in."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class WorkflowRef(msgspec.Struct, frozen=True, kw_only=True):
    """A registered definition: its name for people, its digest for the engine."""

    namespace: str
    name: str
    version: str
    digest: str

    def __str__(self) -> str:
        """Return ``namespace/name:version``."""
        return f"{self.namespace}/{self.name}:{self.version}"


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """Begin an execution; idempotent by ``id``."""

    id: str
    workflow: WorkflowRef
    input: Any = None
    tags: dict[str, str] = {}
    parent: str | None = None
    parent_task: str = ""
    """The parent's task that waits for the end; empty when nobody does."""
    traceparent: str | None = None
    request: str = ""
    """Tells a late copy of this command from another start under the same id."""
    forked_from: str = ""
    """The execution that this one repeats from the start."""
    nonce: str = ""
    """Drawn by the owner for workflows that use secrets; what others say here is replaced."""
    priority: int | None = None
    """That of its tasks, whatever metadata say; children inherit it."""
    pause: str = ""
    """The pause of its workflow, said by the owner: it does not begin before that is over."""
    reason: str = ""
    """The reason of the pause."""
    group: str = ""
    """The group of starts that it opens, said by the owner."""
    first: str = ""
    """The id that the first start of that group came with."""
    fingerprint: str = ""
    """Tells the input of that start from others."""
    partition: int | None = None
    """Where its group is kept; None for that of its id."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A DSL error: problem details with the pointer of the task that raised it."""

    type: str
    status: int
    title: str | None = None
    detail: str | None = None
    instance: str | None = None


class Join(msgspec.Struct, frozen=True, kw_only=True, tag="join"):
    """Let another start be part of an execution that collects them."""

    id: str
    start: Start
    """As it came, with its own id."""
    fingerprint: str
    """Tells its input from others."""


class Report(msgspec.Struct, frozen=True, kw_only=True, tag="report", gc=False):
    """The outcome of one attempt of an effectful task: output, or failure."""

    id: str
    task: str
    output: Any = None
    failure: Failure | None = None
    node: str = ""


class Fire(msgspec.Struct, frozen=True, kw_only=True, tag="fire"):
    """A timer that came due."""

    id: str
    timer: str


class Deliver(msgspec.Struct, frozen=True, kw_only=True, tag="deliver"):
    """An event that a listener may be waiting for; the core decides whether it is."""

    id: str
    listener: str
    event: dict[str, Any]


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    """End the execution as cancelled."""

    id: str
    reason: str = ""


class Suspend(msgspec.Struct, frozen=True, kw_only=True, tag="suspend"):
    """Dispatch nothing new until resumed."""

    id: str
    reason: str = ""
    request: str = ""
    """Tells a late copy of this command from another one."""
    pause: str = ""
    """The pause of its workflow that suspends it; its end resumes it."""


class Resume(msgspec.Struct, frozen=True, kw_only=True, tag="resume"):
    """Go on after a suspension."""

    id: str
    request: str = ""
    pause: str = ""
    """Only if this pause of its workflow has suspended it."""
    despite: str = ""
    """A pause of its workflow that does not concern it from here on."""


class Restore(msgspec.Struct, frozen=True, kw_only=True, tag="restore"):
    """Go on from a state of the past; the engine's own, for nobody else may say what was."""

    id: str
    kind: Literal["retried", "rewound", "forked"]
    workflow: WorkflowRef
    """The definition to go on with."""
    state: Any
    """The state at that point, as a value."""
    at: int
    """When the point was (microseconds since the epoch)."""
    point: int
    """Sequence of the last event before it."""
    seq: int = 0
    """Sequence that the execution must have still; 0 for another execution."""
    attempt: int = 1
    """An attempt that no task has had."""
    redo: int = 0
    """The step that begins anew; 0 if none does."""
    task: str = ""
    """The task whose input is edited; empty for the one that begins next."""
    input: Any = msgspec.UNSET
    origin: str = ""
    """The execution that another one is forked from."""
    reason: str = ""
    request: str = ""


class Migrate(msgspec.Struct, frozen=True, kw_only=True, tag="migrate"):
    """Let an open execution go on with another version of its definition."""

    id: str
    workflow: WorkflowRef
    dry_run: bool = False
    """Only say whether it can."""
    request: str = ""


class Delete(msgspec.Struct, frozen=True, kw_only=True, tag="delete"):
    """Forget an execution that has ended; its owner does it, the core is not asked."""

    id: str


class Continue(msgspec.Struct, frozen=True, kw_only=True, tag="continue"):
    """Go on with transitions that did not fit the last call's budget or waited for an answer."""

    id: str


Command = (
    Start
    | Join
    | Report
    | Fire
    | Deliver
    | Cancel
    | Suspend
    | Resume
    | Restore
    | Migrate
    | Delete
    | Continue
)
