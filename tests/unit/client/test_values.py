from __future__ import annotations

from bisect import bisect_left
from typing import Any

import msgspec
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


def is_refused(levels: int) -> bool:
    try:
        encode_value(nested(levels))
    except RejectedError:
        return True
    return False


def test_nobody_sends_what_only_the_sender_could_read() -> None:
    deepest = bisect_left(range(100_000), True, key=is_refused) - 1
    room = LEVELS_AROUND // 2
    msgspec.json.decode(b"[" * room + encode_value(nested(deepest)) + b"]" * room)


class Model:
    """A pydantic model, as far as it matters."""

    def model_dump(self, *, mode: str) -> dict[str, str]:
        return {"mode": mode}


@pytest.mark.parametrize(
    ("value", "hint"),
    [(Model(), "model_dump"), (object(), None), ({"x": Model()}, None), ("\udcff", None)],
)
def test_what_has_no_json_form_is_rejected(value: object, hint: str | None) -> None:
    with pytest.raises(RejectedError, match="has no JSON form") as caught:
        encode_value(value)
    assert (hint or "") in (caught.value.hint or "")
