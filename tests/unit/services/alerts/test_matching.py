"""Which events meet the filter of a rule."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.alerts import AlertRule
from flunq.engines.jq_process import JqPool
from flunq.services.alerts.matching import ConditionError, could_meet, meets

FAULTED = {
    "type": "io.serverlessworkflow.task.faulted.v1",
    "workflow": "shop/order:1.0.0",
    "subject": "o1",
    "seq": 7,
}


@pytest.mark.parametrize(
    ("wanted", "met"),
    [
        ({"type": "task.faulted"}, True),
        ({"type": FAULTED["type"]}, True),
        ({"type": "task.completed"}, False),
        ({"type": "task\\..*", "workflow": "shop/.*"}, True),
        ({"type": "task.faulted", "workflow": "shop/order"}, False),
        ({"seq": "7"}, True),
        ({"missing": ".*"}, False),
    ],
)
def test_attributes_are_equal_or_match_as_a_whole(wanted: dict[str, str], met: bool) -> None:
    assert could_meet(AlertRule(name="a", on=wanted), FAULTED) is met


def test_an_alert_is_never_about_alerts() -> None:
    rule = AlertRule(name="a", on={"type": ".*"})
    assert not could_meet(rule, {"type": "io.flunq.alert.firing"})
    assert not could_meet(rule, {"type": "io.flunq.commit"})
    assert could_meet(rule, {"type": "com.example.paid"})


@pytest.mark.parametrize(
    ("when", "met"),
    [
        ("", True),
        (".data.status >= 500", True),
        ("${ .data.status < 500 }", False),
        ('.data.title | test("^Bad")', True),
        (".data.nothing", False),
    ],
)
async def test_a_condition_sees_the_event(when: str, met: bool) -> None:
    event: dict[str, Any] = {**FAULTED, "data": {"status": 502, "title": "Bad Gateway"}}
    async with JqPool(size=1) as engine:
        assert await meets(AlertRule(name="a", on={"type": "x"}, when=when), event, engine) is met


async def test_a_condition_that_fails_is_no_answer() -> None:
    rule = AlertRule(name="a", on={"type": "x"}, when=".data + 1")
    async with JqPool(size=1) as engine:
        with pytest.raises(ConditionError):
            await meets(rule, {**FAULTED, "data": "text"}, engine)
