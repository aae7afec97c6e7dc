"""``try``: catch errors, try again, handle them.

Retries come first: each redoes the whole list of tasks. ``catch.do`` runs when no retry is
left (or none is wanted); without it an error whose retries are used up goes on, and one that is
caught without a retry policy is swallowed: the output is then the task's transformed input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core import events as types
from flunq.core import ids
from flunq.core.duration import SECOND
from flunq.core.execution import faults
from flunq.core.execution.effects import Bury
from flunq.core.execution.faults import TaskError, problem
from flunq.core.execution.fold import CAUGHT
from flunq.core.execution.state import Trying
from flunq.core.execution.suspending import pause_after_errors
from flunq.core.execution.tasks.base import Handler
from flunq.core.letters import dead_letter
from flunq.core.retrying import RetryDelay, delay_before

if TYPE_CHECKING:
    from flunq.core.document.model import Catch, DurationSpec, RetryPolicy, Try
    from flunq.core.execution.commands import Failure
    from flunq.core.execution.state import Frame
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step

ENDLESS_DELAY = SECOND
"""The delay of a policy that gives neither a delay nor a limit, and would spin."""


class TryHandler(Handler):
    """Runs the tasks, and what ``catch`` says when one fails."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Start the first task."""
        spec: Try = step.task.spec
        if not spec.first:
            turn.pass_through(step, step.input)
            return
        members: dict[str, Any] = {"next": spec.first}
        limit = _attempt_limit(turn, step, spec.catch.retry)
        if limit is not None:
            members["attemptDue"] = turn.now + limit
        number = turn.start(step, members)
        if limit is not None:
            turn.arm(f"{number}a1")

    def failed(self, turn: Turn, number: int, frame: Frame, failure: Failure) -> None:
        """Retry, handle, swallow or pass on the error."""
        assert type(frame.local) is Trying
        if frame.local.error is not None:
            turn.fault(number, failure)  # an error of the handler is not caught by its own catch
            return
        reaction = _Reaction(turn, number, frame, frame.local, failure)
        try:
            reaction.choose()
        except TaskError as error:
            reaction.give_up(error.failure)

    def attempt_expired(self, turn: Turn, number: int, frame: Frame, failure: Failure) -> None:
        """Treat a try that took too long like one that failed."""
        self.failed(turn, number, frame, failure)


