"""``flunq schedules`` as a user types it."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster import running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

EXAMPLES = Path(__file__).parents[2] / "examples"
HEAD = "document: {{dsl: 1.0.3, namespace: t, name: {name}, version: {version}}}\n"
YEARLY = HEAD + "schedule: {{cron: 0 0 1 1 *}}\ndo:\n  - a: {{set: {{at: '{at}'}}}}\n"
FIRE = '${ $workflow.tags["scheduled-at"] }'


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flunq]:
    """A cluster for all tests of this module; each has workflows of its own."""
    with running_cluster(tmp_path_factory.mktemp("schedules")) as flunq:
        yield flunq


def apply(flunq: Flunq, name: str, text: str = YEARLY, version: str = "1.0.0") -> None:
    """Register a document."""
    path = flunq.home / f"{name}.yaml"
    path.write_text(text.format(name=name, version=version, at=FIRE))
    done = flunq("apply", str(path))
    assert done.code == 0, done.err


def show(flunq: Flunq, name: str) -> Any:
    """Return a schedule."""
    found = flunq("schedules", "show", name, "-o", "json")
    assert found.code == 0, found.err
    return found.json


def executions(flunq: Flunq, workflow: str, count: int) -> list[Any]:
    """Return the executions of a workflow once there are so many and all have ended."""
    deadline = time.monotonic() + 20
    while True:
        found = flunq("list", "--workflow", workflow, "-n", "0", "-o", "json").json
        if len(found) >= count and all(each["ended_at"] for each in found):
            return list(found)
        assert time.monotonic() < deadline, found


def test_a_document_that_is_applied_is_scheduled_until_it_is_deleted(cluster: Flunq) -> None:
    apply(cluster, "yearly")
    rows = cluster("schedules", "list", "--prefix", "t/yearly")
    assert "cron 0 0 1 1 *" in rows.out
    assert show(cluster, "yearly")["status"] == "active"
    cluster("workflows", "delete", "yearly", "--yes")
    assert cluster("schedules", "show", "yearly").code == 4


def test_a_document_that_is_only_run_is_not_scheduled(cluster: Flunq) -> None:
    path = cluster.home / "once.yaml"
    path.write_text(YEARLY.format(name="once", version="1.0.0", at="now"))
    assert cluster("run", str(path)).code == 0
    assert cluster("schedules", "show", "once").code == 4


def test_a_newer_version_without_a_schedule_ends_it(cluster: Flunq) -> None:
    apply(cluster, "brief")
    apply(cluster, "brief", HEAD + "do: []\n", version="1.0.1")
    assert cluster("schedules", "show", "brief").code == 4
    cluster("workflows", "delete", "brief:1.0.1", "--yes")
    assert cluster("schedules", "show", "brief").code == 4, "it has to be applied again"


def test_trigger_starts_it_now_and_prints_the_id(cluster: Flunq) -> None:
    apply(cluster, "now")
    fired = cluster("schedules", "trigger", "now")
    assert fired.code == 0, fired.err
    result = cluster("result", fired.out.strip(), "-o", "json")
    assert result.json["output"]["at"].startswith("20")


def test_the_same_trigger_again_is_the_same_execution(cluster: Flunq) -> None:
    apply(cluster, "again")
    created = [
        cluster("schedules", "trigger", "again", "--id", "mine", "-o", "json").json["created"]
        for _ in range(2)
    ]
    assert created == [True, False]


def test_backfill_starts_each_past_fire_once_and_the_workflow_knows_which(
    cluster: Flunq,
) -> None:
    apply(cluster, "past")
    asked = ("schedules", "backfill", "past", "--from", "2019-06-01", "--to", "2021-06-01T00:00Z")
    plan = cluster(*asked, "--dry-run", "-o", "json").json
    assert [each["at"][:4] for each in plan] == ["2020", "2021"]
    assert [each["outcome"] for each in cluster(*asked, "-o", "json").json] == ["started"] * 2
    assert [each["outcome"] for each in cluster(*asked, "-o", "json").json] == ["exists"] * 2
    found = executions(cluster, "past", 2)
    outputs = {cluster("result", each["id"], "-o", "json").json["output"]["at"] for each in found}
    assert outputs == {"2020-01-01T00:00:00.000000Z", "2021-01-01T00:00:00.000000Z"}


def test_a_long_backfill_goes_page_by_page(cluster: Flunq) -> None:
    apply(cluster, "long")
    asked = ("schedules", "backfill", "long", "--from", "1890-06-01", "--to", "2021-06-01")
    assert len(cluster(*asked, "--dry-run", "-o", "json").json) == 131


def test_only_what_fires_by_the_clock_can_be_backfilled(cluster: Flunq) -> None:
    apply(cluster, "chain", HEAD + "schedule: {{after: PT1H}}\ndo: []\n")
    refused = cluster("schedules", "backfill", "chain", "--from", "-1d")
    assert refused.code == 3
    assert "no fires that are known in advance" in refused.err


def test_pause_update_and_resume_are_remembered(cluster: Flunq) -> None:
    apply(cluster, "calm")
    assert cluster("schedules", "pause", "calm", "--reason", "holidays").out == "t/calm paused\n"
    changed = (
        "--overlap",
        "queue",
        "--catch-up",
        "10m",
        "--missed",
        "last",
        "--timezone",
        "Asia/Tokyo",
    )
    assert cluster("schedules", "update", "calm", *changed).code == 0
    view = show(cluster, "calm")
    assert (view["status"], view["reason"], view["catch_up"]) == ("paused", "holidays", 600.0)
    assert (view["overlap"], view["missed"], view["timezone"]) == ("queue", "last", "Asia/Tokyo")
    cluster("schedules", "resume", "calm")
    cluster("schedules", "update", "calm", "--reset")
    view = show(cluster, "calm")
    assert (view["status"], view["overlap"], view["timezone"]) == ("active", "allow", "UTC")


def test_the_next_fires_are_skipped_until_that_is_taken_back(cluster: Flunq) -> None:
    apply(cluster, "leap")
    said = cluster("schedules", "skip", "leap", "--count", "2").out
    first = next_of(cluster, "leap")[0]["at"]
    _, second, third = (row["local"] for row in next_of(cluster, "leap"))
    told = rf"t/leap skips its fires up to {second} \(in \d+d\); the next is {third} \(in \d+d\)\n"
    assert re.fullmatch(told.replace("+", r"\+").replace(r"\d\+", r"\d+"), said), said
    assert [row["skipped"] for row in next_of(cluster, "leap")] == [True, True, False]
    assert show(cluster, "leap")["skipping"][0] == first
    assert len(show(cluster, "leap")["skipping"]) == 2
    assert "skips" in cluster("schedules", "show", "leap").out
    assert cluster("schedules", "unskip", "leap").code == 0
    assert show(cluster, "leap")["next"][0] == first
    assert cluster("schedules", "skip", "leap", "--until", "2020-01-01T00:00Z").code == 3


def test_a_collected_start_is_told_as_the_execution_that_it_is_part_of(cluster: Flunq) -> None:
    collects = "metadata: {{start: {{debounce: {{for: PT1H}}}}, schedule: {{overlap: skip}}}}}}\n"
    apply(cluster, "crowd", YEARLY.replace("}}\n", f", {collects}", 1))
    first = cluster("schedules", "trigger", "crowd", "-o", "json").json["id"]
    assert cluster("schedules", "trigger", "crowd", "-o", "json").json["id"] == first
    assert cluster("get", first, "-o", "json").json["waiting"][0]["starts"] == 2
    view = show(cluster, "crowd")
    assert (view["running"], [run["id"] for run in view["runs"]]) == ([first], [first, first])
    (group,) = cluster("limits", "groups", "-o", "json").json
    assert (group["execution"], group["starts"], group["workflow"]) == (first, 2, "t/crowd:1.0.0")
    assert first in cluster("limits", "groups").out
    assert cluster("cancel", first).code == 0
    while show(cluster, "crowd")["running"]:
        pass


def next_of(flunq: Flunq, name: str) -> Any:
    """Return the next three fires."""
    return flunq("schedules", "next", name, "-n", "3", "-o", "json").json


def test_next_shows_the_local_time_of_a_registered_schedule(cluster: Flunq) -> None:
    apply(cluster, "tokyo")
    cluster("schedules", "update", "tokyo", "--timezone", "Asia/Tokyo")
    fires = cluster("schedules", "next", "tokyo", "-n", "2", "-o", "json").json
    assert [each["local"][4:] for each in fires] == ["-01-01T00:00:00+09:00"] * 2


def test_next_of_a_file_needs_no_cluster(flunq: Flunq) -> None:
    shown = flunq("schedules", "next", str(EXAMPLES / "nightly-report.yaml"), "-n", "3")
    assert shown.code == 0, shown.err
    assert shown.out.count("T02:30:00+0") == 3
    assert "Europe/Berlin" in shown.out


def test_next_of_a_document_without_a_schedule_is_empty(flunq: Flunq) -> None:
    shown = flunq("schedules", "next", str(EXAMPLES / "hello.yaml"), "-o", "json")
    assert (shown.code, shown.json) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("update", "x", "--overlap", "maybe"), 2, "--overlap is one of"),
        (("update", "x"), 2, "nothing to set"),
        (("skip", "x", "-n", "1", "--until", "2126-01-01"), 2, "--count or --until, not both"),
        (("backfill", "x", "--from", "2026-01-02", "--to", "2026-01-01"), 2, "--to is before"),
        (("backfill", "x", "--from", "noon"), 2, "'noon' is no moment"),
        (("next", "missing.yaml"), 4, "no such file"),
        (("show", "x"), 6, "no cluster"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: tuple[str, ...], code: int, message: str, flunq: Flunq
) -> None:
    refused = flunq("schedules", *arguments)
    assert refused.code == code, refused.err
    assert message in refused.err


def test_a_time_zone_that_does_not_exist_is_refused(cluster: Flunq) -> None:
    apply(cluster, "zoned")
    refused = cluster("schedules", "update", "zoned", "--timezone", "Mars/Olympus")
    assert refused.code == 3
    assert "unknown time zone" in refused.err


def test_an_execution_starts_when_all_its_events_have_come(cluster: Flunq) -> None:
    shutil.copy(EXAMPLES / "ship-when-paid.yaml", cluster.home)
    assert cluster("apply", "ship-when-paid.yaml").code == 0
    for kind, more in (("packed", {"shelf": "B4"}), ("paid", {"amount": 12})):
        data = json.dumps({"order": 7, **more})
        assert cluster("emit", f"com.example.order.{kind}", "--data", data).code == 0
    (run,) = executions(cluster, "ship-when-paid", 1)
    ended = cluster("result", run["id"], "-o", "json").json
    assert ended["output"] == {"shipped": 7, "from": "B4", "worth": 12}
    assert run["tags"]["schedule"] == "examples/ship-when-paid"
