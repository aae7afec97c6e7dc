"""``flunq convert`` as a user types it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.cli import Flunq

EXAMPLE = Path(__file__).parents[2] / "examples" / "old" / "refund.yaml"
OLD = """\
id: greeting
specVersion: '0.8'
version: '1.0'
functions: file://functions.json
states:
- {name: name it, type: inject, data: {who: Ada}, transition: greet}
- name: greet
  type: operation
  actions: [{functionRef: hello, actionDataFilter: {toStateData: .text}}]
  end: true
"""
FUNCTIONS = [{"name": "hello", "type": "expression", "operation": '"Hello \\(.who)"'}]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    (tmp_path / "functions.json").write_text(json.dumps(FUNCTIONS))
    (tmp_path / "old.yaml").write_text(OLD)
    return tmp_path


def test_what_comes_out_is_valid_and_runs(flunq: Flunq, old: Path) -> None:
    shown = flunq("convert", "old.yaml")
    assert (shown.code, shown.err) == (0, "")
    (old / "new.yaml").write_text(shown.out)
    assert flunq("validate", "new.yaml").out == "new.yaml: valid\n"
    ran = flunq("run", "new.yaml", "-i", '{"n": 1}', "-o", "json")
    assert ran.json["output"] == {"n": 1, "who": "Ada", "text": "Hello Ada"}


def test_what_was_left_out_is_told_line_by_line(flunq: Flunq, old: Path) -> None:
    (old / "old.yaml").write_text(OLD.replace("end: true", "end: {compensate: true}"))
    shown = flunq("convert", "old.yaml")
    assert shown.code == 3
    assert re.match(r"old\.yaml:10:\d+: .+ \[compensation\]\nhint: ", shown.err)
    assert shown.out.startswith("document:\n")


def test_json_has_the_document_and_the_problems(flunq: Flunq, old: Path) -> None:
    (old / "functions.json").unlink()
    shown = flunq("convert", "old.yaml", "-o", "json")
    assert shown.code == 3
    assert shown.json["document"]["document"]["name"] == "greeting"
    assert [problem["rule"] for problem in shown.json["problems"]] == ["external-file"]


@pytest.mark.parametrize("name", ["new.yaml", "new.json"])
def test_the_document_can_go_into_a_file(flunq: Flunq, old: Path, name: str) -> None:
    shown = flunq("convert", "old.yaml", "--to", name, "--namespace", "shop")
    assert (shown.code, shown.out, shown.err) == (0, "", "")
    content = (old / name).read_text()
    assert content.startswith("{" if name.endswith("json") else "document:")
    assert flunq("validate", name).code == 0
    assert "shop" in content


def test_stdin_is_a_document_too(flunq: Flunq, old: Path) -> None:
    shown = flunq("convert", "-", stdin=(old / "old.yaml").read_text())
    assert shown.code == 0
    assert "name: greeting" in shown.out


def test_a_new_document_is_refused(flunq: Flunq, old: Path) -> None:
    (old / "old.yaml").write_text("document: {dsl: 1.0.3}\ndo: []\n")
    shown = flunq("convert", "old.yaml", "-o", "json")
    assert shown.code == 3
    assert shown.json["errors"][0]["rule"] == "not-0.8"


def test_a_namespace_is_a_label(flunq: Flunq, old: Path) -> None:
    assert flunq("convert", "old.yaml", "--namespace", "My Shop").code == 2


def test_a_file_that_cannot_be_written_is_an_error(flunq: Flunq, old: Path) -> None:
    shown = flunq("convert", "old.yaml", "--to", "no/such/folder.yaml")
    assert shown.code == 3
    assert "no/such/folder.yaml" in shown.err


@pytest.mark.parametrize(
    ("amount", "order"),
    [
        (120, {"id": 7, "amount": 120, "fee": 12, "status": "refunded"}),
        (20, {"id": 7, "amount": 20, "status": "refunded"}),
    ],
)
def test_the_example_runs_once_it_is_converted(
    flunq: Flunq, tmp_path: Path, amount: int, order: dict[str, object]
) -> None:
    assert flunq("convert", str(EXAMPLE), "--to", "refund.yaml").code == 0
    given = json.dumps({"order": {"id": 7, "amount": amount}})
    ran = flunq("run", "refund.yaml", "-i", given, "-o", "json")
    assert ran.json["output"] == {"order": order}
