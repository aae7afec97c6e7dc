"""Schedules on a simulated cluster whose machines die between any two steps."""

from __future__ import annotations

import os
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from flunq.core.protocol import Reply
from flunq.core.scheduling import deciding, fires
from flunq.core.scheduling.plan import Plan
from flunq.services.schedules import answers
from flunq.services.schedules.runs import Runs
from tests.simulation.schedules import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.core.execution.commands import Start

CHUNK = 20
SEEDS = int(os.environ.get("FLUNQ_SCHEDULE_SEEDS", "40"))
FOUND_WITHIN = 40

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize("first", range(1, SEEDS + 1, CHUNK))
def test_no_fire_and_no_event_is_lost_doubled_or_early(first: int) -> None:
    for seed in range(first, first + CHUNK):
        assert Scene(seed).run() == [], f"seed {seed}"


@contextmanager
def fresh_ids() -> Iterator[None]:
    """A fire that is decided again gets another id."""
    numbers, real = count(), fires.fire_id
    with patch.object(deciding, "fire_id", lambda *fire: f"{real(*fire)}-{next(numbers)}"):
        yield


@contextmanager
def no_repeats() -> Iterator[None]:
    """A start is given up when its owner does not answer at once."""

    async def send(runs: Runs, command: Start) -> Reply:
        runs._sender._take_off(0)  # what is queued goes, nothing waits for the answer
        return Reply(code=201, id=command.id)

    with patch.object(Runs, "send", send):
        yield


@contextmanager
def forgets_what_runs() -> Iterator[None]:
    """Nobody remembers which executions have not ended."""
    with patch.object(Plan, "watches", property(lambda _: False)):
        yield


@contextmanager
def forgets_what_to_skip() -> Iterator[None]:
    """What somebody asked to skip is not stored."""
    with patch.object(answers, "skip", lambda state, upto, now: state):
        yield


@contextmanager
def skips_one_more() -> Iterator[None]:
    """The fire after those that somebody asked to skip goes with them."""
    real = deciding.skip
    with patch.object(answers, "skip", lambda state, upto, now: real(state, upto + 600_000, now)):
        yield


DEFECTS = [fresh_ids, no_repeats, forgets_what_runs, forgets_what_to_skip, skips_one_more]


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_deliberate_defect_is_found(defect: Any) -> None:
    for seed in range(1, FOUND_WITHIN + 1):
        with defect():
            if Scene(seed).run():
                return
    pytest.fail(f"{defect.__name__} was not found within {FOUND_WITHIN} seeds")


def test_the_same_seed_gives_the_same_run() -> None:
    runs = [Scene(7) for _ in range(2)]
    assert [scene.run() for scene in runs] == [[], []]
    assert runs[0].wire.digest.hexdigest() == runs[1].wire.digest.hexdigest()
