"""``schedule.on``: which events start an execution, alone and together."""

from __future__ import annotations

import pytest

from flunq.core.document.model import Listen
from flunq.core.expressions import NeedsEvaluation
from flunq.core.scheduling import hearing
from flunq.core.scheduling.deciding import pause
from flunq.core.scheduling.hearing import hear, shed, types_of
from flunq.core.scheduling.plan import compile_plan
from tests.support.schedules import Keeper

ONE = "{on: {one: {with: {type: a}}}}"
PAIR = """
on:
  all:
    - with: {type: a}
      correlate: {order: {from: .data.order}}
    - with: {type: b}
      correlate: {order: {from: .data.order}}
"""


def order(number: int, **more: int) -> dict[str, int]:
    return {"order": number, **more}


def test_each_event_starts_an_execution_with_the_array_of_events_as_input() -> None:
    keeper = Keeper(ONE)
    assert keeper.hear(type="a", data=1) == [[1]]
    assert keeper.hear(type="b", data=2) == []
    assert keeper.hear(type="a", data=3) == [[3]]
    assert keeper.state.pending[0].input == [{"type": "a", "data": 1, "source": "/t", "id": "1"}]


def test_an_event_that_comes_again_starts_nothing() -> None:
    keeper = Keeper(ONE)
    keeper.hear(type="a", id="x")
    assert keeper.hear(type="a", id="x") == []
    keeper.settle()
    assert keeper.hear(type="a", id="x") == []


def test_an_event_that_is_read_again_after_a_crash_changes_nothing() -> None:
    keeper = Keeper(PAIR)
    event = {"id": "x", "source": "/t", "type": "a", "data": order(1)}
    once = hear(keeper.state, keeper.plan, 5, event, {}, {}, 0)
    assert hear(once, keeper.plan, 5, event, {}, {}, 0) == once


def test_conditions_look_at_the_data() -> None:
    keeper = Keeper("{on: {one: {with: {type: a, data: '${ .celsius > 38 }'}}}}")
    assert keeper.hear(type="a", data={"celsius": 37}) == []
    assert keeper.hear(type="a", data={"celsius": 39}) == [[{"celsius": 39}]]


def test_any_of_several_filters_will_do() -> None:
    keeper = Keeper("{on: {any: [{with: {type: a}}, {with: {type: 'b.*'}}]}}")
    assert [keeper.hear(type=name, data=name) for name in ("a", "c", "b.x")] == [
        [["a"]], [], [["b.x"]],
    ]  # fmt: skip


def test_no_filter_at_all_is_every_event() -> None:
    assert Keeper("{on: {any: []}}").hear(type="whatever", data=1) == [[1]]


def test_an_expectation_has_to_be_met() -> None:
    keeper = Keeper(
        "{on: {one: {with: {type: a}, correlate: {room: {from: .data.room, expect: '42'}}}}}"
    )
    assert keeper.hear(type="a", data={"room": 41}) == []
    assert keeper.hear(type="a", data={"room": 42}) == [[{"room": 42}]]


def test_all_waits_for_the_events_that_belong_together() -> None:
    keeper = Keeper(PAIR)
    assert keeper.hear(type="a", data=order(1)) == []
    assert keeper.hear(type="a", data=order(2)) == []
    assert keeper.hear(type="b", data=order(2)) == [[order(2), order(2)]]
    assert keeper.hear(type="b", data=order(1)) == [[order(1), order(1)]]
    assert keeper.state.groups == ()


def test_a_second_event_of_a_kind_begins_a_group_of_its_own() -> None:
    keeper = Keeper(PAIR)
    keeper.hear(type="a", data=order(1, n=1))
    keeper.hear(type="a", data=order(1, n=2))
    assert keeper.hear(type="b", data=order(1)) == [[order(1, n=1), order(1)]]
    assert keeper.hear(type="b", data=order(1)) == [[order(1, n=2), order(1)]]


def test_the_order_of_arrival_does_not_matter() -> None:
    keeper = Keeper(PAIR)
    keeper.hear(type="b", data=order(1))
    assert keeper.hear(type="a", data=order(1)) == [[order(1), order(1)]]


def test_until_a_condition_holds_events_are_collected() -> None:
    keeper = Keeper("{on: {any: [{with: {type: a}}], until: 'length == 3'}}")
    heard = [keeper.hear(type="a", data=number) for number in range(4)]
    assert heard == [[], [], [[0, 1, 2]], []]
    assert len(keeper.state.groups) == 1


