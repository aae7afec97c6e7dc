"""Limits on open files."""

from __future__ import annotations

import resource

import pytest

from flunq.services import descriptors

UNLIMITED = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((256, UNLIMITED), (descriptors.WANTED, UNLIMITED)),
        ((256, 1024), (1024, 1024)),
        ((65536, 65536), None),
        ((UNLIMITED, UNLIMITED), None),
    ],
)
def test_a_service_takes_as_many_as_it_may_and_gives_none_back(
    before: tuple[int, int], after: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: before)
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: taken.append(limits))
    descriptors.take_allowed()
    assert taken == ([] if after is None else [after])
