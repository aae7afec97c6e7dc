from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flunq.services.supervising.logfiles import follow, merged, rotate, services_of

if TYPE_CHECKING:
    from pathlib import Path


def line(second: int, message: str) -> str:
    return json.dumps({"time": f"2026-01-01T00:00:{second:02d}Z", "message": message}) + "\n"


def test_logs_are_merged_by_time(tmp_path: Path) -> None:
    one, two = tmp_path / "a.log", tmp_path / "b.log"
    one.write_text(line(1, "first") + line(3, "third"))
    two.write_text(line(2, "second") + line(4, "fourth"))
    shown = merged([one, two])
    assert [each.message for each in shown] == ["first", "second", "third", "fourth"]
    assert [each.service for each in shown] == ["a", "b", "a", "b"]


def test_a_limit_keeps_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(line(second, str(second)) for second in range(10)))
    assert [each.message for each in merged([path], limit=2)] == ["8", "9"]


def test_a_line_without_a_time_follows_the_one_before(tmp_path: Path) -> None:
    one, two = tmp_path / "a.log", tmp_path / "b.log"
    one.write_text(line(1, "crash") + "Segmentation fault\n" + line(5, "again"))
    two.write_text(line(3, "other"))
    messages = [each.message for each in merged([one, two])]
    assert messages == ["crash", "Segmentation fault", "other", "again"]


def test_a_rotated_log_is_still_shown_and_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with path.open("a") as writer:
        writer.write(line(1, "old"))
        writer.flush()
        assert rotate(path, limit=10)
        writer.write(line(2, "new"))
    assert [each.message for each in merged([path])] == ["old", "new"]
    assert path.read_text() == line(2, "new")


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("short\n")
    assert not rotate(path)
    assert not rotate(tmp_path / "missing.log")


def test_following_yields_whole_lines_that_are_added(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(line(1, "before"))
    coming = follow([path])
    assert next(coming) is None
    with path.open("a") as writer:
        writer.write(line(2, "after") + '{"message": "ha')
    fresh = next(coming)
    assert fresh is not None
    assert fresh.message == "after"
    assert next(coming) is None


def test_following_survives_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(line(1, "before") * 3)
    coming = follow([path])
    assert next(coming) is None
    rotate(path, limit=1)
    path.write_text(line(2, "after"))
    fresh = next(coming)
    assert fresh is not None
    assert fresh.message == "after"


def test_services_are_named_after_their_logs(tmp_path: Path) -> None:
    for name in ("node-1.log", "nats.log", "nats.log.1", "notes.txt"):
        (tmp_path / name).touch()
    assert services_of(tmp_path) == ["nats", "node-1"]
