"""Schedules and the policies of their metadata, checked as the document is read."""

from __future__ import annotations

import pytest

from flunq.core.reading import check_document

DOCUMENT = """\
document:
  dsl: 1.0.3
  namespace: t
  name: x
  version: 1.0.0
  metadata:
    schedule: {policies}
schedule: {schedule}
do: []
"""


def problems(schedule: str, policies: str = "{}") -> list[tuple[int, str, str]]:
    found = check_document(DOCUMENT.format(schedule=schedule, policies=policies), name="x.yaml")
    return [(problem.line, problem.rule, problem.message) for problem in found]


def test_policies_may_be_set_in_the_metadata() -> None:
    policies = "{timezone: Europe/Berlin, overlap: skip, catchUp: {hours: 1}, missed: last}"
    assert problems("{cron: 30 2 * * *}", policies) == []


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ("{overlap: maybe}", "overlap is one of allow, skip, queue, cancel, not 'maybe'"),
        ("{timezone: Mars/Olympus}", "unknown time zone 'Mars/Olympus'"),
        ("{catchup: PT1M}", "document.metadata.schedule has no 'catchup'"),
        ("often", "document.metadata.schedule is an object of policies"),
    ],
)
def test_a_policy_that_cannot_be_used_is_found_where_it_stands(policies: str, message: str) -> None:
    ((line, rule, said),) = problems("{cron: 30 2 * * *}", policies)
    assert (line, rule) == (7, "schedule-policy")
    assert said.startswith(message)


@pytest.mark.parametrize("kind", ["every", "after"])
def test_an_interval_cannot_be_an_expression(kind: str) -> None:
    ((line, rule, _),) = problems(f"{{{kind}: '${{ .x }}'}}")
    assert (line, rule) == (8, "schedule-interval")


@pytest.mark.parametrize("cron", ["'@daily'", "'*/10 * * * * *'", "0 0 LW * *"])
def test_macros_seconds_and_last_days_are_cron(cron: str) -> None:
    assert problems(f"{{cron: {cron}}}") == []
