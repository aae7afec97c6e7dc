"""The index of the executions that are not in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flunq.services.worker.places import Place, PlaceBook, Places

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGINNING = (1 << 62, "")


@pytest.fixture
def book() -> Iterator[PlaceBook]:
    book = PlaceBook()
    yield book
    book.close()


@pytest.fixture
def places(book: PlaceBook) -> Places:
    return book.partition()


def place(execution: str, started: int = 1, **changes: Any) -> Place:
    return Place(execution, 7, 1, started, workflow="shop/orders:1.0.0")._replace(**changes)


def test_an_index_that_was_never_written_is_empty(places: Places) -> None:
    assert (len(places), list(places), places.get("a"), "a" in places) == (0, [], None, False)
    assert (places.pop("a"), places.next_due(), places.due_until(9), places.per_pack()) == (
        None,
        None,
        [],
        {},
    )


def test_the_newest_place_of_an_execution_counts(places: Places) -> None:
    places.put([place("a"), place("b")])
    places.put([place("a", pack=9)])
    found = places.get("a")
    assert found is not None
    assert found.pack == 9
    assert places.per_pack() == {7: 1, 9: 1}


def test_what_is_taken_out_is_gone(places: Places) -> None:
    places.put([place("a")])
    assert places.pop("a") == place("a")
    assert "a" not in places


def test_pages_come_newest_first_and_go_on_where_the_last_one_ended(places: Places) -> None:
    places.put(place(f"e{number}", number // 2) for number in range(6))
    newest = list(places.newest(BEGINNING))
    assert newest == [(2, "e5"), (2, "e4"), (1, "e3"), (1, "e2"), (0, "e1"), (0, "e0")]
    assert list(places.newest(newest[2])) == newest[3:]


def test_pages_are_filtered_by_status_workflow_and_beginning_of_the_id(places: Places) -> None:
    other = place("a2", workflow="shop/returns:1.0.0", status=5)
    places.put([place("a1"), other, place("b1")])
    assert list(places.newest(BEGINNING, statuses=[5])) == [(1, "a2")]
    assert list(places.newest(BEGINNING, workflow="*/orders:*")) == [(1, "b1"), (1, "a1")]
    assert list(places.newest(BEGINNING, prefix="a")) == [(1, "a2"), (1, "a1")]


def test_sleepers_are_found_by_the_moment_of_their_next_timer(places: Places) -> None:
    places.put([place("never"), place("soon", due=10, pack=2), place("later", due=20, pack=1)])
    assert places.next_due() == 10
    assert places.due_until(9) == []
    assert places.due_until(20) == ["later", "soon"]


def test_partitions_do_not_see_each_other(book: PlaceBook) -> None:
    first, second = book.partition(), book.partition()
    first.put([place("a")])
    second.put([place("b")])
    first.close()
    assert [one.id for one in second] == ["b"]
    assert len(first) == 0


def test_ids_are_found_in_whatever_order_they_came(places: Places) -> None:
    places.put([place("0193-b"), place("order-9")])
    places.put([place("0193-a"), place("order-10")])
    assert all(each in places for each in ("0193-a", "0193-b", "order-9", "order-10"))
    assert not any(each in places for each in ("0193-aa", "0193-c", "order-90", "zebra"))
