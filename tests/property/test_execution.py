"""Generated workflows under generated commands: what must hold whatever happens.

The driver itself checks after every decision that the live state is the fold of its events,
that open tasks and timers of the state are those that the world was told about, and that the
history has no gap.
"""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from flunq.core.execution.commands import (
    Cancel,
    Continue,
    Deliver,
    Failure,
    Fire,
    Report,
    Resume,
    Suspend,
)
from flunq.core.execution.fold import fold
from flunq.core.execution.state import State, decode_state, encode_state
from tests.support.driver import HEADER, Driver, error

VALUES = st.sampled_from(
    ["${ . }", "${ [.] | length }", "${ $nowhere }", {"n": "${ $context }"}, 3]
)
CONDITIONS = st.sampled_from(["true", "false", ". == null", ".x.y", "@sh != null"])
DURATIONS = st.sampled_from([{"seconds": 1}, {"seconds": 5}, {"milliseconds": 0}])
LIMITS = st.sampled_from([{"count": 1}, {"count": 2, "duration": "PT2S"}])
RETRIES = st.fixed_dictionaries(
    {
        "limit": st.sampled_from(
            [{"attempt": {"count": 1}}, {"attempt": {"count": 2, "duration": "PT2S"}}]
        )
    },
    optional={
        "delay": DURATIONS,
        "backoff": st.sampled_from([{"linear": {}}, {"exponential": {}}]),
        "when": CONDITIONS,
    },
)


STRATEGIES = st.sampled_from(
    [
        {"one": {"with": {"type": "a"}}},
        {"any": [], "until": "length >= 2"},
        {"all": [{"with": {"type": "a"}}, {"with": {"data": "${ @sh != null }"}}]},
        {"one": {"with": {"data": "${ .x.y }"}}},
        {"any": [], "until": {"all": [{"with": {"type": "a"}}, {"with": {"data": "text"}}]}},
    ]
)


def leaves() -> st.SearchStrategy[dict[str, Any]]:
    """Tasks without subtasks."""
    raised = {"error": {"type": "my:error", "status": 418}}
    return st.one_of(
        st.builds(lambda value: {"set": value}, VALUES),
        st.just({"call": "f"}),
        st.builds(lambda value: {"call": "g", "with": {"v": value}}, VALUES),
        st.builds(lambda duration: {"wait": duration}, DURATIONS),
        st.just({"raise": raised}),
        st.just({"emit": {"event": {"with": {"source": "a:b", "type": "t"}}}}),
        st.just({"run": {"shell": {"command": "true"}}}),
        st.builds(lambda strategy: {"listen": {"to": strategy}}, STRATEGIES),
    )


def task_lists(tasks: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[Any]]:
    """Short lists of named tasks."""
    lists = st.lists(tasks, min_size=1, max_size=3)
    return lists.map(lambda found: [{f"t{i}": task} for i, task in enumerate(found)])


