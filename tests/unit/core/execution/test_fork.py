"""``fork``: branches side by side."""

from __future__ import annotations

from flunq.core.execution.commands import Fire, Report
from tests.support.driver import Driver, error, run

TWO_CALLS = """
do:
- f:
    fork:
      compete: COMPETE
      branches:
      - a: {call: a, output: {as: '[$input, .]'}}
      - b: {call: b}
- after: {set: '${ {got: .} }'}
"""
BOTH = TWO_CALLS.replace("COMPETE", "false")
RACE = TWO_CALLS.replace("COMPETE", "true")


def test_outputs_come_in_the_order_of_declaration() -> None:
    driver = Driver(BOTH, 7, {"a": 1, "b": 2}).begin()
    driver.queue.reverse()
    assert driver.run().output == {"got": [[7, 1], 2]}


def test_one_branch_still_gives_an_array() -> None:
    assert run("do: [{f: {fork: {branches: [{a: {set: 1}}]}}}]").output == [1]


def test_no_branches_give_an_empty_array() -> None:
    assert run("do: [{f: {fork: {branches: []}}}]", 3).output == []


def test_a_skipped_branch_gives_its_input() -> None:
    text = "do: [{f: {fork: {branches: [{a: {if: 'false', set: 1}}, {b: {set: 2}}]}}}]"
    assert run(text, 9).output == [9, 2]


def test_the_first_branch_to_complete_wins_and_the_others_are_cancelled() -> None:
    driver = Driver(RACE, 7, {"a": 1, "b": 2}).begin()
    loser, winner = driver.queue
    driver.report(winner.task, 2)
    assert driver.output == {"got": 2}
    assert driver.withdrawn == [loser.task]
    assert "task.cancelled /do/0/f/fork/branches/0/a" in driver.types()


def test_a_branch_that_wins_at_once_keeps_the_later_ones_from_starting() -> None:
    text = "do: [{f: {fork: {compete: true, branches: [{a: {set: 1}}, {b: {call: b}}]}}}]"
    driver = run(text)
    assert (driver.output, driver.dispatched) == (1, [])


def test_a_failing_branch_cancels_the_others_and_fails_the_fork() -> None:
    driver = Driver(BOTH, 7).begin()
    first, second = driver.queue
    driver.report(second.task, error("communication", 503))
    assert driver.failure.instance == "/do/0/f/fork/branches/1/b"
    assert driver.withdrawn == [first.task]
    assert driver.types()[-4:] == [
        "task.faulted /do/0/f/fork/branches/1/b",
        "task.cancelled /do/0/f/fork/branches/0/a",
        "task.faulted /do/0/f",
        "workflow.faulted",
    ]


def test_a_report_after_the_end_of_its_branch_changes_nothing() -> None:
    driver = Driver(RACE, 7, {"a": 1, "b": 2}).begin()
    loser, winner = driver.queue
    driver.report(winner.task, 2)
    seq = driver.live.seq
    assert driver.report(loser.task, 1).events == []
    assert driver.live.seq == seq


def test_an_end_in_a_branch_completes_the_workflow_and_cancels_the_rest() -> None:
    text = """
do:
- f:
    fork:
      branches:
      - a: {call: a}
      - b: {do: [{x: {set: done, then: end}}]}
- after: {set: never}
"""
    driver = run(text)
    assert driver.output == "done"
    assert driver.types()[-4:] == [
        "task.cancelled /do/0/f/fork/branches/0/a",
        "task.completed /do/0/f/fork/branches/1/b",
        "task.completed /do/0/f",
        "workflow.completed",
    ]


def test_a_losing_output_error_still_cancels_the_other_branches() -> None:
    driver = Driver(RACE.replace("fork:", "output: {as: .x.y}\n    fork:", 1), 7).begin()
    driver.report(driver.queue[1].task, {"x": 3})
    assert driver.failure.instance == "/do/0/f"
    assert "task.cancelled /do/0/f/fork/branches/0/a" in driver.types()


def test_branches_wait_side_by_side() -> None:
    text = "do: [{f: {fork: {branches: [{a: {wait: PT5S}}, {b: {wait: PT2S}}]}}}]"
    driver = Driver(text, 1).begin()
    assert sorted(driver.timers.values()) == [driver.now + 2_000_000, driver.now + 5_000_000]
    assert driver.live.status == "waiting"
    assert driver.run().output == [1, 1]


def test_many_branches_start_over_several_calls_and_are_all_joined() -> None:
    branches = ", ".join(f"{{b{i}: {{call: f}}}}" for i in range(600))
    driver = Driver(f"do: [{{f: {{fork: {{branches: [{branches}]}}}}}}]", 0, {"f": 1})
    first = driver._decide(driver.start)
    assert first.more
    assert len(driver.queue) < 600
    assert driver.run().output == [1] * 600


def test_many_branches_are_cancelled_in_bounded_steps() -> None:
    branches = ", ".join(f"{{b{i}: {{call: f}}}}" for i in range(1000))
    text = f"do: [{{f: {{fork: {{compete: true, branches: [{branches}]}}}}}}]"
    driver = Driver(text, 0).begin()
    decision = driver.report(driver.queue[500].task, "won")
    assert decision.more
    assert driver.output == "won"
    assert sum("cancelled" in brief for brief in driver.types()) == 999


def test_the_first_winner_stays_the_winner_while_its_output_is_being_transformed() -> None:
    text = RACE.replace("fork:", "output: {as: '@sh'}\n    fork:", 1)
    driver = Driver(text, 7).begin()
    first, second = driver.queue
    driver.open.discard(second.task)
    driver._decide(Report(id="x1", task=second.task, output="won"))
    driver.report(first.task, "lost")
    assert driver.output == {"got": "'won'"}


def test_a_limit_that_passes_while_branches_are_being_cancelled_ends_the_fork_once() -> None:
    branches = ", ".join(f"{{b{i}: {{call: f}}}}" for i in range(1500))
    fork = f"{{f: {{timeout: {{after: PT9S}}, fork: {{branches: [{branches}]}}}}}}"
    driver = Driver(f"do: [{{t: {{try: [{fork}], catch: {{}}}}}}]", "in").begin()
    failing, (timer,) = driver.queue[700].task, driver.timers
    driver.open.discard(failing)
    decision = driver._decide(Report(id="x1", task=failing, failure=error("runtime")))
    assert decision.more
    del driver.timers[timer]
    driver.send(Fire(id="x1", timer=timer))
    assert driver.output == "in"
    assert sum(brief == "task.faulted /do/0/t/try/0/f" for brief in driver.types()) == 1
