"""Which limit a stream has."""

from __future__ import annotations

import pytest

from flunq.core.capacity import StreamUse, within_quota


@pytest.mark.parametrize(
    ("kind", "own", "quota", "limit"),
    [
        ("journal", None, None, None),
        ("journal", None, 100, 100),
        ("blobs", None, 100, 100),
        ("journal", 50, 100, 50),
        ("journal", 200, 100, 100),
        ("journal", 200, None, 200),
        ("events", None, 100, None),
        ("events", 50, 10, 50),
    ],
)
def test_the_lower_limit_counts(
    kind: str, own: int | None, quota: int | None, limit: int | None
) -> None:
    stream = StreamUse(name="s", kind=kind, bytes=7, max_bytes=own)
    limited = within_quota(stream, quota)
    assert (limited.max_bytes, limited.bytes, limited.kind) == (limit, 7, kind)
