"""Nearest matches."""

from __future__ import annotations

from flunq.cli.suggest import did_you_mean, nearest


def test_a_typo_finds_the_word_that_was_meant() -> None:
    assert nearest("validte", ["validate", "list"]) == "validate"


def test_a_beginning_finds_the_whole_word() -> None:
    assert nearest("comp", ["completion", "list"]) == "completion"


def test_something_else_entirely_finds_nothing() -> None:
    assert nearest("xyzzy", ["validate", "list"]) is None
    assert did_you_mean("xyzzy", ["list"]) is None


def test_dashes_do_not_make_options_alike() -> None:
    assert nearest("--where", ["--verbose", "--limit"]) is None
    assert nearest("--jq", ["-q", "--id"]) is None
    assert nearest("--orign", ["--origin", "-o"]) == "--origin"
