from __future__ import annotations

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from flunq.store.merging import Group, Key, limits, ranges

keys = st.builds(Key, st.text("ab'.", min_size=1, max_size=3), st.integers(0, 5))


def test_little_is_one_piece() -> None:
    groups = [Group(Key("a", 0), 10), Group(Key("b", 0), 10)]
    assert limits(groups, piece=100) == []
    assert ranges([]) == ["true"]


def test_much_is_cut_where_groups_begin() -> None:
    groups = [Group(Key(name, 0), 60) for name in "abcd"]
    assert limits(groups, piece=100) == [Key("b", 0), Key("c", 0), Key("d", 0)]
    assert limits(groups, piece=120) == [Key("c", 0)]


def test_groups_that_begin_alike_are_not_cut_apart() -> None:
    groups = [Group(Key("a", 0), 60)] * 3 + [Group(Key("b", 0), 60)]
    assert limits(groups, piece=50) == [Key("a", 0), Key("b", 0)]


def test_one_long_execution_is_cut_by_number() -> None:
    groups = [Group(Key("a", seq), 60) for seq in (1, 1000, 2000)]
    assert limits(groups, piece=100) == [Key("a", 1000), Key("a", 2000)]


@given(st.lists(keys, max_size=20), st.lists(st.tuples(keys, st.integers(1, 9)), max_size=6))
def test_every_row_is_in_exactly_one_piece_and_pieces_are_in_order(
    rows: list[Key], starts: list[tuple[Key, int]]
) -> None:
    cuts = limits(sorted(Group(key, size) for key, size in starts), piece=8)
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE r (execution_id VARCHAR, seq BIGINT)")
        if rows:
            connection.executemany("INSERT INTO r VALUES (?, ?)", [list(row) for row in rows])
        found = []
        for condition in ranges(cuts):
            query = f"SELECT * FROM r WHERE {condition} ORDER BY execution_id, seq"
            found += connection.execute(query).fetchall()
    assert found == sorted(map(tuple, rows))
