"""Random workflow documents, each with a reference that says what it must result in.

The reference is a second, tiny interpreter: a Python function built beside each task. It knows
nothing of events, owners or time; where time decides (the fastest branch, a deadline that may be
missed) it tells all outcomes that are right.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from random import Random
from typing import Any

import msgspec

TOLD, RUNG = "sim.told", "sim.rung"
"""Types of events that executions emit, and of those that they listen to."""
RUNG_N = 11
"""``n`` of every event that is rung."""
HOURS = "hours"
"""The profile of documents that wait for hours."""


class RaisedError(Exception):
    """The reference came to a fault."""


class Oracle:
    """Answers the reference's questions about timing: one path through all possible choices."""

    def __init__(self, start: int, path: tuple[int, ...] = ()) -> None:
        self.start = start
        """The workflow's input."""
        self.calls = 0
        """Steps whose effect must have happened."""
        self.listens = False
        """An event was waited for."""
        self.exact = True
        """No choice was asked for: ``calls`` is the number of steps, not only the least."""
        self.open: list[tuple[int, ...]] = []
        """Paths that are still to be explored."""
        self._path = path
        self._asked = 0

    def choose(self, options: int) -> int:
        """Return one of ``options``; note the others."""
        self.exact = False
        if self._asked < len(self._path):
            chosen = self._path[self._asked]
        else:
            chosen = 0
            self.open += [(*self._path, other) for other in range(1, options)]
            self._path = (*self._path, 0)
        self._asked += 1
        return chosen


Reference = Callable[[int, Oracle], int]


class Block(msgspec.Struct, frozen=True):
    """One task with its reference."""

    task: dict[str, Any]
    result: Reference


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What an execution may end in."""

    outputs: frozenset[int | None]
    """Values of ``n``; None stands for a fault."""
    calls: int | None
    """How many steps have an effect; None when timing decides."""
    listens: bool
    """It may wait for events."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A document and its reference."""

    name: str
    document: dict[str, Any]
    result: Reference

    @property
    def text(self) -> str:
        """Return the document as JSON, which is YAML too."""
        return msgspec.json.encode(self.document).decode()

    def expected(self, n: int) -> Expected:
        """Return everything that the execution with input ``n`` may end in."""
        outputs: set[int | None] = set()
        calls: int | None = None
        listens = False
        paths: list[tuple[int, ...]] = [()]
        while paths:
            oracle = Oracle(n, paths.pop())
            try:
                outputs.add(self.result(n, oracle))
            except RaisedError:
                outputs.add(None)
            calls = oracle.calls if oracle.exact else None
            listens = listens or oracle.listens
            paths += oracle.open
        return Expected(outputs=frozenset(outputs), calls=calls, listens=listens)


def stepped(n: int) -> int:
    """Return what the function ``step`` makes of ``n``."""
    return (n * 3 + 1) % 1000


