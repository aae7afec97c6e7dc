"""What is kept of an execution once it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.execution.commands import Failure, WorkflowRef
from flunq.services.worker.executions import Finished, Live
from flunq.services.worker.fingerprint import fingerprint

if TYPE_CHECKING:
    from flunq.core.events import CloudEvent
    from flunq.core.execution.state import State


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
    )


def quarantine_facts(
    ref: WorkflowRef, reason: str, command: dict[str, Any], now: int
) -> dict[str, Any]:
    """Return the data of a quarantine event: enough to make the record from it alone."""
    return {
        "reason": reason,
        "at": now,
        "workflow": msgspec.to_builtins(ref),
        "command": command,
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
