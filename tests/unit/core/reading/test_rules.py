"""The semantic rules, one wrong document each."""

from __future__ import annotations

import pytest

from flunq.core.reading import called_functions, check_document, read_document

HEADER = "document: {dsl: 1.0.3, namespace: a, name: b, version: 1.0.0}\n"

BROKEN: list[tuple[str, tuple[int, int], str, str]] = [
    ("do:\n- one: {wait: PT1S, then: tow}\n- two: {wait: PT1S}",
     (3, 27), "'then' names an unknown task 'tow'; did you mean 'two'?", "unknown-then-target"),
    ("do:\n- one: {do: [{two: {wait: PT1S, then: one}}]}",
     (3, 39), "'then' cannot leave its own list of tasks; 'one' is in another one",
     "then-out-of-scope"),
    ("do:\n- one: {do: [{two: {wait: PT1S}}], then: two}",
     (3, 42), "'then' cannot leave its own list of tasks; 'two' is in another one",
     "then-out-of-scope"),
    ("do:\n- f: {fork: {branches: [{a: {wait: PT1S, then: b}}, {b: {wait: PT1S}}]}}",
     (3, 48), "'then' cannot lead from one branch of a fork to another, 'b'",
     "then-out-of-scope"),
    ("do:\n- f: {fork: {branches: [{a: {switch: [{c: {then: a}}]}}]}}",
     (3, 50), "'then' cannot lead from one branch of a fork to another, 'a'",
     "then-out-of-scope"),
    ("do:\n- f: {fork: {branches: [{a: {wait: PT1S, then: bb}}, {b: {wait: PT1S}}]}}",
     (3, 48), "'then' names an unknown task 'bb'", "unknown-then-target"),
    ("do:\n- one: {switch: [{a: {when: .x, then: nowhere}}]}",
     (3, 39), "'then' names an unknown task 'nowhere'", "unknown-then-target"),
    ("do: []\nuse: {functions: {f: {wait: PT1S, then: g}}}",
     (3, 41), "'then' names an unknown task 'g'", "unknown-then-target"),
    ("do:\n- one: {wait: PT1S}\n- one: {wait: PT1S}",
     (4, 3), "the task 'one' is already defined on line 3", "duplicate-task-name"),
    ("do:\n- s: {switch: [{a: {when: .x, then: end}}, {a: {then: exit}}]}",
     (3, 45), "the case 'a' is already defined on line 3", "duplicate-case-name"),
    ("do:\n- s: {switch: [{a: {then: end}}, {b: {then: exit}}]}",
     (3, 35), "'b' is a second default; 'a' has no 'when' either", "several-defaults"),
    ("do:\n- s: {switch: [{a: {when: .x, then: continue}}, {b: {then: continue}}]}",
     (3, 7), "the switch goes on with the next task in every case", "switch-without-effect"),
    ("do: []\nuse: {timeouts: {short: {after: PT1S}}}\ntimeout: shrt",
     (4, 10), "unknown timeout 'shrt'; did you mean 'short'?", "unknown-timeout"),
    ("do:\n- a: {raise: {error: nope}}", (3, 22), "unknown error 'nope'", "unknown-error"),
    ("do:\n- a: {try: [], catch: {retry: nope}}",
     (3, 31), "unknown retry policy 'nope'", "unknown-retry"),
    (("do:\n- a: {call: openapi, with: {document: {endpoint: 'https://x.y'}, operationId: o,"
     " authentication: {use: nope}}}"),
     (3, 104), "unknown authentication 'nope'", "unknown-authentication"),
    ("do: []\nuse: {authentications: {a: {bearer: {use: nope}}}}",
     (3, 43), "unknown secret 'nope'", "unknown-secret"),
    ("do:\n- a: {set: {x: '${ $secrets.nope }'}}",
     (3, 20), "unknown secret 'nope'", "unknown-secret"),
    ("do:\n- a: {set: {x: '${ .a + $secrets[\"no.pe\"] }'}}",
     (3, 25), "unknown secret 'no.pe'", "unknown-secret"),
    ("use: {secrets: [s]}\ndo:\n- a: {set: {x: '${ $secrets.s | length }'}}",
     (4, 33), "not a valid expression: length cannot work on a secret: ", "expression-syntax"),
    ("use: {secrets: [s]}\ndo:\n- a: {set: {x: '${ $secrets }'}}",
     (4, 20), "not a valid expression: name one secret, ", "expression-syntax"),
    ("evaluate: {language: cel}\ndo: []", (2, 22),
     "expressions cannot be written in 'cel'", "expression-language"),
    ("evaluate: {mode: sloppy}\ndo: []", (2, 18),
     "evaluation is strict or loose, not 'sloppy'", "evaluation-mode"),
    ("do: []\ninput: {schema: {document: {properties: {a: {pattern: '('}}}}}", (3, 55),
     'not a JSON Schema: "(" is not a "regex"', "bad-schema"),
    ("do: []\ninput: {schema: {document: {$ref: '#/$defs/a'}}}", (3, 28),
     "not a JSON Schema: Pointer '/$defs/a' does not exist", "bad-schema"),
    ("evaluate: loose\ndo: []", (2, 11),
     "'evaluate' needs an object with 'language' or 'mode', not 'loose'", "wrong-type"),
    ("do:\n- a: {emit: {event: {}}}", (3, 14), "'event' needs the property 'with'",
     "missing-property"),
    ("evaluate: {mdoe: loose}\ndo: []", (2, 12),
     "unknown property 'mdoe'; did you mean 'mode'?", "unknown-property"),
    ("timeuot: {after: PT1S}\ndo: []", (2, 1),
     "unknown property 'timeuot'; did you mean 'timeout'?", "unknown-property"),
    ("do:\n- a: {try: [], catch: {errors: {status: 503}}}", (3, 33),
     "unknown property 'status'", "unknown-property"),
    ("do:\n- a: {try: [], catch: {errors: {with: {stauts: 503}}}}", (3, 40),
     "unknown property 'stauts'; did you mean 'status'?", "unknown-property"),
    ("do:\n- a: {try: [], catch: {errors: {with: {type: '${ $input.t }'}}}}", (3, 46),
     "'type' is compared as it stands, no expression is evaluated here", "static-filter"),
    ("do:\n- a: {emit: {event: {with: {type: x, source: 'https://x.y'}, data: 1}}}", (3, 62),
     "unknown property 'data'", "unknown-property"),
    (("do:\n- a: {listen: {to: {one: {with: {type: x}, correlate: {k: {from: .x,"
      " expects: y}}}}}}"), (3, 70),
     "unknown property 'expects'; did you mean 'expect'?", "unknown-property"),
    ("do:\n- a: {call: 'f:1.0.0@nope'}", (3, 13), "unknown catalog 'nope'", "unknown-catalog"),
    ("do:\n- a: {set: {x: 'Hello ${ .name | ascii_upcas }'}}", (3, 34),
     "not a valid expression: ascii_upcas is not defined, did you mean ascii_upcase?",
     "expression-syntax"),
    ("do:\n- a: {set: {x: 'Hello ${ .a } and ${ $nme }'}}", (3, 38), "unknown variable $nme",
     "unknown-variable"),
    ("do:\n- a: {set: {x: 'Bearer ${ $secrets.nope }'}}", (3, 27), "unknown secret 'nope'",
     "unknown-secret"),
    ("do:\n- a: {if: .a ==, wait: PT1S}", (3, 16), "not a valid expression: ",
     "expression-syntax"),
    ("do:\n- a: {if: '${ .a', wait: PT1S}", (3, 11),
     "not a valid expression: '${' is not closed by a '}' at the end", "expression-syntax"),
    ("do:\n- a: {set: {x: {y: ['${ env }']}}}", (3, 25),
     "not a valid expression: env ", "expression-syntax"),
    ("do:\n- a:\n    set:\n      x: |\n        ${ .a\n          + + }", (7, 13),
     "not a valid expression: ", "expression-syntax"),
    ("do:\n- a: {set: '${ $contxt }'}", (3, 16),
     "unknown variable $contxt; did you mean $context?", "unknown-variable"),
    ("do:\n- a: {for: {in: .x, each: one}, do: [{b: {set: '${ $item }'}}]}", (3, 52),
     "unknown variable $item", "unknown-variable"),
    ("do:\n- a: {try: [{b: {set: '${ $error }'}}], catch: {}}",
     (3, 27), "unknown variable $error", "unknown-variable"),
    ("do:\n- a: {for: {in: .x, each: $one}, do: []}",
     (3, 27), "'$one' is not the name of a variable", "variable-name"),
    ("do:\n- a: {for: {in: .x, each: context}, do: []}",
     (3, 27), "$context already has a meaning", "variable-name"),
    ("do:\n- a: {for: {in: .x, each: one, at: one}, do: []}",
     (3, 7), "the item and its index are both named 'one'", "variable-name"),
    ("do:\n- a: {wait: {seconds: -1}}", (3, 13),
     "not a duration: ", "duration"),
    ("do: []\nschedule: {every: {seconds: 0}}",
     (3, 19), "'every' needs an interval longer than nothing", "schedule-interval"),
    ("do: []\nschedule: {cron: '61 * * * *'}", (3, 18),
     "'61 * * * *' is not a cron expression: Bad minute", "cron-syntax"),
    ("do: []\nuse: {retries: {r: {limit: {attempt: {count: -1}}}}}",
     (3, 46), "'count' is at least 0, not -1", "retry-limit"),
    ("do: []\nuse: {retries: {r: {jitter: {from: PT2S, to: PT1S}}}}",
     (3, 46), "the jitter ends before it begins", "retry-jitter"),
    ("do: []\ninput: {schema: {document: {type: strin}}}", (3, 35),
     "not a JSON Schema: ", "bad-schema"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "place", "message", "rule"), BROKEN)
