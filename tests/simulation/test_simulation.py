"""The whole engine under seeded faults: as many seeds as wanted, and defects that must be found."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from flunq.testing.simulate import scenario_of, simulate
from tests.simulation.defects import DEFECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 25
SEEDS = 100
"""Without ``--seeds``; .ci/run tries many more."""
FOUND_WITHIN = 2000
KNOWN = {
    "checkpoint_replaces_newer": 710,
    "emitted_events_not_promised": 355,
    "events_folded_twice": 136,
    "events_read_from_the_end": 24,
    "lost_tasks_not_noticed": 1829,
    "no_outbox_cursor": 822,
    "timers_not_rearmed": 125,
}
"""Where the search for a rare defect begins: a seed that has found it; only time depends on it."""
NEEDED = {"lost_tasks_not_noticed": "amnesia"}
"""Defects that show only where this goes wrong, which is seldom: other runs are not tried."""

pytestmark = pytest.mark.timeout(240)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Split the seeds into chunks that several workers can share."""
    if "seeds" not in metafunc.fixturenames:
        return
    one = metafunc.config.getoption("--seed", default=None)
    count = metafunc.config.getoption("--seeds", default=SEEDS)
    chunks = (
        [range(first, min(first + CHUNK, count + 1)) for first in range(1, count + 1, CHUNK)]
        if one is None
        else [range(one, one + 1)]
    )
    metafunc.parametrize("seeds", chunks, ids=[f"{c.start}-{c.stop - 1}" for c in chunks])


def test_nothing_is_lost_doubled_early_or_out_of_order(seeds: range) -> None:
    for seed in seeds:
        outcome = simulate(seed)
        assert not outcome.problems, f"repeat it with: {outcome.command}"


def tried(name: str) -> Iterator[int]:
    """Return the seeds of the runs that may find a defect."""
    first, needed = KNOWN.get(name, 1), NEEDED.get(name)
    for seed in range(first, first + FOUND_WITHIN):
        if needed is None or any(each.kind == needed for each in scenario_of(seed).mishaps):
            yield seed


@pytest.mark.parametrize("name", sorted(DEFECTS))
def test_a_deliberate_defect_is_found(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    for seed in tried(name):
        if simulate(seed, defect=DEFECTS[name]).problems:
            record_property("found_by_seed", seed)
            return
    pytest.fail(f"{name} was not found within {FOUND_WITHIN} seeds")


def test_the_same_seed_gives_the_same_run() -> None:
    for seed in (3, 8, 21):
        first, second = simulate(seed), simulate(seed)
        assert (first.digest, first.operations) == (second.digest, second.operations)


def test_other_seeds_give_other_runs() -> None:
    assert len({simulate(seed).digest for seed in range(1, 6)}) == 5


def test_a_run_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from flunq.testing.simulate import simulate\n"
        "print(*(simulate(seed).digest for seed in range(1, 13)))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def test_the_command_of_an_outcome_repeats_it() -> None:
    outcome = simulate(5)
    done = subprocess.run(
        [sys.executable, *outcome.command.split()[1:]], capture_output=True, text=True, check=True
    )
    assert outcome.digest in done.stdout
