"""Which events nearly met a listener, and at which part each of them failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.document.model import Listen
from flunq.core.execution.faults import TaskError
from flunq.core.execution.matching import fits
from flunq.core.execution.state import Listening
from flunq.core.execution.turn import Environment, Turn
from flunq.core.expressions import Expression, NeedsEvaluation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flunq.core.document.model import Attribute, Correlation, EventFilter, Workflow
    from flunq.core.execution.state import State
    from flunq.core.execution.variables import Step

MOST = 5
"""Near misses that are told."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a filter before one event."""

    name: str
    wanted: Any
    found: Any = None
    meets: bool | None = None
    """None: an expression that only the cluster can evaluate."""


class NearMiss(msgspec.Struct, frozen=True, kw_only=True):
    """An event that met some parts of a filter."""

    id: str
    type: str
    source: str
    filter: int
    """Which filter of the listener came nearest, from 0."""
    parts: list[Part]

    @property
    def failed(self) -> list[Part]:
        """The parts that it did not meet."""
        return [part for part in self.parts if part.meets is False]


def filters_of(state: State, workflow: Workflow, step: int, now: int) -> list[dict[str, Any]]:
    """Return what a listener waits for: the attributes and correlations of each open filter."""
    spec = _spec(state, workflow, step)
    if spec is None:
        return []
    look = _Look(state, workflow, step, now)
    return [
        {
            "with": {each.name: each.value for each in one.attributes},
            "correlate": [each.key for each in one.correlations],
            "expected": [look.expected(each) for each in one.correlations],
        }
        for number, one in enumerate(spec.filters)
        if not _is_filled(state, step, spec, number)
    ]


def near_misses(
    state: State, workflow: Workflow, step: int, events: Iterable[dict[str, Any]], now: int
) -> list[NearMiss]:
    """Return the events that came nearest to a listener, the nearest first."""
    spec = _spec(state, workflow, step)
    if spec is None:
        return []
    look = _Look(state, workflow, step, now)
    misses: list[tuple[int, int, NearMiss]] = []
    for age, event in enumerate(reversed(list(events))):
        nearest = look.nearest(spec, event)
        if nearest is not None:
            misses.append((len(nearest.failed), age, nearest))
    misses.sort(key=lambda item: item[:2])
    return [miss for _, _, miss in misses[:MOST]]


def _spec(state: State, workflow: Workflow, step: int) -> Listen | None:
    task = workflow.tasks.get(state.frames[step].reference)
    return task.spec if task is not None and isinstance(task.spec, Listen) else None


def _is_filled(state: State, step: int, spec: Listen | None, number: int) -> bool:
    local = state.frames[step].local
    return (
        spec is not None
        and spec.mode == "all"
        and isinstance(local, Listening)
        and number in local.filled
    )


class _Look:
    """One listener before many events; it evaluates as the engine does, and changes nothing."""

    def __init__(self, state: State, workflow: Workflow, step: int, now: int) -> None:
        environment = Environment(workflow=workflow, tenant="", partition=0, source="")
        self._turn = Turn(state, environment, now, {})
        self._state = state
        self._number = step
        self._step: Step = self._turn.step(state.frames[step])

    def nearest(self, spec: Listen, event: dict[str, Any]) -> NearMiss | None:
        """Return the filter that an event came nearest to, None if it met no part of any."""
        best: NearMiss | None = None
        for number, one in enumerate(spec.filters):
            if _is_filled(self._state, self._number, spec, number):
                continue
            parts = list(self._parts(one, event))
            if parts and not any(part.meets for part in parts):
                continue
            miss = NearMiss(
                id=str(event.get("id", "")),
                type=str(event.get("type", "")),
                source=str(event.get("source", "")),
                filter=number,
                parts=parts,
            )
            if best is None or len(miss.failed) < len(best.failed):
                best = miss
        return best

    def _parts(self, one: EventFilter, event: dict[str, Any]) -> Iterator[Part]:
        for attribute in one.attributes:
            found = event.get(attribute.name)
            meets = self._judged(attribute, event)
            yield Part(name=attribute.name, wanted=attribute.value, found=found, meets=meets)
        for correlation in one.correlations:
            yield self._correlated(correlation, event)

    def _judged(self, attribute: Attribute, event: dict[str, Any]) -> bool | None:
        found = event.get(attribute.name)
        if attribute.condition is None:
            return fits(attribute.value, found)
        if attribute.name not in event:
            return False
        dot = found if attribute.name == "data" else event
        known, value = self._evaluated(attribute.condition, dot)
        if not known:
            return None
        return value is True or (value not in (None, False) and value == found)

    def expected(self, correlation: Correlation) -> dict[str, Any]:
        """Return where an event has the value that correlates it, and that value if it is known."""
        known, wanted = self._wanted(correlation)
        at = correlation.value.text if isinstance(correlation.value, Expression) else ""
        return {"at": at, **({"value": wanted} if known is True else {})}

    def _wanted(self, correlation: Correlation) -> tuple[bool | None, Any]:
        """Return whether the value that is wanted can be told (None: any is), and the value."""
        if correlation.expected is not None:
            return self._evaluated(correlation.expected, self._step.input)
        local = self._state.frames[self._number].local
        expected = local.expected if isinstance(local, Listening) else {}
        known = True if correlation.key in expected else None
        return known, expected.get(correlation.key)

    def _correlated(self, correlation: Correlation, event: dict[str, Any]) -> Part:
        name = f"correlate.{correlation.key}"
        known, found = self._evaluated(correlation.value, event)
        also, wanted = self._wanted(correlation)
        known = known and also is not False
        if also is None:
            return Part(name=name, wanted="any", found=found, meets=known and found is not None)
        alike = wanted == found or (isinstance(wanted, str) and wanted == str(found))
        return Part(name=name, wanted=wanted, found=found, meets=alike if known else None)

    def _evaluated(self, program: Any, dot: Any) -> tuple[bool, Any]:
        """Return whether it could be evaluated here, and the value."""
        try:
            return True, self._turn.evaluate(program, dot, self._step)
        except (NeedsEvaluation, TaskError):
            return False, None
