"""The state of one execution: all of it is data, none of it is history.

A running task is a *frame*, numbered by the sequence of its ``task.created`` event (its *step*);
frame 0 is the workflow itself. What can be done at once is in ``ready``; what the world owes the
execution is in ``tasks`` (executors) and ``timers``.

Structs that every step makes have ``gc=False``, here and among events, effects and commands: they
hold JSON values, so none can be part of a cycle, and the collector need not follow them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from flunq.core import ids
from flunq.core.execution.commands import Failure, WorkflowRef
from flunq.core.execution.effects import Dispatch
from flunq.core.markers import Grant
from flunq.core.packing import Packing
from flunq.core.statuses import ENDED
from flunq.core.tracing import context_for
from flunq.core.traffic import Traffic

ROOT = 0


CHILD = "workflow"
"""The kind of the open tasks that are executions of their own; their id is the task's."""


class OpenTask(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """An attempt that was dispatched and has not reported."""

    step: int
    kind: str
    reference: str
    path: str = ""
    attempt: int = 1
    key: str
    arguments: Any = None
    deadline: int | None = None
    node: str = ""
    """Who holds it; set by the partition's owner, which alone knows."""
    delivery: int = 1
    """How often it was begun: once, and again after each crash of its holder."""
    secrets: Grant | None = None
    traffic: Traffic | None = None

    def dispatch(
        self, execution: str, task: str, traceparent: str | None, workflow: WorkflowRef
    ) -> Dispatch:
        """Return the effect that (again) hands it to an executor."""
        return Dispatch(
            execution=execution,
            task=task,
            kind=self.kind,
            reference=self.reference,
            key=self.key,
            attempt=self.attempt,
            delivery=self.delivery,
            arguments=self.arguments,
            deadline=self.deadline,
            traceparent=traceparent and self._trace(execution, traceparent),
            secrets=self.secrets,
            workflow=f"{workflow.namespace}/{workflow.name}",
            traffic=self.traffic,
        )

    def _trace(self, execution: str, traceparent: str) -> str | None:
        """All that an attempt asks for belongs to its span, also when it asks again for more."""
        step = ids.task_id(execution, self.reference, self.path, self.attempt)
        return context_for(traceparent, execution, step)


class Looping(msgspec.Struct, kw_only=True, omit_defaults=True, tag="for"):
    """What a ``for`` frame knows beyond the common."""

    items: list[Any]
    index: int = -1


class Forking(msgspec.Struct, kw_only=True, omit_defaults=True, tag="fork"):
    """What a ``fork`` frame knows beyond the common."""

    pending: int
    compete: bool = False
    outputs: dict[int, Any] = {}
    graph: list[dict[str, Any]] | None = None
    """Branches that need each other: each its ``task`` and the indexes that it ``needs``."""


class Trying(msgspec.Struct, kw_only=True, omit_defaults=True, tag="try"):
    """What a ``try`` frame knows beyond the common."""

    first: str
    tries: int = 1
    error: Failure | None = None
    """The error that was caught, once the handler runs."""


class Listening(msgspec.Struct, kw_only=True, omit_defaults=True, tag="listen"):
    """What a ``listen`` frame knows beyond the common."""

    consumed: list[Any] = []
    """What was read of the events, in the order of their consumption."""
    filled: list[int] = []
    """The filter that each of them met."""
    seen: list[str] = []
    """The newest events by source and id."""
    expected: dict[str, Any] = {}
    """Correlation values that the first event has set."""
    ended: list[int] = []
    """The filters of ``until`` that were met."""
    each: bool = False
    """There is a ``foreach``: the consumed events are a queue."""
    first: str = ""
    """The first task for each of them; empty when there is none."""
    sources: list[int] = []
    """The sequences of the events in whose data they stand."""
    outputs: list[Any] = []
    """What came of those that are done with."""
    busy: bool = False
    """The event after those is being worked on."""
    closed: bool = False
    """Nothing more is consumed."""


class Subscribing(Listening, kw_only=True, omit_defaults=True, tag="subscription"):
    """What the frame of a subscription knows beyond the common: its messages are a queue."""

    fetches: int = 1
    """How often messages were asked for."""
    ends: int | None = None
    """When the time to consume messages is over."""


class Extending(msgspec.Struct, kw_only=True, omit_defaults=True, tag="extension"):
    """What the frame of an extension knows beyond the common."""

    target: str
    """Reference of the task that it extends."""
    level: int = 0
    """Which of that task's extensions it is."""
    phase: str = "before"
    """``before``, ``main`` while the extended task itself runs, or ``after``."""
    hands: bool = False
    """The last task of the phase hands its output on."""
    flow: dict[str, Any] = {}
    """Where the extended task said to go on."""
    output: Any = None
    """Output of the extended task."""
    raw: Any | msgspec.UnsetType = msgspec.UNSET
    """Its raw output, if that is another one."""


class Frame(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A running task; what it needs to go on and to tell about itself."""

    parent: int
    reference: str
    kind: str
    path: str = ""
    """Enclosing loop indexes and re-entries: part of the step's identity."""
    scope: str = ""
    """The ``path`` of its children."""
    input: Any = None
    """Raw input."""
    source: int = 0
    """Sequence of the event in whose data the raw input stands."""
    transformed: Any | msgspec.UnsetType = msgspec.UNSET
    """Transformed input, if it differs from the raw one."""
    started_at: int = 0
    attempt: int = 1
    """Attempt number that its children get."""
    highest: int = 1
    """Highest attempt number used anywhere below it."""
    reentries: int = 0
    timers: list[str] = []
    task: str = ""
    """Id of its open task."""
    overdue: bool = False
    """A time limit ran out and waits in ``ready`` to be acted upon."""
    local: Extending | Looping | Forking | Trying | Listening | Subscribing | None = None

    @property
    def effective_input(self) -> Any:
        """The transformed input."""
        return self.input if self.transformed is msgspec.UNSET else self.transformed


class Begin(msgspec.Struct, omit_defaults=True, tag="begin"):
    """Prepare the workflow's input and enter the first task."""

    step: int = ROOT
    source: int = 1
    """Sequence of the event that has the input."""


class Enter(msgspec.Struct, omit_defaults=True, tag="enter", gc=False):
    """Start a task below frame ``step``."""

    step: int
    reference: str
    input: Any
    source: int
    at: int


class Spread(msgspec.Struct, omit_defaults=True, tag="spread"):
    """Start the branches of a fork from ``index`` on, one at a time."""

    step: int
    index: int
    count: int
    at: int


class Return(msgspec.Struct, omit_defaults=True, tag="return", gc=False):
    """The tasks below frame ``step`` have ended."""

    step: int
    output: Any
    source: int
    leave: bool = False
    """What the extension extends is not to run."""


class Fail(msgspec.Struct, omit_defaults=True, tag="fail"):
    """A task below frame ``step`` has failed."""

    step: int
    failure: Failure


class Settle(msgspec.Struct, omit_defaults=True, tag="settle", gc=False):
    """The report on an open task was recorded and has to be acted upon."""

    step: int
    output: Any = None
    failure: Failure | None = None


class Consider(msgspec.Struct, omit_defaults=True, tag="consider"):
    """An event was recorded and has to be looked at by the ``listen`` frame ``step``."""

    step: int
    event: dict[str, Any]


class Wake(msgspec.Struct, omit_defaults=True, tag="wake"):
    """What frame ``step`` waited for has come."""

    step: int


class Expire(msgspec.Struct, omit_defaults=True, tag="expire"):
    """A time limit of frame ``step`` ran out: its own, or that of one try."""

    step: int
    attempt: bool = False


class Stop(msgspec.Struct, omit_defaults=True, tag="stop"):
    """End the execution: ``completed`` by a directive, or ``cancelled``."""

    status: str
    output: Any = None
    reason: str = ""
    origin: int = ROOT
    """The frame below which the directive stood."""
    step: int = -1


Ready = Begin | Enter | Spread | Return | Fail | Settle | Consider | Wake | Expire | Stop


class Gathering(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What an execution knows that collects starts and has not begun."""

    group: str
    kind: str
    """``debounce`` or ``batch``."""
    wait: int
    """Microseconds."""
    latest: int
    """When it begins at the latest."""
    size: int = 0
    """With so many starts a batch is complete; 0 for no bound."""
    count: int = 1
    bytes: int = 0
    """Of all inputs together."""
    starts: list[str] = []
    """The starts that it is made of, by short names."""


class State(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Everything that is known about one execution."""

    id: str
    workflow: WorkflowRef
    status: str = "pending"
    seq: int = 0
    """Sequence of the last event."""
    started_at: int = 0
    ended_at: int | None = None
    input: Any = None
    """Raw input."""
    transformed: Any | msgspec.UnsetType = msgspec.UNSET
    context: Any = None
    output: Any = None
    failure: Failure | None = None
    reason: str = ""
    tags: dict[str, str] = {}
    parent: str | None = None
    parent_task: str = ""
    """The parent's task that waits for the end."""
    traceparent: str | None = None
    secrets: Grant | None = None
    """What markers of secrets it may use; None if its document does not use them."""
    request: str = ""
    """The request that started it."""
    requests: list[str] = []
    """The newest control commands."""
    suspended: bool = False
    failed: list[int] = []
    """When attempts failed that were followed by another, the newest since it was resumed."""
    pause: str = ""
    """The pause of its workflow that has suspended it; empty if somebody else did."""
    despite: str = ""
    """A pause of its workflow that does not concern it: somebody resumed it meanwhile."""
    priority: int | None = None
    """That of its tasks, if its start said one."""
    collecting: Gathering | None = None
    """It has not begun: further starts may join it."""
    frames: dict[int, Frame] = {}
    tasks: dict[str, OpenTask] = {}
    timers: dict[str, int] = {}
    listeners: dict[str, int] = {}
    """Open listeners and the step that each belongs to."""
    ready: list[Ready] = []

    @property
    def is_terminal(self) -> bool:
        """Whether the execution has ended."""
        return self.status in ENDED

    @property
    def has_work(self) -> bool:
        """Whether transitions are still to do: the owner must send ``Continue``."""
        if not self.suspended:
            return bool(self.ready)
        first = self.ready[0] if self.ready else None
        return type(first) is Stop and first.status == "cancelled"


def settle_status(state: State) -> None:
    """Derive the status of an execution that has not ended from the rest of its state."""
    if state.status in ENDED:
        return
    if state.suspended:
        state.status = "suspended"
    elif state.ready or state.tasks or not (state.timers or state.listeners):
        state.status = "running"
    else:
        state.status = "waiting"


def lifecycle_name(state: State) -> str:
    """Return the qualified name of the instance that lifecycle events carry."""
    return ids.lifecycle_name(state.workflow.namespace, state.workflow.name, state.id)


_packing = Packing(State)
encode_state, decode_state = _packing.encode, _packing.decode
