"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cli import Flunq

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def flunq(tmp_path: Path) -> Flunq:
    """The command line with a configuration of its own."""
    return Flunq(tmp_path)
