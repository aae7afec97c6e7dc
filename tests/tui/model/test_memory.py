"""The file of what is kept: private, whole, and no trouble when it is damaged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from flunq_tui.memory import MOST, VERSION, Memory

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_kept_is_there_the_next_time(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "monitor.json"
    memory = Memory(file)
    memory.keep_filter("events", "mine", "id:x")
    memory.keep_query("all", "select 1")
    again = Memory(file)
    assert again.looks("events").filters == {"mine": "id:x"}
    assert again.kept.queries == {"all": "select 1"}
    assert json.loads(file.read_text())["version"] == VERSION


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "monitor.json"
    Memory(file).keep_query("all", "select 1")
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["monitor.json"]


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]", b'{"queries": 3}', b""])
def test_a_damaged_file_is_put_aside(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "monitor.json"
    file.write_bytes(content)
    memory = Memory(file)
    assert memory.kept.queries == {}
    memory.keep_query("all", "select 1")
    assert file.with_suffix(".damaged").read_bytes() == content
    assert Memory(file).kept.queries == {"all": "select 1"}


@pytest.mark.parametrize("content", ['{"version": 9, "new": 1}', '{"version": 9, "views": 3}'])
def test_what_a_newer_monitor_wrote_is_left_alone(tmp_path: Path, content: str) -> None:
    file = tmp_path / "monitor.json"
    file.write_text(content)
    Memory(file).keep_query("all", "select 1")
    assert file.read_text() == content


def test_a_folder_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = Memory(tmp_path / "file" / "monitor.json")
    memory.keep_query("all", "select 1")
    assert memory.kept.queries == {"all": "select 1"}


def test_an_empty_filter_is_forgotten_and_old_ones_make_room() -> None:
    memory = Memory()
    for number in range(MOST + 1):
        memory.keep_filter("events", str(number), "x")
    memory.keep_filter("events", "5", "")
    kept = memory.looks("events").filters
    assert len(kept) == MOST - 1 and "0" not in kept and "5" not in kept
