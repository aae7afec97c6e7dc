"""How one target fares, in numbers."""

from __future__ import annotations

from flunq.core.traffic import Breaker
from flunq.services.flow.health import RETRY_BURST, Health

SECOND = 1_000_000
RULE = Breaker(after=5, within=10 * SECOND, pause=2 * SECOND)


def health() -> Health:
    return Health("http://x:1", lambda: 0.0)


def fail(seen: Health, times: int, now: int) -> list[bool]:
    results = []
    for _ in range(times):
        seen.called(now)
        results.append(seen.failed(now, RULE))
    return results


def test_it_opens_with_the_failure_that_is_one_too_many() -> None:
    assert fail(health(), 5, SECOND) == [False, False, False, False, True]


def test_failures_of_long_ago_do_not_count() -> None:
    seen = health()
    fail(seen, 4, SECOND)
    assert fail(seen, 4, 12 * SECOND) == [False] * 4


def test_it_stays_closed_while_most_calls_work() -> None:
    seen = health()
    for _ in range(20):
        seen.called(SECOND)
    assert not any(fail(seen, 6, SECOND))


def test_failures_that_other_nodes_tell_of_count_too() -> None:
    seen = health()
    seen.heard(SECOND, 4)
    assert fail(seen, 1, SECOND) == [True]


def test_each_trial_that_fails_makes_the_pause_longer_up_to_a_minute() -> None:
    seen = health()
    seen.open(0, RULE)
    pauses = [seen.pause]
    for _ in range(8):
        seen.open(0, RULE, again=True)
        pauses.append(seen.pause)
    assert pauses[:3] == [2 * SECOND, 4 * SECOND, 8 * SECOND]
    assert pauses[-1] == 60 * SECOND


def test_after_an_outage_calls_come_at_one_and_a_half_times_the_normal_rate() -> None:
    seen = health()
    for second in range(5):
        for _ in range(40):
            seen.called(second * SECOND)
    seen.open(5 * SECOND, RULE)
    seen.close(9 * SECOND)
    assert seen.pace == 60.0
    seen.called(9 * SECOND)
    assert seen.delay(9 * SECOND) == SECOND // 60


def test_retries_of_a_failing_target_are_a_fifth_of_its_first_attempts() -> None:
    seen = health()
    fail(seen, 1, SECOND)
    for _ in range(int(RETRY_BURST)):
        assert seen.delay(SECOND, retry=True) == 0
        seen.called(SECOND, retry=True)
    assert seen.delay(SECOND, retry=True) > 0
    assert seen.delay(SECOND) == 0, "a first attempt goes on"
    for _ in range(5):
        seen.called(SECOND)
    assert seen.delay(SECOND, retry=True) == 0
    assert seen.delay(SECOND + 60 * SECOND, retry=True) == 0, "it does not fail any more"
