"""``flunq bench`` as a user types it."""

from __future__ import annotations

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


def test_a_cluster_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    ended = Flunq(tmp_path)("bench", "start", "--nats", "nats://127.0.0.1:1", "-o", "json")
    assert ended.code == 6
    assert ended.json["status"] == 503
