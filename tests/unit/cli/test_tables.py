"""Tables on a terminal."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from flunq.cli import output
from flunq.cli.sqlshell.printing import Printer
from flunq.cli.tables import Column
from flunq.store.query_job import Chunk, Header

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


def answered(columns: int, *, vertical: bool | None = None) -> None:
    printer = Printer(None, vertical=vertical)
    printer.take(Header(names=[f"c{n}" for n in range(columns)], kinds=["VARCHAR"] * columns))
    printer.take(Chunk(rows=[[f"{row}.{n} " * 9 for n in range(columns)] for row in range(2)]))
    printer.close()


def test_an_answer_that_is_too_wide_has_a_line_for_each_column(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = open_terminal(monkeypatch)
    answered(24)
    lines = terminal.getvalue().splitlines()
    assert (len(lines), lines[0], lines[25]) == (50, "-- 1 --", "-- 2 --")
    assert lines[1] == "c0   " + ("0.0 " * 9).rstrip(" ") + " "
    assert lines[49].startswith("c23  1.23 ")


def test_an_answer_that_fits_stays_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    answered(3)
    assert terminal.getvalue().splitlines()[0].split() == ["C0", "C1", "C2"]


def test_whoever_asks_for_a_table_or_for_lines_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    answered(24, vertical=False)
    assert terminal.getvalue().startswith("C0")
    answered(1, vertical=True)
    assert "-- 1 --\nc0  0.0" in terminal.getvalue()


def test_on_a_pipe_a_wide_answer_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    answered(24)
    assert len(capsys.readouterr().out.splitlines()) == 3
