"""Delays before retries."""

from __future__ import annotations

import pytest

from flunq.core.duration import SECOND
from flunq.core.retrying import MAX_DELAY, Backoff, RetryDelay, delay_before


@pytest.mark.parametrize(
    ("backoff", "seconds"),
    [("constant", [3, 3, 3, 3]), ("linear", [3, 6, 9, 12]), ("exponential", [3, 6, 12, 24])],
)
def test_the_backoff_says_how_the_delay_grows(backoff: Backoff, seconds: list[int]) -> None:
    policy = RetryDelay(delay=3 * SECOND, backoff=backoff)
    assert [delay_before(policy, retry, "x") // SECOND for retry in range(1, 5)] == seconds


def test_jitter_stays_in_its_range_and_is_the_same_at_every_replay() -> None:
    policy = RetryDelay(delay=SECOND, jitter_from=100, jitter_to=200)
    delays = [delay_before(policy, retry, "step") - SECOND for retry in range(1, 200)]
    assert min(delays) >= 100
    assert max(delays) <= 200
    assert len(set(delays)) > 50
    assert delays == [delay_before(policy, retry, "step") - SECOND for retry in range(1, 200)]


def test_jitter_differs_between_steps() -> None:
    policy = RetryDelay(jitter_from=0, jitter_to=10**9)
    assert delay_before(policy, 1, "one") != delay_before(policy, 1, "two")


def test_a_delay_never_passes_a_year() -> None:
    policy = RetryDelay(delay=SECOND, backoff="exponential")
    assert delay_before(policy, 10_000, "x") == MAX_DELAY