def composites(tasks: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Tasks around tasks."""
    lists = task_lists(tasks)
    catches = st.fixed_dictionaries(
        {}, optional={"retry": RETRIES, "do": lists, "when": CONDITIONS}
    )
    items = st.sampled_from(["[1,2]", "[]", ".", "[@sh | length]"])
    forks = st.builds(
        lambda branches, compete: {"branches": branches, "compete": compete}, lists, st.booleans()
    )
    return st.one_of(
        st.builds(lambda found: {"do": found}, lists),
        st.builds(lambda value, found: {"for": {"in": value}, "do": found}, items, lists),
        st.builds(
            lambda to, each, found: {"listen": {"to": to}, "foreach": {**each, "do": found}},
            STRATEGIES,
            st.sampled_from([{}, {"export": {"as": "."}}, {"output": {"as": "@sh | length"}}]),
            lists,
        ),
        st.builds(lambda fork: {"fork": fork}, forks),
        st.builds(lambda found, catch: {"try": found, "catch": catch}, lists, catches),
        st.builds(
            lambda when, then: {"switch": [{"c": {"when": when, "then": then}}]},
            CONDITIONS,
            st.sampled_from(["exit", "end", "continue", "t2"]),
        ),
    )


def decorated(tasks: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Tasks with what every task may have."""
    common = st.fixed_dictionaries(
        {},
        optional={
            "if": CONDITIONS,
            "timeout": st.builds(lambda duration: {"after": duration}, DURATIONS),
            "then": st.sampled_from(["exit", "end", "continue", "t1", "t2"]),
            "export": st.just({"as": "."}),
            "output": st.sampled_from([{"as": "[.]"}, {"as": "@sh | length"}, {"as": ".x.y"}]),
        },
    )
    plain = st.booleans()
    return st.builds(
        lambda task, extra, bare: task if bare else {**extra, **task}, tasks, common, plain
    )


TASKS = st.recursive(decorated(leaves()), lambda inner: decorated(composites(inner)), max_leaves=8)
AROUND = st.recursive(decorated(leaves()), lambda inner: decorated(composites(inner)), max_leaves=3)
EXTENSIONS = st.lists(
    st.fixed_dictionaries(
        {"extend": st.sampled_from(["all", "call", "set", "composite", "try", "fork", "listen"])},
        optional={"when": CONDITIONS, "before": task_lists(AROUND), "after": task_lists(AROUND)},
    ).map(lambda extension: {"e": extension}),
    min_size=1,
    max_size=2,
)
DOCUMENTS = st.builds(
    lambda tasks, extra: {"document": HEADER, "do": tasks, **extra},
    task_lists(TASKS),
    st.fixed_dictionaries(
        {},
        optional={
            "timeout": st.just({"after": {"seconds": 4}}),
            "use": EXTENSIONS.map(lambda extensions: {"extensions": extensions}),
        },
    ),
)
INPUTS = st.sampled_from([None, 1, [1, 2], {"x": {"y": True}}, "text"])
STEPS = st.lists(st.integers(0, 2**16), max_size=40)
ENOUGH = 400


def act(driver: Driver, choice: int) -> None:
    """Give the execution one command that ``choice`` picks."""
    kind, pick = choice % 13, choice // 13
    old = [task.task for task in driver.dispatched]
    if kind < 4 and driver.open:
        report(driver, sorted(driver.open)[pick % len(driver.open)], failed=kind == 3)
    elif kind < 6 and driver.timers:
        driver.fire()
    elif kind == 6 and old:
        report(driver, old[pick % len(old)], failed=pick % 2 == 1)
    elif kind == 7:
        driver.send(Fire(id="x1", timer=f"{pick % 40}{'wrta'[pick % 4]}9"))
    elif kind == 8:
        driver.send(Suspend(id="x1") if pick % 2 else Continue(id="x1"))
    elif kind == 9:
        driver.send(Resume(id="x1"))
    elif kind == 10:
        driver.reload()
    elif kind == 11 and driver.live.listeners:
        hear(driver, str(pick % 5))
    elif kind == 12 and pick % 16 == 0:
        driver.send(Cancel(id="x1"))


def report(driver: Driver, task: str, *, failed: bool) -> None:
    outcome: Any = error("communication", 503) if failed else {"x": {"y": task}}
    driver.report(task, outcome)


def hear(driver: Driver, id: str) -> None:
    for listener in list(driver.live.listeners):
        event = {"id": id, "source": "s:x", "type": "a", "data": "text"}
        driver.send(Deliver(id="x1", listener=listener, event=event))


def finish(driver: Driver) -> None:
    """Let everything that is open come to an end; what never ends is cancelled."""
    driver.send(Resume(id="x1"))
    for number in range(ENOUGH):
        if driver.done:
            return
        if driver.open:
            report(driver, min(driver.open), failed=False)
        elif driver.live.listeners:
            hear(driver, f"last {number}")
        else:
            assert driver.timers, "nothing is left that could make it go on"
            driver.fire()
    driver.send(Cancel(id="x1"))


def play(value: dict[str, Any], input: Any, choices: list[int], *, reload: int = -1) -> Driver:
    driver = Driver(value, input)
    driver.limit = 5
    driver.begin()
    for number, choice in enumerate(choices):
        if number == reload:
            driver.reload()
        act(driver, choice)
    finish(driver)
    return driver


@given(DOCUMENTS, INPUTS, STEPS)
def test_every_execution_ends_once_and_leaves_nothing_open(
    value: dict[str, Any], input: Any, choices: list[int]
) -> None:
    driver = play(value, input, choices)
    terminal = [brief for brief in driver.types() if brief in TERMINAL]
    assert driver.types()[-1:] == terminal
    assert [finish.status for finish in driver.finished] == [driver.live.status]
    assert (driver.open, driver.timers) == (set(), {})


TERMINAL = {"workflow.completed", "workflow.faulted", "workflow.cancelled"}


@given(DOCUMENTS, INPUTS, STEPS)
def test_every_started_task_ends_exactly_once(
    value: dict[str, Any], input: Any, choices: list[int]
) -> None:
    driver = play(value, input, choices)
    ends = ("completed.v1", "faulted.v1", "cancelled.v1")
    steps = [e.data["step"] for e in driver.events if e.type.endswith("task.started.v1")]
    ended = [e.data["step"] for e in driver.events if ".task." in e.type and e.type.endswith(ends)]
    assert sorted(ended) == steps


@given(DOCUMENTS, INPUTS, STEPS)
def test_each_attempt_of_a_step_is_dispatched_once_under_its_own_id(
    value: dict[str, Any], input: Any, choices: list[int]
) -> None:
    driver = play(value, input, choices)
    ids = [task.task for task in driver.dispatched]
    assert len(ids) == len(set(ids))
    assert len(ids) == len({(task.key, task.attempt) for task in driver.dispatched})


@given(DOCUMENTS, INPUTS, STEPS, st.data())
def test_any_cut_and_refold_gives_the_same_state(
    value: dict[str, Any], input: Any, choices: list[int], data: st.DataObject
) -> None:
    driver = play(value, input, choices)
    cut = data.draw(st.integers(1, len(driver.events)))
    state: State | None = None
    for event in driver.events[:cut]:
        state = fold(state, event)
    assert state is not None
    state = decode_state(encode_state(state))
    for event in driver.events[cut:]:
        state = fold(state, event)
    assert encode_state(state) == encode_state(driver.live)


@given(DOCUMENTS, INPUTS, STEPS, st.integers(0, 40))
def test_a_stored_and_loaded_state_goes_on_the_same(
    value: dict[str, Any], input: Any, choices: list[int], reload: int
) -> None:
    expected = play(value, input, choices)
    found = play(value, input, choices, reload=reload)
    assert found.types() == expected.types()
    assert encode_state(found.live) == encode_state(expected.live)


@given(DOCUMENTS, INPUTS)
def test_a_repeated_report_or_timer_changes_nothing(value: dict[str, Any], input: Any) -> None:
    driver = Driver(value, input)
    driver.limit = 5
    driver.begin()
    for _ in range(20):
        if driver.done or not (driver.open or driver.timers):
            return
        if driver.open:
            task = min(driver.open)
            report(driver, task, failed=False)
            again = driver.send(
                Report(id="x1", task=task, failure=Failure(type="late", status=500))
            )
        else:
            timer = min((due, name) for name, due in driver.timers.items())[1]
            driver.fire()
            again = driver.send(Fire(id="x1", timer=timer))
        assert (again.events, again.effects) == ([], [])


@given(task_lists(TASKS), INPUTS)
def test_an_extension_that_only_looks_on_changes_nothing(tasks: list[Any], input: Any) -> None:
    # What comes first of two things at the same moment is anybody's guess.
    text = repr(tasks)
    assume(not any(word in text for word in ("timeout", "duration", "'compete': True")))
    assume("'fork'" not in text or "'end'" not in text)
    look = [{"look": {"set": {"seen": "${ $task.reference }"}}}]
    extension = {"e": {"extend": "all", "before": look, "after": look}}
    plain = play({"document": HEADER, "do": tasks}, input, [])
    watched = play({"document": HEADER, "use": {"extensions": [extension]}, "do": tasks}, input, [])
    outcomes = [
        (each.live.status, each.live.output, each.live.failure) for each in (plain, watched)
    ]
    if "cancelled" not in (plain.live.status, watched.live.status):
        assert outcomes[0] == outcomes[1]
