"""The guard against long modules and functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts import size_guard

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(size_guard, "ROOT", tmp_path)
    (tmp_path / "code").mkdir()
    return tmp_path


def function(lines: int) -> str:
    return "def long():\n" + "    x = 1\n" * (lines - 1)


def test_the_limits_themselves_are_allowed(root: Path) -> None:
    (root / "code" / "a.py").write_text(function(60) + "\n" * (size_guard.MODULE_LINES - 60))
    assert size_guard.main(["code"]) == 0


def test_a_long_function_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "code" / "a.py").write_text(function(61))
    assert size_guard.main(["code"]) == 1
    assert capsys.readouterr().out == "code/a.py:1: long has 61 lines, more than 60\n"


def test_a_long_module_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "code" / "a.py").write_text("x = 1\n" * 801)
    assert size_guard.main(["code"]) == 1
    assert "module of 801 lines" in capsys.readouterr().out


def test_an_exception_counts_only_while_it_is_needed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "code" / "a.py").write_text(function(61))
    monkeypatch.setattr(size_guard, "FOLDERS", ("code",))
    monkeypatch.setattr(size_guard, "ALLOWED", {"code/a.py:long": "generated"})
    assert size_guard.main([]) == 0
    (root / "code" / "a.py").write_text(function(10))
    assert size_guard.main([]) == 1
