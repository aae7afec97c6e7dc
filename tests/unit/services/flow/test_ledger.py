"""What is counted of one limit."""

from __future__ import annotations

import pytest

from flunq.core.traffic import LimitAsk
from flunq.services.flow.ledger import LEASE, Ledger

SECOND = 1_000_000
TWO = LimitAsk(key="k", concurrency=2)


def test_no_more_than_the_limit_run_at_once() -> None:
    ledger = Ledger(key="k")
    assert [ledger.admit(task, TWO, 0) > 0 for task in "abc"] == [False, False, True]
    assert ledger.release("a", 1)
    assert ledger.admit("c", TWO, 1) == 0


def test_a_task_that_asks_again_has_its_slot_already() -> None:
    ledger = Ledger(key="k")
    assert [ledger.admit("a", TWO, 0) for _ in range(3)] == [0, 0, 0]
    assert list(ledger.slots) == ["a"]


def test_the_slot_of_a_dead_holder_is_free_after_its_lease() -> None:
    ledger = Ledger(key="k")
    for task in "ab":
        ledger.admit(task, TWO, 0)
    ledger.renew("b", SECOND)
    assert ledger.admit("c", TWO, LEASE - 1) == 1
    assert ledger.admit("c", TWO, LEASE) == 0
    assert set(ledger.slots) == {"b", "c"}


@pytest.mark.parametrize("count", [1, 10, 64, 500])
def test_no_window_sees_more_than_the_rate(count: int) -> None:
    ask = LimitAsk(key="k", count=count, per=SECOND)
    begun: list[int] = []
    ledger, now = Ledger(key="k"), 0
    while now < 5 * SECOND:
        wait = ledger.admit(f"t{len(begun)}", ask, now)
        begun += [] if wait else [now]
        now += wait or 100
    for index, moment in enumerate(begun[count:]):
        assert moment - begun[index] >= SECOND
    assert len(begun) >= 4 * count, "and hardly fewer"
    assert len(ledger.begun) <= 66


def test_a_record_is_idle_once_nobody_would_miss_it() -> None:
    ledger = Ledger(key="k")
    ledger.admit("a", LimitAsk(key="k", count=1, per=SECOND, concurrency=1), 0)
    assert not ledger.is_idle(2 * SECOND)
    ledger.release("a", 5)
    assert not ledger.is_idle(5)
    assert ledger.is_idle(SECOND)
