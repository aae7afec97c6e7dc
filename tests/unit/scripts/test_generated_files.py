"""Files that are made from code, and the README's commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from flunq.cli.table import COMMANDS
from scripts import generate, readme_command

ROOT = Path(__file__).parents[3]


def test_the_command_reference_is_current() -> None:
    wanted = generate.cli_reference()
    assert (ROOT / "docs" / "cli.md").read_text() == wanted, "run: just generate"


def test_the_settings_schema_is_current() -> None:
    wanted = generate.config_schema()
    assert (ROOT / "schemas" / "config.json").read_text() == wanted, "run: just generate"


def test_the_command_reference_knows_every_command() -> None:
    reference = (ROOT / "docs" / "cli.md").read_text()
    assert [name for name in COMMANDS if f"### flunq {name}\n" not in reference] == []


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    named = {name for name in COMMANDS if f"`{name}`" in readme or f"flunq {name}" in readme}
    assert set(COMMANDS) - named == set()


@pytest.mark.parametrize(("number", "part"), [(1, "flunq tui --demo"), (2, "-m pytest -n 2")])
def test_the_readme_has_its_two_commands(number: int, part: str) -> None:
    assert part in readme_command.command(number)


def test_a_missing_command_is_told() -> None:
    with pytest.raises(SystemExit, match="command 3"):
        readme_command.command(3)