def test_a_broken_rule_is_told_at_its_place(
    body: str, place: tuple[int, int], message: str, rule: str
) -> None:
    [problem] = check_document(HEADER + body, name="a.yaml")
    assert ((problem.line, problem.column), problem.rule) == (place, rule)
    assert problem.message.startswith(message)


@pytest.mark.parametrize("dsl", ["0.8.0", "1.1.0", "2.0.0"])
def test_only_version_1_0_of_the_dsl_is_supported(dsl: str) -> None:
    [problem] = check_document(HEADER.replace("1.0.3", dsl) + "do: []", name="a.yaml")
    assert (problem.rule, problem.line, problem.column) == ("unsupported-dsl", 1, 17)


@pytest.mark.parametrize(
    "body",
    [
        "do:\n- a: {for: {in: .x}, while: $index < 3, do: [{b: {set: '${ $item }'}}]}",
        "do:\n- a: {try: [], catch: {as: e, when: $e.status, retry: {when: '${ $e }'}}}",
        "do:\n- a: {listen: {to: {any: []}}, foreach: {do: [{b: {set: '${ [$item, $index] }'}}]}}",
        "do:\n- a: {set: {x: 'Hello ${ .name', y: '${ .a', z: $x}}",
        "do:\n- a: {set: {x: '${HOME}/${ name } and `${a.b}` ${}'}}",
        "do:\n- a: {run: {script: {language: js, code: 'x(`${ .a | } ${ $b }`)'}}}",
        "do:\n- a: {run: {shell: {command: 'x ${ .a | } ${ $b }'}}}",
        "do:\n- a: {run: {script: {language: js, code: '${ not jq'}}}",
        "do:\n- a: {do: [{a: {wait: PT1S, then: b}}, {b: {wait: PT1S}}]}\n- b: {wait: PT1S}",
        "do:\n- s: {switch: [{a: {when: .x, then: continue}}], then: end}\n- b: {wait: PT1S}",
        "do: []\nuse: {retries: {r: {when: $anything}}}",
        "do:\n- a: {call: 'f:1.0.0@default'}\n- b: {call: 'https://x.y/f@1.yaml'}",
        "do:\n- a: {metadata: {x: '${ ( }'}, wait: '${ .pause }'}",
        "do:\n- a: {set: '${ . as $x | $x + $__loc__.line }'}",
    ],
)
def test_what_breaks_no_rule_is_accepted(body: str) -> None:
    assert check_document(HEADER + body, name="a.yaml") == []


