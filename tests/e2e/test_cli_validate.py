"""``flunq validate`` as a user types it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli import Flunq

GOOD = """\
document: {dsl: 1.0.3, namespace: tests, name: good, version: 1.0.0}
do:
  - greet:
      set:
        greeting: hello
"""
BAD = GOOD.replace("version: 1.0.0", "version: x").replace("set:", "sat:")
MEMBERS = {"path", "line", "column", "message", "rule", "hint"}


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    return tmp_path


def test_a_good_document_is_valid(flunq: Flunq, documents: Path) -> None:
    shown = flunq("validate", "good.yaml")
    assert (shown.code, shown.out, shown.err) == (0, "good.yaml: valid\n", "")


def test_a_bad_document_is_rejected_line_by_line(flunq: Flunq, documents: Path) -> None:
    shown = flunq("validate", "bad.yaml")
    assert shown.code == 3
    lines = shown.out.splitlines()
    assert len(lines) >= 2
    assert all(re.match(r"bad\.yaml:\d+:\d+: .+ \[[a-z-]+\]$", line) for line in lines)


def test_one_file_is_one_object(flunq: Flunq, documents: Path) -> None:
    assert flunq("validate", "good.yaml", "-o", "json").json == {"status": "valid", "errors": []}
    shown = flunq("validate", "bad.yaml", "-o", "json")
    assert shown.code == 3
    assert shown.json["status"] == "rejected"
    assert all(set(error) == MEMBERS for error in shown.json["errors"])


def test_several_files_are_a_list(flunq: Flunq, documents: Path) -> None:
    shown = flunq("validate", "good.yaml", "bad.yaml", "-o", "json")
    assert shown.code == 3
    assert [(v["file"], v["status"]) for v in shown.json] == [
        ("good.yaml", "valid"),
        ("bad.yaml", "rejected"),
    ]


def test_stdin_is_a_document_too(flunq: Flunq) -> None:
    assert flunq("validate", "-", stdin=GOOD).out == "<stdin>: valid\n"


def test_a_missing_file_is_not_found(flunq: Flunq) -> None:
    shown = flunq("validate", "no.yaml", "-o", "json")
    assert shown.code == 4
    assert shown.json["where"] == "no.yaml"


def test_a_message_cannot_act_on_the_terminal(flunq: Flunq, documents: Path) -> None:
    (documents / "evil.yaml").write_text(
        GOOD.replace("greet:", '"\\e]0;gone\\a":').replace("set:", "sat:")
    )
    shown = flunq("validate", "evil.yaml")
    assert shown.code == 3
    assert not set(shown.out + shown.err) & set("\x1b\x07")
