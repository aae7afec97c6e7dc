"""What a partition remembers of its inbox."""

from __future__ import annotations

from flunq.services.worker.inbox import InboxPosition


def test_the_floor_rises_to_the_last_input_when_nothing_is_open() -> None:
    position = InboxPosition("now")
    assert position.read(5)
    assert position.read(9)
    position.consumed(9)
    assert position.facts() == {"created": "now", "floor": 4, "above": [9]}
    position.consumed(5)
    assert position.facts() == {"created": "now", "floor": 9, "above": []}


def test_an_input_is_taken_once() -> None:
    position = InboxPosition("now")
    assert position.read(3)
    assert not position.read(3)
    position.consumed(3)
    assert not position.read(3)


def test_a_new_owner_knows_what_the_journal_holds() -> None:
    position = InboxPosition("now")
    for sequence in (2, 4, 6):
        position.read(sequence)
    position.consumed(4)
    heir = InboxPosition.from_facts(position.facts())
    assert [heir.read(sequence) for sequence in (2, 4, 6)] == [True, False, True]


def test_a_recreated_stream_starts_from_nothing() -> None:
    position = InboxPosition("monday", floor=100)
    assert position.rebase("tuesday")
    assert position.read(1)


def test_the_same_stream_keeps_its_floor() -> None:
    position = InboxPosition("monday", floor=100)
    assert not position.rebase("monday")
    assert not position.read(100)
