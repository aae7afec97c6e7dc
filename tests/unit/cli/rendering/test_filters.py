"""Which events are shown."""

from __future__ import annotations

import pytest

from flunq.cli.rendering.filters import check_statuses
from flunq.errors import UsageError


def test_a_status_that_no_event_has_is_refused() -> None:
    check_statuses(["faulted", "quarantined", "deleted", "retried"])
    with pytest.raises(UsageError, match="'bogus'") as caught:
        check_statuses(["faulted", "bogus"])
    assert "completed" in str(caught.value.hint)
