"""Who listens to which events: an index over the open listeners of one partition.

It is derived from the states, so it needs no store of its own. It only narrows the candidates
down by event type; whether an event fits, and what it correlates with, is decided in the core.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flunq.core.document.model import Listen
from flunq.core.events import TASK, WORKFLOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.document.model import Attribute
    from flunq.services.worker.executions import Live

ANY_TYPE = ""
PLAIN_TYPE = re.compile(r"[A-Za-z0-9_./:-]+")


class BusShare:
    """One event's deliveries: the event counts as consumed when all of them are settled."""

    __slots__ = ("_consumed", "_left")

    def __init__(self, deliveries: int, consumed: Callable[[], None]) -> None:
        self._left = deliveries
        self._consumed = consumed

    def settle(self) -> None:
        """Note that one delivery is in a commit, or changed nothing."""
        self._left -= 1
        if self._left == 0:
            self._consumed()


class Listeners:
    """The open listeners of a partition, also of executions that are not in memory."""

    def __init__(self) -> None:
        self._by_type: dict[str, set[tuple[str, str]]] = {}
        self._of: dict[str, dict[str, frozenset[str]]] = {}
        self._lifecycle: set[tuple[str, str]] = set()
        """Those that may mean events of the engine's own."""

    @property
    def wants_lifecycle(self) -> bool:
        """Tell whether anybody listens to lifecycle events."""
        return bool(self._lifecycle)

    def __len__(self) -> int:
        return len(self._of)

    def note(self, live: Live) -> None:
        """Bring the index up to what an execution listens to now."""
        state = live.state
        assert state is not None
        known = self._of.get(state.id)
        if known is None and not state.listeners:
            return
        if known is not None and known.keys() == state.listeners.keys():
            return
        self.forget(state.id)
        if state.listeners and not state.is_terminal:
            types = {listener: _types(live, step) for listener, step in state.listeners.items()}
            self._of[state.id] = types
            for listener, names in types.items():
                for name in names:
                    self._by_type.setdefault(name, set()).add((state.id, listener))
                if any(_is_lifecycle(name) for name in names) or _means_lifecycle(
                    live, state.listeners[listener]
                ):
                    self._lifecycle.add((state.id, listener))

    def forget(self, execution: str) -> None:
        """Drop an execution's listeners."""
        for listener, names in self._of.pop(execution, {}).items():
            self._lifecycle.discard((execution, listener))
            for name in names:
                interested = self._by_type[name]
                interested.discard((execution, listener))
                if not interested:
                    del self._by_type[name]

    def candidates(self, event_type: str) -> list[tuple[str, str]]:
        """Return the (execution, listener) pairs that an event may concern, in a fixed order."""
        exact = self._by_type.get(event_type, set())
        return sorted(exact | self._by_type.get(ANY_TYPE, set()))

    def lifecycle_executions(self) -> set[str]:
        """Return the executions that listen to lifecycle events."""
        return {execution for execution, _ in self._lifecycle}

    def lifecycle_candidates(self, event_type: str, source: str) -> list[tuple[str, str]]:
        """Return those that a lifecycle event of another execution may concern."""
        if not self._lifecycle:
            return []
        found = self._lifecycle.intersection(self.candidates(event_type))
        return sorted(pair for pair in found if pair[0] != source)


def _is_lifecycle(event_type: str) -> bool:
    return event_type.startswith((WORKFLOW, TASK))


def _means_lifecycle(live: Live, step: int) -> bool:
    """Tell whether a pattern or an expression for the type speaks of lifecycle events."""
    assert live.state is not None
    spec = live.workflow_of().tasks[live.state.frames[step].reference].spec
    if not isinstance(spec, Listen):
        return False
    filters = (*spec.filters, *spec.until_filters)
    wanted = (a.value for f in filters for a in f.attributes if a.name == "type")
    return any(isinstance(v, str) and "serverlessworkflow" in v for v in wanted)


def _types(live: Live, step: int) -> frozenset[str]:
    """Return the event types that a listener names; any, if it is not that definite."""
    assert live.state is not None
    task = live.workflow_of().tasks[live.state.frames[step].reference]
    spec = task.spec
    if not isinstance(spec, Listen) or not spec.filters:
        return frozenset({ANY_TYPE})
    names: set[str] = set()
    for event_filter in (*spec.filters, *spec.until_filters):
        wanted = [a for a in event_filter.attributes if a.name == "type"]
        names |= {_definite(attribute) for attribute in wanted} or {ANY_TYPE}
    return frozenset(names)


def _definite(attribute: Attribute) -> str:
    """Return the type if it is a plain text; a pattern or an expression may mean any."""
    value = attribute.value
    if attribute.condition is None and isinstance(value, str) and PLAIN_TYPE.fullmatch(value):
        return value
    return ANY_TYPE