def test_a_dollar_too_much_gets_a_hint() -> None:
    body = "do:\n- a: {try: [], catch: {as: $error}}"
    [problem] = check_document(HEADER + body, name="a.yaml")
    assert problem.hint == "write 'error', without the dollar"


def test_a_duration_for_the_name_of_a_timeout_gets_a_hint() -> None:
    [problem] = check_document(HEADER + "do: []\ntimeout: PT5S", name="a.yaml")
    assert problem.hint == "a timeout is written {after: PT5S}"


def test_a_broken_structure_does_not_hide_the_other_problems() -> None:
    body = "do:\n- a: {wait: {weeks: 1}, then: nowhere}\n- b: 5\n- a: {set: '${ ( }'}"
    found = [problem.rule for problem in check_document(HEADER + body, name="a.yaml")]
    assert found == [
        "unknown-property", "unknown-then-target", "wrong-type", "duplicate-task-name",
        "expression-syntax",
    ]  # fmt: skip


def test_only_calls_that_need_a_function_are_listed() -> None:
    body = """\
use: {functions: {known: {call: nested}}, catalogs: {c: {endpoint: 'https://x.y'}}}
do:
  - a: {call: charge-card, with: {call: not-a-call}}
  - b: {call: http, with: {method: GET, endpoint: 'https://x.y', body: {call: no}}}
  - c: {call: known}
  - d: {try: [{e: {call: inner}}], catch: {do: [{f: {call: handler}}]}}
  - g: {call: 'f:1.0.0@c'}
  - h: {set: {call: no}}
"""
    found = called_functions(read_document(HEADER + body, name="a.yaml"))
    assert found == [
        ("nested", "/use/functions/known/call"), ("charge-card", "/do/0/a/call"),
        ("inner", "/do/3/d/try/0/e/call"), ("handler", "/do/3/d/catch/do/0/f/call"),
    ]  # fmt: skip
