"""Runs a workflow through ``decide`` with a virtual clock and scripted executors.

Every event is also folded into a second state, which must stay equal to the live one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jq  # type: ignore[import-not-found]
import msgspec
import yaml

from flunq.core.document.compiler import compile_workflow
from flunq.core.events import CloudEvent
from flunq.core.execution.commands import Cancel, Command, Continue, Failure, Fire, Report, Start
from flunq.core.execution.decide import Decision, Environment, decide
from flunq.core.execution.effects import (
    Arm,
    Bury,
    Disarm,
    Dispatch,
    Effect,
    Finish,
    Publish,
    Tell,
    Withdraw,
)
from flunq.core.execution.fold import fold
from flunq.core.execution.state import State, decode_state, encode_state
from flunq.core.expressions import Answer, Need

EPOCH = 1_700_000_000_000_000
HEADER = {"dsl": "1.0.3", "namespace": "test", "name": "sample", "version": "1.0.0"}
BASE = "https://serverlessworkflow.io/spec/1.0.0/errors/"

Executor = Callable[[Dispatch], Any]


def document(text: str) -> dict[str, Any]:
    """Read a document body in YAML and put the usual header on it."""
    return {"document": HEADER, **yaml.safe_load(text)}


def environment(value: dict[str, Any]) -> Environment:
    """Return the surroundings of an execution of a document."""
    return Environment(
        workflow=compile_workflow(value, "digest"),
        tenant="default",
        partition=0,
        source="/flunq/test",
        runtime={"name": "flunq", "version": "test", "metadata": {}},
    )


def answer(need: Need) -> Answer:
    """Evaluate with the reference implementation of jq."""
    try:
        found = jq.compile(need.program, args=dict(need.variables)).input_value(need.input).all()
    except ValueError as error:
        return Answer(error=str(error))
    return Answer(value=found[0] if found else None)


class Driver:
    """One execution, driven to its end or step by step."""

    def __init__(
        self,
        text: str | dict[str, Any],
        input: Any = None,
        results: Mapping[str, Any] | Executor | None = None,
    ) -> None:
        value = document(text) if isinstance(text, str) else text
        self.env = environment(value)
        self.results = results if results is not None else {}
        self.now = EPOCH
        self.state: State | None = None
        self.folded: State | None = None
        self.events: list[CloudEvent] = []
        self.commits: list[int] = []
        """How many events there were after each decision that made some."""
        self.published: list[dict[str, Any]] = []
        self.finished: list[Finish] = []
        self.buried: list[dict[str, Any]] = []
        self.dispatched: list[Dispatch] = []
        self.withdrawn: list[str] = []
        self.told: list[Start | Cancel | Report] = []
        """What other executions were told."""
        self.queue: list[Dispatch] = []
        self.open: set[str] = set()
        self.limit = 1_000
        """How often an execution may go on by itself before it is cancelled."""
        self.timers: dict[str, int] = {}
        self.answers: dict[str, Answer] = {}
        self.start = Start(id="x1", workflow=self.env.workflow.ref, input=input)

    def send(self, command: Command) -> Decision:
        """Give one command and whatever ``Continue`` it needs; return the first decision."""
        first = decision = self._decide(command)
        calls = 0
        while decision.need is not None or decision.more:
            calls += 1
            if calls > self.limit:
                return decision if self.done else self._decide(Cancel(id="x1"))
            if decision.need is not None:
                self.answers[decision.need.key] = answer(decision.need)
            decision = self._decide(Continue(id="x1"))
        return first

    def _decide(self, command: Command) -> Decision:
        self.state, decision = decide(self.state, command, self.now, self.env, self.answers)
        for event in decision.events:
            stored = msgspec.json.decode(msgspec.json.encode(event), type=CloudEvent)
            self.folded = fold(self.folded, stored)
        self.events += decision.events
        if decision.events:
            self.commits.append(len(self.events))
        assert self.folded is not None
        assert msgspec.json.encode(self.state) == msgspec.json.encode(self.folded)
        for effect in decision.effects:
            self._release(effect)
        self._check(decision)
        return decision

    def _check(self, decision: Decision) -> None:
        """The world's open ends are the state's, and the history has no gap."""
        assert self.timers == self.live.timers
        assert self.open == set(self.live.tasks)
        assert [event.seq for event in self.events] == list(range(1, self.live.seq + 1))
        unfinished = decision.more or decision.need is not None or self.live.suspended
        assert unfinished or not self.live.ready

    def _release(self, effect: Effect) -> None:
        if isinstance(effect, Dispatch):
            self.open.add(effect.task)
            self.dispatched.append(effect)
            self.queue.append(effect)
        elif isinstance(effect, Withdraw):
            self.open.remove(effect.task)
            self.withdrawn.append(effect.task)
            self.queue = [task for task in self.queue if task.task != effect.task]
        elif isinstance(effect, Arm):
            self.timers[effect.timer] = effect.due
        elif isinstance(effect, Disarm):
            self.timers.pop(effect.timer)
        elif isinstance(effect, Publish):
            self.published.append(effect.event)
        elif isinstance(effect, Tell):
            self._tell(effect.command)
        elif isinstance(effect, Bury):
            self.buried.append(effect.letter)
        else:
            self.finished.append(effect)

    def _tell(self, command: Start | Cancel | Report) -> None:
        self.told.append(command)
        if isinstance(command, Start) and command.parent_task:
            self.open.add(command.id)
        elif isinstance(command, Cancel):
            self.open.remove(command.id)

    def begin(self) -> Driver:
        """Start the execution."""
        self.send(self.start)
        return self

    def report(self, task: str, outcome: Any) -> Decision:
        """Report on a task: a Failure or an output."""
        self.open.discard(task)
        if isinstance(outcome, Failure):
            return self.send(Report(id="x1", task=task, failure=outcome))
        return self.send(Report(id="x1", task=task, output=outcome))

    def work(self) -> None:
        """Let the scripted executor do the oldest open task."""
        task = self.queue.pop(0)
        self.report(task.task, self._outcome(task))

    def _outcome(self, task: Dispatch) -> Any:
        if callable(self.results):
            return self.results(task)
        outcome = self.results[task.kind.removeprefix("function:")]
        if isinstance(outcome, list):
            return outcome.pop(0) if len(outcome) > 1 else outcome[0]
        return outcome(task) if callable(outcome) else outcome

    def fire(self) -> None:
        """Let the clock run to the next timer and fire it."""
        due, timer = min((due, timer) for timer, due in self.timers.items())
        del self.timers[timer]
        self.now = max(self.now, due)
        self.send(Fire(id="x1", timer=timer))

    def run(self) -> Driver:
        """Start and go on until nothing is left to do."""
        if self.state is None:
            self.begin()
        while not self.done and (self.queue or self.timers):
            if self.queue:
                self.work()
            else:
                self.fire()
        return self

    def reload(self) -> None:
        """Replace the live state by one that was written and read."""
        assert self.state is not None
        self.state = decode_state(encode_state(self.state))

    @property
    def live(self) -> State:
        """The live state."""
        assert self.state is not None
        return self.state

    @property
    def done(self) -> bool:
        """Whether the execution has ended."""
        return self.live.is_terminal

    @property
    def output(self) -> Any:
        """The output of an execution that must have completed."""
        assert self.live.status == "completed", (self.live.status, self.live.failure)
        return self.live.output

    @property
    def failure(self) -> Failure:
        """The error of an execution that must have faulted."""
        assert self.live.status == "faulted", (self.live.status, self.live.output)
        assert self.live.failure is not None
        return self.live.failure

    def types(self) -> list[str]:
        """Return the events so far, short: ``task.started /do/0/x``."""
        return [brief(event) for event in self.events]

    def started(self) -> list[str]:
        """Return the names of the started tasks in order."""
        return [
            event.data["task"].rsplit("/", 1)[1]
            for event in self.events
            if event.type.endswith("task.started.v1")
        ]


def brief(event: CloudEvent) -> str:
    """Return an event's type without prefix and version, and its task."""
    name = event.type.removeprefix("io.serverlessworkflow.").removeprefix("io.flunq.")
    name = name.removesuffix(".v1")
    return f"{name} {event.data['task']}" if "task" in event.data else name


def run(text: str, input: Any = None, results: Any = None) -> Driver:
    """Run a document to its end."""
    return Driver(text, input, results).run()


def error(kind: str, status: int = 500, **members: Any) -> Failure:
    """Return a standard error as an executor reports it."""
    return Failure(type=BASE + kind, status=status, **members)
