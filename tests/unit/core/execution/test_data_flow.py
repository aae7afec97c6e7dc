"""What goes into tasks, what comes out, and what expressions can see on the way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.driver import EPOCH, run


def schema(document: str) -> str:
    return f"{{schema: {{format: json, document: {document}}}}}"


def test_input_from_filters_the_raw_input() -> None:
    text = "do: [{a: {input: {from: .user.id}, set: {id: '${ . }', same: '${ $input }'}}}]"
    assert run(text, {"user": {"id": 7}}).output == {"id": 7, "same": 7}


def test_input_from_may_be_an_object_with_expressions() -> None:
    text = "do: [{a: {input: {from: {id: '${ .user.id }', kind: user}}, set: '${ . }'}}]"
    assert run(text, {"user": {"id": 7}}).output == {"id": 7, "kind": "user"}


def test_output_as_sees_the_raw_output_and_the_transformed_input() -> None:
    text = "do: [{a: {input: {from: .n}, call: f, output: {as: '[$input, .id]'}}}]"
    assert run(text, {"n": 1}, {"f": {"id": 2}}).output == [1, 2]


def test_export_replaces_the_context_and_leaves_the_output_alone() -> None:
    text = """
do:
- a: {set: {n: 1}, output: {as: .n}, export: {as: '{a: ., o: $output, i: $input}'}}
- b: {set: 2, export: {as: '$context + {b: .}'}}
- c: {set: '${ [., $context] }'}
"""
    assert run(text, 9).output == [2, {"a": 1, "o": 1, "i": 9, "b": 2}]


def test_the_workflow_transforms_its_input_and_output() -> None:
    text = """
input: {from: .inner}
do:
- a: {set: {got: '${ . }', raw: '${ $workflow.input }'}}
output: {as: '{result: ., context: $context}'}
"""
    expected = {"result": {"got": 5, "raw": {"inner": 5}}, "context": None}
    assert run(text, {"inner": 5}).output == expected


def test_raw_input_and_output_of_the_task_are_in_its_descriptor() -> None:
    text = """
do:
- a:
    input: {from: .n}
    call: f
    output: {as: '{i: $task.input, o: $task.output, n: $task.name, r: $task.reference}'}
"""
    assert run(text, {"n": 1}, {"f": 5}).output == {
        "i": {"n": 1}, "o": 5, "n": "a", "r": "/do/0/a",
    }  # fmt: skip


def test_descriptors_tell_when_workflow_and_task_started() -> None:
    text = """
