"""Every property of the language has a case, and the page that says so is current."""

from __future__ import annotations

from pathlib import Path

from tests.conformance import table
from tests.conformance.cases import all_cases
from tests.conformance.properties import all_properties

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def test_every_property_has_a_case_or_a_remark() -> None:
    assert table.gaps() == []


def test_cases_and_remarks_name_properties_that_exist() -> None:
    assert table.strangers() == []


def test_the_schema_still_gives_its_properties() -> None:
    wanted = {"call.http.redirect", "call.a2a.method=tasks/get", "oidc.client.id", "task.if"}
    assert wanted | {"retry.limit.attempt.count", "run.container.lifetime.after"} <= set(
        all_properties()
    )
    assert len(all_properties()) > 450


def test_a_part_counts_for_the_whole() -> None:
    assert list(table.ancestors("a.b=c/d.e")) == ["a.b=c/d.e", "a.b", "a"]


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == table.conformance_page(), "run: just generate"


def test_the_suite_has_several_hundred_cases() -> None:
    assert len(all_cases()) > 350
