from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from flunq.client.answers import SqlResult
from flunq.client.arrow import END, KIND, batch_of, schema_of

pyarrow = pytest.importorskip("pyarrow")
NOON = "2026-02-03T12:00:00.000001Z"
COLUMNS: dict[str, tuple[list[Any], list[Any]]] = {
    "BIGINT": ([1, None], [1, None]),
    "UBIGINT": ([1 << 63, None], [1 << 63, None]),
    "HUGEINT": ([1 << 100, None], [Decimal(1 << 100), None]),
    "DECIMAL(18,2)": ([1.5, None], [1.5, None]),
    "DOUBLE": ([0.5, None], [0.5, None]),
    "BOOLEAN": ([True, None], [True, None]),
    "VARCHAR": (["a", None], ["a", None]),
    "TIMESTAMP WITH TIME ZONE": ([NOON, None], [datetime(2026, 2, 3, 12, 0, 0, 1, UTC), None]),
    "DATE": (["2026-02-03", None], [date(2026, 2, 3), None]),
    "JSON": ([{"a": [1, "x"]}, "text"], ['{"a":[1,"x"]}', "text"]),
    "TIMESTAMP[]": ([[NOON], None], [f'["{NOON}"]', None]),
    "DECIMAL(4,2)[]": ([[1.5], None], ["[1.5]", None]),
    "VARCHAR[]": ([["a"], None], ['["a"]', None]),
}


def stream(names: list[str], kinds: list[str], *chunks: list[list[Any]]) -> Any:
    """Return the table that a reader makes of a stream."""
    schema = schema_of(pyarrow, names, kinds)
    body = schema.serialize().to_pybytes()
    for rows in chunks:
        body += batch_of(pyarrow, schema, kinds, rows).serialize().to_pybytes()
    with pyarrow.ipc.open_stream(io.BytesIO(body + END)) as reader:
        return reader.read_all()


@pytest.mark.parametrize("kind", COLUMNS)
def test_values_of_every_kind_come_out_as_they_are(kind: str) -> None:
    given, wanted = COLUMNS[kind]
    table = stream(["x"], [kind], [[value] for value in given])
    assert table.column("x").to_pylist() == wanted
    assert table.schema.field("x").metadata == {KIND.encode(): kind.encode()}


def test_a_stream_has_its_types_with_no_rows_and_with_many_batches() -> None:
    empty = stream(["n", "t"], ["BIGINT", "TIMESTAMP"])
    assert (empty.num_rows, str(empty.schema.field("t").type)) == (0, "timestamp[us, tz=UTC]")
    many = stream(["n", "n"], ["BIGINT", "JSON"], [], [[1, None]], [[2, 3], [3, [1]]])
    assert many.column(0).to_pylist() == [1, 2, 3]
    assert many.column(1).to_pylist() == [None, "3", "[1]"]


def test_a_table_of_the_client_has_the_same_moments_and_keeps_nested_values() -> None:
    answer = SqlResult(columns=["t", "x"], kinds=["TIMESTAMP", "JSON"], values=[[NOON, {"y": 1}]])
    (row,) = answer.arrow().to_pylist()
    assert row == {"t": datetime(2026, 2, 3, 12, 0, 0, 1, UTC), "x": {"y": 1}}
