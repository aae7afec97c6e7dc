"""``flunq bench`` as a user types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.cli import Flunq

if TYPE_CHECKING:
    from pathlib import Path


def test_the_json_is_one_document_and_progress_goes_elsewhere(tmp_path: Path) -> None:
    options = ["--executions", "3", "--in-flight", "2", "-o", "json"]
    ended = Flunq(tmp_path)("bench", "limits", *options)
    assert ended.code == 0, ended.err
    assert ended.json["scenario"] == "limits"
    assert ended.json["sizes"] == {"executions": 3, "in_flight": 2}
    assert ended.json["figures"]["publish_per_second"] > 0


def test_a_scenario_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    ended = Flunq(tmp_path)("bench", "juggling")
    assert ended.code == 2
    assert "throughput" in ended.err


def test_a_saved_report_is_what_the_next_run_is_compared_with(tmp_path: Path) -> None:
    options = ["limits", "--executions", "3", "--in-flight", "2"]
    saved = Flunq(tmp_path)("bench", *options, "--save", "reports/")
    assert saved.code == 0, saved.err
    file = tmp_path / "reports" / "limits-strict.json"
    report = json.loads(file.read_bytes())
    assert report["command"].startswith("flunq bench limits --executions 3")
    assert report["machine"]["memory_bytes"] > 0
    ended = Flunq(tmp_path)("bench", *options, "--compare", str(file), "--color", "always")
    assert ended.code == 0, ended.err
    assert "before" in ended.out
    assert "fdatasync_p50_ms" in ended.out.partition("before")[2]


def test_only_a_report_of_the_same_scenario_can_be_compared(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("[]")
    ended = Flunq(tmp_path)("bench", "limits", "--compare", "other.json")
    assert ended.code == 2
    assert "no report" in ended.err
    assert Flunq(tmp_path)("bench", "start", "--compare", "missing.json").code == 2


def test_only_scaling_is_drawn(tmp_path: Path) -> None:
    ended = Flunq(tmp_path)("bench", "limits", "--plot", "curves.svg")
    assert ended.code == 2
    assert not (tmp_path / "curves.svg").exists()


def test_a_cluster_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    ended = Flunq(tmp_path)("bench", "start", "--nats", "nats://127.0.0.1:1", "-o", "json")
    assert ended.code == 6
    assert ended.json["status"] == 503
