"""Tables on a terminal."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from flunq.cli import output
from flunq.cli.tables import Column

if TYPE_CHECKING:
    import pytest

ROW = {"id": "01890a5d-ac96-774b-bcce-b302099a8057", "title": "word " * 40, "status": "faulted"}
COLUMNS = [Column("id", whole=True), Column("title"), Column("status", kind="status")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Replace stdout; inside the test, because pytest puts its own back before each phase."""
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((72, 24)))
    monkeypatch.setenv("NO_COLOR", "1")
    return screen


def test_a_table_fits_the_terminal_and_ids_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    output.emit([ROW], columns=COLUMNS)
    heading, line = terminal.getvalue().splitlines()
    assert len(line) <= 72
    assert len(heading) <= 72
    assert line.startswith(str(ROW["id"]))
    assert line.endswith("faulted")


def test_a_spare_column_goes_before_another_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    columns = [Column("id", whole=True), Column("workflow"), Column("tags", spare=True)]
    output.emit([{"id": "i" * 40, "workflow": "w" * 25, "tags": "t" * 90}], columns=columns)
    assert terminal.getvalue().splitlines()[1].split() == ["i" * 40, "w" * 25]
    output.emit([{"id": "i" * 10, "workflow": "w" * 25, "tags": "t" * 90}], columns=columns)
    assert "ttt…" in terminal.getvalue() or "ttt..." in terminal.getvalue()


def test_on_a_pipe_nothing_is_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit([ROW], columns=COLUMNS)
    assert str(ROW["title"]).strip() in capsys.readouterr().out


def test_a_status_is_a_word_and_a_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "xterm")
    output.emit([ROW], columns=COLUMNS)
    assert "\x1b[31mfaulted\x1b[0m" in terminal.getvalue()


def test_wide_characters_keep_the_columns_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit([{"a": "漢字", "b": 1}, {"a": "x", "b": 2}])
    assert capsys.readouterr().out == "A     B\n漢字  1\nx     2\n"


def test_missing_members_and_plain_kinds_have_a_cell(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"a": True, "b": None, "c": [1]}, {"a": False}]
    output.emit(rows)
    assert capsys.readouterr().out == "A    B  C\nyes  -  [1]\nno   -  -\n"


def test_kinds_render_durations_and_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [Column("took", kind="duration"), Column("size", kind="bytes")]
    output.emit([{"took": 0.5, "size": 4096}], columns=columns)
    assert capsys.readouterr().out == " TOOK     SIZE\n500ms  4.0 KiB\n"
