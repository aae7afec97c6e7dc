"""Text to values and places."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flunq.core.reading import InvalidDocument, read_source

VALUES: list[tuple[str, Any]] = [
    ("1", 1),
    ("-7", -7),
    ("+7", 7),
    ("007", 7),
    ("0x1F", 31),
    ("0o17", 15),
    ("1.10", 1.1),
    (".5", 0.5),
    ("1e3", 1000.0),
    ("true", True),
    ("FALSE", False),
    ("null", None),
    ("~", None),
    ("''", ""),
    ("on", "on"),
    ("yes", "yes"),
    ("No", "No"),
    ("12:30:00", "12:30:00"),
    ("2024-01-01", "2024-01-01"),
    ("0b101", "0b101"),
    ("1_000", "1_000"),
    ("1.0.3", "1.0.3"),
    ("- ", [None]),
    ("'1'", "1"),
    ("! 1", "1"),
    ("!!str 1", "1"),
    ("!!int '1'", 1),
    ("!!float 1", 1.0),
    ("!!map {}", {}),
    ("!!seq []", []),
    ("{on: 1, true: 2, 3: 4}", {"on": 1, "true": 2, "3": 4}),
    ("{<<: {a: 1}}", {"<<": {"a": 1}}),
    ("[&a {x: 1}, *a]", [{"x": 1}, {"x": 1}]),
    ("&k a: 1\nb: *k", {"a": 1, "b": "a"}),
    ("123456789012345678901234567890", 123456789012345678901234567890),
]


@pytest.mark.parametrize(("text", "value"), VALUES, ids=[text for text, _ in VALUES])
def test_yaml_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: Any) -> None:
    read = read_source(text, name="a.yaml").value
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "place", "message", "rule"),
    [
        ("a: 1\nb: 2\na: 3", (3, 1), "duplicate key 'a'; it is already used on line 1",
         "duplicate-key"),
        ("a: {1: x, '1': y}", (1, 11), "duplicate key '1'; it is already used on line 1",
         "duplicate-key"),
        ("a: !!python/name:os.system x", (1, 4), "unknown tag '!!python/name:os.system'",
         "unknown-tag"),
        ("a: !mine {}", (1, 4), "unknown tag '!mine'", "unknown-tag"),
        ("!!set {a: 1}", (1, 1), "unknown tag '!!set'", "unknown-tag"),
        ("a: !!int x", (1, 4), "'x' is not a value of '!!int'", "unknown-tag"),
        ("%TAG ! x\n---\na: 1", (1, 1), "tag directives are not allowed", "unknown-tag"),
        ("a: 1\n---\nb: 2", (2, 1), "the text holds more than one document", "several-documents"),
        ("a: .nan", (1, 4), "a number has to be finite", "bad-number"),
        ("a: -.inf", (1, 4), "a number has to be finite", "bad-number"),
        ("a: 1e999", (1, 4), "a number has to be finite", "bad-number"),
        ("a: " + "9" * 1001, (1, 4), "a number has more than 1000 digits", "bad-number"),
        ("a: !!float " + "9" * 999, (1, 4), "a number has to be finite", "bad-number"),
        ("a: &a [*a]", (1, 8), "the alias '*a' contains itself", "alias-cycle"),
        ("a: *b", (1, 4), "the alias '*b' has no anchor", "unknown-alias"),
        ("a: &a {x: 1}\nb: {<<: *a, y: 2}", (2, 9),
         "'<<' does not merge: YAML 1.2 has no merge keys", "merge-key"),
        ("a: &a {x: 1}\nb: {<<: [*a], y: 2}", (2, 10),
         "'<<' does not merge: YAML 1.2 has no merge keys", "merge-key"),
        ("a: 'x\nb: 1", (1, 4), "not valid YAML: found unexpected end of stream", "yaml-syntax"),
        ("? [a]\n: 1", (1, 3), "a key has to be a text", "complex-key"),
        ("a: &a {}\n*a : 1", (2, 1), "a key has to be a text", "complex-key"),
        ("'': 1", (1, 1), "a key is empty", "empty-key"),
        ("? " + "k" * 1025 + "\n: 1", (1, 3), "a key is longer than 1,024 characters",
         "key-too-long"),
        ("", (1, 1), "the document is empty", "empty-document"),
        ("# nothing\n", (1, 1), "the document is empty", "empty-document"),
        ("a: \0", (1, 4), "the character U+0000 is not allowed here", "unreadable-character"),
        ("é: \ud800", (1, 4), "the character U+D800 is not allowed here", "unreadable-character"),
        ('a: "\\0"', (1, 4), "a text contains NUL", "unreadable-character"),
        ("a:\n\tb: 1", (2, 1),
         "not valid YAML: found character that cannot start any token", "yaml-syntax"),
        ("a: b: c", (1, 5),
         "not valid YAML: mapping values are not allowed in this context", "yaml-syntax"),
        ("[" * 101, (1, 101), "values are nested more than 100 deep", "too-deep"),
    ],
)  # fmt: skip
def test_bad_yaml_is_refused_at_its_place(
    text: str, place: tuple[int, int], message: str, rule: str
) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_source(text, name="a.yaml")
    problem = caught.value.problems[0]
    assert ((problem.line, problem.column), problem.message, problem.rule) == (place, message, rule)


@pytest.mark.parametrize(
    ("text", "place", "message", "rule"),
    [
        ('{"a": 1,\n "a": 2}', (2, 2), "duplicate key 'a'; it is already used on line 1",
         "duplicate-key"),
        ('{"a": NaN}', (1, 7), "not valid JSON: 'NaN' is not a JSON value", "json-syntax"),
        ('{"a": -Infinity}', (1, 7), "not valid JSON: '-Infinity' is not a JSON value",
         "json-syntax"),
        ('{"a": 1e999}', (1, 7), "a number has to be finite", "bad-number"),
        ('{"a": "\\ud800"}', (1, 7), "a text contains NUL or half of a surrogate pair",
         "unreadable-character"),
        ('{"\\u0000": 1}', (1, 2), "a text contains NUL or half of a surrogate pair",
         "unreadable-character"),
        ('{"a": 1} x', (1, 10), "there is more text after the end of the JSON value",
         "json-syntax"),
        ('{"a": 1,}', (1, 9), "not valid JSON: a key in double quotes is missing", "json-syntax"),
        ('{"a" 1}', (1, 6), "not valid JSON: ':' is missing", "json-syntax"),
        ("[1 2]", (1, 4), "not valid JSON: ',' is missing", "json-syntax"),
        ('{"a": ', (1, 7), "not valid JSON: the text ends too early", "json-syntax"),
        ('["\n"]', (1, 3), "not valid JSON: invalid control character at", "json-syntax"),
        (" ", (1, 2), "the document is empty", "empty-document"),
        ("[" * 102, (1, 102), "values are nested more than 100 deep", "too-deep"),
    ],
)  # fmt: skip
def test_bad_json_is_refused_at_its_place(
    text: str, place: tuple[int, int], message: str, rule: str
) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_source(text, name="a.json")
    problem = caught.value.problems[0]
    assert ((problem.line, problem.column), problem.message, problem.rule) == (place, message, rule)


def test_json_reads_what_yaml_cannot() -> None:
    value = {"emoji \U0001f600": "\U0001f600", "k" * 1000: 1, "slash": "/"}
    assert read_source(json.dumps(value), name="x").value == value


def test_a_brace_may_also_begin_yaml() -> None:
    assert read_source("{a: 1, b: [x]}", name="x").value == {"a": 1, "b": ["x"]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_choose_the_encoding(encoding: str) -> None:
    assert read_source("a: é\n".encode(encoding), name="x").value == {"a": "é"}


@pytest.mark.parametrize(
    ("data", "place", "message"),
    [
        (b"a: 1\nb: \xe9", (2, 4), "the text is not UTF-8"),
        (b"\xff\xfea\x00\x00\xd8", (1, 2), "the text is not UTF-16"),
        ("a: 1".encode("utf-32"), (1, 1), "the text is UTF-32"),
    ],
)
def test_other_encodings_are_refused(data: bytes, place: tuple[int, int], message: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_source(data, name="x")
    problem = caught.value.problems[0]
    assert ((problem.line, problem.column), problem.message) == (place, message)


def test_all_duplicate_keys_are_reported_with_their_pointers() -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_source("a: 1\na: 2\nb:\n  - {c/d: 1, c/d: 2}\n", name="x")
    assert [problem.path for problem in caught.value.problems] == ["/a", "/b/0/c~1d"]


TEXT = """\
do:
  - greet:   # a comment
      set: {a: "x", b: [1, 0x10]}
    "other/name":
