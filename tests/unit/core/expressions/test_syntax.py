"""Finding expressions in texts and saying what is wrong with them."""

from __future__ import annotations

import jq  # type: ignore[import-not-found]
import pytest

from flunq.core.expressions import ExpressionSyntaxError, check, compile_runtime
from flunq.core.expressions.names import FORMATS
from flunq.core.expressions.syntax import Source, enclosed, segments


class TestEnclosed:
    @pytest.mark.parametrize(
        ("text", "inner", "offset"),
        [
            ("${ .a }", " .a ", 2),
            ("  ${.a}\n", ".a", 4),
            ('${ "}" }', ' "}" ', 2),
            ("${ {a: {b: .c}} }", " {a: {b: .c}} ", 2),
            ('${ "\\({a: 1} | "}")" }', ' "\\({a: 1} | "}")" ', 2),
            ("${ .a # a } comment }", " .a # a } comment ", 2),
        ],
    )
    def test_whole_text_is_one_expression(self, text: str, inner: str, offset: int) -> None:
        assert enclosed(text) == Source(inner, offset)

    @pytest.mark.parametrize(
        "text", [".a", "${ .a", "x ${ .a }", "${ .a } - ${ .b }", "", "}", "$"]
    )
    def test_other_texts_are_not_enclosed(self, text: str) -> None:
        assert enclosed(text) is None

    def test_embedded_expressions_are_cut_out_with_their_offsets(self) -> None:
        assert segments("Hello ${ .x }, ${.y}!") == [
            "Hello ",
            Source(" .x ", 8),
            ", ",
            Source(".y", 17),
            "!",
        ]

    def test_a_text_without_a_closing_brace_stays_whole(self) -> None:
        assert segments("costs ${ a lot") == ["costs ${ a lot"]


class TestCheck:
    @pytest.mark.parametrize(
        "text",
        [
            ".",
            "..",
            ".a.b[0]?",
            '."a"."b".["c"]',
            ".[1:2], .[:2], .[2:]",
            "def f(g; $h): g + $h; f(1; 2)",
            "reduce 1 + 2 as $x (0; . + $x)",
            "foreach .[] as [$i, {a: $j}] (0; . + $i; [$j])",
            "label $out | 1, break $out",
            ". as [$a] ?// {a: $a} | $a",
            "try error catch .",
            '@base64 "x\\(.a)"',
            "if . then 1 elif .a then 2 end",
            '{a, $x, (.b): 1 | 2, @json "k": 3, if: 4, $__loc__, "l"}',
            ".a //= 1 | .b |= .c | .d += 2",
            "# a comment\n. # another",
            "$context.user | toarray",
            "1 + 2 as $x | $x",
        ],
    )
    def test_valid_programs_have_no_problems(self, text: str) -> None:
        assert check(text, bare=True) == []

    @pytest.mark.parametrize(
        ("text", "offset", "part"),
        [
            ("", 0, "empty"),
            (".a ++", 4, "unexpected '+'"),
            ("[1, 2", 5, "end of the expression"),
            ('"abc', 4, "not closed"),
            ('"\\x"', 1, "escape"),
            ("1 == 2 == 3", 7, "do not chain"),
            (".a?//1", 2, "write '? //'"),
            ("{1: 2}", 1, "quotes"),
            ("{(1): 2}", 1, "must be a string"),
            (".foo bar", 5, "'bar'"),
            ("a)", 1, "unmatched"),
            ("[1)", 2, "does not close"),
            ("&", 0, "unexpected character"),
            ("break $x", 6, "no label"),
            ('@foo "x"', 0, "not a format"),
            ("@jsno", 0, "did you mean @json?"),
            ("lenght", 0, "did you mean length?"),
            ("map(.a; .b)", 0, "takes 1 arguments, not 2"),
            ("def fetch: 1; fetsh", 14, "did you mean fetch?"),
            ("(" * 500, 0, ""),
        ],
    )
    def test_a_problem_says_where_and_what(self, text: str, offset: int, part: str) -> None:
        ((at, message),) = check(text, bare=True)
        assert part in message
        assert at == offset or not part

    @pytest.mark.parametrize(
        "text",
        [
            "env",
            "$ENV.PATH",
            "input",
            "[inputs]",
            "halt",
            "halt_error",
            "halt_error(1)",
            "input_filename",
            "input_line_number",
            "get_search_list",
            "$__prog_args",
            'import "a" as $a; $a',
            'include "a"; 1',
            "1) | env | (1",
        ],
    )
    def test_what_reaches_outside_is_refused(self, text: str) -> None:
        assert check(text, bare=True)

    @pytest.mark.parametrize("name", sorted(FORMATS))
    def test_every_format_is_one_that_the_engine_has(self, name: str) -> None:
        assert check(f"@{name}", bare=True) == []
        jq.compile(f"@{name}").input_value(["YQ=="] if name in {"csv", "tsv"} else "YQ==").first()

    def test_a_format_that_the_engine_lacks_is_refused(self) -> None:
        assert check("@base32", bare=True) == [(0, "@base32 is not defined, did you mean @base64?")]

    def test_the_name_of_a_definition_may_be_a_refused_one(self) -> None:
        assert check("def env: 1; env", bare=True) == []

    def test_offsets_count_from_the_start_of_the_whole_text(self) -> None:
        assert check("  ${ .a | nope }", bare=False) == [(10, "nope is not defined")]

    def test_a_free_value_that_is_not_enclosed_has_no_problems(self) -> None:
        assert check("what is this? ((", bare=False) == []

    def test_deep_nesting_is_a_syntax_error(self) -> None:
        with pytest.raises(ExpressionSyntaxError, match="too deep"):
            compile_runtime("[" * 5000)

    def test_a_long_chain_is_a_syntax_error_or_left_to_the_engine(self) -> None:
        expression = compile_runtime("+".join(["1"] * 400))
        assert expression.fast is None or expression.evaluate(None, {}) == 400


def test_a_runtime_expression_may_be_bare_or_enclosed() -> None:
    assert compile_runtime(" ${ .a + 1 } ").evaluate({"a": 1}, {}) == 2
    assert compile_runtime(".a + 1").evaluate({"a": 1}, {}) == 2


def test_the_offset_of_a_syntax_error_counts_from_the_enclosing_text() -> None:
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_runtime("${ .a + }")
    assert caught.value.offset == 8
