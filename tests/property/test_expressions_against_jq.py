"""The pure tier gives the results of jq, and the parser accepts what jq accepts.

One difference is intended and kept out of the generated values: whole numbers beyond 53
bits stay exact where jq rounds them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flunq.core.expressions import Answer, ExpressionError, check, compile_expression
from flunq.core.expressions.errors import BeyondTier0
from flunq.engines.jq_inline import evaluate_inline

jq: Any = import_module("jq")
MANY = min(10 * settings().max_examples, 10_000)
VARIABLES = ["x", "b", "d", "h", "i", "out"]
NAMES = ["a", "b", "c"]
small = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-20, 20),
    st.sampled_from([0.5, -1.5, 2.25, 1.0, 100.0, 0.1]),
    st.sampled_from(
        [
            "",
            "a",
            "b",
            "ab",
            "A,b",
            "é😀",
            "5",
            "true",
            "a\nb",
            '"q"',
            "\x7f",
            "<&'>\\",
            "a\tb",
            "x" * 40,
        ]
    ),
)
values = st.recursive(
    small,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=10,
)

LITERALS = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "2",
    "-1",
    "3",
    "10",
    "0.5",
    '"a"',
    '"b"',
    '""',
    "[]",
    "{}",
]
PATHS = [
    ".",
    ".a",
    ".b",
    ".a.b",
    ".[0]",
    ".[-1]",
    ".a[0].b",
    '.["a"]',
    ".a?",
    ".[0]?",
    "$x",
    "$x.a",
    "$y",
]
UNARY = """
length not type keys keys_unsorted to_entries from_entries floor ceil round sqrt abs tostring
tojson tonumber toboolean sort unique min max reverse add any all flatten trim ltrim rtrim
ascii_downcase ascii_upcase utf8bytelength explode first last values nulls strings numbers arrays
objects iterables booleans scalars empty error @base64 @base64d @uri @json @text @html @csv @tsv
""".split()
SINGLE_ARGUMENT = """
has contains inside startswith endswith ltrimstr rtrimstr split join index rindex indices error in
nth flatten
""".split()
CLOSURES = """
map select map_values sort_by group_by unique_by min_by max_by any all first last isempty add
with_entries
""".split()
OPERATORS = ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or", "//"]
TARGETS = """
. .a .a.b .[0] .[-1] .a[1] .[] .[]? .a[]? .a? .a,.b .b[0].a .[]|select(.==1) .a|.b .[0],.[1]
.["c"] .[$x] .[.a]? empty
""".split()
targets = st.sampled_from(TARGETS)
assignments = st.sampled_from(["=", "|=", "+=", "-=", "*=", "/=", "%=", "//="])


def _extend(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def form(template: str, *more: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.tuples(*more).map(lambda parts: template.format(*parts))

    name = st.sampled_from(NAMES)
    operator = st.sampled_from(OPERATORS)
    return st.one_of(
        form("({} {} {})", inner, operator, inner),
        form("({} | {})", inner, inner),
        form("({}, {})", inner, inner),
        form("({} | {})", inner, st.sampled_from(UNARY)),
        form("({} | {}({}))", inner, st.sampled_from(SINGLE_ARGUMENT), inner),
        form("({} | {}({}))", inner, st.sampled_from(CLOSURES), inner),
        form("[{}]", inner),
        form("{}[]", inner.map(lambda text: f"({text})")),
        form("({})[]?", inner),
        form("({}).{}?", inner, name),
        form("({})?", inner),
        form("({})[{}]", inner, inner),
        form("({})[{}:{}]", inner, inner, inner),
        form("({})[1:]", inner),
        form("-({})", inner),
        form("{{{}: {}}}", name, inner),
        form("{{{}: {}, {}: {}}}", name, inner, name, inner),
        form("{{{}, $x}}", name),
        form("{{({} | tostring): {}}}", inner, inner),
        form("{{(.a, ({})): {}}}", inner, inner),
        form("if {} then {} else {} end", inner, inner, inner),
        form("if {} then {} end", inner, inner),
        form("(try ({}) catch ({}))", inner, inner),
        form("({} as $y | {})", inner, inner),
        form("({} as [$x, $y] | {})", inner, inner),
        form("({} as {{a: $x, $b}} | [$b, {}])", inner, inner),
        form("(reduce ({}) as $y ({}; {}))", inner, inner, inner),
        form("[foreach ({}) as $y ({}; {})]", inner, inner, inner),
        form("[foreach ({}) as $y ({}; {}; {})]", inner, inner, inner, inner),
        form('"<\\({})|\\({})>"', inner, inner),
        form('@base64 "<\\({})>"', inner),
        form("[limit({}; {})]", st.sampled_from(["0", "1", "2", "-1"]), inner),
        form("any({}; {})", inner, inner),
        form("all({}; {})", inner, inner),
        form("[range({}; {})]", inner, inner),
        form("[range({})]", inner),
        form("[{} | ..]", inner),
        form("(({}) | {} {} ({}))", inner, targets, assignments, inner),
        form("(({}) | del({}))", inner, targets),
    )


programs = st.recursive(st.sampled_from(LITERALS + PATHS), _extend, max_leaves=5)


def pure(text: str, value: Any, variables: dict[str, Any]) -> Answer | None:
    """Return what the pure tier says, None when it leaves the work to the engine."""
    fast = compile_expression(text).fast
    if fast is None:
        return None
    try:
        return Answer(value=fast(value, variables))
    except ExpressionError as error:
        return Answer(error=error.message)
    except (BeyondTier0, RecursionError, OverflowError):
        return None


def strict(value: Any) -> Any:
    """Return a form in which true differs from 1, and 1 does not differ from 1.0."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, dict):
        return {name: strict(item) for name, item in value.items()}
    if isinstance(value, list):
        return [strict(item) for item in value]
    return value


