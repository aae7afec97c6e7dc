"""What reaches stdout, byte for byte."""

from __future__ import annotations

import json

import pytest
import yaml

from flunq.cli import output, session
from flunq.cli.session import OutputFormat, TimeFormat
from flunq.cli.tables import Column, relative, render_time
from flunq.core.amounts import render_bytes, render_duration
from flunq.errors import UsageError

ROWS = [
    {"id": "order-1", "status": "completed", "steps": 12},
    {"id": "o2", "status": "faulted", "steps": None},
]


def shown(capsys: pytest.CaptureFixture[str], chosen: str, value: object) -> str:
    session.update(output=OutputFormat(chosen))
    output.emit(value)
    return capsys.readouterr().out


def test_a_table_has_upper_case_headings_and_no_borders(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.emit(ROWS, columns=[Column("id"), Column("status"), Column("steps", kind="number")])
    assert capsys.readouterr().out == (
        "ID       STATUS     STEPS\norder-1  completed     12\no2       faulted        -\n"
    )


def test_an_object_is_one_line_per_member(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "table", {"id": "a", "tags": ["x"]}) == 'id    a\ntags  ["x"]\n'


def test_an_empty_list_is_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "json", []) == "[]\n"


@pytest.mark.parametrize("value", [ROWS, {"a": [1, {"b": None}]}, "text", 3, None, 2**70])
def test_json_is_exactly_the_value(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(shown(capsys, "json", value)) == value


def test_json_lines_are_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "jsonl", ROWS).splitlines()
    assert [json.loads(line) for line in lines] == ROWS


@pytest.mark.parametrize("value", [ROWS, {"k": "\u202e"}, "text", ["yes", "1e3", "é"]])
def test_yaml_reads_back_as_the_value(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert yaml.safe_load(shown(capsys, "yaml", value)) == value


def test_csv_has_the_names_of_the_members(capsys: pytest.CaptureFixture[str]) -> None:
    expected = "id,status,steps\norder-1,completed,12\no2,faulted,\n"
    assert shown(capsys, "csv", ROWS) == expected


@pytest.mark.parametrize("chosen", ["table", "json", "jsonl", "yaml"])
def test_nothing_that_a_terminal_could_obey_gets_out(
    chosen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = shown(capsys, chosen, [{"k": "\x1b]0;title\x07 \x9b2J \u202e \x00"}])
    assert not set(printed) & set("\x1b\x07\x9b\u202e\x00")


def test_a_stream_is_not_one_json_document() -> None:
    session.update(output=OutputFormat.JSON)
    with pytest.raises(UsageError) as caught:
        output.Lines(str)
    assert "jsonl" in (caught.value.hint or "")


def test_a_stream_is_a_line_for_each_object(capsys: pytest.CaptureFixture[str]) -> None:
    session.update(output=OutputFormat.JSONL)
    lines = output.Lines(str)
    lines.write({"a": 1})
    lines.write({"a": 2})
    assert capsys.readouterr().out == '{"a":1}\n{"a":2}\n'


def test_a_problem_never_follows_a_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    session.update(output=OutputFormat.JSON)
    output.emit({"id": "x"})
    output.emit_problem({"title": "later"})
    assert json.loads(capsys.readouterr().out) == {"id": "x"}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "now"),
        (-3, "3s ago"),
        (-200, "3m ago"),
        (7300, "in 2h"),
        (-90000, "1d ago"),
        (30 * 86400 - 9, "in 30d"),
        (86390, "in 1d"),
        (3599.7, "in 1h"),
        (59.4, "in 59s"),
        (-30 * 86400 + 9, "29d ago"),
    ],
)
def test_moments_are_told_relative_to_now(seconds: float, words: str) -> None:
    assert relative(seconds) == words


def test_moments_can_be_iso_or_raw() -> None:
    session.update(time=TimeFormat.ISO)
    assert render_time("2026-11-20T10:00:00+01:00") == "2026-11-20T09:00:00.000Z"
    session.update(time=TimeFormat.RAW)
    assert render_time("2026-11-20T10:00:00+01:00") == "2026-11-20T10:00:00+01:00"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.012, "12ms"),
        (3.42, "3.4s"),
        (59.96, "60.0s"),
        (120, "2m"),
        (125, "2m05s"),
        (3599.7, "1h"),
        (12000, "3h20m"),
        (360000, "4d04h"),
        (30 * 86400, "30d"),
    ],
)
def test_lengths_of_time_are_short(seconds: float, words: str) -> None:
    assert render_duration(seconds) == words


def test_sizes_have_binary_units() -> None:
    assert [render_bytes(n) for n in (12, 2048, 5 * 2**20)] == ["12 B", "2.0 KiB", "5.0 MiB"]
