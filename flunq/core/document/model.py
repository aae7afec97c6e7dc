"""The compiled form of a workflow document: immutable, shared by all its executions.

A task is found by its reference, the JSON pointer into the document (``/do/0/greet``). What is
particular to a kind of task is in its ``spec``; what all tasks have is in :class:`Task`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from flunq.core.collecting import Collecting
from flunq.core.document.schemas import Schema
from flunq.core.duration import Duration
from flunq.core.execution.commands import WorkflowRef
from flunq.core.pausing import Pause
from flunq.core.retrying import Backoff
from flunq.core.traffic import Breaker, LimitRule

if TYPE_CHECKING:
    from collections.abc import Mapping


class Program(Protocol):
    """An expression or a template: anything that can be evaluated."""

    @property
    def variables(self) -> frozenset[str]:
        """The free variables, without the dollar."""
        ...

    def evaluate(self, input: Any, variables: Mapping[str, Any], answers: Any) -> Any:
        """Return the value; raises ExpressionError or NeedsEvaluation."""
        ...


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """Where to go on after a task: a task of the same scope, the end of the scope or of all."""

    next: str = ""
    """Reference of the next task; empty when the scope ends."""
    end: bool = False
    """The whole workflow ends."""
    back: bool = False
    """``next`` stands at or before the task itself."""
    problem: str = ""
    """Why the directive cannot be followed."""
    leave: bool = False
    """What an extension extends is not to run: this output is used instead."""


class DurationSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A duration as written: known now, or an expression."""

    constant: Duration | None = None
    program: Program | None = None
    problem: str = ""


