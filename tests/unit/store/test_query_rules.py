from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from flunq.errors import RejectedError
from flunq.store.duck import open_history
from flunq.store.query_job import Job, Question, Sources
from flunq.store.query_rules import check
from flunq.store.views import VIEWS
from tests.support.sql import Histories, write_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READING = """\
select 1
from events
values (1), (2)
with a as (select 1 as x) select * from a
with recursive n as (select 1 as i union all select i + 1 from n where i < 5) from n
pivot executions on status using count(*)
pivot executions on status in ('faulted') using count(*)
unpivot (select 1 as a, 2 as b) on a, b
describe executions
show tables
explain select 1
explain analyze select count(*) from events
-- a comment
explain /* another */ select 1
summarize tasks
select * from range(3), unnest([1, 2])
select * from information_schema.columns
select (select max(seq) from events) from executions e where exists (from tasks where run = e.run)
select main.events.seq from main.events"""
HOSTILE = """\
copy events to '/tmp/stolen.csv'
copy (select 1) to '/tmp/stolen.parquet' (format parquet)
export database '/tmp/stolen'
import database '/tmp/stolen'
attach '/tmp/stolen.db'
attach ':memory:' as other
detach memory
install httpfs
install spatial from community
load httpfs
load '/tmp/evil.so'
force install json
pragma database_list
pragma enable_profiling
pragma memory_limit = '100GB'
set memory_limit = '100GB'
set enable_external_access = true
set global threads = 64
reset memory_limit
call pragma_version()
call duckdb_settings()
checkpoint
vacuum
analyze
begin
use main
prepare p as select 1
execute p
deallocate p
create table mine as select 1
create view mine as select 1
create macro f(x) as x
create secret s (type s3)
create or replace view events as select 1
drop view events
alter table log.tail add column x int
insert into log.tail select * from log.tail
update log.tail set seq = 1
delete from log.tail
truncate log.tail
merge into log.tail using log.tail as o on true when matched then delete
with gone as (delete from log.tail returning *) select * from gone
with more as (insert into log.tail from log.tail returning *) from more
explain copy events to '/tmp/stolen.csv'
explain analyze create table mine as select 1
explain attach '/tmp/stolen.db'
select 1; select 2
select 1; drop view events
select * from read_csv('/etc/passwd')
select * from read_csv_auto('/etc/passwd')
select * from read_text('/etc/passwd')
select * from read_blob('/etc/passwd')
select * from read_json('/etc/passwd')
select * from read_json_auto('https://example.com/x.json')
select * from read_parquet('/tmp/*/*.parquet')
select * from parquet_scan('/tmp/x.parquet')
select * from parquet_metadata('/tmp/x.parquet')
select * from read_duckdb('/tmp/x.db')
select * from sniff_csv('/etc/passwd')
select * from glob('/**')
from '/etc/passwd'
from 'lake.parquet'
from 'https://example.com/x.parquet'
select * from "/etc/passwd"
describe select * from read_csv('/etc/passwd')
summarize '/etc/passwd'
select * from (from read_text('/etc/shadow'))
select (select content from read_text('/etc/passwd'))
with a as materialized (select * from glob('/*')) select * from a
select * from events where task in (select file from glob('/*'))
select 1 union all select size from read_blob('/etc/passwd')
select * from query('select 1')
select * from query_table('events')
select * from json_execute_serialized_sql('{}')
select * from duckdb_secrets()
select * from duckdb_settings()
select * from duckdb_logs()
select * from enable_logging()
select * from which_secret('x', 's3')
select * from test_all_types()
select * from log.tail
select * from log.known_definitions
select * from memory.log.tail
select * from sqlite_master
select * from stolen
select getenv('HOME')
select current_setting('allowed_paths')
select getvariable('x')
select * from pandas_scan(1)
select * from python_map_function(1)
select * from register_external_resource('x')
select * from copy_database('a', 'b')
select * from force_checkpoint()
load_everything
"""


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    histories = Histories()
    histories.run("a", "do: [{x: {set: {a: 1}}}]")
    sources = histories.sources(tmp_path_factory.mktemp("lake"), lake=3)
    with open_history(Job(sources=sources, question=Question(sql=""))) as opened:
        yield opened


@pytest.mark.parametrize("sql", READING.replace("-- a comment\n", "-- a comment;").split("\n"))
def test_whatever_reads_may_run(sql: str, connection: duckdb.DuckDBPyConnection) -> None:
    checked = check(connection, sql.replace("comment;", "comment\n"))
    assert connection.execute(checked.sql).fetchall() is not None


@pytest.mark.parametrize("sql", HOSTILE.splitlines())
def test_whatever_does_more_than_read_is_refused(
    sql: str, connection: duckdb.DuckDBPyConnection
) -> None:
    with pytest.raises((RejectedError, duckdb.ParserException)) as caught:
        check(connection, sql)
    assert str(caught.value)


OUTSIDE = [
    line
    for line in HOSTILE.splitlines()
    if any(word in line for word in ("/etc", "/tmp", "http", "glob(", "install", "load "))
    and not line.startswith(("explain", "deallocate"))
]


@pytest.mark.parametrize("sql", [*OUTSIDE, "set threads = 9", "reset threads"])
def test_the_connection_itself_opens_nothing(
    sql: str, connection: duckdb.DuckDBPyConnection
) -> None:
    with pytest.raises(duckdb.Error):
        connection.execute(sql)


def test_another_tenants_files_are_closed(tmp_path: Path) -> None:
    histories = Histories()
    histories.run("a", "do: [{x: {set: {a: 1}}}]")
    other = write_parquet(tmp_path / "other.parquet", histories.commits)
    sources = histories.sources(tmp_path / "own", lake=2)
    with open_history(Job(sources=sources, question=Question(sql=""))) as opened:
        assert opened.execute("select count(*) from read_parquet(?)", sources.files).fetchall()
        with pytest.raises(duckdb.PermissionException):
            opened.execute("select count(*) from read_parquet(?)", [other])


def test_an_unknown_table_suggests_the_nearest(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(RejectedError) as caught:
        check(connection, "select * from excutions")
    assert caught.value.hint == "did you mean executions?"


def test_a_query_tells_which_tables_it_reads(connection: duckdb.DuckDBPyConnection) -> None:
    checked = check(connection, "with t as (from tasks) select * from t, Events")
    assert checked.tables == frozenset({"t", "tasks", "events"})


def test_without_files_and_tail_there_are_no_events() -> None:
    job = Job(sources=Sources(tenant="empty"), question=Question(sql=""))
    with open_history(job) as opened:
        for view in VIEWS:
            assert opened.execute(f"select * from {view}").fetchall() == []
