"""``schedule.on``: which events start an execution, alone or together with others.

Events that have to come together wait in groups, one for each set of correlated values. An event
goes to the first group that lacks it; if there is none it begins a group of its own. So an event
starts exactly one execution, whose id follows from the events.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from flunq.core.execution.matching import fits
from flunq.core.expressions import ExpressionError
from flunq.core.scheduling.deciding import admit, stumbled
from flunq.core.scheduling.fires import events_id
from flunq.core.scheduling.state import Group, Held, Pending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flunq.core.document.model import EventFilter, Listen, Program
    from flunq.core.expressions import Answers
    from flunq.core.scheduling.plan import Plan
    from flunq.core.scheduling.state import ScheduleState

MAX_WAITING = 2_000
"""Events that wait for others; beyond this the oldest group gives way."""
MAX_HELD = 1_000
"""Events of one group; it is complete then."""
_PLAIN = re.compile(r"[A-Za-z0-9_./:-]+", re.ASCII)
ANY = -1
"""The slot of an event that no filter had to ask for."""


def hear(
    state: ScheduleState,
    plan: Plan,
    seq: int,
    event: dict[str, Any],
    variables: Mapping[str, Any],
    answers: Answers,
    now: int,
) -> ScheduleState:
    """Decide about one event of the bus; raises NeedsEvaluation."""
    if seq <= state.heard:
        return state
    state = replace(state, heard=seq)
    if plan.on is None or state.paused_at is not None or not event.get("id"):
        return state
    return _Hearing(plan, event, variables, answers, now).decide(state)


def event_key(event: Mapping[str, Any]) -> str:
    """Return what tells an event from all others."""
    return f"{event.get('source')} {event.get('id')}"


def types_of(listen: Listen) -> frozenset[str] | None:
    """Return the event types that can matter, None if any can."""
    if listen.until_filters or not listen.filters:
        return None
    names: set[str] = set()
    for event_filter in listen.filters:
        wanted = [each for each in event_filter.attributes if each.name == "type"]
        plain = [each.value for each in wanted if each.condition is None and _is_plain(each.value)]
        if not plain:
            return None
        names.update(plain)
    return frozenset(names)


class _Hearing:
    """One event before the filters of one schedule."""

    def __init__(
        self,
        plan: Plan,
        event: dict[str, Any],
        variables: Mapping[str, Any],
        answers: Answers,
        now: int,
    ) -> None:
        assert plan.on is not None
        self._plan = plan
        self._listen: Listen = plan.on
        self._event = event
        self._key = event_key(event)
        self._variables = variables
        self._answers = answers
        self._now = now
        self._problem = ""

    def decide(self, state: ScheduleState) -> ScheduleState:
        """Return the state after the event."""
        state = self._gather(state) if self._needs_several else self._alone(state)
        return stumbled(state, self._problem, self._now) if self._problem else state

    @property
    def _needs_several(self) -> bool:
        listen = self._listen
        waits = listen.until is not None or bool(listen.until_filters)
        return listen.mode == "all" or (listen.mode == "any" and waits)

    def _alone(self, state: ScheduleState) -> ScheduleState:
        """Every event that meets a filter starts an execution of its own."""
        if self._listen.filters and not any(
            self._meets(each, {}) is not None for each in self._listen.filters
        ):
            return state
        return self._start(state, Group(held=(self._held(ANY),)))

    # -- together with others ----------------------------------------------------------------------

    def _gather(self, state: ScheduleState) -> ScheduleState:
        if any(held.key == self._key for group in state.groups for held in group.held):
            return state
        if any(self._holds(each) for each in self._listen.until_filters):
            return self._ending(state)
        for place, group in enumerate(state.groups):
            grown = self._joined(group)
            if grown is not None:
                return self._bounded(self._put(state, place, grown))
        fresh = self._joined(Group())
        if fresh is None:
            return state
        state = replace(state, groups=(*state.groups, Group()))
        return self._bounded(self._put(state, len(state.groups) - 1, fresh))

    def _joined(self, group: Group) -> Group | None:
        """Return the group with the event, None if it is not for this group."""
        if not self._listen.filters:
            return replace(group, held=(*group.held, self._held(ANY)))
        filled = {held.slot for held in group.held} if self._listen.mode == "all" else set()
        for slot, event_filter in enumerate(self._listen.filters):
            if slot in filled:
                continue
            expected = self._meets(event_filter, group.expected)
            if expected is not None:
                held = (*group.held, self._held(slot))
                return replace(group, held=held, expected=group.expected | expected)
        return None

    def _put(self, state: ScheduleState, place: int, group: Group) -> ScheduleState:
        """Store a group that has grown, or start what it was waiting for."""
        groups = list(state.groups)
        if self._is_complete(group):
            del groups[place]
            return self._start(replace(state, groups=tuple(groups)), group)
        groups[place] = group
        return replace(state, groups=tuple(groups))

    def _is_complete(self, group: Group) -> bool:
        if len(group.held) >= MAX_HELD:
            return True
        if self._listen.mode == "all":
            return len(group.held) == len(self._listen.filters)
        until = self._listen.until
        if until is None:
            return False
        value = self._value(until, [held.event for held in group.held])
        return value not in (None, False)

    def _ending(self, state: ScheduleState) -> ScheduleState:
        """End the groups whose ``until`` the event meets; it is not part of their input."""
        wanted = len(self._listen.until_filters) if self._listen.until_mode == "all" else 1
        kept: list[Group] = []
        complete: list[Group] = []
        for group in state.groups:
            after = self._nearer_to_end(group)
            if after is not None and len(after.ended) >= wanted:
                complete.append(after)
            else:
                kept.append(group if after is None else after)
        state = replace(state, groups=tuple(kept))
        for group in complete:
            state = self._start(state, group)
        return state

    def _nearer_to_end(self, group: Group) -> Group | None:
        for slot, event_filter in enumerate(self._listen.until_filters):
            if slot in group.ended:
                continue
            expected = self._meets(event_filter, group.expected)
            if expected is not None:
                ended = (*group.ended, slot)
                return replace(group, ended=ended, expected=group.expected | expected)
        return None

    def _holds(self, event_filter: EventFilter) -> bool:
        """Tell whether the event meets a filter, whatever it correlates with."""
        try:
            return self._passes(event_filter)
        except ExpressionError as error:
            self._problem = f"a filter of schedule.on.until: {error}"
            return False

    def _bounded(self, state: ScheduleState) -> ScheduleState:
        if sum(len(group.held) for group in state.groups) <= MAX_WAITING:
            return state
        self._problem = f"more than {MAX_WAITING} events waited for others; the oldest were dropped"
        return replace(state, groups=state.groups[1:])

    def _start(self, state: ScheduleState, group: Group) -> ScheduleState:
        found = Pending(
            id=events_id(state.namespace, state.name, [held.key for held in group.held]),
            at=self._now,
            cause="event",
            input=[held.event for held in group.held],
        )
        return admit(state, self._plan, found, self._now)

    def _held(self, slot: int) -> Held:
        return Held(slot=slot, key=self._key, event=self._event)

    # -- filters -----------------------------------------------------------------------------------

    def _meets(
        self, event_filter: EventFilter, expected: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Return the expectations that the event sets, None if it does not meet the filter."""
        try:
            if not self._passes(event_filter):
                return None
            return self._correlates(event_filter, expected)
        except ExpressionError as error:
            self._problem = f"a filter of schedule.on: {error}"
            return None

    def _passes(self, event_filter: EventFilter) -> bool:
        for attribute in event_filter.attributes:
            found = self._event.get(attribute.name)
            if attribute.condition is None:
                if not fits(attribute.value, found):
                    return False
            elif attribute.name not in self._event:
                return False
            else:
                dot = found if attribute.name == "data" else self._event
                value = self._evaluate(attribute.condition, dot)
                if value is not True and (value in (None, False) or value != found):
                    return False
        return True

    def _correlates(
        self, event_filter: EventFilter, expected: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        new: dict[str, Any] = {}
        for correlation in event_filter.correlations:
            value = self._evaluate(correlation.value, self._event)
            if correlation.expected is not None:
                wanted = self._evaluate(correlation.expected, None)
            elif correlation.key in expected:
                wanted = expected[correlation.key]
            elif value is None:
                return None
            else:
                wanted = value
            if not _agree(wanted, value):
                return None
            new[correlation.key] = value
        return new

    def _value(self, program: Program, dot: Any) -> Any:
        try:
            return self._evaluate(program, dot)
        except ExpressionError as error:
            self._problem = f"schedule.on.until: {error}"
            return False

    def _evaluate(self, program: Program, dot: Any) -> Any:
        known = {name: self._variables[name] for name in program.variables & self._variables.keys()}
        return program.evaluate(dot, known, self._answers)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and _PLAIN.fullmatch(value) is not None


def _agree(wanted: Any, value: Any) -> bool:
    if wanted == value and isinstance(wanted, bool) is isinstance(value, bool):
        return True
    # an expectation that is written as a constant is always a text
    return isinstance(wanted, str) and type(value) in (int, float) and wanted == str(value)


def shed(state: ScheduleState, now: int) -> ScheduleState:
    """Let go of the older half of the events that wait for others."""
    kept = state.groups[(len(state.groups) + 1) // 2 :]
    message = "the events that waited for others were too many to be stored; older ones are dropped"
    return stumbled(replace(state, groups=kept), message, now)
