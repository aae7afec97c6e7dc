from __future__ import annotations

import sys
from typing import Any

import pytest

from flunq.client.values import encode_value
from flunq.core.json import LEVELS_AROUND
from flunq.errors import RejectedError


def nested(levels: int) -> Any:
    value: Any = "x" * 1_000
    for _ in range(levels):
        value = {"a": value}
    return value


def test_a_value_leaves_room_for_what_is_put_around_it() -> None:
    assert encode_value(nested(100)).endswith(b'"' + b"}" * 100)
    with pytest.raises(RejectedError, match="nested too deeply"):
        encode_value(nested(100_000))


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="levels of C are counted apart")
def test_nobody_sends_what_only_the_sender_could_read() -> None:
    with pytest.raises(RejectedError, match="nested too deeply"):
        encode_value(nested(sys.getrecursionlimit() - LEVELS_AROUND))
