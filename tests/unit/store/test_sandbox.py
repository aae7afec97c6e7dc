from __future__ import annotations

import asyncio
import os
from pathlib import Path

import duckdb
import pytest

from flunq.errors import RejectedError, WaitTimeoutError
from flunq.store.query import QueryProcess
from flunq.store.query_job import Header, Job, Limits, Question, Sources
from flunq.store.sandbox import plain, refusal
from tests.support.sql import ask

EMPTY = Sources(tenant="default")
SMALL = 128 << 20
BOMBS = (
    "select length(repeat('x', 2000000000))",
    "select * from range(1000000000) t(i) order by hash(i)",
    "select list(i) from range(1000000000) t(i)",
    "select string_agg(repeat('x', 1000), '') from range(10000000) t(i)",
    "with recursive a as (select 'x' as x union all select x || x from a) select max(x) from a",
    "select distinct a.i * b.i from range(100000) a(i), range(100000) b(i)",
)
ENDLESS = (
    "with recursive a as (select 1 as i union all select i + 1 from a) select count(*) from a",
    "select count(*) from range(1000000) a, range(1000000) b, range(100000) c where random() > 2",
    "select sum(i) from range(1000000000000) t(i)",
)


@pytest.mark.parametrize("sql", BOMBS)
async def test_a_memory_bomb_gets_one_clear_line(sql: str) -> None:
    with pytest.raises((RejectedError, WaitTimeoutError)) as caught:
        await ask(EMPTY, sql, memory=SMALL, seconds=15)
    assert caught.value.message.startswith(("the query needs more memory", "the query took longer"))


@pytest.mark.parametrize("sql", ENDLESS)
async def test_an_endless_query_is_stopped(sql: str) -> None:
    with pytest.raises(WaitTimeoutError) as caught:
        await ask(EMPTY, sql, seconds=0.8)
    assert caught.value.message == "the query took longer than 0.8 seconds and was stopped"


async def test_whoever_stops_asking_leaves_no_process_behind() -> None:
    process = QueryProcess()
    async with process:
        job = Job(sources=EMPTY, question=Question(sql=ENDLESS[1]), limits=Limits(seconds=30))
        replies = process.answer(job)
        running = asyncio.ensure_future(anext(replies))
        pid = process.pid
        assert Path(f"/proc/{pid}").exists()
        running.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_rows_come_before_the_answer_is_complete() -> None:
    async with QueryProcess() as process:
        job = Job(sources=EMPTY, question=Question(sql="select * from range(100000000000)"))
        first = await anext(process.answer(job))
    assert first == Header(names=["range"], kinds=["BIGINT"])


async def test_values_of_every_kind_become_json() -> None:
    sql = """select 1::hugeint as a, 1.5::decimal(9,2) as b, interval 90 second as c,
        'a'::blob as d, date '2026-01-02' as e, [1, 2] as f, {'k': 1} as g, map{'k': 'v'} as h,
        '{"n": [1]}'::json as i, 'nan'::double as j, timestamp '2026-01-02 03:04:05' as k"""
    row = (await ask(EMPTY, sql))[0]
    expected = [1, 1.5, 90.0, "61", "2026-01-02", [1, 2], {"k": 1}, {"k": "v"}, {"n": [1]}, None]
    assert list(row.values()) == [*expected, "2026-01-02T03:04:05.000000Z"]


async def test_moments_with_a_zone_come_in_utc_under_their_name() -> None:
    row = (await ask(EMPTY, "select timestamptz '2026-01-02 03:04:05+02' as at, 1 as n"))[0]
    assert row == {"at": "2026-01-02T01:04:05.000000Z", "n": 1}


async def test_parameters_are_values_and_never_sql() -> None:
    row = (await ask(EMPTY, "select $a as a, $b + 1 as b", parameters={"a": "'; --", "b": 2}))[0]
    assert row == {"a": "'; --", "b": 3}


async def test_a_parameter_without_a_value_is_asked_for_by_name() -> None:
    with pytest.raises(RejectedError) as caught:
        await ask(EMPTY, "select $day as a")
    assert caught.value.hint == "give each a value: -p day=VALUE"


async def test_no_more_rows_come_than_were_asked_for() -> None:
    assert len(await ask(EMPTY, "select * from range(1000)", max_rows=7)) == 7


def test_a_message_shows_the_place_and_no_jargon() -> None:
    with pytest.raises(duckdb.Error) as caught:
        duckdb.connect().execute("select nme from (select 1 as name)")
    found = refusal(caught.value)
    assert found.message.splitlines()[1:] == [
        "  LINE 1: select nme from (select 1 as name)",
        "                 ^^^",
    ]
    assert found.hint == 'did you mean "name"?'


def test_what_json_cannot_say_becomes_text() -> None:
    assert plain(complex(1, 2)) == "(1+2j)"
