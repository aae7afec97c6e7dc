from __future__ import annotations

import pytest

from flunq.cli.rendering.executions import _purpose


@pytest.mark.parametrize(
    ("timer", "purpose"),
    [("3w", "wait"), ("12r2", "retry"), ("0t", "timeout"), ("4a10", "timeout of the attempt")],
)
def test_what_a_timer_is_for(timer: str, purpose: str) -> None:
    assert _purpose({"for": "timer", "timer": timer}) == purpose
