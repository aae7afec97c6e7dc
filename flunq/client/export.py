"""Everything about one execution, brought together for a file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import flunq
from flunq.core.execution.commands import WorkflowRef
from flunq.errors import NotFoundError, RejectedError
from flunq.store.exports import Header, write_export
from flunq.store.redacting import Redaction

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.client.client import Client
    from flunq.core.protocol import DefinitionText, Details

_NOTHING = Redaction()


async def export_execution(
    client: Client, execution: str, path: Path, *, redaction: Redaction = _NOTHING
) -> tuple[Header, int]:
    """Write an execution as it is now into a file; returns its header and how many events.

    An execution that goes on meanwhile is exported up to the event that it had at the beginning.
    """
    details = await client.get(execution)
    events = [
        redaction.event(event)
        async for event in client.history(execution)
        if event.seq <= details.seq
    ]
    if [event.seq for event in events] != list(range(1, details.seq + 1)):
        raise RejectedError(
            f"the history of {execution} is not whole: {len(events)} of {details.seq} events",
            hint="see what the archive lacks with: flunq lake status",
        )
    header = Header(
        flunq=flunq.__version__,
        exported_at=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        tenant=client.tenant,
        redacted=redaction.names(),
        execution=redaction.details(details),
        definition=await _definition(client, details),
    )
    return header, write_export(path, header, events)


async def _definition(client: Client, details: Details) -> DefinitionText | None:
    """Return the definition that the execution has; None if it is registered no more."""
    ref = WorkflowRef(
        namespace=details.namespace,
        name=details.workflow,
        version=details.version,
        digest=details.digest,
    )
    try:
        found = await client.workflow(str(ref))
    except NotFoundError:
        return None
    return found if found.definition.digest == details.digest else None
