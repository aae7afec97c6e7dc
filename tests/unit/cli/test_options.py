"""Values that commands read from the command line."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from flunq.cli.options import confirm, parse_duration, parse_time, read_bytes, read_json
from flunq.errors import NotFoundError, RejectedError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("500ms", 0.5), ("1h30m", 5400), ("2d", 172800), ("1.5s", 1.5)],
)
def test_a_length_of_time_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "3 weeks", "5x", "h5"])
def test_nonsense_is_no_length_of_time(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text)


def test_a_moment_is_absolute_or_relative_to_now() -> None:
    assert parse_time("2026-11-20T10:00Z") == datetime(2026, 11, 20, 10, tzinfo=UTC)
    now = datetime.now(UTC)
    assert timedelta(minutes=-16) < parse_time("-15m") - now < timedelta(minutes=-14)
    assert timedelta(hours=1.9) < parse_time("2h") - now < timedelta(hours=2.1)


def test_a_moment_without_a_zone_is_local() -> None:
    assert parse_time("2026-11-20T10:00").tzinfo is not None


def test_nonsense_is_no_moment() -> None:
    with pytest.raises(UsageError):
        parse_time("tomorrow")


def test_input_is_json_a_file_or_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "in.json"
    file.write_text('{"a": 1}')
    monkeypatch.setattr("sys.stdin", io.StringIO("[2]"))
    assert [read_json('{"x": true}'), read_json(f"@{file}"), read_json("-")] == [
        {"x": True},
        {"a": 1},
        [2],
    ]
    assert read_json(None) is None


def test_input_that_is_not_json_is_rejected() -> None:
    with pytest.raises(RejectedError, match="not JSON"):
        read_json("{name: Ada}")


def test_input_nested_too_deeply_is_rejected() -> None:
    with pytest.raises(RejectedError):
        read_json("[" * 200_000)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_bytes(tmp_path / "no.yaml")


def test_a_folder_is_no_document(tmp_path: Path) -> None:
    with pytest.raises(RejectedError):
        read_bytes(tmp_path)


def test_without_a_terminal_only_yes_destroys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(UsageError) as caught:
        confirm("delete it?", yes=False)
    assert caught.value.hint == "add --yes"
    confirm("delete it?", yes=True)
