from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flunq.core.capacity import Capacity, ConsumerUse, StreamUse
from flunq.store.query_job import Gone, KnownDefinition, Sources
from flunq.store.views import VIEWS
from tests.support.driver import EPOCH
from tests.support.sql import BROKEN, BUSY, FLAKY, Histories, ask

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def histories() -> Histories:
    made = Histories()
    made.run("good", input={"amount": 3}, outcomes=[BUSY, BUSY, {"id": 7}], tags={"team": "a"})
    made.run("bad", input={"amount": 4}, outcomes=[BROKEN])
    made.run("open", input={"amount": 5}, finish=False)
    return made


@pytest.fixture
def sources(histories: Histories, tmp_path: Path) -> Sources:
    return histories.sources(tmp_path, lake=len(histories.commits) // 2)


async def test_the_views_are_as_documented(sources: Sources) -> None:
    sql = """select table_name as t, column_name as c, data_type as k
        from information_schema.columns where table_schema = 'main' order by ordinal_position"""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in await ask(sources, sql):
        found.setdefault(row["t"], []).append((row["c"], row["k"]))
    documented = {v.name: [(c.name, c.kind) for c in v.columns] for v in VIEWS.values()}
    assert found == documented
    assert all(column.doc for view in VIEWS.values() for column in view.columns)


async def test_an_execution_is_one_row(sources: Sources) -> None:
    row = await one(sources, "from executions where id = 'good'")
    assert (row["namespace"], row["workflow"], row["version"]) == ("test", "sample", "1.0.0")
    assert (row["status"], row["tags"], row["input"]) == ("completed", {"team": "a"}, {"amount": 3})
    assert row["started_at"] == "2023-11-14T22:13:20.000000Z"
    assert row["duration_ms"] == 7_000.0


async def test_a_faulted_execution_shows_its_error(sources: Sources) -> None:
    row = await one(sources, "from executions where id = 'bad'")
    assert (row["status"], row["error_status"], row["error_title"]) == ("faulted", 500, "Broken")
    assert (row["error_detail"], row["error_task"]) == ("no money", "/do/0/charge/try/0/pay")


async def test_what_has_not_ended_has_no_end(sources: Sources) -> None:
    row = await one(sources, "from executions where id = 'open'")
    assert (row["status"], row["ended_at"], row["output"]) == ("running", None, None)
    task = await one(sources, "from tasks where execution_id = 'open' and name = 'pay'")
    assert (task["status"], task["ended_at"], task["parent_step"]) == ("running", None, 2)


async def test_attempts_show_what_retrying_cost(sources: Sources) -> None:
    rows = await ask(sources, "from attempts where execution_id = 'good' order by attempt")
    assert [row["status"] for row in rows] == ["retried", "retried", "completed"]
    assert [row["delay_ms"] for row in rows] == [0.0, 2_000.0, 2_000.0]
    assert [row["error_status"] for row in rows] == [503, 503, None]
    tries = await one(sources, "from tasks where execution_id = 'good' and kind = 'try'")
    assert (tries["attempts"], tries["status"]) == (3, "completed")


async def test_timers_are_fired_pending_or_disarmed(sources: Sources) -> None:
    rows = await ask(sources, "from timers where execution_id = 'good' order by due_at")
    assert [(row["purpose"], row["status"]) for row in rows] == [
        ("retry", "fired"),
        ("retry", "fired"),
        ("wait", "fired"),
    ]
    assert {row["late_ms"] for row in rows} == {0.0}


async def test_a_skipped_task_is_a_row(sources: Sources) -> None:
    row = await one(sources, "from tasks where execution_id = 'good' and name = 'never'")
    assert (row["status"], row["kind"], row["input"]) == ("skipped", None, None)


async def test_an_input_that_stands_elsewhere_is_found(tmp_path: Path) -> None:
    histories, large = Histories(), {"amount": 1, "pad": "x" * 5_000}
    histories.run("x", "do: [{a: {set: '${ . }'}}, {b: {wait: {seconds: 1}}}]", input=large)
    assert b'"inputFrom"' in b"".join(data for _, data in histories.commits)
    for lake in (0, 4, len(histories.commits)):
        sources = histories.sources(tmp_path / str(lake), lake=lake)
        rows = await ask(sources, "select input from tasks order by step")
        assert [row["input"] for row in rows] == [large, large]


async def test_a_second_execution_of_a_deleted_id_is_a_row_of_its_own(tmp_path: Path) -> None:
    histories = Histories()
    histories.run("again", "do: [{a: {set: {n: 1}}}]")
    histories.run("again", "do: [{a: {set: {n: 2}}}]", at=EPOCH + 1)
    sources = histories.sources(tmp_path, lake=3)
    rows = await ask(sources, "select run, output from executions order by run")
    assert rows == [{"run": 1, "output": {"n": 1}}, {"run": 2, "output": {"n": 2}}]
    assert len(await ask(sources, "from tasks")) == 2


async def test_as_of_hides_what_came_later(histories: Histories, tmp_path: Path) -> None:
    sources = histories.sources(tmp_path, lake=5)
    count = "select count(*) as n from events"
    assert (await ask(sources, count, as_of_seq=8))[0]["n"] == 8
    row = (await ask(sources, "from executions where id = 'good'", as_of_seq=8))[0]
    assert (row["status"], row["ended_at"]) == ("running", None)
    assert (await ask(sources, count, as_of_time=EPOCH - 1))[0]["n"] == 0


async def test_scrubbed_executions_are_not_in_the_tail_either(
    histories: Histories, tmp_path: Path
) -> None:
    sources = histories.sources(tmp_path, lake=0)
    gone = Sources(tenant="t", tail=sources.tail, gone=[Gone(execution="good", upto=1_000)])
    rows = await ask(gone, "select id from executions order by id")
    assert [row["id"] for row in rows] == ["bad", "open"]


async def test_the_catalog_tells_what_is_registered(tmp_path: Path) -> None:
    known = KnownDefinition(namespace="a", name="b", version="1", digest="d", latest=True)
    rows = await ask(Sources(tenant="t", connected=True, definitions=[known]), "from workflows")
    assert [(row["name"], row["registered"], row["executions"]) for row in rows] == [("b", True, 0)]


async def test_without_a_cluster_workflows_come_from_events(sources: Sources) -> None:
    row = await one(sources, "from workflows")
    assert (row["name"], row["registered"], row["executions"]) == ("sample", None, 3)


async def test_streams_tell_how_full_they_are(tmp_path: Path) -> None:
    full = StreamUse(name="J", kind="journal", messages=3, bytes=90, max_bytes=120, first_at=EPOCH)
    streams = [full, StreamUse(name="E", kind="events", bytes=5, replicas=3)]
    sources = Sources(tenant="t", connected=True, capacity=Capacity(streams=streams))
    journal, events = await ask(sources, "from streams order by share")
    assert (journal["name"], journal["messages"], journal["share"]) == ("J", 3, 0.75)
    assert (journal["first_at"], journal["last_at"]) == ("2023-11-14T22:13:20.000000Z", None)
    assert (events["share"], events["max_bytes"], events["replicas"]) == (None, None, 3)


async def test_a_quota_of_nothing_has_no_share() -> None:
    nothing = StreamUse(name="J", kind="journal", bytes=9, max_bytes=0)
    sources = Sources(tenant="t", connected=True, capacity=Capacity(streams=[nothing]))
    row = await one(sources, "select max_bytes, share from streams")
    assert row == {"max_bytes": 0, "share": None}


async def test_consumers_tell_how_far_they_are_behind() -> None:
    lane = ConsumerUse(stream="T", name="exec-http", serves="http", pending=7, acked_at=EPOCH)
    other = ConsumerUse(stream="J", name="mine", serves="")
    sources = Sources(tenant="t", connected=True, capacity=Capacity(consumers=[lane, other]))
    first, second = await ask(sources, "from consumers order by name")
    assert (first["stream"], first["serves"], first["pending"]) == ("T", "http", 7)
    assert (first["acked_at"], first["delivered_at"]) == ("2023-11-14T22:13:20.000000Z", None)
    assert (second["name"], second["serves"], second["pending"]) == ("mine", None, 0)


async def test_without_a_cluster_nothing_is_known_of_streams(sources: Sources) -> None:
    for table in ("streams", "consumers"):
        assert await ask(sources, f"from {table}") == []


async def test_one_execution_is_found_without_reading_the_others(tmp_path: Path) -> None:
    histories = Histories()
    for number in range(20):
        histories.run(f"x{number:02}", FLAKY, input={"amount": number})
    sources = histories.sources(tmp_path, lake=len(histories.commits))
    for view, column in (
        ("events", "execution_id"),
        ("tasks", "execution_id"),
        ("executions", "id"),
    ):
        plan = str(await ask(sources, f"explain from {view} where {column} = 'x07'"))
        assert plan.count("x07") >= plan.count("READ_PARQUET") > 0


async def one(sources: Sources, sql: str) -> dict[str, Any]:
    rows = await ask(sources, sql)
    assert len(rows) == 1
    return rows[0]
