"""What is kept of an execution once it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.execution.commands import Command, Failure, Report, WorkflowRef
from flunq.core.execution.faults import standard
from flunq.core.execution.state import State
from flunq.services.worker.executions import Finished, Live
from flunq.services.worker.fingerprint import fingerprint

if TYPE_CHECKING:
    from flunq.core.events import CloudEvent


def finished_record(live: Live) -> Finished:
    """Return the record of an execution that came to its end."""
    state = live.state
    assert state is not None
    return Finished(
        id=state.id,
        workflow=state.workflow,
        status=state.status,
        fingerprint=live.fingerprint,
        started_at=state.started_at,
        ended_at=state.ended_at or state.started_at,
        seq=state.seq,
        input=state.input,
        output=state.output,
        failure=state.failure,
        tags=state.tags,
        parent=state.parent,
        request=state.request,
        requests=state.requests,
    )


def ended_state(finished: Finished) -> State:
    """Return what is still known of the state of an execution that has ended."""
    return State(
        id=finished.id,
        workflow=finished.workflow,
        status=finished.status,
        seq=finished.seq,
        started_at=finished.started_at,
        ended_at=finished.ended_at,
        input=finished.input,
        output=finished.output,
        failure=finished.failure,
        tags=finished.tags,
        parent=finished.parent,
        request=finished.request,
        requests=[*finished.requests],
    )


def revived(finished: Finished, first: int, last: int) -> Live:
    """Return an execution that has ended as one that may go on."""
    state = ended_state(finished)
    return Live(state, None, finished.fingerprint, first=first, last=last)


def quarantine_facts(ref: WorkflowRef, reason: str, command: Command, now: int) -> dict[str, Any]:
    """Return the data of a quarantine event: enough to make the record from it alone."""
    try:
        told = msgspec.to_builtins(command)
        msgspec.json.encode(told)
    except (ValueError, TypeError, RecursionError):
        told = {"type": type(command).__name__.lower(), "id": command.id}  # it is no JSON
    return {
        "reason": reason,
        "at": now,
        "workflow": msgspec.to_builtins(ref),
        "command": told,
    }


def quarantined_record(state: State | None, event: CloudEvent, known_fingerprint: str) -> Finished:
    """Return the record of an execution that was set aside, from its quarantine event."""
    data = event.data
    ref = msgspec.convert(data["workflow"], WorkflowRef)
    value = state.input if state else data["command"].get("input")
    return Finished(
        id=event.subject,
        workflow=ref,
        status="quarantined",
        fingerprint=known_fingerprint or fingerprint(value),
        started_at=state.started_at if state else data["at"],
        ended_at=data["at"],
        seq=event.seq,
        input=value,
        failure=Failure(
            type="urn:flunq:error:quarantined",
            status=500,
            title="Set aside after a defect of the engine",
            detail=data["reason"],
        ),
    )


def report_of_quarantined(state: State | None, command: Command) -> Report | None:
    """Return what the parent of an execution that is set aside has to hear."""
    origin = state if state is not None else command
    parent, task = getattr(origin, "parent", None), getattr(origin, "parent_task", "")
    if parent is None or not task:
        return None
    failure = standard("runtime", f"execution {command.id} was quarantined")
    return Report(id=parent, task=task, failure=failure)
