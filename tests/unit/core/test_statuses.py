"""The one list of statuses, and those that must agree with it."""

from __future__ import annotations

from typing import get_args

import pytest

from flunq.api.views import ShownStatus
from flunq.core.statuses import ENDED, STATUSES, checked_statuses
from flunq.errors import UsageError
from flunq.services.worker.executions import STATUS_CODES


def test_what_is_stored_as_a_number_is_every_status() -> None:
    assert sorted(STATUS_CODES) == sorted(STATUSES)


def test_programs_of_others_see_every_status_but_the_one_they_see_as_faulted() -> None:
    assert [*get_args(ShownStatus), "quarantined"] == list(STATUSES)


def test_an_end_is_a_status() -> None:
    assert set(STATUSES) > ENDED


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, None),
        ((), None),
        ("running", ("running",)),
        (["waiting", "faulted"], ("waiting", "faulted")),
    ],
)
def test_statuses_are_asked_for_alone_or_together(
    given: list[str] | str | None, wanted: tuple[str, ...] | None
) -> None:
    assert checked_statuses(given) == wanted


@pytest.mark.parametrize("given", ["", "done", ["running", "Waiting"]])
def test_a_status_that_does_not_exist_is_refused(given: list[str] | str) -> None:
    with pytest.raises(UsageError, match="is no status"):
        checked_statuses(given)
