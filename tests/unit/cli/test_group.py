"""The lazy table of commands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from flunq.cli import main, session
from flunq.cli.group import load, root
from flunq.cli.session import OutputFormat
from flunq.cli.table import COMMANDS, Entry
from flunq.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

ASYNC_COMMAND = '''
import asyncio
from flunq.cli import output
async def command(times: int = 1) -> None:
    """Say hello.

    $ flunq hello --times 2

    Politely.
    """
    await asyncio.sleep(0)
    output.emit({"hello": times})
'''


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command ``hello`` in the table."""
    (tmp_path / "hello_command.py").write_text(ASYNC_COMMAND)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(COMMANDS, "hello", Entry("hello_command", "Say hello.", "Events"))
    monkeypatch.delitem(sys.modules, "hello_command", raising=False)


@pytest.mark.usefixtures("hello")
def test_an_asynchronous_command_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["hello", "--times", "3", "-o", "jsonl"]) == 0
    assert capsys.readouterr().out == '{"hello":3}\n'


@pytest.mark.usefixtures("hello")
def test_help_is_example_then_usage_then_prose_then_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main.run(["hello", "--help"])
    shown = capsys.readouterr().out
    parts = ["Example:", "$ flunq hello", "Usage:", "Politely.", "Options:", "Output:", "Common:"]
    places = [shown.index(part) for part in parts]
    assert places == sorted(places)


@pytest.mark.usefixtures("hello")
def test_listing_commands_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    assert "hello" in capsys.readouterr().out
    assert "hello_command" not in sys.modules


def test_a_command_whose_module_is_missing_is_told() -> None:
    with pytest.raises(UsageError, match="flunq ghost is not part of this installation"):
        load("ghost", Entry("flunq.cli.commands.no_such_module", "", ""))


def test_a_defect_inside_a_command_is_not_taken_for_a_missing_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_command.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        load("broken", Entry("broken_command", "", ""))


def test_options_of_an_earlier_run_are_forgotten() -> None:
    main.run(["--version", "-o", "json"])
    main.run(["--version"])
    assert session.current().output is OutputFormat.TABLE


def test_the_table_names_every_command_once_with_one_line() -> None:
    assert all(entry.help.endswith(".") and "\n" not in entry.help for entry in COMMANDS.values())
    assert root().name == "flunq"


def test_what_is_a_commands_own_comes_before_what_all_have(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main.run(["cancel", "--help"])
    shown = capsys.readouterr().out
    assert shown.index("Many at once:") < shown.index("Output:") < shown.index("Common:")


@pytest.mark.parametrize("group", ["certs", "dlq", "tokens", "tenants", "schedules", "secrets"])
def test_a_group_tells_the_whole_of_what_its_commands_do(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main.run([group, "--help"])
    shown = capsys.readouterr().out
    commands = shown.partition("Commands:")[2].partition("Output:")[0]
    assert commands.strip()
    assert "..." not in commands


def test_help_guesses_at_commands_not_at_what_follows_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["help", "list", "environmen"]) == 2
    assert "did you mean" not in capsys.readouterr().err
    assert main.run(["help", "environmen"]) == 2
    assert "did you mean environment?" in capsys.readouterr().err
