"""Answers to queries as rows and as Arrow tables."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from flunq.client.answers import SqlResult, collect
from flunq.errors import RejectedError, UsageError
from flunq.store.query_job import Chunk, Done, Header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.store.query_job import Reply


async def said(*replies: Reply) -> AsyncIterator[Reply]:
    for reply in replies:
        yield reply


async def test_an_answer_of_several_parts_is_one() -> None:
    header = Header(names=["id", "n"], kinds=["VARCHAR", "BIGINT"])
    parts = (header, Chunk(rows=[["a", 1]]), Chunk(rows=[["b", 2]]), Done(rows=2, more=True))
    answer = await collect(said(*parts))
    assert answer.rows() == [{"id": "a", "n": 1}, {"id": "b", "n": 2}]
    assert (len(answer), answer.more) == (2, True)


async def test_an_answer_without_columns_is_refused() -> None:
    with pytest.raises(RejectedError, match="no columns"):
        await collect(said(Done(rows=0)))


def test_an_empty_answer_is_a_table_with_types() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    empty = SqlResult(columns=["id", "n"], kinds=["VARCHAR", "BIGINT"], values=[])
    assert empty.arrow().schema == pyarrow.schema([("id", "string"), ("n", "int64")])
    full = SqlResult(columns=["id", "x"], kinds=["VARCHAR", "JSON"], values=[["a", {"y": 1}]])
    assert full.arrow().to_pylist() == [{"id": "a", "x": {"y": 1}}]


def test_a_table_without_pyarrow_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = SqlResult(columns=["id"], kinds=["VARCHAR"], values=[])
    with pytest.raises(UsageError, match="need pyarrow"):
        answer.arrow()
