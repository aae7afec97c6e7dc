"""Edit a text in the user's editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from flunq.errors import UsageError


def edit_text(text: str, *, suffix: str) -> str:
    """Open a text in ``$VISUAL`` or ``$EDITOR`` and return what was saved."""
    handle, name = tempfile.mkstemp(prefix="flunq-", suffix=suffix)
    path = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        _open(path)
        return path.read_text(encoding="utf-8")
    finally:
        path.unlink()


def _open(path: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        # The user's own choice of program, started without a shell.
        done = subprocess.run([*shlex.split(editor), str(path)], check=False)  # noqa: S603
    except OSError as error:
        hint = "set EDITOR to the editor you use"
        raise UsageError(
            f"cannot start the editor: {error.strerror}", hint=hint, where=editor
        ) from None
    if done.returncode:
        raise UsageError(
            f"the editor ended with {done.returncode}; nothing was saved", where=editor
        )
