"""``call: asyncapi`` with a ``foreach``: each message is worked on before more are consumed.

The executor is asked for messages again and again, so that what came of one message is recorded,
and in ``$context``, before the conditions of ``consume`` are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.execution.fold import FETCHED, FETCHING, ITERATED, MESSAGE
from flunq.core.execution.state import Subscribing
from flunq.core.execution.tasks.call import CallHandler
from flunq.core.execution.tasks.listen import Iteration

if TYPE_CHECKING:
    from flunq.core.document.model import Subscription
    from flunq.core.execution.state import Frame, Return, Settle
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step

MOST_AT_ONCE = 100


class SubscriptionHandler(CallHandler):
    """Asks for messages until there are enough."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Ask for the first messages."""
        spec: Subscription = step.task.spec
        if _has_enough(spec, 0) or turn.holds(spec.until, [], step):
            turn.pass_through(step, [])
            return
        ends = None if spec.length is None else turn.duration(spec.length, step).after(turn.now)
        members = self._fetch(turn, step, Subscribing(ends=ends, fetches=0))
        members["foreach"] = spec.foreach.first
        if ends is not None:
            members["ends"] = ends
        turn.start(step, members)
        self.send(turn, members["dispatch"]["id"])

    def settled(self, turn: Turn, number: int, frame: Frame, item: Settle) -> None:
        """Put the messages in line; none means that the time is over."""
        if item.failure is not None:
            turn.fault(number, item.failure)
            return
        messages = item.output if isinstance(item.output, list) else []
        for message in messages:
            turn.size += turn.size_of(message)
        for message in messages:
            turn.emit_task(MESSAGE, "consumedAt", frame.reference, number, {"value": message})
        members = {} if messages else {"done": True}
        turn.emit_task(FETCHED, "fetchedAt", frame.reference, number, members)

    def woken(self, turn: Turn, number: int, frame: Frame) -> None:
        """Ask for more, or complete with what came of the messages."""
        local = frame.local
        assert type(local) is Subscribing
        step = turn.step(frame)
        if local.closed:
            turn.finish(step, number, list(local.outputs))
            return
        step.timeout = turn.state.timers.get(f"{number}t")
        members = self._fetch(turn, step, local)
        turn.emit_task(FETCHING, "awaitedAt", frame.reference, number, members)
        self.send(turn, members["dispatch"]["id"])

    def returned(self, turn: Turn, number: int, frame: Frame, item: Return) -> None:
        """Note what came of one message; the next one follows."""
        iteration = Iteration(turn, frame)
        members = iteration.conclude(item.output)
        if "done" not in members and _is_last(iteration, members):
            members["done"] = True
        turn.size += turn.size_of(members["output"])
        turn.emit_task(ITERATED, "iteratedAt", frame.reference, number, members)

    def _fetch(self, turn: Turn, step: Step, local: Subscribing) -> dict[str, Any]:
        """Return a dispatch; each has an id of its own, and all have the step's key."""
        spec: Subscription = step.task.spec
        batch: dict[str, Any] = {"limit": 1}
        if spec.amount is not None:
            left = spec.amount - len(local.outputs)
            batch["limit"] = min(left, MOST_AT_ONCE)
            batch["last"] = left <= MOST_AT_ONCE
        if local.ends is not None:
            batch["ends"] = local.ends
        arguments = {**self.arguments(turn, step), "batch": batch}
        dispatch = self.dispatch(turn, step, spec.executor, arguments)
        if local.fetches:
            parent = turn.state.frames[step.parent]
            path = f"{parent.scope}+{local.fetches}"
            dispatch["id"] = turn.task_id(step.task.reference, path, parent.attempt)
        turn.size += turn.size_of(arguments)
        return {"dispatch": dispatch}


def _is_last(iteration: Iteration, members: dict[str, Any]) -> bool:
    spec: Any = iteration.spec
    count = len(iteration.local.outputs) + 1
    if _has_enough(spec, count):
        return True
    exported = {"context": members["context"]} if "context" in members else None
    consumed = iteration.local.consumed[:count]
    turn, step = iteration.turn, iteration.step
    return spec.condition is not None and not turn.holds(
        spec.condition, consumed, step, local=exported
    )


def _has_enough(spec: Subscription, count: int) -> bool:
    return spec.amount is not None and count >= spec.amount
