"""What every test of the monitor stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys pressed at random save tables too, in the folder that the monitor was started in."""
    monkeypatch.chdir(tmp_path)
