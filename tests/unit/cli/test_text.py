"""Text for terminals."""

from __future__ import annotations

import io
import json

import pytest

from flunq.cli import session, text
from flunq.cli.session import ColorMode


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("nasty", "harmless"),
    [
        ("\x1b[2Jgone", "\\e[2Jgone"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202etxt", "abc\\u202etxt"),
        ("nul\x00", "nul\\x00"),
        ("plain é 漢", "plain é 漢"),
        ("half \ud800", "half \ufffd"),
    ],
)
def test_data_cannot_act_on_a_terminal(nasty: str, harmless: str) -> None:
    assert text.neutralise(nasty) == harmless


def test_several_lines_stay_several_lines() -> None:
    assert text.neutralise_lines("a\tb\nc\x1b") == "a\tb\nc\\e"


def test_escaped_json_is_harmless_and_equal() -> None:
    value = {"k": "\x9b\u202e\x7f ok é"}
    escaped = text.escape_json(json.dumps(value, ensure_ascii=False))
    assert not text.has_unsafe(escaped)
    assert json.loads(escaped) == value


@pytest.mark.parametrize(("word", "cells"), [("abc", 3), ("漢字", 4), ("e\u0301", 1)])
def test_widths_are_cells(word: str, cells: int) -> None:
    assert text.cell_width(word) == cells


def test_a_shortened_text_fits_and_says_so() -> None:
    assert text.cell_width(text.shorten("漢字漢字漢字", 7)) <= 7
    assert text.shorten("abcdefgh", 5)[:1] == "a"
    assert text.shorten("abc", 3) == "abc"


def test_colour_is_for_terminals_only() -> None:
    assert text.paint("x", "red", Terminal()) == "\x1b[31mx\x1b[0m"
    assert text.paint("x", "red", io.StringIO()) == "x"


def test_no_color_switches_colour_off_unless_it_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert not text.color_wanted(Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    assert text.color_wanted(Terminal())


def test_a_dumb_terminal_has_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert not text.color_wanted(Terminal())


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "CLICOLOR_FORCE"])
def test_colour_can_be_forced_on_a_pipe(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    assert text.color_wanted(io.StringIO())


def test_the_flag_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    session.update(color=ColorMode.ALWAYS)
    assert text.color_wanted(io.StringIO())
