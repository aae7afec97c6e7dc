"""The registry, the keys and the languages fit together: nothing that is offered is dead."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import flunq_tui
from flunq.errors import UsageError
from flunq_tui.actions import COMMANDS, VIEWS, Item, Situation, by_id, why_not
from flunq_tui.app import Monitor
from flunq_tui.keys import Keymap, load_keymap
from flunq_tui.messages import LANGUAGES, Catalog
from flunq_tui.theme import GLYPHS
from flunq_tui.views import CLASSES, view_class
from tests.support.monitor import monitor, press, shop

RUNNING = Item("x1", "running", "execution", "shop/order")
LETTER = Item("7", "dead", "letter", "shop/order")
DONE = Item("x2", "completed", "execution", "shop/order")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.id)
def test_every_command_does_something_in_every_view_that_has_it(command: object) -> None:
    found = by_id[command.id]  # type: ignore[attr-defined]
    if found.id.startswith("view_"):
        assert found.id.removeprefix("view_") in CLASSES
        return
    for name in found.views or (*VIEWS, "execution"):
        assert hasattr(view_class(name), f"do_{found.id}") or hasattr(Monitor, f"do_{found.id}"), (
            name
        )


@pytest.mark.parametrize("name", [*VIEWS, "execution"])
def test_no_key_means_two_things_in_a_view(name: str) -> None:
    keys = [key for each in COMMANDS if each.is_in(name) for key in each.keys]
    assert len(keys) == len(set(keys))


def test_no_key_that_old_terminals_cannot_tell_apart() -> None:
    forbidden = {"ctrl+c", "ctrl+z", "ctrl+j", "ctrl+m", "ctrl+i", "ctrl+h", "ctrl+enter"}
    assert not forbidden & {key for each in COMMANDS for key in each.keys}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_command_has_a_title_and_help_in_every_language(language: str) -> None:
    texts = LANGUAGES[language]
    for each in COMMANDS:
        assert texts[f"do.{each.id}"] and texts[f"help.{each.id}"]
        assert texts[f"group.{each.group}"]
    assert all(f"status.{status}" in texts for status in GLYPHS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_have_the_same_texts_with_the_same_blanks(language: str) -> None:
    english, other = LANGUAGES["en"], LANGUAGES[language]
    assert set(english) == set(other)
    for key, text in english.items():
        assert _blanks(text) == _blanks(other[key]), key


def test_every_text_that_is_asked_for_exists() -> None:
    folder = Path(flunq_tui.__file__).parent
    asked = set()
    for path in folder.rglob("*.py"):
        asked |= set(re.findall(r'(?:say|text)\(\s*"([a-z_]+\.[a-z_]+)"', path.read_text()))
    assert len(asked) > 80
    assert asked <= set(LANGUAGES["en"])


def test_an_unknown_language_is_english() -> None:
    assert Catalog("xx")("status.faulted") == "faulted"
    assert Catalog("de")("status.faulted") == "fehlerhaft"


@pytest.mark.parametrize(
    ("command", "situation", "reason"),
    [
        ("cancel", Situation(view="executions", items=(RUNNING,)), None),
        ("cancel", Situation(view="executions", items=(DONE,)), "no.status"),
        ("cancel", Situation(view="executions", items=(DONE, RUNNING)), None),
        ("cancel", Situation(view="executions"), "no.selection"),
        ("cancel", Situation(view="executions", items=(RUNNING,), offline=True), "no.file"),
        (
            "cancel",
            Situation(view="executions", items=(RUNNING,), connected=False),
            "no.connection",
        ),
        ("cancel", Situation(view="logs", items=(RUNNING,)), "no.view"),
        ("resume", Situation(view="execution", items=(RUNNING,)), "no.status"),
        ("delete", Situation(view="inbox", items=(DONE,)), None),
        ("help", Situation(view="logs", offline=True), None),
        ("why", Situation(view="inbox", items=(LETTER,)), "no.kind"),
        ("retry", Situation(view="inbox", items=(LETTER,)), None),
        ("delete", Situation(view="inbox", items=(LETTER,)), None),
        ("retry", Situation(view="executions", items=(RUNNING,)), "no.status"),
        ("rewind", Situation(view="execution", items=(RUNNING,)), "no.status"),
        ("answer", Situation(view="execution", items=(DONE,)), "no.status"),
    ],
)
def test_what_is_impossible_says_why(
    command: str, situation: Situation, reason: str | None
) -> None:
    found = why_not(by_id[command], situation)
    assert (found and found[0]) == reason


def test_keys_are_changed_by_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text('cancel = "ctrl+x"\nhelp = ["?", "f2"]\n')
    keymap = load_keymap(file)
    assert keymap.keys_of("cancel") == ("ctrl+x",)
    found = keymap.command("question_mark", "executions")
    assert found is not None and found.id == "help"
    assert keymap.command("ctrl+d", "executions") is None
    assert load_keymap(tmp_path / "absent.toml").keys == Keymap().keys


@pytest.mark.parametrize("content", ['fly = "x"', "cancel = 3", "= broken"])
def test_a_wrong_file_of_keys_says_what_is_wrong(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(content)
    with pytest.raises(UsageError):
        load_keymap(file)


def _blanks(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


async def test_ctrl_z_leaves_the_monitor_to_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[Monitor] = []
    monkeypatch.setattr(Monitor, "action_suspend_process", lambda app: stopped.append(app))
    async with monitor(shop()) as (app, pilot):
        await press(pilot, "ctrl+z")
        assert stopped == [app]
