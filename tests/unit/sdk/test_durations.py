from __future__ import annotations

from typing import Any

import pytest

from flunq.sdk.durations import seconds
from flunq.sdk.executor import TaskError


@pytest.mark.parametrize(
    ("value", "expected"),
    [({"minutes": 1, "milliseconds": 500}, 60.5), ("PT1.5S", 1.5), ("P1M", 30 * 86400.0)],
)
def test_a_duration_in_seconds(value: Any, expected: float) -> None:
    assert seconds(value, "after") == expected


@pytest.mark.parametrize("value", [None, 5, "soon", {"fortnights": 1}])
def test_anything_else_is_a_validation_error(value: Any) -> None:
    with pytest.raises(TaskError, match="after: ") as caught:
        seconds(value, "after")
    assert caught.value.status == 400