"""


@pytest.mark.parametrize(
    ("pointer", "value", "key"),
    [
        ("", (1, 1), (1, 1)),
        ("/do", (2, 3), (1, 1)),
        ("/do/0", (2, 5), (2, 5)),
        ("/do/0/greet", (3, 7), (2, 5)),
        ("/do/0/greet/set/a", (3, 16), (3, 13)),
        ("/do/0/greet/set/b/1", (3, 28), (3, 28)),
        ("/do/0/other~1name", (4, 18), (4, 5)),
        ("/do/0/greet/absent", (3, 7), (2, 5)),
        ("/do/7", (2, 3), (1, 1)),
    ],
)
def test_every_pointer_has_a_place(
    pointer: str, value: tuple[int, int], key: tuple[int, int]
) -> None:
    source = read_source(TEXT, name="x")
    assert (source.position(pointer), source.position(pointer, key=True)) == (value, key)


def test_scalars_remember_how_they_are_written() -> None:
    source = read_source(TEXT, name="x")
    assert source.scalar_text("/do/0/greet/set/b/1") == "0x10"
    assert source.scalar_text("/do/0/greet/set/a") is None
    assert source.scalar_text("/nowhere") is None


@pytest.mark.parametrize(
    ("text", "offset", "place"),
    [
        ("a: hello", 2, (1, 6)),
        ("a: 'hello'", 2, (1, 7)),
        ('a: "he\\nlo"', 3, (1, 4)),
        ("a: |\n  one\n   two\n", 5, (3, 4)),
        ("a: |\n  one\n   two\n", 8, (3, 7)),
        ("a: >\n  one\n  two\n", 5, (1, 4)),
        ("a: 5", 0, (1, 4)),
    ],
)
def test_a_character_of_a_text_has_a_place(text: str, offset: int, place: tuple[int, int]) -> None:
    assert read_source(text, name="x").text_position("/a", offset) == place
