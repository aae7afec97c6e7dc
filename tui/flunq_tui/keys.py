"""Which key does what: the registry's keys, and what ``keys.toml`` says instead."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from flunq.errors import UsageError
from flunq_tui.actions import COMMANDS, Command, by_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "keys.toml"
NAMES = {
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "exclamation_mark": "!",
    "comma": ",",
    "full_stop": ".",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "dollar_sign": "$",
    "equals_sign": "=",
    "plus": "+",
    "minus": "-",
    "escape": "esc",
    "enter": "⏎",
    "pageup": "pgup",
    "pagedown": "pgdn",
}
_TYPED = {shown: name for name, shown in NAMES.items()}


class Keymap:
    """The keys of all commands."""

    def __init__(self, changes: Mapping[str, tuple[str, ...]] | None = None) -> None:
        changed = changes or {}
        self._keys = {each.id: changed.get(each.id, each.keys) for each in COMMANDS}
        self._commands: dict[str, list[Command]] = {}
        for each in COMMANDS:
            for key in self._keys[each.id]:
                self._commands.setdefault(key, []).append(each)

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys that do something."""
        return tuple(self._commands)

    def keys_of(self, command: str) -> tuple[str, ...]:
        """Return the keys of a command."""
        return self._keys[command]

    def shown(self, command: str) -> str:
        """Return the first key of a command as people read it."""
        keys = self._keys[command]
        return shown_key(keys[0]) if keys else ""

    def command(self, key: str, view: str) -> Command | None:
        """Return what a key does in a view."""
        found = self._commands.get(key, ())
        return next((each for each in found if each.is_in(view)), None)


def shown_key(key: str) -> str:
    """Return a key as people read it."""
    return NAMES.get(key, key)


def load_keymap(path: Path) -> Keymap:
    """Read a file of ``command = "key"`` lines; raises UsageError. No file: no changes."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Keymap()
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the keys cannot be read: {error}", where=str(path)) from None
    changes: dict[str, tuple[str, ...]] = {}
    for name, keys in content.get("keys", content).items():
        if name not in by_id:
            raise UsageError(
                f"there is no command {name!r}",
                hint="flunq tui --keys lists the commands and their keys",
                where=str(path),
            )
        given = [keys] if isinstance(keys, str) else keys
        if not isinstance(given, list) or not all(isinstance(key, str) for key in given):
            raise UsageError(f"{name}: a key or a list of keys", where=str(path))
        changes[name] = tuple(_TYPED.get(str(key), str(key)) for key in given)
    return Keymap(changes)