class Author:
    """Writes one document."""

    def __init__(self, random: Random, profile: str = "") -> None:
        self._random = random
        self._profile = profile
        self._names = 0

    def name(self) -> str:
        """Return a fresh task name."""
        self._names += 1
        return f"t{self._names}"

    def block(self, depth: int) -> Block:
        """Return a random task."""
        flat: list[Callable[[], Block]] = [
            self.step,
            self.step,
            self.step,
            self.add,
            self.wait,
            self.pick,
            self.bulky,
            self.flaky,
            self.spared,
            self.overdue,
            self.tell,
        ]
        if self._profile != HOURS:
            flat += [self.hear, self.gather]
        deep: list[Callable[[int], Block]] = [
            self.sequence,
            self.each,
            self.fork,
            self.race,
            self.in_time,
        ]
        if depth > 0 and self._random.random() < 0.35:
            return self._random.choice(deep)(depth - 1)
        return self._random.choice(flat)()

    # -- flat ------------------------------------------------------------------------------------

    def step(self) -> Block:
        """Call a function."""
        return Block({"call": "step", "with": {"n": "${ .n }"}}, _call)

    def add(self) -> Block:
        """Set a value."""
        k = self._random.randrange(1, 50)
        return Block({"set": {"n": f"${{ .n + {k} }}"}}, lambda n, _: n + k)

    def wait(self) -> Block:
        """Wait a while."""
        return Block({"wait": self._duration()}, lambda n, _: n)

    def _duration(self) -> dict[str, int]:
        if self._profile == HOURS:
            return {"minutes": self._random.choice([30, 75, 150])}
        return {"milliseconds": self._random.choice([5, 50, 400, 1500, 5000])}

    def pick(self) -> Block:
        """Switch on a value."""
        choose, even, odd = self.name(), self.name(), self.name()
        cases = [
            {"even": {"when": "${ .n % 2 == 0 }", "then": even}},
            {"other": {"then": odd}},
        ]
        tasks = [
            {choose: {"switch": cases}},
            {even: {"set": {"n": "${ .n / 2 }"}, "then": "exit"}},
            {odd: {"call": "step", "with": {"n": "${ .n }"}}},
        ]
        return Block({"do": tasks}, lambda n, o: n // 2 if n % 2 == 0 else _call(n, o))

    def bulky(self) -> Block:
        """Call a function with a large argument and a large result."""
        task = {
            "call": "bulky",
            "with": {"n": "${ .n }", "pad": "x" * 2000},
            "output": {"as": "${ {n: .n} }"},
        }

        def result(n: int, oracle: Oracle) -> int:
            oracle.calls += 1
            return n + 1

        return Block(task, result)

    def flaky(self) -> Block:
        """Call a function that fails at first."""
        fails = self._random.randrange(1, 3)
        call = {"call": "flaky", "with": {"n": "${ .n }", "fails": fails}}
        retry: dict[str, Any] = {"limit": {"attempt": {"count": fails + 1}}}
        if self._random.random() < 0.8:
            retry["delay"] = {"milliseconds": self._random.choice([10, 300, 2000])}
            retry["backoff"] = {"exponential": {}}
        return Block({"try": [{self.name(): call}], "catch": {"retry": retry}}, _call)

    def spared(self) -> Block:
        """Catch an error and do something else."""
        call = {"call": "flaky", "with": {"n": "${ .n }", "fails": 99}}
        handler = [{self.name(): {"set": {"n": 7}}}]

        def result(n: int, oracle: Oracle) -> int:
            oracle.calls += 1
            return 7

        return Block({"try": [{self.name(): call}], "catch": {"do": handler}}, result)

    def overdue(self) -> Block:
        """Run into a deadline, and catch that."""
        wait: dict[str, Any] = {"hours": 9}
        inner = {"wait": wait, "timeout": {"after": {"milliseconds": 700}}}
        handler = [{self.name(): {"set": {"n": "${ $workflow.input.n + 5 }"}}}]
        task = {"try": [{self.name(): inner}], "catch": {"do": handler}}
        return Block(task, lambda _, oracle: oracle.start + 5)

    def tell(self) -> Block:
        """Emit an event."""
        event = {"source": "https://example.com/sim", "type": TOLD, "data": {"n": "${ .n }"}}
        if self._random.random() < 0.3:
            event["data"] = {"n": "${ .n }", "pad": "e" * 1500}
        emit = {"emit": {"event": {"with": event}}, "output": {"as": "${ .data.n | {n: .} }"}}
        return Block(emit, lambda n, _: n)

    def hear(self) -> Block:
        """Wait for one event that is meant for this execution."""
        task = {"listen": {"to": {"one": _rung()}}, "output": {"as": "${ {n: .[0].n} }"}}
        return Block(task, _hear)

    def gather(self) -> Block:
        """Wait for several."""
        wanted = self._random.randrange(2, 4)
        to = {"any": [_rung()], "until": f"${{ length >= {wanted} }}"}
        task = {"listen": {"to": to}, "output": {"as": "${ {n: .[-1].n} }"}}
        return Block(task, _hear)

    def loop(self) -> Block:
        """Go round more often than one decision may."""
        again, look = self.name(), self.name()
        rounds = self._random.randrange(10, 40)
        tasks = [
            {self.name(): {"set": {"n": "${ .n }", "i": 0}}},
            {again: {"set": {"n": "${ .n + 1 }", "i": "${ .i + 1 }"}}},
            {look: {"switch": [{"more": {"when": f"${{ .i < {rounds} }}", "then": again}}]}},
        ]
        return Block({"do": tasks, "output": {"as": "${ {n: .n} }"}}, lambda n, _: n + rounds)

    def failing(self) -> Block:
        """Raise an error that nobody catches."""
        error = {"type": "https://example.com/broken", "status": 500, "title": "Broken"}

        def result(n: int, oracle: Oracle) -> int:
            raise RaisedError

        return Block({"raise": {"error": error}}, result)

    # -- deep ------------------------------------------------------------------------------------

    def tasks(self, count: int, depth: int) -> tuple[list[dict[str, Any]], Reference]:
        """Return a list of tasks and the reference of all of them."""
        blocks = [self.block(depth) for _ in range(count)]

        def result(n: int, oracle: Oracle) -> int:
            for block in blocks:
                n = block.result(n, oracle)
            return n

        return [{self.name(): block.task} for block in blocks], result

    def sequence(self, depth: int) -> Block:
        """Nest tasks."""
        tasks, result = self.tasks(2, depth)
        return Block({"do": tasks}, result)

    def each(self, depth: int) -> Block:
        """Repeat tasks for some items."""
        items = [self._random.randrange(9) for _ in range(self._random.randrange(1, 4))]
        call = {"call": "step", "with": {"n": "${ .n + $item }"}}
        task = {"for": {"each": "item", "in": f"${{ {items} }}"}, "do": [{self.name(): call}]}

        def result(n: int, oracle: Oracle) -> int:
            for item in items:
                n = _call(n + item, oracle)
            return n

        return Block(task, result)

    def fork(self, depth: int) -> Block:
        """Do several things at the same time and add up."""
        blocks = [self.block(depth) for _ in range(self._random.randrange(1, 4))]
        branches = [{self.name(): block.task} for block in blocks]
        task = {"fork": {"branches": branches}, "output": {"as": "${ {n: (map(.n) | add)} }"}}
        return Block(task, lambda n, oracle: sum(b.result(n, oracle) for b in blocks))

    def race(self, depth: int) -> Block:
        """Do several things and take the first result."""
        blocks = [self.block(0) for _ in range(2)]
        branches = [{self.name(): block.task} for block in blocks]
        task = {"fork": {"branches": branches, "compete": True}}
        return Block(task, lambda n, o: blocks[o.choose(2)].result(n, o))

    def in_time(self, depth: int) -> Block:
        """Call a slow function under a deadline that it may miss."""
        call = {"call": "slow", "with": {"n": "${ .n }"}, "timeout": {"after": {"seconds": 2}}}
        handler = [{self.name(): {"set": {"n": 3}}}]
        task = {"try": [{self.name(): call}], "catch": {"do": handler}}
        return Block(task, lambda n, o: 3 if o.choose(2) else _call(n, o))

    def document(self, name: str) -> Sample:
        """Return a whole document."""
        tasks, body = self.tasks(self._random.randrange(1, 5), 2)
        extras = [self.loop] * 2 + [self.failing]
        last: Reference | None = None
        if self._random.random() < 0.15:
            extra = self._random.choice(extras)()
            tasks.append({self.name(): extra.task})
            last = extra.result

        def result(n: int, oracle: Oracle) -> int:
            n = body(n, oracle)
            return n if last is None else last(n, oracle)

        head = {"dsl": "1.0.3", "namespace": "sim", "name": name, "version": "1.0.0"}
        return Sample(name=name, document={"document": head, "do": tasks}, result=result)


def _call(n: int, oracle: Oracle) -> int:
    oracle.calls += 1
    return stepped(n)


def _hear(_: int, oracle: Oracle) -> int:
    oracle.listens = True
    return RUNG_N


def _rung() -> dict[str, Any]:
    return {"with": {"type": RUNG, "subject": "${ $workflow.id }"}}


@lru_cache(maxsize=1024)
def sample(number: int, profile: str = "") -> Sample:
    """Return the document with a number; the same in every run."""
    prefix = "h" if profile == HOURS else "d"
    name = f"{prefix}{number}"
    random = Random(f"flunq {name}")  # noqa: S311 - documents, not secrets
    return Author(random, profile).document(name)
