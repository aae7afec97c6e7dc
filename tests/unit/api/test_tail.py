from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flunq.api.problems import InvalidFieldError
from flunq.api.tail import Cursor

POSITIONS = st.lists(st.integers(0, 1 << 53), min_size=1, max_size=16)


@given(POSITIONS, st.integers(0, 500))
def test_a_cursor_reads_as_it_was_written(after: list[int], taken: int) -> None:
    whole = Cursor.parse(str(Cursor(after)), len(after))
    half = Cursor.parse(str(Cursor(after, partition=0, taken=taken)), len(after))
    assert (whole.after, whole.partition) == (after, -1)
    assert (half.after, half.partition, half.taken) == (after, 0, taken)


@pytest.mark.parametrize(
    "text", ["", "1", "1-2-3", "1-x y", "1--2", "-1-2", "1-2.0", "1-2.9.1", "1-2.0.1.1", "A-2"]
)
def test_a_made_up_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidFieldError):
        Cursor.parse(text, 2)


@given(st.text(max_size=40))
def test_no_text_does_more_harm_than_that(text: str) -> None:
    try:
        Cursor.parse(text, 2)
    except InvalidFieldError:
        return
    assert all(part.isascii() for part in text)
