"""Which executions of a partition collect starts, and which starts have joined one of late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.core.events import GONE, QUARANTINED, TERMINAL_TYPES, WORKFLOW_STARTED
from flunq.core.execution.gathering import GATHERED, JOINED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.core.events import CloudEvent

REMEMBERED = 5_000
"""Starts that joined a group, of which late copies are recognised."""
_ENDS = frozenset({GATHERED, QUARANTINED, *TERMINAL_TYPES, *GONE})
_CONCERNED = _ENDS | {WORKFLOW_STARTED, JOINED}


class Groups:
    """Follows the events of a partition: as they are decided, or as they are folded."""

    def __init__(self) -> None:
        self.open: dict[str, str] = {}
        """The execution that collects for a group."""
        self.joined: dict[str, tuple[str, str]] = {}
        """Of a start the execution that it became part of and the fingerprint of its input."""
        self._collecting: dict[str, str] = {}
        """The group that an execution collects for."""

    def restore(self, open_: dict[str, str], joined: dict[str, tuple[str, str]]) -> None:
        """Go on from what :attr:`open` and :attr:`joined` were."""
        self.open, self.joined = dict(open_), dict(joined)
        self._collecting = {execution: group for group, execution in open_.items()}

    def are_concerned(self, events: Iterable[CloudEvent]) -> bool:
        """Tell whether events begin or end what is collected here, or tell of a join."""
        return any(
            event.type in _CONCERNED
            and (event.type not in _ENDS or event.subject in self._collecting)
            for event in events
        )

    def note(self, events: Iterable[CloudEvent]) -> None:
        """Take in events of executions."""
        for event in events:
            if event.type in _CONCERNED:
                self._note(event)

    def _note(self, event: CloudEvent) -> None:
        if event.type == JOINED:
            self.remember(event.data["start"], event.subject, event.data["fingerprint"])
        elif event.type == WORKFLOW_STARTED and "collects" in event.data:
            collects = event.data["collects"]
            self.open[collects["group"]] = event.subject
            self._collecting[event.subject] = collects["group"]
            self.remember(collects["start"], event.subject, collects["fingerprint"])
        elif event.subject in self._collecting:
            self.close(event.subject)

    def close(self, execution: str) -> None:
        """Let an execution collect no more starts."""
        group = self._collecting.pop(execution, "")
        if self.open.get(group) == execution:
            del self.open[group]

    def remember(self, start: str, execution: str, fingerprint: str) -> None:
        """Know a start again of which a copy comes late."""
        self.joined[start] = (execution, fingerprint)
        if len(self.joined) > REMEMBERED:
            del self.joined[next(iter(self.joined))]
