"""What a document's ``schedule`` asks for, with the policies that its metadata add.

::

    document:
      metadata:
        schedule: {timezone: Europe/Berlin, overlap: skip, catchUp: PT10M, missed: last}
    schedule:
      cron: 30 2 * * *
"""

from __future__ import annotations

from typing import Any

import msgspec

from flunq.core.cron import Cron, CronError, time_zone
from flunq.core.document.listening import compile_listen
from flunq.core.document.model import Listen
from flunq.core.duration import Duration, DurationError, parse_duration
from flunq.core.scheduling.policies import (
    Overrides,
    Policies,
    ScheduleError,
    merged,
    read_settings,
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled schedule; a document may combine its kinds."""

    policies: Policies
    cron: Cron | None = None
    every: Duration | None = None
    after: Duration | None = None
    on: Listen | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Name what starts executions."""
        members = {"cron": self.cron, "every": self.every, "after": self.after, "on": self.on}
        return tuple(name for name, value in members.items() if value is not None)

    @property
    def is_timed(self) -> bool:
        """Tell whether its fires are known in advance."""
        return self.cron is not None or self.every is not None

    @property
    def watches(self) -> bool:
        """Tell whether it matters which of its executions still run."""
        return self.policies.overlap != "allow"


def compile_plan(
    schedule: dict[str, Any], settings: Any = None, overrides: Overrides | None = None
) -> Plan:
    """Compile a ``schedule`` with ``document.metadata.schedule``; raise ScheduleError."""
    policies = merged(read_settings(settings), overrides or Overrides())
    cron = schedule.get("cron")
    try:
        time_zone(policies.timezone)
        return Plan(
            policies=policies,
            cron=None if cron is None else Cron(str(cron), policies.timezone),
            every=_interval(schedule.get("every"), "every"),
            after=_interval(schedule.get("after"), "after"),
            on=_listen(schedule.get("on")),
        )
    except CronError as error:
        raise ScheduleError(str(error)) from None


def _interval(value: Any, name: str) -> Duration | None:
    if value is None:
        return None
    try:
        duration = parse_duration(value)
    except DurationError as error:
        raise ScheduleError(f"{name}: {error}") from None
    if name == "every" and duration.approximate() <= 0:
        raise ScheduleError("every: the interval is longer than nothing")
    return duration


def _listen(value: Any) -> Listen | None:
    if value is None:
        return None
    return compile_listen({"listen": {"to": value, "read": "envelope"}}, "")
