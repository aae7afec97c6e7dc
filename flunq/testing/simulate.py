"""One seed, one run: ``python -m flunq.testing.simulate --seed N [--verbose] [--defect NAME]``.

A whole cluster on the memory backend in virtual time: production nodes, owners, executors and
clients, with everything going wrong that one seed says. Afterwards the invariants are checked.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import logging
import random
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import lru_cache
from typing import Any
from unittest.mock import patch

import msgspec

from flunq.core.document.compiler import compile_workflow
from flunq.core.execution import decide as deciding
from flunq.core.reading import read_document
from flunq.services import catalog
from flunq.services.worker import commit, definitions, owner, trimming
from flunq.testing.clock import PROCESS, StuckError, VirtualClock, VirtualLoop, run_virtually
from flunq.testing.cluster import Cluster
from flunq.testing.faults import Wire
from flunq.testing.scenario import Scenario, draw

PATIENCE = 900_000
"""Callbacks of one run; the longest waits take 500,000, a usual run 3,000."""

Defect = Callable[[], AbstractContextManager[None]]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to."""

    seed: int
    problems: list[str]
    digest: str
    """The same for every run of the same seed."""
    operations: int
    repeats: int
    """Effects that happened more than once (allowed, under one key)."""
    errors: list[BaseException]

    @property
    def command(self) -> str:
        """Return what repeats this run."""
        return f"python -m flunq.testing.simulate --seed {self.seed}"


def simulate(
    seed: int, *, defect: Defect | None = None, tell: Callable[[str], None] | None = None
) -> Outcome:
    """Run one seed."""
    outcome = _simulate(seed, defect, tell)
    if outcome.problems:
        # A run that broke off leaves coroutines behind; what they say as they go is of no use.
        with patch.object(sys, "unraisablehook", lambda _: None):
            gc.collect()
    return outcome


def scenario_of(seed: int) -> Scenario:
    """Return what the run of a seed does to its cluster."""
    return _drawn(seed)[1]


def _drawn(seed: int) -> tuple[random.Random, Scenario]:
    source = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    luck = random.Random(source.random())  # noqa: S311 - likewise
    return luck, draw(source)


def _simulate(seed: int, defect: Defect | None, tell: Callable[[str], None] | None) -> Outcome:
    luck, scenario = _drawn(seed)
    loop = VirtualLoop(patience=PATIENCE)
    clock = VirtualClock(loop)
    wire = Wire(loop, clock.now, luck)
    wire.tell = tell
    cluster = Cluster(loop, wire, scenario.shape, seed)
    known = random.getstate()
    random.seed(seed)
    collecting = gc.isenabled()
    gc.disable()
    try:
        with _surroundings(cluster), nullcontext() if defect is None else defect():
            problems = _run(scenario.run(cluster), loop)
    finally:
        random.setstate(known)
        if collecting:
            gc.enable()
    unnoticed = loop.unnoticed()
    problems += [_failure(context) for context in loop.failures]
    problems += [f"a task failed: {error!r}" for error in unnoticed]
    wire.note("; ".join(problems))
    tasks = [effect.task for effect in cluster.ledger.effects]
    return Outcome(
        seed=seed,
        problems=problems,
        digest=wire.digest.hexdigest(),
        operations=wire.operations,
        repeats=len(tasks) - len(set(tasks)),
        errors=[*cluster.errors, *unnoticed],
    )


def _run(scenario: Coroutine[Any, Any, list[str]], loop: VirtualLoop) -> list[str]:
    try:
        return run_virtually(scenario, loop)
    except StuckError as error:
        return [f"the cluster never came to rest: {error}"]


def _failure(context: dict[str, Any]) -> str:
    error = context.get("exception")
    return f"nobody caught {error!r}: {context.get('message')}"


@lru_cache(maxsize=2048)
def _compiled(digest: str, text: str) -> Any:
    return compile_workflow(msgspec.json.decode(text), digest)


@lru_cache(maxsize=2048)
def _read(text: str) -> Any:
    return read_document(text, name="document")


@contextmanager
def _surroundings(cluster: Cluster) -> Iterator[None]:
    """Replace what is slow or constant in production; the engine's code stays as it is."""

    def crash_point(name: str) -> None:
        cluster.wire.passed(PROCESS.get(), name, "before")

    def compiled(value: dict[str, Any], digest: str, *_: Any) -> Any:
        return _compiled(digest, msgspec.json.encode(value).decode())

    with ExitStack() as stack:
        for module in (commit, owner):
            stack.enter_context(patch.object(module, "crash_point", crash_point))
        stack.enter_context(patch.object(definitions, "compile_workflow", compiled))
        stack.enter_context(patch.object(catalog, "read_document", lambda text, name: _read(text)))
        stack.enter_context(patch.object(trimming, "LAG", 20))
        stack.enter_context(patch.object(deciding, "MAX_TRANSITIONS", 24))
        stack.enter_context(_listening(cluster))
        yield


class _Ear(logging.Handler):
    """Takes what the engine logs as an error for a problem, unless its process is dead."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(logging.ERROR if cluster.wire.tell is None else logging.INFO)
        self._cluster = cluster

    def emit(self, record: logging.LogRecord) -> None:
        process = PROCESS.get()
        if process is not None and not process.alive:
            return
        self._cluster.wire.note(f"log: {record.getMessage()}")
        if record.levelno >= logging.ERROR:
            self._cluster.problems.append(f"logged: {record.getMessage()}")
            if record.exc_info and record.exc_info[1] is not None:
                self._cluster.errors.append(record.exc_info[1])


@contextmanager
def _listening(cluster: Cluster) -> Iterator[None]:
    logger = logging.getLogger("flunq")
    ear = _Ear(cluster)
    propagate, level = logger.propagate, logger.level
    logger.addHandler(ear)
    logger.propagate = False
    logger.setLevel(ear.level)
    try:
        yield
    finally:
        logger.removeHandler(ear)
        logger.propagate = propagate
        logger.setLevel(level)


def find_defect(name: str, module: str = "tests.simulation.defects") -> Defect:
    """Return a deliberate defect by name."""
    defects: dict[str, Defect] = importlib.import_module(module).DEFECTS
    if name not in defects:
        raise SystemExit(f"unknown defect {name}; there are: {', '.join(sorted(defects))}")
    return defects[name]


def main(arguments: list[str] | None = None) -> int:
    """Repeat seeds and print what happened."""
    parser = argparse.ArgumentParser(prog="python -m flunq.testing.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=1, help="go on with the following seeds")
    parser.add_argument("--verbose", action="store_true", help="print every operation")
    parser.add_argument("--defect", help="switch a deliberate defect on")
    options = parser.parse_args(arguments)
    defect = find_defect(options.defect) if options.defect else None
    tell = _say if options.verbose else None
    failed = 0
    for seed in range(options.seed, options.seed + options.count):
        outcome = simulate(seed, defect=defect, tell=tell)
        failed += bool(outcome.problems)
        if options.count == 1 or outcome.problems:
            _print(outcome)
    _say(f"{options.count - failed} passed, {failed} failed")
    return 1 if failed else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _print(outcome: Outcome) -> None:
    _say(
        f"seed {outcome.seed}: {outcome.operations} operations, {outcome.repeats} repeated"
        f" effects, digest {outcome.digest}"
    )
    for error in outcome.errors:
        traceback.print_exception(error)
    for problem in outcome.problems:
        _say(f"  {problem}")


if __name__ == "__main__":
    sys.exit(main())