class _Reaction:
    """What a ``try`` does about one error."""

    def __init__(
        self, turn: Turn, number: int, frame: Frame, trying: Trying, failure: Failure
    ) -> None:
        self.turn = turn
        self.number = number
        self.frame = frame
        self.trying = trying
        self.failure = failure
        self.step = turn.step(frame)
        self.catch: Catch = self.step.task.spec.catch
        self.error = faults.to_data(failure)

    def choose(self) -> None:
        """Find out what to do, then do it; raises TaskError before anything is done."""
        catch = self.catch
        if catch.problem:
            raise problem("configuration", catch.problem)
        if not (self._matches() and self._allowed(catch)):
            self.give_up(self.failure)
            return
        delay = None if catch.retry is None else self._delay(catch.retry)
        if catch.retry is not None and delay is not None:
            self._retry(catch.retry, delay)
        elif catch.handler:
            self._note(catch.handler)
        elif catch.retry is not None:
            self.give_up(self.failure)
        else:
            self._swallow()

    def give_up(self, failure: Failure) -> None:
        """Pass the error on; one that was tried before leaves a letter."""
        tries = self.trying.tries
        if tries > 1:
            self._bury(failure, tries)
        self.turn.fault(self.number, failure, tries)

    def _bury(self, failure: Failure, tries: int) -> None:
        turn, reference = self.turn, self.frame.reference
        failed = failure if failure.instance else faults.at(failure, reference)
        body = {"input": self.frame.effective_input, "error": faults.to_data(failed)}
        name = ids.task_id(turn.state.id, reference, self.frame.path, self.frame.attempt)
        letter = dead_letter(
            "task",
            name,
            msgspec.json.encode(body),
            reason=f"retries are used up: {failed.detail or failed.title or failed.type}",
            now=turn.now,
            source=turn.env.source,
            execution=turn.state.id,
            workflow=str(turn.state.workflow),
            task=reference,
            kind="try",
            attempts=tries,
        )
        turn.effects.append(Bury(execution=turn.state.id, id=letter["id"], letter=letter))

    def _matches(self) -> bool:
        for member, expected in self.catch.filter.items():
            found = self.error.get("detail" if member == "details" else member)
            if found != expected or isinstance(found, bool) is not isinstance(expected, bool):
                return False
        return True

    def _allowed(self, rule: Catch | RetryPolicy) -> bool:
        """Tell whether ``when`` holds, if there is one, and ``exceptWhen`` does not."""
        local = {self.catch.variable: self.error}
        turn, step, error = self.turn, self.step, self.error
        if rule.when is not None and not turn.holds(rule.when, error, step, local=local):
            return False
        return not turn.holds(rule.except_when, error, step, local=local)

    def _delay(self, policy: RetryPolicy) -> int | None:
        """Return how long to wait before the next try, None if there is none."""
        if policy.count is not None and self.trying.tries > policy.count:
            return None
        if not self._allowed(policy):
            return None
        turn, step = self.turn, self.step
        low, high = policy.jitter or (None, None)
        rule = RetryDelay(
            delay=_length(turn, step, policy.delay, default=_default_delay(policy)),
            backoff=policy.backoff,
            jitter_from=_length(turn, step, low),
            jitter_to=_length(turn, step, high),
        )
        seed = ids.step_key(turn.state.id, self.frame.reference, self.frame.path)
        delay = delay_before(rule, self.trying.tries, seed)
        if policy.duration is not None:
            end = turn.duration(policy.duration, step).after(self.frame.started_at)
            if turn.now + delay > end:
                return None
        return delay

    def _retry(self, policy: RetryPolicy, delay: int) -> None:
        turn, number = self.turn, self.number
        members: dict[str, Any] = {"error": self.error, "attempt": self.frame.highest + 1}
        limit = _attempt_limit(turn, self.step, policy)
        if limit is not None:
            members["attemptDue"] = turn.now + delay + limit
        if delay:
            members["due"] = turn.now + delay
        self._disarm_attempt()
        turn.emit_task(types.TASK_RETRIED, "retriedAt", self.frame.reference, number, members)
        for purpose, member in (("a", "attemptDue"), ("r", "due")):
            if member in members:
                turn.arm(f"{number}{purpose}{self.trying.tries}")
        pause_after_errors(turn)

    def _swallow(self) -> None:
        step = self.step
        flow = self.turn.go(step.task.flow)
        outcome = self.turn.conclude(step, step.input)
        self._note("")
        self.turn.complete(self.number, step.task.reference, outcome, flow)

    def _note(self, handler: str) -> None:
        members: dict[str, Any] = {"error": self.error}
        if handler:
            members["next"] = handler
        self._disarm_attempt()
        self.turn.emit_task(CAUGHT, "caughtAt", self.frame.reference, self.number, members)

    def _disarm_attempt(self) -> None:
        timer = f"{self.number}a{self.trying.tries}"
        if timer in self.frame.timers:
            self.turn.disarm(timer)


def _default_delay(policy: RetryPolicy) -> int:
    return ENDLESS_DELAY if policy.count is None else 0


def _length(turn: Turn, step: Step, spec: DurationSpec | None, default: int = 0) -> int:
    return default if spec is None else turn.duration(spec, step).approximate()


def _attempt_limit(turn: Turn, step: Step, policy: RetryPolicy | None) -> int | None:
    if policy is None or policy.attempt_duration is None:
        return None
    return turn.duration(policy.attempt_duration, step).approximate()
