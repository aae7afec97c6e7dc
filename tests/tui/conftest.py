"""What every test of the monitor stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.settling import settle_without_clock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys pressed at random save tables too, in the folder that the monitor was started in."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def keys_without_pauses(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is dealt with when the monitor has nothing left to do, not some time later."""
    if request.path.name == "test_live.py":
        return  # a real cluster keeps the monitor waiting for answers
    settle_without_clock(monkeypatch)
