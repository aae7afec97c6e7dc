"""The row of faults that a seed draws."""

from __future__ import annotations

import pytest

from flunq.chaos.bursts import SIZES
from flunq.chaos.faults import BLACKHOLE, CLUSTERED, SINGLE, draw_faults, usable
from flunq.chaos.options import ChaosOptions
from flunq.chaos.runner import repeat_command
from flunq.errors import UsageError


def test_a_seed_draws_the_same_faults_again() -> None:
    assert draw_faults(7, SINGLE, 20) == draw_faults(7, SINGLE, 20)
    assert draw_faults(7, SINGLE, 20) != draw_faults(8, SINGLE, 20)


def test_every_kind_comes_before_one_comes_again() -> None:
    each = len(SINGLE)
    row = [fault.kind for fault in draw_faults(3, SINGLE, 2 * each)]
    assert sorted(row[:each]) == sorted(row[each:]) == sorted(SINGLE)


def test_a_kill_has_no_length_and_a_pause_has_one() -> None:
    for fault in draw_faults(1, (*SINGLE, *CLUSTERED), 30):
        assert (fault.seconds > 0) == (fault.action not in ("kill", "lose"))


def test_a_fault_of_a_cluster_needs_one() -> None:
    assert "kill-nats-two" in usable((), 3)
    assert "kill-nats-two" not in usable((), 1)
    with pytest.raises(UsageError, match="several nats-servers"):
        usable(("kill-nats-leader",), 1)
    with pytest.raises(UsageError, match="one nats-server"):
        usable((BLACKHOLE,), 3)
    with pytest.raises(UsageError, match="no fault"):
        usable(("kill-moon",), 1)


def test_the_report_says_how_to_repeat_a_run() -> None:
    options = ChaosOptions(seed=5, faults=("kill-node",), input={"a": "b c"}, nodes=3)
    assert repeat_command(options, "my flow.yaml") == (
        "flunq chaos 'my flow.yaml' --seed 5 --executions 200 --rounds 8 --workers 2 --nodes 3"
        """ --faults kill-node -i '{"a": "b c"}'"""
    )


def test_a_run_of_full_size_is_repeated_with_its_patience() -> None:
    full = ChaosOptions(seed=5, scenario="timers", patience=SIZES["full"].patience)
    assert " --size full " in repeat_command(full, "")
    assert "--size" not in repeat_command(ChaosOptions(seed=5), "")
