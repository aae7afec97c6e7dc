"""``listen``: wait for events.

Its owner delivers the events that may be meant; the execution itself checks them, so that
conditions and correlation see its data. The output is always an array.
"""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core import events as types
from flunq.core.execution.faults import TaskError
from flunq.core.execution.fold import CONSUMED, DISMISSED, ITERATED, REGISTERED
from flunq.core.execution.matching import fits
from flunq.core.execution.state import Listening
from flunq.core.execution.tasks.base import Handler
from flunq.core.execution.variables import EXPORT

if TYPE_CHECKING:
    from flunq.core.document.model import EventFilter, Iterator, Listen, Subscription
    from flunq.core.execution.state import Frame, Return, State
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step


class ListenHandler(Handler):
    """Consumes one, any or all of the events it listens to.

    With a ``foreach`` the consumed events are a queue, worked off one after the other; then the
    condition of ``until`` is looked at after each of them, and what is queued behind the one that
    meets it was never consumed.
    """

    def enter(self, turn: Turn, step: Step) -> None:
        """Register with the router."""
        spec: Listen = step.task.spec
        if spec.mode == "all" and not spec.filters:
            turn.pass_through(step, [])
            return
        listener = f"{turn.state.seq + 1}l"
        members = {"listener": listener}
        if spec.foreach is not None:
            members["foreach"] = spec.foreach.first
        number = turn.start(step, members)
        reference = step.task.reference
        turn.emit_task(REGISTERED, "registeredAt", reference, number, {"listener": listener})
        if spec.correlates:
            turn.emit(types.CORRELATION_STARTED, {"name": turn.name, "startedAt": turn.time})

    def woken(self, turn: Turn, number: int, frame: Frame) -> None:
        """Complete with the consumed events, or with what came of them."""
        local = frame.local
        assert type(local) is Listening
        turn.finish(turn.step(frame), number, list(local.outputs if local.each else local.consumed))

    def returned(self, turn: Turn, number: int, frame: Frame, item: Return) -> None:
        """Note what came of one event; the next one follows."""
        members = Iteration(turn, frame).conclude(item.output)
        turn.size += turn.size_of(members["output"])
        turn.emit_task(ITERATED, "iteratedAt", frame.reference, number, members)

    def considered(self, turn: Turn, number: int, frame: Frame, event: dict[str, Any]) -> bool:
        """Consume an event if it meets a filter; False if it has to be considered again."""
        try:
            members = _Consumption(turn, frame).consume(event)
        except TaskError as error:
            if not turn.interrupt(number):
                return False
            turn.fault(number, error.failure)
            return True
        if members is not None:
            turn.size += turn.size_of(members.get("value"))
            turn.emit_task(CONSUMED, "consumedAt", frame.reference, number, members)
            if "done" in members and turn.task(frame.reference).spec.correlates:
                _tell_correlation(turn, frame)
        elif turn.item is not None:
            turn.emit_task(DISMISSED, "dismissedAt", frame.reference, number)
        return True


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


def _tell_correlation(turn: Turn, frame: Frame) -> None:
    assert type(frame.local) is Listening
    data: dict[str, Any] = {"name": turn.name, "completedAt": turn.time}
    if frame.local.expected:
        data["correlationKeys"] = dict(frame.local.expected)
    turn.emit(types.CORRELATION_COMPLETED, data)


class Iteration:
    """The end of the work on one event, or one message, of a ``foreach``."""

    def __init__(self, turn: Turn, frame: Frame) -> None:
        assert isinstance(frame.local, Listening)
        self.turn = turn
        self.local = frame.local
        self.step = turn.step(frame)
        self.spec: Listen | Subscription = self.step.task.spec

    def conclude(self, output: Any) -> dict[str, Any]:
        """Return what follows from the output of the event's tasks."""
        index = len(self.local.outputs)
        iterator = self.spec.foreach
        assert iterator is not None
        names = {iterator.item: self.local.consumed[index], iterator.at: index}
        members = self._transformed(iterator, output, names)
        consumed = self.local.consumed[: index + 1]
        exported = {"context": members["context"]} if "context" in members else None
        if not self.local.closed and self.turn.holds(
            self.spec.until, consumed, self.step, local=exported
        ):
            members["done"] = True
        return members

    def _transformed(self, iterator: Iterator, raw: Any, names: dict[str, Any]) -> dict[str, Any]:
        turn, step = self.turn, self.step
        step.raw_output = step.output = raw
        if iterator.output.transform is not None:
            step.output = turn.evaluate(iterator.output.transform, raw, step, local=names)
        if iterator.output.schema is not None:
            turn.validate(iterator.output.schema, step.output, "output of an event")
        members = {"output": step.output}
        if iterator.export.transform is not None:
            export = iterator.export.transform
            members["context"] = turn.evaluate(export, step.output, step, EXPORT, names)
            turn.size_of(members["context"])
        if iterator.export.schema is not None:
            context = members.get("context", turn.state.context)
            turn.validate(iterator.export.schema, context, "context")
        return members


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
        spec, local = self.spec, self.local
        found = self._meets(spec.until_filters, spec.until_mode, local.ended, event)
        if found is not None:
            members = {"key": event_key(event), "until": found[0], "expected": found[1]}
            if spec.until_mode != "all" or len(local.ended) + 1 == len(spec.until_filters):
                members["done"] = True
            return members
        found = self._meets(spec.filters, spec.mode, local.filled, event)
        if found is None and not spec.filters:
            found = (-1, {})
        return None if found is None else self._taken(event, *found)

    def _taken(self, event: dict[str, Any], number: int, expected: dict[str, Any]) -> Any:
        value = _read(event, self.spec.read)
        members: dict[str, Any] = {"value": value, "key": event_key(event), "filter": number}
        if expected:
            members["expected"] = expected
        if self._is_done(value):
            members["done"] = True
        return members

    def _meets(
        self,
        filters: tuple[EventFilter, ...],
        mode: str,
        filled: list[int],
        event: dict[str, Any],
    ) -> tuple[int, dict[str, Any]] | None:
        for number, event_filter in enumerate(filters):
            if mode == "all" and number in filled:
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
                wanted = value
            if not _agree(wanted, value):
                return None
            new[correlation.key] = value
        return new

    def _is_done(self, value: Any) -> bool:
        spec, local = self.spec, self.local
        if spec.mode == "all":
            return len(local.filled) + 1 == len(spec.filters)
        if spec.until is None:
            return not spec.until_filters
        if local.each:
            return False
        return self.turn.holds(spec.until, [*local.consumed, value], self.step)


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
    if "data_base64" not in event:
        return event.get("data")
    return event["data_base64"] if read == "raw" else _decoded(event)


def _decoded(event: dict[str, Any]) -> Any:
    """Return binary data as what it says it is; in base64 if that is nothing readable."""
    encoded = event["data_base64"]
    media_type = str(event.get("datacontenttype", "")).partition(";")[0].strip().lower()
    try:
        if media_type.endswith("json"):
            return msgspec.json.decode(b64decode(encoded))
        if media_type.startswith("text/") or media_type.endswith("xml"):
            return b64decode(encoded).decode()
    except (ValueError, TypeError, RecursionError):
        return encoded
    return encoded
