from __future__ import annotations

import pytest

from flunq.cli.sqlshell.asking import read_as_of, read_parameters
from flunq.cli.sqlshell.completing import Completer, candidates
from flunq.cli.sqlshell.lines import Buffer, split_queries
from flunq.cli.sqlshell.printing import kind_of, unique
from flunq.cli.sqlshell.shell import as_command
from flunq.errors import UsageError


@pytest.mark.parametrize(
    ("content", "queries", "rest"),
    [
        ("select 1;", ["select 1"], ""),
        ("select 1; select 2; sel", ["select 1", "select 2"], " sel"),
        ("select ';';", ["select ';'"], ""),
        ("select 'it''s;';", ["select 'it''s;'"], ""),
        ('select ";";', ['select ";"'], ""),
        ("select 1 -- ; no\n;", ["select 1 -- ; no"], ""),
        ("select /* ; */ 1;", ["select /* ; */ 1"], ""),
        ("select $$;$$;", ["select $$;$$"], ""),
        ("select 'open;", [], "select 'open;"),
        (";;", [], ""),
        ("", [], ""),
    ],
)
def test_a_semicolon_ends_a_query_unless_it_is_quoted(
    content: str, queries: list[str], rest: str
) -> None:
    assert split_queries(content) == (queries, rest)


def test_a_query_may_have_many_lines() -> None:
    buffer = Buffer()
    assert buffer.add("select 1,") == []
    assert buffer.pending
    assert buffer.add("  2;") == ["select 1,\n  2"]
    assert not buffer.pending


def test_what_was_typed_can_be_forgotten() -> None:
    buffer = Buffer()
    buffer.add("select 'never ends")
    buffer.clear()
    assert buffer.add("select 2;") == ["select 2"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("exec", ["executions", "execution_id"]),
        (
            "executions.err",
            [f"executions.error_{n}" for n in ("type", "status", "title", "detail", "task")],
        ),
        ("e.journal", ["e.journal_seq"]),
        ("SUMM", ["SUMMARIZE"]),
        (".sch", [".schema "]),
        ("zzz", []),
    ],
)
def test_tables_columns_and_keywords_are_completed(word: str, expected: list[str]) -> None:
    assert candidates(word) == expected


def test_readline_gets_one_candidate_after_the_other() -> None:
    completer = Completer()
    assert [completer.complete("dead", n) for n in (0, 1)] == ["dead_letters", None]


def test_parameters_are_json_where_they_look_like_it() -> None:
    pairs = ["a=1", "b=x", "c=true", "d=null", "e=[1]", "f=2.5", "g=a=b", "h="]
    expected = {"a": 1, "b": "x", "c": True, "d": None, "e": "[1]", "f": 2.5, "g": "a=b", "h": ""}
    assert read_parameters(pairs) == expected
    assert read_parameters(['a="4711"', 'b="', 'c="x" y']) == {"a": "4711", "b": '"', "c": '"x" y'}
    with pytest.raises(UsageError):
        read_parameters(["no value"])


def test_as_of_is_a_number_or_a_moment() -> None:
    assert read_as_of(None) == (None, None)
    assert read_as_of("42") == (42, None)
    assert read_as_of("2026-01-01T00:00:00Z") == (None, 1_767_225_600_000_000)


def test_columns_of_the_same_name_are_told_apart() -> None:
    assert unique(["id", "id", "id_2", "n"]) == ["id", "id_2", "id_2_2", "n"]


def test_numbers_stand_at_the_right() -> None:
    assert [kind_of(kind) for kind in ("BIGINT", "DECIMAL(9,2)", "VARCHAR")] == [
        "number",
        "number",
        "text",
    ]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (" .mode json ", ".mode json"),
        ("exit", ".exit"),
        ("QUIT;", ".quit"),
        ("help", ".help"),
        ("from executions;", ""),
        ("exit from", ""),
        ("", ""),
    ],
)
def test_a_command_begins_with_a_dot_unless_every_shell_has_it(line: str, command: str) -> None:
    assert as_command(line) == command
