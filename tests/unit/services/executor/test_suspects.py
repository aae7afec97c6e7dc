from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flunq.services.executor import suspects as module
from flunq.services.executor.suspects import Probation, Suspects

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "node.suspects"


def test_what_was_alone_when_the_process_died_is_accused(file: Path) -> None:
    Suspects(file).begin("guilty")
    assert Suspects(file).deaths("guilty") == 1
    assert Suspects(file).deaths("guilty") == 1
    Suspects(file).begin("guilty")
    assert Suspects(file).deaths("guilty") == 2


def test_what_the_process_survived_is_not_accused(file: Path) -> None:
    suspects = Suspects(file)
    suspects.begin("innocent")
    suspects.acquit()
    assert Suspects(file).deaths("innocent") == 0


def test_a_task_that_ended_is_forgotten(file: Path) -> None:
    Suspects(file).begin("t")
    suspects = Suspects(file)
    suspects.forget("t")
    assert Suspects(file).deaths("t") == 0


@pytest.mark.parametrize("content", ["", "{", '{"deaths": 3}', "[]"])
def test_a_spoilt_file_accuses_nobody(file: Path, content: str) -> None:
    file.write_text(content)
    suspects = Suspects(file)
    suspects.begin("t")
    assert Suspects(file).deaths("t") == 1


def test_without_a_folder_nobody_is_accused(tmp_path: Path) -> None:
    suspects = Suspects(tmp_path / "none" / "node.suspects")
    suspects.begin("t")
    assert suspects.deaths("t") == 0


async def test_one_after_the_other_begins(file: Path) -> None:
    begun: list[str] = []
    probation = Probation(Suspects(file), begun.append)
    for task in ("a", "b", "c", "d"):
        probation.enter(task)
    assert begun == ["a"]
    assert probation.leave("c")
    assert not probation.leave("a")
    probation.over("a")
    assert begun == ["a", "b"]
    assert probation.close() == ["d"]
    probation.over("b")
    assert begun == ["a", "b"]


async def test_a_long_task_does_not_hold_up_the_line(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROBATION", 0.001)
    begun: asyncio.Queue[str] = asyncio.Queue()
    probation = Probation(Suspects(file), begun.put_nowait)
    for task in ("long", "next"):
        probation.enter(task)
    assert [await begun.get(), await begun.get()] == ["long", "next"]
    assert Suspects(file).deaths("long") == 0
