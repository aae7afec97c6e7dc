"""Extensions: what runs around a task, what it sees, and what it may change."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.driver import BASE, Driver, error, run

LOG = """
use:
  extensions:
  - log:
      extend: %s
      before: [{b: {call: note, with: {at: '${ "before \\($task.reference)" }'}}}]
      after: [{a: {call: note, with: {at: '${ "after \\($task.reference)" }'}}}]
"""
NOTE = {"note": None, "f": "F", "g": "G", "http": {"content": 5}}


def notes(driver: Driver) -> list[Any]:
    return [task.arguments["at"] for task in driver.dispatched if "at" in (task.arguments or {})]


def extended(extension: str, tasks: str, input: Any = None, results: Any = None) -> Driver:
    return run(f"use: {{extensions: [{{e: {extension}}}]}}\ndo: {tasks}", input, results or NOTE)


def test_before_and_after_run_around_every_task() -> None:
    driver = run(LOG % "all" + "do: [{s: {set: {x: 1}}}, {d: {do: [{t: {set: {y: 2}}}]}}]", 0, NOTE)
    inner = ["before /do/1/d/do/0/t", "after /do/1/d/do/0/t"]
    around = ["before /do/1/d", *inner, "after /do/1/d"]
    assert notes(driver) == ["before /do/0/s", "after /do/0/s", *around]
    assert driver.output == {"y": 2}


TASKS = """
- c: {call: f}
- d: {do: [{s: {set: 1}}]}
- e: {emit: {event: {with: {source: 'https://x', type: t}}}}
- f: {for: {in: '[1]'}, do: []}
- k: {fork: {branches: []}}
- s: {set: {a: 1}}
- w: {switch: [{x: {then: continue}}]}
- t: {try: [], catch: {}}
- p: {wait: {seconds: 1}}
- x: {if: 'false', set: 3}
"""


@pytest.mark.parametrize(
    ("extend", "names"),
    [
        ("call", "c"),
        ("composite", "d k"),
        ("emit", "e"),
        ("for", "f"),
        ("set", "s s"),
        ("switch", "w"),
        ("try", "t"),
        ("wait", "p"),
        ("raise", ""),
        ("run", ""),
        ("listen", ""),
        ("all", "c d s e f k s w t p"),
    ],
)
def test_an_extension_extends_the_tasks_of_its_kind(extend: str, names: str) -> None:
    seen: list[Any] = []

    def note(task: Any) -> None:
        seen.append(task.arguments)

    before = "[{b: {call: note, with: {name: '${ $task.name }'}}}]"
    extended(f"{{extend: {extend}, before: {before}}}", TASKS, None, {"note": note, "f": 1})
    assert [arguments["name"] for arguments in seen] == names.split()


def test_the_first_extension_is_the_outermost() -> None:
    entry = "{%s: {extend: set, before: [{b%s: {set: 0}}], after: [{a%s: {set: 0}}]}}"
    both = ", ".join(entry % (name, name, name) for name in "xy")
    driver = run(f"use: {{extensions: [{both}]}}\ndo: [{{s: {{set: 1}}}}]")
    assert driver.started() == ["x", "bx", "y", "by", "s", "ay", "ax"]


@pytest.mark.parametrize(
    "when",
    [
        "$task.call == 'http'",
        "$task.definition.call == 'http' and $task.with.method == 'get'",
        "$task.reference == '/do/0/h' and .n == 1 and $task.input.n == 1",
    ],
)
def test_when_sees_the_input_and_the_task_with_its_definition(when: str) -> None:
    condition = when.replace("'", '\\"')
    extension = f'{{extend: call, when: "{condition}", before: [{{b: {{call: note}}}}]}}'
    tasks = "[{h: {call: http, with: {method: get, endpoint: 'https://x'}}}, {c: {call: f}}]"
    driver = extended(extension, tasks, {"n": 1})
    assert [task.kind for task in driver.dispatched] == ["function:note", "http", "function:f"]


def test_exit_in_before_gives_the_raw_output_of_a_task_that_does_not_run() -> None:
    extension = "{extend: call, before: [{m: {set: {content: {a: 1}}, then: exit}}]}"
    tasks = """
    - h: {call: f, output: {as: .content}, export: {as: '{got: .a}'}, then: last}
    - nope: {set: 0}
    - last: {set: '${ [., $context] }'}
    """
    driver = extended(extension, tasks)
    assert driver.output == [{"a": 1}, {"got": 1}]
    assert driver.dispatched == []


def test_exit_in_before_skips_after_but_not_that_of_outer_extensions() -> None:
    text = """
