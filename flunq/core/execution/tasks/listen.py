"""``listen``: wait for events.

Its owner delivers the events that may be meant; the execution itself checks them, so that
conditions and correlation see its data. The output is always an array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.execution.faults import TaskError
from flunq.core.execution.fold import CONSUMED, DISMISSED, REGISTERED
from flunq.core.execution.matching import fits
from flunq.core.execution.state import Listening
from flunq.core.execution.tasks.base import Handler

if TYPE_CHECKING:
    from flunq.core.document.model import EventFilter, Listen
    from flunq.core.execution.state import Frame, State
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step


class ListenHandler(Handler):
    """Consumes one, any or all of the events it listens to."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Register with the router."""
        spec: Listen = step.task.spec
        if spec.mode == "all" and not spec.filters:
            turn.pass_through(step, [])
            return
        listener = f"{turn.state.seq + 1}l"
        number = turn.start(step, {"listener": listener})
        reference = step.task.reference
        turn.emit_task(REGISTERED, "registeredAt", reference, number, {"listener": listener})

    def woken(self, turn: Turn, number: int, frame: Frame) -> None:
        """Complete with the consumed events."""
        assert type(frame.local) is Listening
        turn.finish(turn.step(frame), number, list(frame.local.consumed))

    def considered(self, turn: Turn, number: int, frame: Frame, event: dict[str, Any]) -> None:
        """Consume an event if it meets a filter."""
        try:
            members = _Consumption(turn, frame).consume(event)
        except TaskError as error:
            turn.fault(number, error.failure)
            return
        if members is not None:
            turn.size += turn.size_of(members.get("value"))
            turn.emit_task(CONSUMED, "consumedAt", frame.reference, number, members)
        elif turn.item is not None:
            turn.emit_task(DISMISSED, "dismissedAt", frame.reference, number)


LISTEN = ListenHandler()


def event_key(event: dict[str, Any]) -> str:
    """Return what tells an event from all others."""
    return f"{event.get('source')} {event.get('id')}"


def is_known(state: State, number: int, event: dict[str, Any]) -> bool:
    """Tell whether a listener has this event already."""
    local = state.frames[number].local
    assert type(local) is Listening
    key = event_key(event)
    if key in local.seen:
        return True
    waiting = (getattr(item, "event", None) for item in state.ready if item.step == number)
    return any(other is not None and event_key(other) == key for other in waiting)


class _Consumption:
    """One event before the filters of a task."""

    def __init__(self, turn: Turn, frame: Frame) -> None:
        assert type(frame.local) is Listening
        self.turn = turn
        self.local = frame.local
        self.step = turn.step(frame)
        self.spec: Listen = self.step.task.spec

    def consume(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """Return what follows from the event, None if it is not for this task."""
        if self._ends(event):
            return {"key": event_key(event), "done": True}
        found = self._meets(event)
        if found is None:
            return None
        number, expected = found
        value = _read(event, self.spec.read)
        members: dict[str, Any] = {"value": value, "key": event_key(event), "filter": number}
        if expected:
            members["expected"] = expected
        if self._is_done(number, value):
            members["done"] = True
        return members

    def _ends(self, event: dict[str, Any]) -> bool:
        return any(
            self._passes(event_filter, event) and self._correlates(event_filter, event) is not None
            for event_filter in self.spec.until_filters
        )

    def _meets(self, event: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        if not self.spec.filters:
            return -1, {}
        for number, event_filter in enumerate(self.spec.filters):
            if self.spec.mode == "all" and number in self.local.filled:
                continue
            if self._passes(event_filter, event):
                expected = self._correlates(event_filter, event)
                if expected is not None:
                    return number, expected
        return None

    def _passes(self, event_filter: EventFilter, event: dict[str, Any]) -> bool:
        for attribute in event_filter.attributes:
            found = event.get(attribute.name)
            if attribute.condition is None:
                if not fits(attribute.value, found):
                    return False
            elif attribute.name not in event:
                return False
            else:
                dot = found if attribute.name == "data" else event
                value = self.turn.evaluate(attribute.condition, dot, self.step)
                if value is not True and (value in (None, False) or value != found):
                    return False
        return True

    def _correlates(
        self, event_filter: EventFilter, event: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Return the expectations that the event sets, None if it does not meet those there are."""
        new: dict[str, Any] = {}
        for correlation in event_filter.correlations:
            value = self.turn.evaluate(correlation.value, event, self.step)
            if correlation.expected is not None:
                wanted = self.turn.evaluate(correlation.expected, self.step.input, self.step)
            elif correlation.key in self.local.expected:
                wanted = self.local.expected[correlation.key]
            elif value is None:
                return None
            else:
                wanted = new[correlation.key] = value
            if not _agree(wanted, value):
                return None
        return new

    def _is_done(self, number: int, value: Any) -> bool:
        if self.spec.mode == "all":
            return len(self.local.filled) + 1 == len(self.spec.filters)
        if self.spec.until is None:
            return not self.spec.until_filters
        return self.turn.holds(self.spec.until, [*self.local.consumed, value], self.step)


def _agree(wanted: Any, value: Any) -> bool:
    if _is_same(wanted, value):
        return True
    # an expectation that is written as a constant is always a text
    return isinstance(wanted, str) and type(value) in (int, float) and wanted == str(value)


def _is_same(wanted: Any, value: Any) -> bool:
    return wanted == value and isinstance(wanted, bool) is isinstance(value, bool)


def _read(event: dict[str, Any], read: str) -> Any:
    if read == "envelope":
        return event
    if read == "raw" and "data_base64" in event:
        return event["data_base64"]
    return event.get("data")
