"""Flow control as nodes and people speak of it: breakers, limits, and the tasks that wait."""

from __future__ import annotations

from typing import Literal

import msgspec

from flunq.core.execution.commands import WorkflowRef
from flunq.core.ids import token
from flunq.core.protocol import node_subject

PAUSED = "io.flunq.workflow.paused"
RESUMED = "io.flunq.workflow.resumed"
OPENED = "io.flunq.breaker.opened"
HALF_OPENED = "io.flunq.breaker.half-opened"
CLOSED = "io.flunq.breaker.closed"

BreakerState = Literal["closed", "open", "half-open"]


def flow_subject(tenant: str) -> str:
    """Return where flow control is asked for."""
    return f"flunq.ask.{token(tenant)}.flow"


def notices_subject(tenant: str) -> str:
    """Return where nodes tell each other what changed."""
    return f"flunq.flow.{token(tenant)}"


def view_subject(node: str, tenant: str) -> str:
    """Return where a node tells what it sees and what it holds back."""
    return node_subject(node, f"flow.{token(tenant)}")


class BreakerRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A breaker that is not closed, as all nodes share it."""

    target: str
    state: BreakerState
    since: int
    """Microseconds since the epoch."""
    until: int | None = None
    """When a trial may begin; None: once somebody resets it."""
    pause: int = 0
    failures: int = 0
    node: str = ""
    """Who opened it, or makes the trial."""
    reason: str = ""


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one node tells the others; one that is lost does no harm."""

    about: Literal["failed", "breaker", "freed", "limits"]
    node: str = ""
    name: str = ""
    """The target, or the key of a limit."""
    count: int = 0
    record: BreakerRecord | None = None
    """None: the breaker is closed."""


class WorkflowPause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workflow that is paused; one record of the tenant holds them all."""

    id: str
    """Tells it from other pauses of the same workflow."""
    namespace: str
    name: str
    version: str = ""
    """Empty: all versions."""
    since: int
    """Microseconds since the epoch."""
    reason: str = ""
    starts_only: bool = False
    """Executions that have begun go on."""
    hook: WorkflowRef | None = None
    """What is still to be started about it."""

    def __str__(self) -> str:
        name = f"{self.namespace}/{self.name}"
        return f"{name}:{self.version}" if self.version else name

    def concerns(self, ref: WorkflowRef) -> bool:
        """Tell whether executions of a definition are paused."""
        named = (ref.namespace, ref.name) == (self.namespace, self.name)
        return named and self.version in ("", ref.version)

    @property
    def text(self) -> str:
        """What executions say that it has suspended."""
        what = f"workflow {self} is paused"
        return f"{what}: {self.reason}" if self.reason else what


class PauseView(msgspec.Struct, frozen=True, kw_only=True):
    """A pause of a workflow as people see it."""

    workflow: str
    since: int
    reason: str = ""
    starts_only: bool = False
    unheard: tuple[int, ...] = ()
    """Partitions whose owner has not confirmed yet that it knows."""


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """A target as people see it."""

    target: str
    state: BreakerState
    since: int | None = None
    until: int | None = None
    failures: int = 0
    """Failed calls of late, or those that opened it."""
    calls: int = 0
    """Calls of late."""
    waiting: int = 0
    reason: str = ""
    node: str = ""


class HeldTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that an executor holds back, and why."""

    execution: str
    task: str
    reference: str
    kind: str
    workflow: str
    why: Literal["breaker", "limit", "pace"]
    name: str
    """The target, or the key of the limit."""
    since: int
    until: int | None = None


class NodeFlow(msgspec.Struct, frozen=True, kw_only=True):
    """What one node sees and holds back."""

    targets: list[TargetView] = []
    held: list[HeldTask] = []
    keys: dict[str, int] = {}
    """Tasks that wait, by the key of their limit."""


class NamedLimit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A limit that the operator sets."""

    name: str
    count: int = 0
    per: int = 0
    concurrency: int = 0
    kind: str = ""
    """Holds for all tasks of this kind; with no choice at all, for tasks that name the limit."""
    target: str = ""
    workflow: str = ""

    @property
    def chooses(self) -> bool:
        """Whether it holds for tasks that do not name it."""
        return bool(self.kind or self.target or self.workflow)


class LimitView(msgspec.Struct, frozen=True, kw_only=True):
    """A limit as people see it."""

    name: str
    count: int = 0
    per: int = 0
    concurrency: int = 0
    set: bool = False
    """Whether the operator set it; the others come from documents."""
    choice: str = ""
    running: int = 0
    waiting: int = 0


class ListBreakers(msgspec.Struct, frozen=True, kw_only=True, tag="list-breakers"):
    """Ask for all targets that are known."""


class TripBreaker(msgspec.Struct, frozen=True, kw_only=True, tag="trip-breaker"):
    """Ask for a breaker to be opened, for a time or until it is reset."""

    name: str
    seconds: float = 0.0
    reason: str = ""


class ResetBreaker(msgspec.Struct, frozen=True, kw_only=True, tag="reset-breaker"):
    """Ask for a breaker to be closed."""

    name: str


class ListLimits(msgspec.Struct, frozen=True, kw_only=True, tag="list-limits"):
    """Ask for all limits that are set or in use."""


class SetLimit(msgspec.Struct, frozen=True, kw_only=True, tag="set-limit"):
    """Set a limit by its name."""

    name: str
    limit: NamedLimit


class DeleteLimit(msgspec.Struct, frozen=True, kw_only=True, tag="delete-limit"):
    """Take a limit back."""

    name: str


class PauseWorkflow(msgspec.Struct, frozen=True, kw_only=True, tag="pause-workflow"):
    """Let nothing of a workflow begin until it is resumed; starts are accepted and wait."""

    name: str
    """``namespace/name``, with or without ``:version``."""
    reason: str = ""
    starts_only: bool = False


class ResumeWorkflow(msgspec.Struct, frozen=True, kw_only=True, tag="resume-workflow"):
    """Let a paused workflow go on."""

    name: str


class ListPauses(msgspec.Struct, frozen=True, kw_only=True, tag="list-pauses"):
    """Ask which workflows are paused."""


class ListHeld(msgspec.Struct, frozen=True, kw_only=True, tag="list-held"):
    """Ask which tasks are held back, of all executions or of one."""

    execution: str = ""


FlowQuestion = (
    ListBreakers
    | TripBreaker
    | ResetBreaker
    | ListLimits
    | SetLimit
    | DeleteLimit
    | ListHeld
    | PauseWorkflow
    | ResumeWorkflow
    | ListPauses
)