do:
- pause: {wait: {milliseconds: 1500}}
- a: {set: '${ [$workflow.startedAt, $task.startedAt, $workflow.id, $runtime.name] }'}
"""
    workflow, task, id, name = run(text).output
    assert workflow["epoch"] == {"seconds": EPOCH // 10**6, "milliseconds": EPOCH // 1000}
    assert task["epoch"]["milliseconds"] == EPOCH // 1000 + 1500
    assert task["iso8601"] == "2023-11-14T22:13:21.500000Z"
    assert (id, name) == ("x1", "flunq")


def test_the_definition_is_at_hand() -> None:
    text = "do: [{a: {set: '${ [$workflow.definition.document.name, $task.definition.set] }'}}]"
    assert run(text).output[0] == "sample"


@pytest.mark.parametrize(
    "task",
    [
        "{if: $input, set: 1}",
        "{if: $output, set: 1}",
        "{input: {from: $input}, set: 1}",
        "{set: '${ $output }'}",
        "{set: 1, output: {as: $output}}",
        "{set: '${ $nothing }'}",
    ],
)
def test_arguments_that_a_place_does_not_have_are_expression_errors(task: str) -> None:
    failure = run(f"do: [{{a: {task}}}]").failure
    assert failure.type.endswith("/expression")
    assert failure.instance == "/do/0/a"


@pytest.mark.parametrize(
    ("task", "value", "valid"),
    [
        (f"{{input: {schema('{type: integer}')}, set: 1}}", 5, True),
        (f"{{input: {schema('{type: integer}')}, set: 1}}", "x", False),
        ("{input: {schema: {document: {type: object}}, from: .n}, set: '${ . }'}", {"n": 1}, True),
        ("{input: {schema: {document: {type: integer}}, from: .n}, set: 1}", {"n": 1}, False),
        ("{set: {n: 1}, output: {as: .n, schema: {document: {type: integer}}}}", None, True),
        ("{set: {n: 1}, output: {as: .n, schema: {document: {type: object}}}}", None, False),
        ("{set: 1, export: {as: '{a: 1}', schema: {document: {required: [a]}}}}", None, True),
        ("{set: 1, export: {as: '{a: 1}', schema: {document: {required: [b]}}}}", None, False),
    ],
)
def test_raw_inputs_transformed_outputs_and_contexts_are_validated(
    task: str, value: Any, valid: bool
) -> None:
    driver = run(f"do: [{{a: {task}}}]", value)
    if valid:
        assert driver.live.status == "completed"
    else:
        assert driver.failure.type.endswith("/validation")
        assert (driver.failure.status, driver.failure.instance) == (400, "/do/0/a")


def test_the_workflow_validates_its_raw_input() -> None:
    text = f"{{input: {schema('{required: [a]}')}, do: [{{a: {{set: 1}}}}]}}"
    driver = run(text, {"b": 1})
    assert (driver.failure.instance, driver.failure.status) == ("/input", 400)
    assert driver.types() == ["workflow.started", "workflow.faulted"]


def test_the_workflow_validates_its_transformed_output() -> None:
    text = "{do: [{a: {set: {n: x}}}], output: {as: .n, schema: {document: {type: integer}}}}"
    failure = run(text).failure
    assert failure.type.endswith("/validation")
    assert failure.instance == "/output"


@pytest.mark.parametrize(
    "bad",
    [
        "{resource: {endpoint: 'http://x'}}",
        "{format: avro, document: {}}",
        "{document: {type: nothing}}",
        "{document: {$ref: 'http://127.0.0.1:9/x'}}",
    ],
)
def test_a_schema_that_cannot_be_used_is_a_configuration_error(bad: str) -> None:
    failure = run(f"do: [{{a: {{input: {{schema: {bad}}}, set: 1}}}}]").failure
    assert failure.type.endswith("/configuration")


def test_a_failing_expression_says_what_failed() -> None:
    failure = run("do: [{a: {set: '${ .x + {} }'}}]", {"x": 1}).failure
    assert failure.title == "Expression error"
    assert "cannot be added" in (failure.detail or "")


def test_values_that_look_like_expressions_are_not_evaluated_again() -> None:
    assert run("do: [{a: {set: '${ .s }'}}]", {"s": "${ 1 + 1 }"}).output == "${ 1 + 1 }"


def test_integers_beyond_64_bits_pass_through_state_and_events() -> None:
    driver = run("do: [{w: {wait: PT1S}}, {a: {set: '${ .n }'}}]", {"n": 2**80})
    assert driver.output == 2**80


def test_the_input_of_a_task_is_in_its_event_or_referred_to() -> None:
    driver = run("do: [{a: {set: '${ .s }'}}, {b: {set: '${ . }'}}]", {"s": "x" * 5000})
    first, second = (e for e in driver.events if e.type.endswith("task.started.v1"))
    assert driver.events[first.data["inputFrom"] - 1].data["input"] == {"s": "x" * 5000}
    assert driver.events[second.data["inputFrom"] - 1].data["output"] == "x" * 5000


def test_a_value_that_grows_without_end_fails_its_task() -> None:
    failure = run("do: [{a: {set: '${ [.] }', then: a}}]").failure
    assert failure.type.endswith("/runtime")
    assert (failure.detail, failure.instance) == ("a value is nested too deeply", "/do/0/a")


def test_secrets_that_nobody_provides_are_an_error_and_not_null() -> None:
    failure = run("do: [{a: {set: {key: '${ $secrets.key }'}}}]").failure
    assert failure is not None
    assert failure.type.endswith("/authorization")
