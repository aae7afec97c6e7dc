"""``run`` of programs and containers: what executors are asked to do, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from flunq.core.execution.recover import open_effects
from tests.support.driver import BASE, Driver, error, run


def document(run_: dict[str, Any], **more: Any) -> str:
    return yaml.safe_dump({"do": [{"step": {"run": run_, **more}}]})


def asked(run_: dict[str, Any], input: Any = None) -> Any:
    return Driver(document(run_), input).begin().dispatched[0].arguments


def command(text: str, input: Any = None) -> Any:
    return asked({"shell": {"command": text}}, input)["shell"]["command"]


def test_a_program_is_dispatched_with_evaluated_members() -> None:
    shell = {"command": "echo $1", "arguments": ["${ .a }", "b"], "stdin": "${ . }"}
    driver = Driver(document({"shell": shell, "return": "all"}), {"a": 4}).begin()
    (task,) = driver.dispatched
    assert (task.kind, task.key) == ("run:shell", "x1:/do/0/step")
    assert task.arguments == {
        "shell": {"command": "echo $1", "arguments": [4, "b"], "stdin": {"a": 4}},
        "await": True,
        "return": "all",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('echo "Hello, ${ .user.name }"', 'echo "Hello, Ada"'),
        ("${ .whole }", "ls -l"),
        ('echo ${.user.name} ${ .n + 1 } ${$input.n} ${"a"}', "echo Ada 5 4 a"),
        ("echo ${HOME} ${1} ${#list} ${x:-y} ${@} ${*} ${?} ${-} ${$} ${!x} ${_}", None),
        ("echo ${HOME:-${ .n }} ${X#*/} ${ .n } $1", "echo ${HOME:-4} ${X#*/} 4 $1"),
        ("${COMMAND} --flag", None),
        ("${COMMAND}", None),
        ("echo '${ .n | }' ${ .n", None),
        ("echo ${ .tiny } ${ .n }", "echo 1E-7 4"),
        ("echo ${ .none } ${ .user }", 'echo null {"name":"Ada"}'),
    ],
)
def test_expressions_in_a_command_leave_the_parameters_of_the_shell_alone(
    text: str, expected: str | None
) -> None:
    value = {"user": {"name": "Ada"}, "n": 4, "tiny": 1e-7, "whole": "ls -l"}
    assert command(text, value) == (text if expected is None else expected)


def test_an_expression_that_fails_in_a_command_is_an_error() -> None:
    failure = run(document({"shell": {"command": "echo ${ .a.b }"}}), {"a": 1}).failure
    assert (failure.type, failure.instance) == (BASE + "expression", "/do/0/step")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("console.log(`${name} ${ .n }`)", "console.log(`${name} ${ .n }`)"),
        ("print(f'{x} ${1}')", "print(f'{x} ${1}')"),
        ("${ .code }", "print(1)"),
    ],
)
def test_the_code_of_a_script_is_taken_as_it_is(code: str, expected: str) -> None:
    value = {"code": "print(1)", "n": 1}
    assert asked({"script": {"language": "js", "code": code}}, value)["script"]["code"] == expected


def test_the_source_of_a_script_brings_its_policy_along() -> None:
    text = """
use: {authentications: {store: {bearer: {token: t}}}}
do:
- step:
    run:
      script:
        language: python
        source: {endpoint: {uri: 'https://x/y', authentication: {use: store}}}
"""
    source = Driver(text).begin().dispatched[0].arguments["script"]["source"]
    assert source["endpoint"]["authentication"] == {"bearer": {"token": "t"}}


def test_a_container_says_what_it_belongs_to() -> None:
    text = yaml.safe_dump({"do": [{"a/b~c": {"run": {"container": {"image": "${ .i }"}}}}]})
    arguments = Driver(text, {"i": "alpine"}).begin().dispatched[0].arguments
    assert arguments["container"] == {"image": "alpine"}
    assert arguments["of"] == {"namespace": "test", "workflow": "sample", "task": "a/b~c"}


def test_the_output_is_what_the_executor_returns() -> None:
    done = run(document({"shell": {"command": "date"}}), None, {"run:shell": "today"})
    assert done.output == "today"


def test_a_process_that_is_not_awaited_gives_the_transformed_input() -> None:
    text = document({"shell": {"command": "date"}, "await": False}, input={"from": "${ .a }"})
    driver = run(text, {"a": {"b": 1}}, {"run:shell": None})
    assert driver.dispatched[0].arguments["await"] is False
    assert driver.output == {"b": 1}


@pytest.mark.parametrize("awaited", [True, False])
def test_a_failure_is_the_failure_of_the_task(awaited: bool) -> None:
    text = document({"shell": {"command": "date"}, "await": awaited})
    failure = run(text, None, {"run:shell": error("runtime", 500)}).failure
    assert (failure.type, failure.instance) == (BASE + "runtime", "/do/0/step")


def test_a_timeout_withdraws_the_process() -> None:
    text = document({"shell": {"command": "date"}}, timeout={"after": "PT5S"})
    driver = Driver(text).begin()
    (task,) = driver.dispatched
    driver.fire()
    assert driver.failure.type == BASE + "timeout"
    assert driver.withdrawn == [task.task]


def test_an_open_process_is_dispatched_again_after_a_crash() -> None:
    driver = Driver(document({"container": {"image": "x"}})).begin()
    driver.reload()
    again = [effect for effect in open_effects(driver.live) if effect == driver.dispatched[0]]
    assert len(again) == 1
