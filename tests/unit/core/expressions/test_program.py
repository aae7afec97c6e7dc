"""Evaluation in the pure tier and the hand-over to the engine."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.expressions import (
    Answer,
    Expression,
    ExpressionError,
    NeedsEvaluation,
    compile_expression,
)

ORDER = {
    "id": "o-1",
    "total": 12.5,
    "items": [{"sku": "a", "n": 2, "price": 3}, {"sku": "b", "n": 1, "price": 6.5}],
    "customer": {"name": "Ada", "tags": ["new", "vip"]},
}


def evaluate(text: str, value: Any = ORDER, **variables: Any) -> Any:
    return compile_expression(text).evaluate(value, variables)


class TestPureTier:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (".id", "o-1"),
            (".customer.tags[-1]", "vip"),
            (".customer.tags[0:1]", ["new"]),
            (".missing.deeper", None),
            (".items[1].sku", "b"),
            (".total * 2", 25),
            (".items | length", 2),
            ("[.items[] | .n * .price] | add", 12.5),
            ("[.items[] | select(.n > 1) | .sku]", ["a"]),
            ('.items | map(.sku) | join(", ")', "a, b"),
            ("{id, name: .customer.name}", {"id": "o-1", "name": "Ada"}),
            ('"Order \\(.id) of \\(.customer.name)"', "Order o-1 of Ada"),
            ('if .total > 10 then "big" else "small" end', "big"),
            ('.discount // "none"', "none"),
            ("reduce .items[] as {n: $n} (0; . + $n)", 3),
            ("[foreach .items[] as $i (0; . + $i.n)]", [2, 3]),
            (".items | sort_by(.price) | first.sku", "a"),
            (".items | group_by(.n) | map(length)", [1, 1]),
            ('.customer | with_entries(select(.key == "name"))', {"name": "Ada"}),
            ('.customer.tags | contains(["vip"])', True),
            (".items | any(.n == 2)", True),
            ("[range(3)]", [0, 1, 2]),
            ("(.items[0] | keys)", ["n", "price", "sku"]),
            ('try error("no") catch .', "no"),
            (".customer.tags |= map(ascii_upcase) | .customer.tags", ["NEW", "VIP"]),
            (".customer | del(.tags)", {"name": "Ada"}),
            (".total += 1 | .total", 13.5),
            ("[.items[].sku | @base64]", ["YQ==", "Yg=="]),
            ("empty", None),
            ("1, 2, 3", 1),
            ("$__loc__.line", 1),
            ("-.total", -12.5),
        ],
    )
    def test_everyday_expressions_need_no_engine(self, text: str, expected: Any) -> None:
        assert evaluate(text) == expected

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (".id.x", 'Cannot index string with string ("x")'),
            (".id[]", 'Cannot iterate over string ("o-1")'),
            (".id + 1", 'string ("o-1") and number (1) cannot be added'),
            ("1 / 0", "number (1) and number (0) cannot be divided because the divisor is zero"),
            ('error("out of stock")', "out of stock"),
            ("$gone", "$gone is not defined"),
        ],
    )
    def test_failures_carry_the_message_of_jq(self, text: str, message: str) -> None:
        with pytest.raises(ExpressionError) as caught:
            evaluate(text)
        assert caught.value.message == message

    def test_true_is_not_one(self) -> None:
        assert evaluate("[.[] | . == 1]", [1, 1.0, True, "1"]) == [True, True, False, False]
        assert evaluate("unique", [True, 1, 1.0]) == [True, 1]
        assert evaluate(". == {a: 1}", {"a": True}) is False

    def test_integers_beyond_doubles_stay_exact(self) -> None:
        assert evaluate(". + 1", 2**60) == 2**60 + 1

    def test_whole_results_are_integers(self) -> None:
        assert type(evaluate(". + 0.5", 1.5)) is int
        assert evaluate('"\\(.)"', 1.0) == "1.0"

    def test_the_input_is_never_changed(self) -> None:
        value = {"a": [{"b": 1}], "c": {"d": 2}}
        assert evaluate(".a[0].b = 5 | .c.d += 1 | del(.c.x)", value)["a"] == [{"b": 5}]
        assert value == {"a": [{"b": 1}], "c": {"d": 2}}

    def test_variables_are_read_and_shadowed(self) -> None:
        assert evaluate("$context.n + (2 as $context | $context)", None, context={"n": 1}) == 3


class TestHandOver:
    @pytest.mark.parametrize(
        "text",
        [
            "def f: 1; f",
            "now",
            'test("a+")',
            '[splits(", *")]',
            "label $f | 1",
            "walk(.)",
            "1.50",
            "todate",
            ". as [$a] ?// $a | $a",
        ],
    )
    def test_the_rest_of_the_language_is_left_to_the_engine(self, text: str) -> None:
        assert compile_expression(text).fast is None

    @pytest.mark.parametrize(
        "text",
        [
            "[range(1000000)] | length",
            "[range(400) | [range(400)]]",
            '"x" * 100000000',
            'reduce range(64) as $i ("x"; . + .)',
            "reduce range(64) as $i ([1]; [., .])",
            "reduce range(64) as $i ([1]; [., .]) | tojson",
            "reduce range(100) as $i (10; . * .)",
            "reduce range(3000) as $i (0; [.])",
            "|".join(["[., .]"] * 40),
            "|".join(["., ."] * 40) + "| empty",
            ".[100000000] = 1",
            "1e308 * 10",
            "[range(100000) as $i | $big == $big2]",
        ],
    )
    def test_more_work_than_the_bound_is_left_to_the_engine(self, text: str) -> None:
        big = [list(range(100)) for _ in range(100)]
        with pytest.raises(NeedsEvaluation):
            evaluate(text, None, big=big, big2=[list(row) for row in big])

    def test_a_need_holds_only_what_the_program_reads(self) -> None:
        with pytest.raises(NeedsEvaluation) as caught:
            evaluate("now | $a", {"unread": 1}, a=1, b=2)
        need = caught.value.need
        assert (need.program, need.input, need.variables) == ("now | $a", None, {"a": 1})

    def test_the_key_tells_programs_inputs_and_variables_apart(self) -> None:
        def key(text: str, value: Any, **variables: Any) -> str:
            expression: Expression = compile_expression(text)
            return expression.need(value, variables).key

        keys = [
            key("test(.)", 1),
            key("test(.)", 2),
            key("test(.) ", 1),
            key("test($a)", 1, a=1),
            key("test($a)", 1, a=2),
            key("test($a)", 1, a="2"),
        ]
        assert len(set(keys)) == len(keys)
        assert key("test($a)", 1, a=1) == key("test($a)", 1, a=1, b=3)

    def test_an_answer_is_the_result(self) -> None:
        expression = compile_expression('test("a+")')
        need = expression.need("aa", {})
        assert expression.evaluate("aa", {}, {need.key: Answer(value=True)}) is True

    def test_an_answered_error_is_raised(self) -> None:
        expression = compile_expression('test("a+")')
        need = expression.need(1, {})
        with pytest.raises(ExpressionError, match="took too long"):
            expression.evaluate(1, {}, {need.key: Answer(error="took too long")})


def test_compiled_expressions_are_shared() -> None:
    assert compile_expression(".a.b") is compile_expression(".a.b")


@pytest.mark.parametrize(
    ("text", "names", "reads_input"),
    [
        (".a + $b", {"b"}, True),
        ("$b as $c | $c", {"b"}, False),
        ("1 | . + 1", set(), False),
        ("reduce $xs[] as $x (0; . + $x)", {"xs"}, False),
        ("{$a, b}", {"a"}, True),
        ("def f($p): $p + $q; f(1)", {"q"}, True),
        ("if $a then $b end", {"a", "b"}, True),
    ],
)
def test_an_expression_knows_what_it_reads(text: str, names: set[str], reads_input: bool) -> None:
    expression = compile_expression(text)
    assert expression.variables == names
    assert expression.reads_input is reads_input
