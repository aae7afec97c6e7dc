"""What metadata say about traffic."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.traffic import (
    Breaker,
    Rate,
    TrafficError,
    limit_key,
    parse_rate,
    priority_of,
    priority_of_events,
    rate_text,
    traffic_of,
)

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"priority": 10}, "/m/priority"),
    ({"priority": True}, "/m/priority"),
    ({"limits": {}}, "/m/limits"),
    ({"limits": [{}]}, "/m/limits/0/key"),
    ({"limits": [{"key": "k", "rate": "ten"}]}, "/m/limits/0/rate"),
    ({"limits": [{"key": "k", "rate": "0/1s"}]}, "/m/limits/0/rate"),
    ({"limits": [{"key": "k", "concurrency": 0}]}, "/m/limits/0/concurrency"),
    ({"limits": [{"key": "k", "scope": "world"}]}, "/m/limits/0/scope"),
    ({"limits": [{"key": "k", "speed": 1}]}, "/m/limits/0/speed"),
    ({"breaker": "maybe"}, "/m/breaker"),
    ({"breaker": {"after": 0}}, "/m/breaker/after"),
    ({"breaker": {"within": "soon"}}, "/m/breaker/within"),
    ({"breaker": {"pause": "PT0S"}}, "/m/breaker/pause"),
]


@pytest.mark.parametrize(("metadata", "pointer"), WRONG)
def test_what_cannot_be_used_is_told_with_its_place(metadata: Any, pointer: str) -> None:
    with pytest.raises(TrafficError) as caught:
        traffic_of(metadata, "/m")
    assert caught.value.pointer == pointer


def test_metadata_that_say_nothing_mean_nothing() -> None:
    assert not traffic_of({"owner": "me"}, "/m")
    assert not traffic_of(None, "/m")


@pytest.mark.parametrize(
    ("text", "rate"),
    [("10/1s", Rate(10, 1_000_000)), ("100/m", Rate(100, 60_000_000)),
     ("5/PT1H", Rate(5, 3_600_000_000)), ("3 / 500ms", Rate(3, 500_000))],
)  # fmt: skip
def test_a_rate_is_a_number_per_time(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate
    assert parse_rate(rate_text(rate.count, rate.per)) == rate


def test_a_breaker_is_a_word_or_says_when_it_opens() -> None:
    assert traffic_of({"breaker": "fail"}, "/m").breaker == Breaker(then="fail")
    assert traffic_of({"breaker": False}, "/m").breaker == Breaker(then="off")
    found = traffic_of({"breaker": {"after": 3, "within": "PT2S"}}, "/m").breaker
    assert found == Breaker(after=3, within=2_000_000)


def test_a_key_is_counted_where_its_scope_says() -> None:
    keys = [
        limit_key(scope, {"a": 1}, "n/w", "/do/0/x") for scope in ("tenant", "workflow", "task")
    ]
    assert keys == ['{"a":1}', 'n/w|{"a":1}', 'n/w/do/0/x|{"a":1}']
    assert len(limit_key("tenant", "x" * 5_000, "", "")) < 200


@pytest.mark.parametrize(
    ("value", "found"), [("high", 8), (" Normal ", 5), ("low", 2), ("0", 0), ("9", 9), (3, 3)]
)
def test_a_priority_is_a_word_or_a_number(value: Any, found: int) -> None:
    assert priority_of(value) == found


@pytest.mark.parametrize(
    "value", ["", "highest", "10", "-1", "\u00b2", 10, -1, True, None, 1.5, [1]]
)
def test_what_is_no_priority_is_refused(value: Any) -> None:
    with pytest.raises(TrafficError, match="from 0 to 9"):
        priority_of(value)


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([{"flunqpriority": 3}, {"flunqpriority": "high"}, {}], 8),
        ([{"flunqpriority": "urgent"}, {"type": "x"}], None),
        ([], None),
        ({"flunqpriority": 9}, None),
        ([5], None),
    ],
)
def test_events_ask_for_a_priority(events: Any, found: int | None) -> None:
    assert priority_of_events(events) == found