def test_until_an_event_comes_others_are_collected_and_it_is_not_one_of_them() -> None:
    keeper = Keeper("{on: {any: [{with: {type: 'a.*'}}], until: {one: {with: {type: a.end}}}}}")
    assert keeper.hear(type="a.end") == []
    keeper.hear(type="a.x", data=1)
    keeper.hear(type="a.y", data=2)
    assert keeper.hear(type="a.end", data=3) == [[1, 2]]


def test_until_several_events_have_come() -> None:
    keeper = Keeper(
        "{on: {any: [{with: {type: a}}], until: {all: [{with: {type: x}}, {with: {type: y}}]}}}"
    )
    keeper.hear(type="a", data=1)
    assert keeper.hear(type="x") == []
    keeper.hear(type="a", data=2)
    assert keeper.hear(type="x") == []
    assert keeper.hear(type="y") == [[1, 2]]


def test_an_end_concerns_only_what_it_correlates_with() -> None:
    keeper = Keeper("""
on:
  any:
    - {with: {type: line}, correlate: {order: {from: .data.order}}}
  until:
    one: {with: {type: close}, correlate: {order: {from: .data.order}}}
""")
    for number in (1, 2, 1):
        keeper.hear(type="line", data=order(number))
    assert keeper.hear(type="close", data=order(1)) == [[order(1), order(1)]]
    assert [held.event["data"] for group in keeper.state.groups for held in group.held] == [
        order(2)
    ]


def test_a_filter_that_fails_is_visible_and_meets_nothing() -> None:
    keeper = Keeper("{on: {one: {with: {type: a, data: '${ .x | keys }'}}}}")
    assert keeper.hear(type="a", data={"x": 1}) == []
    assert keeper.state.problem is not None
    assert "schedule.on" in keeper.state.problem.message


def test_a_hard_expression_is_left_to_the_engine() -> None:
    keeper = Keeper('{on: {one: {with: {type: a, data: \'${ @text "\\(.)" | test("x") }\'}}}}')
    with pytest.raises(NeedsEvaluation):
        keeper.hear(type="a", data="x")


def test_events_of_a_pause_are_passed_over() -> None:
    keeper = Keeper(ONE)
    keeper.state = pause(keeper.state, "", 1)
    assert keeper.hear(type="a") == []
    assert keeper.state.heard == 1


def test_the_overlap_policy_counts_for_events_too() -> None:
    keeper = Keeper(ONE, overlap="skip")
    keeper.hear(type="a")
    keeper.settle()
    assert keeper.hear(type="a") == []
    assert keeper.state.counts.skipped == 1


def test_events_that_wait_in_vain_give_way_to_newer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "MAX_WAITING", 5)
    keeper = Keeper(PAIR)
    for number in range(7):
        keeper.hear(type="a", data=order(number))
    assert [group.expected["order"] for group in keeper.state.groups] == [2, 3, 4, 5, 6]
    assert keeper.state.problem is not None


def test_a_group_that_never_ends_is_complete_when_it_is_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hearing, "MAX_HELD", 3)
    keeper = Keeper("{on: {any: [{with: {type: a}}], until: 'false'}}")
    assert [keeper.hear(type="a", data=number) for number in range(3)][-1] == [[0, 1, 2]]


def test_a_record_that_is_too_large_lets_go_of_the_older_half() -> None:
    keeper = Keeper(PAIR)
    for number in range(4):
        keeper.hear(type="a", data=order(number))
    left = shed(keeper.state, 1)
    assert [group.expected["order"] for group in left.groups] == [2, 3]
    assert left.problem is not None


@pytest.mark.parametrize(
    ("strategy", "types"),
    [
        ({"one": {"with": {"type": "a"}}}, {"a"}),
        ({"any": [{"with": {"type": "a"}}, {"with": {"type": "b"}}]}, {"a", "b"}),
        ({"any": []}, None),
        ({"one": {"with": {"source": "/x"}}}, None),
        ({"one": {"with": {"type": "a.*"}}}, None),
        ({"one": {"with": {"type": "${ . == 1 }"}}}, None),
        ({"any": [{"with": {"type": "a"}}], "until": {"one": {"with": {"type": "b"}}}}, None),
    ],
)
def test_types_narrow_down_what_has_to_be_looked_at(strategy: object, types: object) -> None:
    listen = compile_plan({"on": strategy}).on
    assert isinstance(listen, Listen)
    assert types_of(listen) == types
