"""Schedules for tests: their states, moments that can be read, and a keeper without a cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flunq.core.execution.commands import WorkflowRef
from flunq.core.reading import read_source
from flunq.core.scheduling.deciding import adopt, settled, tick
from flunq.core.scheduling.hearing import hear
from flunq.core.scheduling.plan import Plan, compile_plan
from flunq.core.scheduling.state import ScheduleState

SECOND = 1_000_000


def at(text: str) -> int:
    """Return a moment of 3 May 2024 (``09:00:00``), or of another day, in microseconds."""
    full = text if "-" in text else f"2024-05-03T{text}"
    return int(datetime.fromisoformat(full).replace(tzinfo=UTC).timestamp() * SECOND)


def clock(moment: int) -> str:
    """Return the time of day of a moment."""
    return f"{datetime.fromtimestamp(moment / SECOND, UTC):%H:%M:%S.%f}".rstrip("0").rstrip(".")


def reference(version: str = "1.0.0") -> WorkflowRef:
    """Return the definition of the schedule."""
    return WorkflowRef(namespace="t", name="job", version=version, digest=f"digest-{version}")


class Keeper:
    """One schedule and a clock; what it starts is acknowledged when a test says so."""

    def __init__(self, schedule: str, now: str = "09:00:00", **settings: Any) -> None:
        self.now = at(now)
        block = read_source(schedule, name="schedule").value
        fresh = ScheduleState(namespace="t", name="job")
        self.state = adopt(fresh, reference(), block, settings, self.now, bus=0)
        self.seq = 0

    @property
    def plan(self) -> Plan:
        """The compiled schedule."""
        return compile_plan(self.state.block, self.state.settings, self.state.overrides)

    def tick(self, now: str) -> list[str]:
        """Let the clock stand at a moment; return when the fires were due that are decided then."""
        self.now = at(now)
        before = {pending.id for pending in self.state.pending}
        self.state = tick(self.state, self.plan, self.now)
        return [clock(new.at) for new in self.state.pending if new.id not in before]

    def settle(self, outcome: Any = "started", detail: str = "", *, part_of: str = "") -> list[str]:
        """Acknowledge all starts, perhaps as parts of another execution; return their ids."""
        ids = [pending.id for pending in self.state.pending]
        for start in ids:
            self.state = settled(self.state, self.plan, start, outcome, detail, self.now, part_of)
        return ids

    def hear(self, **event: Any) -> list[Any]:
        """Let an event come; return the data of the events of each execution that it starts."""
        self.seq += 1
        known = {pending.id for pending in self.state.pending}
        event.setdefault("source", "/t")
        event.setdefault("id", str(self.seq))
        self.state = hear(self.state, self.plan, self.seq, event, {}, {}, self.now)
        new = [pending for pending in self.state.pending if pending.id not in known]
        return [[one.get("data") for one in pending.input] for pending in new]
