"""Expressions that executors evaluate."""

from __future__ import annotations

import pytest

from flunq.engines.jq_inline import InlineEngine
from flunq.sdk.context import ExecutorContext, TaskContext
from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.expressions import compile_expression, evaluate, holds

PLAIN = TaskContext(ExecutorContext())
WITH_ENGINE = TaskContext(ExecutorContext(engine=InlineEngine()))


@pytest.mark.parametrize("text", [".n + $x", "${ .n + $x }"])
async def test_an_expression_sees_a_value_and_variables(text: str) -> None:
    assert await evaluate(compile_expression(text), {"n": 1}, {"x": 2}, PLAIN) == 3


@pytest.mark.parametrize(
    ("value", "expected"), [(None, False), (False, False), (0, True), ("", True), ([], True)]
)
async def test_a_condition_holds_unless_it_is_false_or_null(value: object, expected: bool) -> None:
    assert await holds(compile_expression("."), value, {}, PLAIN) is expected  # type: ignore[arg-type]


async def test_the_engine_of_the_process_evaluates_the_rest() -> None:
    program = compile_expression("${ [limit(2; repeat(.))] | length }")
    assert await evaluate(program, 1, {}, WITH_ENGINE) == 2


async def test_without_an_engine_the_rest_is_an_expression_error() -> None:
    program = compile_expression("${ [limit(2; repeat(.))] | length }")
    with pytest.raises(TaskError, match="no expression engine"):
        await evaluate(program, 1, {}, PLAIN)


@pytest.mark.parametrize("context", [PLAIN, WITH_ENGINE])
@pytest.mark.parametrize("text", [".n.m", "$nobody", "error(1)", "[limit(2; repeat(.))] | error"])
async def test_a_failure_is_an_expression_error(text: str, context: TaskContext) -> None:
    with pytest.raises(TaskError) as caught:
        await evaluate(compile_expression(text), {"n": 1}, {}, context)
    assert (caught.value.type, caught.value.status) == (ERRORS + "expression", 400)


def test_a_text_that_is_no_expression_is_an_expression_error() -> None:
    with pytest.raises(TaskError) as caught:
        compile_expression("${ .a | ")
    assert caught.value.type == ERRORS + "expression"