class DataStage(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a task's or workflow's data flow: a schema and a transformation."""

    schema: Schema | None = None
    transform: Program | None = None


NO_STAGE = DataStage()


class KeyedLimit(NamedTuple):
    """A limit with its key as a program."""

    rule: LimitRule
    key: Program


class TrafficSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for one task: its own metadata and those of its workflow."""

    priority: int
    limits: tuple[KeyedLimit, ...]
    breaker: Breaker | None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One task of the document."""

    name: str
    reference: str
    kind: str
    """The DSL's word: ``set``, ``call``, ..."""
    handler: str
    """The entry of the dispatch table that runs it."""
    definition: dict[str, Any]
    condition: Program | None
    input: DataStage
    output: DataStage
    export: DataStage
    timeout: DurationSpec | None
    flow: Flow
    """The task's own ``then``."""
    following: Flow
    """The next task in line, whatever ``then`` says."""
    spec: Any
    extensions: tuple[str, ...] = ()
    """References of the extensions around it, the outermost first."""
    traffic: TrafficSpec | None = None
    """Limits, breaker and priority, where metadata say any."""


class Extension(msgspec.Struct, frozen=True, kw_only=True):
    """An extension of ``use.extensions``: what runs around the tasks that it extends."""

    when: Program | None
    before: str
    """The first task of ``before``; empty when there is none."""
    after: str


class Sequence(msgspec.Struct, frozen=True, kw_only=True):
    """``do``."""

    first: str


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """``set``."""

    value: Program


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One case of a ``switch``; without a condition it is the default."""

    when: Program | None
    flow: Flow


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """``switch``."""

    cases: tuple[Case, ...]
    default: Flow | None


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    """``for``."""

    each: str
    at: str
    items: Program
    condition: Program | None
    first: str


class Fork(msgspec.Struct, frozen=True, kw_only=True):
    """``fork``."""

    branches: tuple[str, ...]
    compete: bool
    needs: tuple[tuple[int, ...], ...] = ()
    """For each branch the indexes of those that it needs; empty when none needs any."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When and how often to try again."""

    when: Program | None
    except_when: Program | None
    delay: DurationSpec | None
    backoff: Backoff
    jitter: tuple[DurationSpec, DurationSpec] | None
    count: int | None
    """Retries after the first try."""
    attempt_duration: DurationSpec | None
    duration: DurationSpec | None


class Catch(msgspec.Struct, frozen=True, kw_only=True):
    """The ``catch`` of a ``try``."""

    filter: dict[str, Any]
    variable: str
    when: Program | None
    except_when: Program | None
    retry: RetryPolicy | None
    handler: str
    """The first task of ``catch.do``; empty when there is none."""
    problem: str = ""


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """``try``."""

    first: str
    catch: Catch


class Raise(msgspec.Struct, frozen=True, kw_only=True):
    """``raise``: a template that gives the error's members."""

    error: Program
    problem: str = ""


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """``wait``."""

    duration: DurationSpec


class PerMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Expressions that an executor evaluates for each message that comes in."""

    texts: dict[str, str]
    """``filter``, ``while``, ``until``: as they are written."""
    variables: frozenset[str]
    """What they read, without the dollar."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A ``call`` that an executor carries out."""

    executor: str
    """``http``, ``function:NAME``."""
    arguments: Program
    uri_path: tuple[str, ...] = ()
    """Where in the arguments a URI template stands."""
    per_message: PerMessage | None = None


class Subscription(Call, frozen=True, kw_only=True):
    """A ``call`` that receives messages, and works on each before it asks for more."""

    foreach: Iterator
    amount: int | None
    condition: Program | None
    """``while``."""
    until: Program | None
    length: DurationSpec | None
    """``for``."""


class Run(Call, frozen=True, kw_only=True):
    """``run`` of a program or a container, by an executor as well."""

    awaited: bool = True


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """``run: workflow``."""

    workflow: Program
    """Gives namespace, name and version."""
    input: Program | None
    """None: the child gets the task's own input."""
    awaited: bool


class FunctionCall(msgspec.Struct, frozen=True, kw_only=True):
    """A ``call`` of a function that the document defines: the task at ``target`` runs."""

    target: str
    arguments: Program


class Emit(msgspec.Struct, frozen=True, kw_only=True):
    """``emit``."""

    event: Program


class Attribute(NamedTuple):
    """What a filter wants of one attribute: a value, or a condition."""

    name: str
    value: Any
    condition: Program | None


class Correlation(NamedTuple):
    """A value of the event that has to meet an expectation, or sets it."""

    key: str
    value: Program
    expected: Program | None


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """One event filter of a ``listen``."""

    attributes: tuple[Attribute, ...]
    correlations: tuple[Correlation, ...]


class Iterator(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscription does with each thing that it consumes."""

    item: str
    at: str
    first: str
    """The first task; empty when there is none."""
    output: DataStage
    export: DataStage


class Listen(msgspec.Struct, frozen=True, kw_only=True):
    """``listen``: ``mode`` is ``one``, ``any`` or ``all``."""

    mode: str
    filters: tuple[EventFilter, ...]
    read: str
    until: Program | None
    until_filters: tuple[EventFilter, ...] = ()
    """Events that end the listening; they are not part of the output."""
    until_mode: str = "one"
    foreach: Iterator | None = None

    @property
    def correlates(self) -> bool:
        """Tell whether a filter wants events to belong together."""
        return any(one.correlations for one in (*self.filters, *self.until_filters))


class Unsupported(msgspec.Struct, frozen=True, kw_only=True):
    """Part of the language that this version cannot run."""

    detail: str


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled workflow."""

    ref: WorkflowRef
    value: dict[str, Any]
    """The document as it was read."""
    first: str
    """The first task of ``do``; empty when there is none."""
    tasks: dict[str, Task]
    input: DataStage
    output: DataStage
    timeout: DurationSpec | None
    problem: tuple[str, str] | None = None
    """Where and why it asks for what no execution of this version can give."""
    secrets: tuple[str, ...] = ()
    """The names in ``use.secrets``."""
    uses_secrets: bool = False
    """An expression somewhere in it may name a secret."""
    tags: dict[str, str] = {}
    """``document.tags``: the tags of its executions."""
    pause: Pause | None = None
    """After how many failed attempts an execution is suspended."""
    hooks: dict[str, WorkflowRef] = {}
    """Which workflow is started about which moment of an execution."""
    collecting: Collecting | None = None
    """How several starts become one execution."""

    @property
    def namespace(self) -> str:
        """The document's namespace."""
        return self.ref.namespace

    @property
    def name(self) -> str:
        """The document's name."""
        return self.ref.name

    @property
    def version(self) -> str:
        """The document's version."""
        return self.ref.version

    @property
    def digest(self) -> str:
        """The digest of the document."""
        return self.ref.digest
