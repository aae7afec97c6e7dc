"""Fixtures of the command line's unit tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq.cli import output, session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def fresh_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test begins without options, configuration or colour switches."""
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "FLUNQ_CONTEXT", "FLUNQ_TENANT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLUNQ_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    session.begin()
    output.begin()
    yield
    session.begin()
