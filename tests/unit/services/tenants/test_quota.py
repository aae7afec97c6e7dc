"""Quotas: what is let in, and what is said otherwise."""

from __future__ import annotations

import pytest

from flunq.core.tenancy import Quotas
from flunq.errors import QuotaExceededError
from flunq.services.tenants.quota import Quota, refusal


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def quota(hand: Hand, **limits: float) -> Quota:
    return Quota(Quotas(**limits), now=hand)  # type: ignore[arg-type]


def admitted(quota: Quota, tries: int) -> int:
    return sum(quota.admit() is None for _ in range(tries))


def test_without_limits_everything_is_let_in() -> None:
    free = quota(Hand())
    assert (free.limited, admitted(free, 1000), free.fits(1 << 60)) == (False, 1000, None)


def test_what_is_used_up_says_how_to_get_more() -> None:
    error = Quota(Quotas(bytes=1), tenant="acme").fits(2)
    assert error is not None
    assert "flunq tenants update acme --quota-bytes N" in str(error.hint)


def test_open_executions_are_counted_again_once_some_have_ended() -> None:
    hand = Hand()
    three = quota(hand, executions=3)
    running = 0
    three.count = lambda: running
    assert admitted(three, 10) == 3
    running = 2
    assert admitted(three, 10) == 0
    hand.seconds += 0.1
    assert admitted(three, 10) == 1


def test_starts_are_spread_over_the_seconds() -> None:
    hand = Hand()
    ten = quota(hand, starts=10)
    assert admitted(ten, 50) == 10
    hand.seconds += 0.5
    assert admitted(ten, 50) == 5
    hand.seconds += 100
    assert admitted(ten, 50) == 10


def test_a_node_that_serves_half_of_a_tenant_lets_half_of_the_starts_in() -> None:
    ten = quota(Hand(), starts=10)
    ten.part = lambda: 0.5
    assert admitted(ten, 50) == 5


def test_less_than_one_start_in_a_second_is_possible() -> None:
    hand = Hand()
    slow = quota(hand, starts=0.1)
    assert admitted(slow, 5) == 1
    hand.seconds += 9
    assert admitted(slow, 5) == 0
    hand.seconds += 1.5
    assert admitted(slow, 5) == 1


def test_bytes_stop_starts_and_values_that_do_not_fit() -> None:
    small = quota(Hand(), bytes=1000)
    small.used_bytes = 999
    assert (small.fits(1), admitted(small, 2)) == (None, 2)
    assert isinstance(small.fits(2), QuotaExceededError)
    small.used_bytes = 1000
    assert admitted(small, 2) == 0


@pytest.mark.parametrize("name", ["executions", "starts", "bytes"])
def test_the_refusal_is_a_problem_that_names_the_quota(name: str) -> None:
    full = quota(Hand(), **{name: 1})
    full.count, full.used_bytes = (lambda: 1), 1
    full.admit()
    error = full.admit()
    assert error is not None
    reply = refusal("x1", error)
    assert (reply.code, reply.id) == (429, "x1")
    assert reply.problem is not None
    assert (reply.problem["type"], reply.problem["quota"]) == (
        "urn:flunq:error:quota-exceeded",
        name,
    )


def test_changed_limits_hold_at_once() -> None:
    changing = quota(Hand(), executions=1)
    assert admitted(changing, 5) == 1
    changing.change(Quotas(executions=3))
    assert admitted(changing, 5) == 2
    changing.change(Quotas())
    assert not changing.limited


def test_bytes_are_counted_while_there_is_a_limit_of_them() -> None:
    changing = Quota(Quotas(bytes=10))
    counted = [changing.counts_bytes.is_set()]
    for limits in (Quotas(executions=1), Quotas(bytes=20)):
        changing.change(limits)
        counted.append(changing.counts_bytes.is_set())
    assert counted == [True, False, True]


def test_what_is_given_back_is_let_in_once_more() -> None:
    quota = Quota(Quotas(executions=1, starts=1))
    assert quota.admit() is None
    quota.give_back()
    assert quota.admit() is None
    assert quota.admit() is not None
