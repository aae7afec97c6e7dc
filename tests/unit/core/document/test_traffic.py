"""What holds for one task: its own metadata and those of its workflow."""

from __future__ import annotations

from flunq.core.document.traffic import ask_for, compile_traffic
from flunq.core.traffic import Breaker, LimitAsk


def test_a_task_wins_over_its_workflow_and_limits_come_together() -> None:
    whole = {"metadata": {"priority": 3, "breaker": "fail", "limits": [{"key": "all"}]}}
    own = {"metadata": {"priority": 8, "breaker": "off", "limits": [{"key": "mine"}]}}
    spec = compile_traffic(whole, own)
    assert spec is not None
    assert (spec.priority, spec.breaker) == (8, Breaker(then="off"))
    assert [each.rule.key for each in spec.limits] == ["mine", "all"]


def test_metadata_that_say_nothing_or_nonsense_cost_nothing() -> None:
    assert compile_traffic({}, {}) is None
    assert compile_traffic({"metadata": {"owner": "me"}}, {}) is None
    assert compile_traffic({"metadata": {"priority": "urgent"}}, {}) is None


def test_the_key_of_a_limit_is_evaluated_for_each_dispatch() -> None:
    limits = [{"key": "${ .customer }", "rate": "10/1s", "concurrency": 2}]
    spec = compile_traffic({"metadata": {"limits": limits}}, {})
    assert spec is not None
    [limit] = spec.limits
    key = limit.key.evaluate({"customer": "acme"}, {}, {})
    asked = ask_for(limit, key, "n/w", "/do/0/x")
    assert asked == LimitAsk(key="n/w|acme", count=10, per=1_000_000, concurrency=2)
