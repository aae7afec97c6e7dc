"""The command line as a user types it: help, versions, mistakes, pipes, completion."""

from __future__ import annotations

import signal
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from flunq.cli.table import COMMANDS

if TYPE_CHECKING:
    from tests.support.cli import Flunq

HEAVY = ("nats", "duckdb", "textual", "httpx", "uvicorn", "rich", "jsonschema", "msgspec")
PROBE = """
import sys
from flunq.cli.main import run
code = run(sys.argv[1:])
print("\\nLOADED", code, *sorted(set(sys.modules) & set(%r)))
"""

CTRL_C_AT = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == %r:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from flunq.__main__ import main
sys.argv = ["flunq", "list"]
main()
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], [], ["nonsense"], ["help", "exit-codes"]]
)
def test_a_fast_command_imports_nothing_heavy(arguments: list[str], flunq: Flunq) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE % (HEAVY,), *arguments],
        capture_output=True,
        text=True,
        env=flunq.environment(),
        check=True,
    )
    assert done.stdout.rstrip().splitlines()[-1].split()[2:] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_imports_nothing_heavy(shell: str, flunq: Flunq) -> None:
    words = {"COMP_WORDS": "flunq va", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "flunq va"}
    extra = {
        **words,
        "_FLUNQ_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    probe = (PROBE % (HEAVY,)).replace("code = run(sys.argv[1:])", "code = run([])")
    done = subprocess.run(
        [sys.executable, "-c", probe],
        capture_output=True,
        text=True,
        env=flunq.environment(extra),
        check=True,
    )
    assert "validate" in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].split()[2:] == []


def test_help_lists_every_command(flunq: Flunq) -> None:
    shown = flunq("--help")
    assert shown.code == 0
    assert shown.err == ""
    missing = [name for name in COMMANDS if f"\n  {name} " not in shown.out]
    assert missing == []


def test_no_arguments_is_help(flunq: Flunq) -> None:
    assert flunq().out == flunq("--help").out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_help_of_every_command_begins_with_an_example(name: str, flunq: Flunq) -> None:
    shown = flunq(name, "--help")
    assert shown.code == 0, shown.err
    assert shown.out.startswith("Example")
    assert f"$ flunq {name}" in shown.out.replace("source <(", "")
    assert shown.out.index("Usage:") > shown.out.index("$ ")


def test_the_version_is_that_of_the_package(flunq: Flunq) -> None:
    assert flunq("--version").out == f"flunq {version('flunq')}\n"
    assert flunq("--version", "-o", "json").json == {"version": version("flunq")}


def test_an_unknown_command_names_the_nearest(flunq: Flunq) -> None:
    shown = flunq("validte", "x.yaml")
    assert (shown.code, shown.out) == (2, "")
    assert shown.err == "error: no such command: validte\nhint: did you mean validate?\n"


def test_an_unknown_flag_names_the_nearest(flunq: Flunq) -> None:
    shown = flunq("config", "show", "--orign")
    assert shown.code == 2
    assert "no such option: --orign" in shown.err
    assert "hint: did you mean --origin?" in shown.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense", "-o", "json"],
        ["-o", "json", "nonsense"],
        ["--json", "config", "show", "--orign"],
        ["config", "show", "--output=json", "--color", "blue"],
        ["validate", "-ojson"],
    ],
)
def test_wrong_usage_is_a_problem_object_for_json(arguments: list[str], flunq: Flunq) -> None:
    shown = flunq(*arguments)
    assert shown.code == 2
    assert shown.json["type"] == "urn:flunq:error:usage"
    assert shown.err.startswith("error: ")


def test_a_bad_format_names_the_known_ones(flunq: Flunq) -> None:
    assert "did you mean json?" in flunq("config", "show", "-o", "jsn").err


def test_global_options_go_before_and_after_the_command(flunq: Flunq) -> None:
    before = flunq("-t", "acme", "-o", "json", "config", "show").json
    after = flunq("config", "show", "-t", "acme", "-o", "json").json
    assert before == after
    assert after["tenant"] == "acme"


def test_a_reader_may_leave_early(flunq: Flunq) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m flunq help environment | head -1"],
        capture_output=True,
        text=True,
        env=flunq.environment(),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("stdout", "code", "said"),
    [(">/dev/full", 1, ["no space left on device"]), (">&-", 0, [])],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_stdout_that_takes_nothing_is_told_in_a_line(
    stdout: str, code: int, said: list[str], unbuffered: str, flunq: Flunq
) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m flunq help environment {stdout}"],
        capture_output=True,
        text=True,
        env=flunq.environment({"PYTHONUNBUFFERED": unbuffered}),
        check=False,
    )
    assert done.returncode == code
    assert [line.rpartition(": ")[2] for line in done.stderr.splitlines()] == said


@pytest.mark.parametrize(
    ("module", "code"), [("flunq.cli.main", -signal.SIGINT), ("flunq.cli.group", 130)]
)
def test_ctrl_c_shows_nothing_while_the_command_loads(module: str, code: int, flunq: Flunq) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C_AT % module],
        capture_output=True,
        text=True,
        env=flunq.environment(),
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@pytest.mark.parametrize("topic", ["environment", "exit-codes", "output", "expressions"])
def test_every_topic_has_something_to_say(topic: str, flunq: Flunq) -> None:
    shown = flunq("help", topic)
    assert shown.code == 0
    assert len(shown.out.splitlines()) > 5


def test_help_of_a_nested_command_is_its_help(flunq: Flunq) -> None:
    assert flunq("help", "context", "add").out == flunq("context", "add", "--help").out


def test_help_of_nothing_known_suggests(flunq: Flunq) -> None:
    assert "did you mean exit-codes?" in flunq("help", "exit-code").err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_each_shell_gets_its_script(shell: str, flunq: Flunq) -> None:
    shown = flunq("completion", shell)
    assert shown.code == 0
    assert "_FLUNQ_COMPLETE" in shown.out


def test_completion_knows_the_contexts(flunq: Flunq) -> None:
    flunq("context", "add", "staging", "--api-url", "http://127.0.0.1:1")
    words = {"COMP_WORDS": "flunq context use s", "COMP_CWORD": "3"}
    assert flunq(environ={**words, "_FLUNQ_COMPLETE": "complete_bash"}).out == "staging\n"


def test_colour_reaches_a_pipe_only_when_asked(flunq: Flunq) -> None:
    assert "\x1b" not in flunq("config", "show").out
    assert "\x1b[1mSETTING" in flunq("config", "show", "--color", "always").out


def test_debug_shows_where_an_error_came_from(flunq: Flunq) -> None:
    assert "Traceback" in flunq("context", "show", "nowhere", "--debug").err
    assert "Traceback" not in flunq("context", "show", "nowhere").err
