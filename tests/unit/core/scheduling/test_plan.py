"""Schedules and their policies as documents write them."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.duration import MINUTE
from flunq.core.scheduling.plan import compile_plan
from flunq.core.scheduling.policies import (
    Overrides,
    Policies,
    ScheduleError,
    laid_over,
    settings_of,
)

CRON = {"cron": "0 9 * * *"}


def test_without_policies_runs_may_overlap_and_a_minute_is_made_up_for() -> None:
    assert compile_plan(CRON).policies == Policies(
        timezone="UTC", overlap="allow", catch_up=MINUTE, missed="all"
    )


def test_the_metadata_of_the_document_set_policies() -> None:
    document = {"document": {"metadata": {"schedule": {"overlap": "skip", "catchUp": "PT1H"}}}}
    plan = compile_plan(CRON, settings_of(document))
    assert (plan.policies.overlap, plan.policies.catch_up) == ("skip", 60 * MINUTE)


def test_what_somebody_set_wins_over_the_document() -> None:
    plan = compile_plan(CRON, {"overlap": "skip", "missed": "last"}, Overrides(overlap="queue"))
    assert (plan.policies.overlap, plan.policies.missed) == ("queue", "last")


def test_a_catch_up_may_be_an_object_like_every_duration() -> None:
    assert compile_plan(CRON, {"catchUp": {"minutes": 3}}).policies.catch_up == 3 * MINUTE


def test_setting_one_policy_keeps_the_others() -> None:
    both = laid_over(Overrides(overlap="skip"), Overrides(missed="none"))
    assert both == Overrides(overlap="skip", missed="none")


def test_a_schedule_may_combine_its_kinds() -> None:
    plan = compile_plan({**CRON, "every": "PT1H", "on": {"one": {"with": {"type": "a"}}}})
    assert plan.kinds == ("cron", "every", "on")


def test_a_document_without_metadata_has_no_settings() -> None:
    assert settings_of({"document": {"name": "x"}}) is None
    assert settings_of({"document": {"metadata": {"schedule": None}}}) is None


@pytest.mark.parametrize(
    ("block", "settings", "message"),
    [
        ({"cron": "x"}, None, "not a cron expression"),
        ({"cron": "@often"}, None, "unknown macro"),
        ({"every": "PT0S"}, None, "longer than nothing"),
        ({"every": "${ .x }"}, None, "every: "),
        ({"after": "soon"}, None, "after: "),
        (CRON, {"timezone": "Mars/Olympus"}, "unknown time zone"),
        ({"every": "PT1S"}, {"timezone": "Mars/Olympus"}, "unknown time zone"),
        (CRON, {"timezone": 1}, "timezone is a name"),
        (CRON, {"overlap": "maybe"}, "overlap is one of allow, skip, queue, cancel"),
        (CRON, {"missed": True}, "missed is one of"),
        (CRON, {"catchUp": "long"}, "catchUp: "),
        (CRON, {"overlaps": "skip"}, "has no 'overlaps'"),
        (CRON, "skip", "is an object"),
    ],
)
def test_what_cannot_be_used_is_refused(block: Any, settings: Any, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        compile_plan(block, settings)
