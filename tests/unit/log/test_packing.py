from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flunq.log.nats.packing import LARGE, pack, unpack


@given(st.binary(max_size=3 * LARGE).map(lambda data: b"[" + data))
def test_what_was_packed_is_unpacked(data: bytes) -> None:
    assert unpack(pack(data)) == data


def test_small_records_stay_readable() -> None:
    small = b"[" + b" " * (LARGE - 2)
    assert pack(small) == small


def test_what_hardly_shrinks_stays_as_it_is() -> None:
    noise = os.urandom(2 * LARGE)
    assert pack(noise) == noise


def test_large_records_become_small() -> None:
    assert len(pack(b'[{"specversion": "1.0"},' * 1_000)) < 1_000


@pytest.mark.parametrize("end", [4, 12, -1])
def test_a_record_that_was_cut_short_is_not_taken_for_good(end: int) -> None:
    packed = pack(b"[" * LARGE)
    with pytest.raises(ValueError, match="damaged"):
        unpack(packed[:end])
