"""Counts of what happened, for the overview."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.core import events as types
from flunq_tui.model.formats import micros
from flunq_tui.model.rates import Series

if TYPE_CHECKING:
    from flunq_tui.source import Events

_FAILED = frozenset({types.WORKFLOW_FAULTED, types.QUARANTINED})


class Meters:
    """Counts of what happened, for the overview."""

    def __init__(self) -> None:
        self.seconds = {name: Series(1, 120) for name in ("events", "started", "ended", "failed")}
        self.minutes = Series(60, 120)

    def take(self, events: Events) -> None:
        """Count events."""
        for event in events:
            moment = micros(event.time)
            self.seconds["events"].add(moment)
            if event.type == types.WORKFLOW_STARTED:
                self.seconds["started"].add(moment)
            elif event.type in types.TERMINAL_TYPES:
                self.seconds["ended"].add(moment)
                self.minutes.add(moment)
                if event.type in _FAILED:
                    self.seconds["failed"].add(moment)
