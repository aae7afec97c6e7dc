"""Branches of a ``fork`` that need each other."""

from __future__ import annotations

from flunq.core.execution.fold import fold
from tests.support.driver import Driver, error, run

DIAMOND = """
do:
- f:
    fork:
      branches:
      - last: {call: last, metadata: {needs: [left, right]}}
      - left: {call: left, metadata: {needs: [first]}}
      - right: {call: right, metadata: {needs: [first]}}
      - first: {call: first}
"""


def names(driver: Driver) -> list[str]:
    return [dispatch.kind.rpartition(":")[2] for dispatch in driver.queue]


def test_a_branch_begins_once_those_it_needs_have_completed() -> None:
    driver = Driver(DIAMOND, 7).begin()
    assert names(driver) == ["first"]
    driver.report(driver.queue.pop().task, 1)
    assert names(driver) == ["left", "right"]
    driver.report(driver.queue.pop(0).task, 2)
    assert names(driver) == ["right"]
    driver.report(driver.queue.pop(0).task, 3)
    assert names(driver) == ["last"]
    driver.report(driver.queue.pop(0).task, 4)
    assert driver.output == [4, 2, 3, 1]


def test_its_input_holds_the_needed_outputs_by_name() -> None:
    text = """
    do:
    - f:
        fork:
          branches:
          - a: {set: {n: '${ . + 1 }'}}
          - b: {set: '${ {got: .a.n} }', metadata: {needs: [a]}}
          - c: {set: '${ . }', metadata: {needs: [a, b]}}
    """
    assert run(text, 7).output == [{"n": 8}, {"got": 8}, {"a": {"n": 8}, "b": {"got": 8}}]


def test_a_large_needed_output_arrives_whole() -> None:
    text = """
    do:
    - f:
        fork:
          branches:
          - a: {set: '${ {text: .} }'}
          - b: {set: '${ .a.text }', metadata: {needs: [a]}}
    """
    assert run(text, "x" * 5000).output[1] == "x" * 5000


def test_a_needed_branch_that_fails_keeps_the_others_from_beginning() -> None:
    driver = Driver(DIAMOND, 7).begin()
    driver.report(driver.queue.pop().task, error("communication", 503))
    assert driver.failure.instance == "/do/0/f/fork/branches/3/first"
    assert len(driver.dispatched) == 1


def test_a_skipped_branch_counts_as_completed() -> None:
    text = """
    do:
    - f:
        fork:
          branches:
          - a: {if: 'false', set: 1}
          - b: {set: '${ .a }', metadata: {needs: [a]}}
    """
    assert run(text, 9).output == [9, 9]


def test_a_graph_inside_a_loop_runs_anew_each_time() -> None:
    text = """
    do:
    - l:
        for: {each: n, in: '[1, 2]'}
        do:
        - f:
            fork:
              branches:
              - a: {set: '${ $n }'}
              - b: {set: '${ .a * 10 }', metadata: {needs: [a]}}
    """
    assert run(text, 0).output == [2, 20]


def test_the_fold_of_any_beginning_of_its_history_is_its_state() -> None:
    driver = Driver(DIAMOND, 7, {"first": 1, "left": 2, "right": 3, "last": 4}).begin().run()
    state = None
    for event in driver.events:
        state = fold(state, event)
    assert state is not None
    assert state.output == [4, 2, 3, 1]


def test_metadata_that_are_no_graph_mean_nothing_to_the_engine() -> None:
    text = "do: [{f: {fork: {branches: [{a: {set: 1, metadata: {needs: coffee}}}]}}}]"
    assert run(text).output == [1]
