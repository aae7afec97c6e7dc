"""A history folded: what one can go back to, and the state at a point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flunq.core.events import CloudEvent
from flunq.core.execution.fold import FoldError, fold, micros
from flunq.core.execution.restoring import RestoreError, from_start
from flunq.core.execution.state import State
from flunq.core.execution.trail import WHOLE, Trail
from flunq.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.client import Client
    from flunq.core.events import LazyEvent


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """An execution as it was."""

    state: State
    at: int
    """When that was (microseconds since the epoch)."""


class Past:
    """The history of one execution; it is read once to look around, and once to fold."""

    def __init__(self, client: Client, execution: str) -> None:
        self._client = client
        self._execution = execution
        self.trail = Trail()
        self.requests: set[str] = set()
        """The requests that have had their effect already."""

    async def look(self) -> Trail:
        """Read the history; raises NotFoundError if there is none."""
        async for event in self.events():
            self.trail.take(event.type, event.seq, event.data)
            request = event.data.get("request") if isinstance(event.data, dict) else None
            if request:
                self.requests.add(request)
        if not self.trail.last:
            raise NotFoundError(f"nothing is recorded of execution {self._execution}")
        return self.trail

    async def events(self, upto: int = 1 << 62) -> AsyncIterator[CloudEvent]:
        """Yield the events with their data."""
        async for event in self._client.history(self._execution):
            if event.seq > upto:
                return
            yield _whole(event)

    async def moment(self, seq: int) -> Moment:
        """Return the state right after an event; 0 is before the input was looked at."""
        state: State | None = None
        at = 0
        try:
            async for event in self.events(max(seq, 1)):
                state, at = fold(state, event), micros(event.time)
        except (FoldError, RestoreError, KeyError) as error:
            raise ConflictError(f"its history cannot be followed: {error}") from None
        if state is None:
            raise NotFoundError(f"nothing is recorded of execution {self._execution}")
        if seq == WHOLE:
            from_start(state)
        if state.is_terminal:
            raise ConflictError(
                f"the execution had ended after event {seq}", hint="choose an earlier event"
            )
        return Moment(state=state, at=at)


def _whole(event: LazyEvent) -> CloudEvent:
    return CloudEvent(
        id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject,
        time=event.time,
        tenant=event.tenant,
        workflow=event.workflow,
        partition=event.partition,
        seq=event.seq,
        data=event.value(),
        traceparent=event.traceparent,
    )