use:
  extensions:
  - outer: {extend: call, after: [{seen: {call: note, with: {at: '${ . }'}}}]}
  - mock: {extend: call, before: [{m: {set: {v: 1}, then: exit}}], after: [{nope: {call: note}}]}
do: [{c: {call: f}}]
"""
    driver = run(text, None, NOTE)
    assert (notes(driver), driver.output) == ([{"v": 1}], {"v": 1})


def test_exit_of_an_inner_list_of_before_goes_on_to_the_task() -> None:
    before = "[{d: {do: [{q: {set: 0, then: exit}}, {nope: {set: 1}}]}}]"
    driver = extended(f"{{extend: call, before: {before}}}", "[{c: {call: f}}]")
    assert (driver.output, driver.started()) == ("F", ["e", "d", "q", "c"])


def test_a_case_of_before_may_leave_too() -> None:
    before = "[{w: {switch: [{p: {when: .skip, then: exit}}, {q: {then: continue}}]}}]"
    extension = f"{{extend: call, before: {before}}}"
    assert extended(extension, "[{c: {call: f}}]", {"skip": True}).output == {"skip": True}
    assert extended(extension, "[{c: {call: f}}]", {"skip": False}).output == "F"


def test_before_and_after_get_the_data_and_do_not_change_it() -> None:
    extension = "{extend: call, before: [{b: {call: note, with: {at: '${ . }'}}}], "
    extension += "after: [{a: {call: note, with: {at: '${ . }'}}}]}"
    driver = extended(extension, "[{c: {call: f, with: {in: '${ . }'}}}]", {"n": 1})
    assert notes(driver) == [{"n": 1}, "F"]
    assert driver.dispatched[1].arguments == {"in": {"n": 1}}
    assert driver.output == "F"


def test_output_as_of_the_last_task_hands_its_output_on() -> None:
    extension = "{extend: call, before: [{b: {set: {n: '${ .n + 1 }'}, output: {as: .}}}], "
    extension += "after: [{a: {set: {wrapped: '${ . }'}, output: {as: .}}}]}"
    driver = extended(extension, "[{c: {call: f, with: {in: '${ . }'}}}]", {"n": 1})
    assert driver.dispatched[0].arguments == {"in": {"n": 2}}
    assert driver.output == {"wrapped": "F"}


def test_what_an_earlier_task_of_before_puts_out_is_not_handed_on() -> None:
    before = "[{a: {set: {n: 7}, output: {as: .}}}, {b: {call: note}}]"
    driver = extended(f"{{extend: set, before: {before}}}", "[{s: {set: '${ . }'}}]", 1)
    assert driver.output == 1


def test_after_sees_the_raw_output_of_the_task() -> None:
    extension = "{extend: call, after: [{a: {call: note, with: {at: '${ $task.output }'}}}]}"
    driver = extended(extension, "[{c: {call: http, with: {}, output: {as: .content}}}]")
    assert (notes(driver), driver.output) == ([{"content": 5}], 5)


def test_the_directive_of_the_task_is_followed_after_the_extensions() -> None:
    extension = "{extend: all, after: [{a: {set: 0}}]}"
    tasks = "[{s: {set: 1, then: end}}, {nope: {set: 2}}]"
    driver = extended(extension, tasks)
    assert (driver.output, driver.started()) == (1, ["e", "s", "a"])


def test_a_switch_goes_where_its_case_says() -> None:
    tasks = "[{w: {switch: [{x: {when: 'true', then: c}}]}}, {b: {set: b}}, {c: {set: c}}]"
    assert extended("{extend: switch, after: [{a: {set: 0}}]}", tasks).output == "c"


def test_a_backward_directive_runs_everything_again() -> None:
    tasks = "[{s: {set: '${ . + 1 }'}}, {w: {switch: [{x: {when: '. < 3', then: s}}]}}]"
    driver = extended("{extend: set, before: [{b: {call: note}}]}", tasks, 0)
    assert driver.output == 3
    assert len({task.key for task in driver.dispatched}) == 3


def test_a_skipped_task_is_not_extended() -> None:
    driver = extended("{extend: set, before: [{b: {call: note}}]}", "[{s: {if: 'false', set: 1}}]")
    assert driver.dispatched == []


def test_an_error_in_an_extension_is_one_of_the_task() -> None:
    extension = "{extend: call, before: [{b: {call: bad}}]}"
    tasks = "[{t: {try: [{c: {call: f}}], catch: {errors: {with: {status: 418}}}}}]"
    results = {"bad": error("communication", 418), "f": 1}
    assert extended(extension, tasks, 3, results).output == 3
    failure = extended(extension, "[{c: {call: f}}]", 3, results).failure
    assert failure.instance == "/use/extensions/0/e/before/0/b"


def test_an_error_in_the_condition_names_the_extension() -> None:
    failure = extended("{extend: set, when: '1 | keys'}", "[{s: {set: 1}}]").failure
    assert (failure.type, failure.instance) == (BASE + "expression", "/use/extensions/0/e/when")


def test_after_does_not_run_for_a_task_that_failed() -> None:
    results = {"f": error("communication", 500), "note": 1}
    driver = extended("{extend: call, after: [{a: {call: note}}]}", "[{c: {call: f}}]", 0, results)
    assert driver.failure.instance == "/do/0/c"
    assert [task.kind for task in driver.dispatched] == ["function:f"]


def test_a_retry_runs_the_extensions_again() -> None:
    tasks = "[{t: {try: [{c: {call: f}}], catch: {retry: {limit: {attempt: {count: 2}}}}}}]"
    results = {"f": [error("communication", 500), "ok"], "note": None}
    driver = extended("{extend: call, before: [{b: {call: note}}]}", tasks, None, results)
    assert driver.output == "ok"
    assert [(task.kind[9:], task.attempt) for task in driver.dispatched] == [
        ("note", 1),
        ("f", 1),
        ("note", 2),
        ("f", 2),
    ]


def test_the_time_limit_of_a_task_is_its_own() -> None:
    extension = "{extend: call, before: [{b: {wait: {minutes: 1}}}]}"
    assert extended(extension, "[{c: {call: f, timeout: {after: PT10S}}}]").output == "F"


def test_the_time_limit_around_a_task_interrupts_its_extensions() -> None:
    extension = "{extend: call, before: [{b: {wait: {minutes: 1}}}]}"
    tasks = "[{d: {do: [{c: {call: f}}], timeout: {after: PT10S}}}]"
    failure = extended(extension, tasks).failure
    assert (failure.type, failure.instance) == (BASE + "timeout", "/do/0/d")


def test_branches_are_joined_in_order() -> None:
    tasks = "[{k: {fork: {branches: [{a: {call: f}}, {b: {call: g}}, {c: {set: 1}}]}}}]"
    driver = extended("{extend: call, before: [{b: {call: note}}]}", tasks)
    assert driver.output == ["F", "G", 1]


def test_loop_variables_and_identities_inside_of_a_loop() -> None:
    extension = "{extend: call, before: [{b: {call: note, with: {at: '${ $n }'}}}]}"
    driver = extended(extension, "[{l: {for: {in: '[7, 8]', each: n}, do: [{c: {call: f}}]}}]")
    assert notes(driver) == [7, 8]
    assert len({task.key for task in driver.dispatched}) == 4


def test_functions_called_by_an_extension_are_not_extended() -> None:
    text = """
use:
  functions: {fn: {set: {name: '${ $task.name }'}}}
  extensions: [{e: {extend: all, before: [{b: {call: fn}}]}}]
do: [{c: {call: fn}}]
"""
    driver = run(text)
    assert driver.output == {"name": "fn"}
    # Around the call: the extension and its function; around the function the same once more.
    assert driver.started() == ["e", "b", "fn", "c", "e", "b", "fn", "fn"]


def test_it_survives_being_written_and_read_at_every_step() -> None:
    driver = Driver(LOG % "call" + "do: [{c: {call: f}}, {d: {call: g}}]", None, NOTE).begin()
    while not driver.done:
        driver.reload()
        driver.work()
    assert driver.output == "G"
    assert len(notes(driver)) == 4


def test_a_cancelled_task_ends_its_extension() -> None:
    branches = "[{a: {call: f}}, {b: {wait: {seconds: 1}}}]"
    text = "use: {extensions: [{e: {extend: call, before: [{b: {call: note}}]}}]}\n"
    driver = Driver(
        text + f"do: [{{k: {{fork: {{compete: true, branches: {branches}}}}}}}]"
    ).begin()
    driver.fire()
    assert (driver.output, len(driver.withdrawn)) == (None, 1)