def assert_same(text: str, value: Any, variables: dict[str, Any]) -> None:
    ours = pure(text, value, variables)
    if ours is None:
        return
    names = compile_expression(text).variables
    need = compile_expression(text).need(value, {name: variables[name] for name in names})
    theirs = evaluate_inline(need)
    assert (ours.error, strict(ours.value)) == (theirs.error, strict(theirs.value)), text


@settings(
    max_examples=MANY,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(text=programs, value=values, x=values)
@example(text=".a // 1", value={"a": False}, x=None)
@example(text="[.[] | . == true]", value=[1, True, 1.0], x=None)
def test_every_program_of_the_subset_gives_the_result_of_jq(text: str, value: Any, x: Any) -> None:
    assert_same(text, value, {"x": x, "y": 7})


RECORDS = [
    "map({orders})",
    ".[] | {orders}",
    "sort_by({orders})",
    "group_by({orders}) | map(length)",
    "group_by({orders})",
    "unique_by({orders})",
    "min_by({orders})",
    "max_by({orders})",
    "map(select({orders}))",
    "any({orders}), all({orders})",
    "add({orders})",
    "add(.[] | {orders})",
    "[limit(2; .[] | {orders})]",
    "first(.[] | {orders})",
    "map_values({orders})",
    "reduce .[] as {{a: $k, $b}} ({{}}; .[$k | tostring] += ($b // 0 | length))",
    "[foreach .[] as $r (0; . + 1; [., ($r | {orders})])]",
    "map(to_entries | from_entries == .)",
    "map(with_entries(.value |= {orders}))",
    "map(.c = ({orders})) | del(.[0].a)",
    "map(.a |= {orders})",
    '[.[] | "\\(.a)=\\({orders})"] | join(";")',
    "[.[] | ({orders}) as $o | [$o, .a]] | sort | unique",
    "[paths]",
    "flatten | length",
    "map(keys) | flatten | unique",
]
orders = st.sampled_from(
    [
        ".a",
        ".b",
        ".a, .b",
        "[.b, .a]",
        "-(.a | length)",
        ".a == .b",
        ".a > .b",
        ".a // .b",
        "(.a | type), .b",
        "(.b | tojson)",
        "empty",
        "if .a then .b else empty end",
        ".a?",
    ]
)
records = st.lists(
    st.fixed_dictionaries({"a": values, "b": small}, optional={"c": small}), max_size=6
)


@settings(
    max_examples=MANY // 3,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(form=st.sampled_from(RECORDS), orders=orders, value=records)
def test_lists_of_records_are_worked_on_as_by_jq(form: str, orders: str, value: Any) -> None:
    assert_same(form.format(orders=orders), value, {})


SOURCES = [
    ".a.b[0]? + 1",
    "def f(g; $h): g + $h; f(1; 2)",
    "[.[] | select(.a == 1) | {a, b: .b, (.c): 1, $__loc__}]",
    "try error(1) catch . | label $out | 1, break $out",
    ". as {a: $x, $b, c: [$d]} ?// $x | $x",
    '"a\\(1 + 2)b" | @base64 "x\\(.)"',
    "foreach range(3) as $i (0; . + $i; [$i, .])",
    ".[1:2]?, .[:2], .[2:] | ..",
    ".a //= 1 | .b |= .c and not == -1",
    "if . then 1 elif .a then 2 end",
]
TOKENS = """
. .a | , ( ) [ ] { } "a" : ; as $x def f if then else end try and // == = - * ? ?// .. @text 1 .5
# & \\ $ != < reduce label
""".split()


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(SOURCES))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        token = draw(st.sampled_from([*TOKENS, "", " "]))
        text = text[:at] + token + text[at + draw(st.integers(0, 2)) :]
    return text


@settings(
    max_examples=MANY,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(text=mutated())
def test_the_parser_accepts_what_jq_accepts(text: str) -> None:
    problems = check(text, bare=True)
    if any("format" in message or "@" in message for _, message in problems):
        return  # jq finds an unknown format only when it gets there
    names = compile_expression(text).variables if not problems else VARIABLES
    try:
        jq.compile(text, args=dict.fromkeys(names))
    except ValueError as error:
        assert problems, error
    else:
        assert not problems or is_stricter(problems)


def is_stricter(problems: list[tuple[int, str]]) -> bool:
    """Tell whether this is a program of nothing but comments and definitions."""
    return "empty" in problems[0][1] or "the end of the expression" in problems[0][1]
