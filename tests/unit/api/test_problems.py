from __future__ import annotations

from typing import Any

import msgspec
import pytest

from flunq.api.problems import malformed


def found_in(body: bytes) -> dict[str, Any]:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)) as caught:
        msgspec.json.decode(body)
    return malformed(caught.value, body).details


@pytest.mark.parametrize(
    ("body", "byte"),
    [(b'{"a": 1, "b": "x\xff"}', 16), (b'{"\xff": 1}', 2), (b'{"a": 1,}', 8), (b'{"a": ', 6)],
)
def test_the_place_of_the_damage_is_that_in_the_body(body: bytes, byte: int) -> None:
    assert found_in(body)["byte"] == byte
