from __future__ import annotations

import pytest

from flunq_tui.messages import Catalog
from flunq_tui.model.reasons import _waiting_line


@pytest.mark.parametrize(
    ("timer", "shown"), [("3w", "wait"), ("12r2", "retry"), ("4a1", "timeout")]
)
def test_what_a_timer_is_for(timer: str, shown: str) -> None:
    say = Catalog()
    line = _waiting_line({"for": "timer", "task": "/do/0/pay", "timer": timer, "due": 9}, 0, say)
    assert line[0][0] == "  pay: "
    assert line[1][0].startswith(say(f"waiting.{shown}"))
