"""Free values with expressions inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq.core.expressions import (
    Answer,
    ExpressionSyntaxError,
    NeedsEvaluation,
    compile_expression,
    compile_template,
)

if TYPE_CHECKING:
    from flunq.core.json import JSON


def test_constants_come_back_as_they_are() -> None:
    value = {"a": [1, "two", None], "b": ".c", "d": "$x", "e": "{ }"}
    template = compile_template(value)
    assert template.is_constant
    assert template.evaluate({"c": 3}, {}) is value


def test_whole_strings_are_expressions_of_any_type() -> None:
    template = compile_template({"n": "${ .n }", "all": [" ${ . } ", "x"]})
    assert not template.is_constant
    assert template.evaluate({"n": 1}, {}) == {"n": 1, "all": [{"n": 1}, "x"]}


def test_constant_branches_are_shared() -> None:
    inner = {"deep": [1]}
    template = compile_template({"a": inner, "b": "${ 1 }"})
    result = template.evaluate(None, {})
    assert isinstance(result, dict)
    assert result["a"] is inner


def test_embedded_expressions_become_text() -> None:
    template = compile_template("Hello ${ .name }, you owe ${.sum}: ${ .list }")
    value = {"name": "Ada", "sum": 2.5, "list": [1, None]}
    assert template.evaluate(value, {}) == "Hello Ada, you owe 2.5: [1,null]"


@pytest.mark.parametrize("value", [1e-7, 1e15, {"a": [1e-7]}])
def test_numbers_that_only_jq_can_write_are_left_to_the_engine(value: JSON) -> None:
    need = compile_expression("tostring").need(value, {})
    with pytest.raises(NeedsEvaluation) as caught:
        compile_template("it is ${ . }").evaluate(value, {})
    assert caught.value.need == need
    answers = {need.key: Answer(value="so much")}
    assert compile_template("it is ${ . }").evaluate(value, {}, answers) == "it is so much"


@pytest.mark.parametrize("text", ["echo ${HOME}", "a ${ .b", "${a} and ${b}", "x ${ } y"])
def test_a_longer_text_with_something_else_in_it_is_plain(text: str) -> None:
    assert compile_template(text).evaluate(None, {}) == text


def test_a_whole_string_that_is_no_expression_is_refused() -> None:
    with pytest.raises(ExpressionSyntaxError, match="not defined"):
        compile_template({"a": ["${ nope }"]})


def test_variables_of_all_parts_are_known() -> None:
    template = compile_template({"a": "${ $x }", "b": ["${ $y.z }", "to ${ $w }"]})
    assert template.variables == {"x", "y", "w"}


def test_a_result_is_never_evaluated_again() -> None:
    assert compile_template("${ .a }").evaluate({"a": "${ .b }", "b": 1}, {}) == "${ .b }"


def test_needs_and_answers_pass_through() -> None:
    template = compile_template({"a": '${ test("x+") }'})
    need = compile_expression(' test("x+") ').need("xx", {})
    with pytest.raises(NeedsEvaluation) as caught:
        template.evaluate("xx", {})
    assert caught.value.need == need
    assert template.evaluate("xx", {}, {need.key: Answer(value=True)}) == {"a": True}
