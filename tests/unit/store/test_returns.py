"""What SQL says of executions that went back: their newest fate, not the one taken back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from flunq.core.execution.commands import Cancel, Migrate, Suspend
from flunq.core.execution.trail import Point
from tests.support.driver import Driver, document, environment, error
from tests.support.returning import restored, retry
from tests.support.sql import Histories, ask

if TYPE_CHECKING:
    from pathlib import Path

STEPS = "do: [{d: {do: [{a: {call: a}}, {b: {call: b}}]}}, {w: {wait: PT5S}}]"
DOWN = error("communication", 503)


def rows(driver: Driver, folder: Path, query: str) -> list[dict[str, Any]]:
    histories = Histories()
    histories.add(driver.events)
    sources = histories.sources(folder, lake=len(histories.commits) // 2)
    return asyncio.run(ask(sources, query))


def failed() -> Driver:
    driver = Driver(STEPS, results={"a": 1, "b": [DOWN, 2]}).run()
    assert driver.live.status == "faulted"
    return driver


def test_a_retried_execution_runs_and_has_no_end(tmp_path: Path) -> None:
    driver = failed()
    driver.send(retry(driver, reason="again"))
    (row,) = rows(driver, tmp_path, "from executions")
    assert (row["status"], row["ended_at"], row["error_type"]) == ("running", None, None)
    assert row["reason"] == "again"
    tasks = rows(driver, tmp_path, "select name, status, ended_at is null from tasks order by step")
    assert [tuple(task.values()) for task in tasks] == [
        ("d", "running", True),
        ("a", "completed", False),
        ("b", "faulted", False),
        ("b", "running", True),
    ]


def test_a_retried_execution_ends_as_it_ended_last(tmp_path: Path) -> None:
    driver = failed()
    driver.send(retry(driver))
    driver.run()
    (row,) = rows(driver, tmp_path, "from executions")
    assert (row["status"], row["error_type"], row["output"]) == ("completed", None, 2)
    (around,) = rows(driver, tmp_path, "from tasks where name = 'd'")
    assert (around["status"], around["error_type"]) == ("completed", None)


def test_a_rewound_execution_stays_suspended_and_knows_its_timers(tmp_path: Path) -> None:
    driver = Driver(STEPS, results={"a": 1, "b": 2}).begin()
    driver.work()
    driver.work()
    driver.send(Suspend(id="x1"))
    driver.send(restored(driver, "rewound", Point(seq=driver.live.seq - 1)))
    (row,) = rows(driver, tmp_path, "from executions")
    assert row["status"] == "suspended"
    (task,) = rows(driver, tmp_path, "from tasks where name = 'w'")
    assert (task["status"], task["ended_at"]) == ("running", None)


def test_timers_that_run_again_are_pending(tmp_path: Path) -> None:
    driver = Driver("do: [{w: {wait: PT5S}}]").begin()
    driver.now += 1_000_000
    driver.send(Cancel(id="x1"))
    driver.now += 1_000_000
    driver.send(retry(driver))
    query = "select status, epoch_us(due_at) as due from timers order by armed_at"
    first, second = rows(driver, tmp_path, query)
    assert (first["status"], second["status"]) == ("disarmed", "pending")
    assert [second["due"]] == list(driver.timers.values())


def test_a_migrated_execution_has_its_new_version(tmp_path: Path) -> None:
    driver = Driver(STEPS, results={"a": 1, "b": 2}).begin()
    newer = document(STEPS)
    newer["document"] = {**newer["document"], "version": "2.0.0"}
    driver.env = environment(newer)
    driver.send(Migrate(id="x1", workflow=driver.env.workflow.ref))
    (row,) = rows(driver, tmp_path, "select version, status, digest from executions")
    assert row == {"version": "2.0.0", "status": "running", "digest": "digest"}
