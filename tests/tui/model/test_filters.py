"""The filter language."""

from __future__ import annotations

import pytest

from flunq_tui.model.filters import FilterError, parse_filter

KNOWN = ("id", "status", "workflow", "age", "duration", "tag")
ROW = {
    "id": "order-12",
    "status": "faulted",
    "workflow": "shop/order:1.0.0",
    "age": 3_600_000_000,
    "duration": 1_500_000,
    "tag": "region=eu note=[red]",
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "status:faulted",
        "status:completed,faulted",
        "status:fault*",
        "is:faulted",
        "workflow:ord",
        "wf:shop/order",
        "workflow=order",
        "workflow=shop/order",
        "workflow=order:1.0.0",
        "id:12",
        "age>30m",
        "age<2h",
        "duration>1s duration<1.6s",
        "took>=1500ms",
        "-status:completed",
        "!id:99",
        "EU",
        '"region=eu note"',
        "[red]",
        "status:faulted workflow:order age<2h eu",
    ],
)
def test_the_row_is_wanted(text: str) -> None:
    assert parse_filter(text, KNOWN).accepts(ROW)


@pytest.mark.parametrize(
    "text",
    [
        "status:fault",
        "status:completed",
        "workflow=ord",
        "age<30m",
        "duration>2s",
        "-status:faulted",
        "-eu",
        "us",
        "status:faulted us",
    ],
)
def test_the_row_is_not_wanted(text: str) -> None:
    assert not parse_filter(text, KNOWN).accepts(ROW)


@pytest.mark.parametrize("text", ["age<soon", '"open', "size>3", "age>"])
def test_what_cannot_be_understood_is_an_error(text: str) -> None:
    with pytest.raises(FilterError):
        parse_filter(text, KNOWN)


def test_an_address_is_a_word_and_no_member() -> None:
    assert not parse_filter("https://example.com", KNOWN).accepts(ROW)


def test_statuses_and_a_whole_name_are_for_the_cluster() -> None:
    found = parse_filter("status:faulted,cancelled workflow=order", KNOWN)
    assert (found.statuses, found.workflow) == (("faulted", "cancelled"), "order")
    assert parse_filter("-status:faulted workflow:ord", KNOWN).statuses == ()
