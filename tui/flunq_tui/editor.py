"""Edits a text in the user's editor, or in a dialog where there is no terminal to give away."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from flunq.errors import UsageError

if TYPE_CHECKING:
    from flunq_tui.shell import Shell

DEFAULT = "vi"


async def edited(shell: Shell, heading: str, text: str, *, suffix: str = ".json") -> str | None:
    """Return what somebody made of a text; None if it was left as it is."""
    try:
        with shell.suspend():
            # The editor has the terminal, so that nothing can be drawn meanwhile.
            found = _in_editor(text, suffix)
    except SuspendNotSupported:
        from flunq_tui.dialogs.editing import Editing

        return await shell.push_screen_wait(Editing(heading, text, send=shell.say("form.take")))
    return None if found == text else found


def editor() -> list[str]:
    """Return the command of the user's editor."""
    return shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or DEFAULT)


def _in_editor(text: str, suffix: str) -> str:
    handle, name = tempfile.mkstemp(prefix="flunq-", suffix=suffix)
    path = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        _run([*editor(), name])
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"what was saved is no text: {error}") from None
    finally:
        path.unlink(missing_ok=True)


def _run(command: list[str]) -> None:
    try:
        # The user's own choice of program, started without a shell.
        done = subprocess.run(command, check=False)  # noqa: S603
    except OSError as error:
        raise UsageError(
            f"cannot start the editor {command[0]}: {error.strerror}",
            hint="set EDITOR to the editor you use",
        ) from None
    if done.returncode:
        raise UsageError(f"{command[0]} ended with {done.returncode}; nothing was changed")
