"""The pages of docs/: their commands do what they say, their links and snippets are whole."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flunq.core.reading import check_document
from tests.support.cluster import running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Flunq

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"<!-- (file|run)(?:: (\S+))? -->\n```\w+\n(.*?)```", re.DOTALL)
SNIPPET = re.compile(r"```(python|yaml)\n(.*?)```", re.DOTALL)
ORDER = """\
document: {dsl: 1.0.3, namespace: shop, name: order, version: 1.0.0}
do:
  - pay: {set: {paid: "${ .id }"}}
"""
SHELL = re.compile(r"[|&;<>`~*]|\$\(")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")


@dataclass(frozen=True, slots=True)
class Command:
    """One line of a console block, and what the page shows below it."""

    line: str
    shown: tuple[str, ...]
    code: int


def commands(body: str, code: int) -> Iterator[Command]:
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        line, *shown = part.rstrip("\n").split("\n")
        yield Command(line, tuple(shown), code)


def pattern(shown: str) -> re.Pattern[str]:
    """A shown line matches however wide its columns are; ``...`` is anything."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in shown.split("...")]
    return re.compile(r"^\s*" + r".*".join(parts), re.MULTILINE)


def run(command: Command, flunq: Flunq) -> str:
    code, printed = outcome(command, flunq)
    assert code == command.code, f"$ {command.line}\n{printed}"
    return printed


def outcome(command: Command, flunq: Flunq) -> tuple[int, str]:
    """A shell runs the line, unless there is nothing in it that only a shell can do."""
    program, *arguments = shlex.split(command.line)
    if program == "flunq" and not SHELL.search(command.line):
        done = flunq(*arguments)
        return done.code, done.out + done.err
    return in_shell(command.line, flunq)


def in_shell(line: str, flunq: Flunq) -> tuple[int, str]:
    own = f'flunq() {{ {shlex.quote(sys.executable)} -m flunq "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-c", own + line],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=flunq.home,
        env=flunq.environment(),
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.timeout(180)
def test_the_tutorial_works_as_it_is_written(flunq: Flunq) -> None:
    text = (DOCS / "getting-started.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert len(blocks) > 10
    try:
        for kind, argument, body in blocks:
            if kind == "file":
                (flunq.home / argument).write_text(body, encoding="utf-8")
                continue
            for command in commands(body, int(argument or 0)):
                printed = run(command, flunq)
                missing = [line for line in command.shown if not pattern(line).search(printed)]
                assert missing == [], f"$ {command.line}\n{printed}"
    finally:
        flunq("down")


def blocks_of(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [body for found, body in SNIPPET.findall(text) if found == language]


def test_the_functions_of_the_page_can_be_called(flunq: Flunq) -> None:
    (flunq.home / "steps.py").write_text("\n\n".join(blocks_of("functions.md", "python")))
    (flunq.home / "loud.yaml").write_text(blocks_of("functions.md", "yaml")[0])
    shown = flunq("run", "loud.yaml", "--functions", "steps.py", "-i", '{"text": "hey"}')
    assert (shown.code, shown.json) == (0, "HEY"), shown.err


def test_the_programs_of_the_client_page_print_the_result_and_the_events(flunq: Flunq) -> None:
    (flunq.home / "order.yaml").write_text(ORDER)
    *resulting, following = blocks_of("python-client.md", "python")
    with running_cluster(flunq.home) as cluster:
        cluster("apply", "order.yaml")
        for program in resulting:
            assert printed_by(program, flunq) == ["{'paid': 'A1'}"]
        events = printed_by(following, flunq)
    assert events[0] == "1 io.serverlessworkflow.workflow.started.v1"
    assert events[-1].endswith(" io.serverlessworkflow.workflow.completed.v1")


def printed_by(program: str, flunq: Flunq) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=flunq.environment(),
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_snippets_of_a_page_can_be_read(page: Path) -> None:
    for language, body in SNIPPET.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            ast.parse(body)
        elif body.startswith("document:") and "secnds" not in body:
            assert check_document(body, name=page.name) == []


def test_every_page_is_reachable_from_the_index() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = {page.name for page in DOCS.glob("*.md")} - {"index.md"}
    assert [page for page in sorted(pages) if f"({page})" not in index] == []
