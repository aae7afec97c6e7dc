"""What the API says of things: moments as RFC 3339, names as people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from flunq.core.events import timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.core.execution.commands import Failure
    from flunq.core.protocol import Definition, Details, Fired, Result, ScheduleView, Summary

_QUARANTINED, _FAULTED = "quarantined", "faulted"
ShownStatus = Literal[
    "pending", "running", "waiting", "suspended", "completed", "faulted", "cancelled"
]


class WorkflowName(msgspec.Struct, frozen=True, kw_only=True):
    """A registered version of a workflow."""

    namespace: str
    name: str
    version: str


class ErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """An error of the DSL, as problem details."""

    type: str
    status: int
    title: str | None = None
    detail: str | None = None
    instance: str | None = None


class ExecutionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An execution in a list."""

    id: str
    workflow: WorkflowName
    status: str
    started_at: str
    ended_at: str | None
    tags: dict[str, str]
    parent: str | None


class ExecutionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Executions, newest first; ``next`` is the cursor of the page after this one."""

    items: list[ExecutionSummary]
    next: str | None


class ExecutionView(ExecutionSummary, frozen=True, kw_only=True):
    """Everything about one execution but its history."""

    digest: str
    partition: int
    seq: int
    input: Any
    output: Any
    context: Any
    error: ErrorView | None
    waiting: list[dict[str, Any]]
    reason: str | None
    """Why it is suspended."""


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that was started, now or by an earlier request like this one."""

    id: str
    status: str
    created: bool


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """An execution after something was done to it."""

    id: str
    status: str


class ResultView(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution ended."""

    id: str
    status: str
    output: Any
    error: ErrorView | None


class EventView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A CloudEvent of an execution."""

    id: str
    source: str
    type: str
    time: str
    subject: str
    tenant: str
    workflow: str
    partition: int
    seq: int
    data: Any
    datacontenttype: str
    specversion: str
    traceparent: str | None = None


class HistoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events of an execution in order; without ``next`` there are no more now."""

    items: list[EventView]
    next: str | None


class DefinitionView(msgspec.Struct, frozen=True, kw_only=True):
    """A registered definition without its text."""

    namespace: str
    name: str
    version: str
    digest: str
    title: str
    latest: bool
    created_at: str
    paused: str
    """``all``, or ``starts`` if executions that have begun go on; empty if it is not paused."""
    pause_reason: str


class DefinitionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Registered versions by name; ``next`` is the cursor of the page after this one."""

    items: list[DefinitionView]
    next: str | None


class DefinitionSource(msgspec.Struct, frozen=True, kw_only=True):
    """A registered definition with its document."""

    definition: DefinitionView
    document: dict[str, Any]
    resources: dict[str, str]


class FireView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one fire of a schedule."""

    id: str
    at: str
    outcome: str
    detail: str


class ScheduleSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule in force."""

    namespace: str
    name: str
    version: str
    status: str
    schedule: dict[str, Any]
    timezone: str
    overlap: str
    missed: str
    catch_up_seconds: float
    next: list[str]
    skipping: list[str]
    """Fires to come that somebody asked to skip; they are not among ``next``."""
    paused_at: str | None
    reason: str
    pending: int
    running: list[str]


def moment(micros: int | None) -> str | None:
    """Return a moment as RFC 3339."""
    return None if micros is None else timestamp(micros)


def execution_summary(found: Summary | Details) -> ExecutionSummary:
    """Return what a list says of an execution."""
    return ExecutionSummary(
        id=found.id,
        workflow=_workflow(found),
        status=shown_status(found.status),
        started_at=timestamp(found.started_at),
        ended_at=moment(found.ended_at),
        tags=found.tags,
        parent=found.parent,
    )


def execution_view(found: Details) -> ExecutionView:
    """Return everything about an execution."""
    return ExecutionView(
        **msgspec.structs.asdict(execution_summary(found)),
        digest=found.digest,
        partition=found.partition,
        seq=found.seq,
        input=found.input,
        output=found.output,
        context=found.context,
        error=error_view(found.failure),
        waiting=found.waiting,
        reason=found.reason or None,
    )


def result_view(result: Result) -> ResultView:
    """Return how an execution ended."""
    return ResultView(
        id=result.id,
        status=shown_status(result.status),
        output=result.output,
        error=error_view(result.failure),
    )


def error_view(failure: Failure | None) -> ErrorView | None:
    """Return a DSL error."""
    return msgspec.convert(failure, ErrorView | None, from_attributes=True)


def definition_view(found: Definition) -> DefinitionView:
    """Return a registered version."""
    return DefinitionView(
        namespace=found.namespace,
        name=found.name,
        version=found.version,
        digest=found.digest,
        title=found.title,
        latest=found.latest,
        created_at=timestamp(found.created_at),
        paused=found.paused,
        pause_reason=found.pause_reason,
    )


def fire_view(fired: Fired) -> FireView:
    """Return what became of a fire."""
    at = timestamp(fired.at)
    return FireView(id=fired.id, at=at, outcome=fired.outcome, detail=fired.detail)


def schedule_summary(found: ScheduleView) -> ScheduleSummary:
    """Return a schedule."""
    return ScheduleSummary(
        namespace=found.namespace,
        name=found.name,
        version=found.version,
        status=found.status,
        schedule=found.schedule,
        timezone=found.timezone,
        overlap=found.overlap,
        missed=found.missed,
        catch_up_seconds=found.catch_up / 1_000_000,
        next=[timestamp(due) for due in found.next],
        skipping=[timestamp(due) for due in found.skipping],
        paused_at=moment(found.paused_at),
        reason=found.reason,
        pending=found.pending,
        running=list(found.running),
    )


def _workflow(found: Summary | Details) -> WorkflowName:
    return WorkflowName(namespace=found.namespace, name=found.workflow, version=found.version)


def shown_status(status: str) -> str:
    """To the outside an execution that the engine set aside has faulted."""
    return _FAULTED if status == _QUARANTINED else status


def statuses_of(shown: Sequence[str]) -> tuple[str, ...]:
    """Return the engine's statuses that are shown like this."""
    return (*shown, _QUARANTINED) if _FAULTED in shown else tuple(shown)
