"""How the monitor is set up."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flunq_tui.keys import Keymap
from flunq_tui.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo


DEFAULT_THEME = "textual-dark"


def _now() -> int:
    return time.time_ns() // 1_000


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the monitor is set up; tests freeze the clock here."""

    keymap: Keymap = field(default_factory=Keymap)
    language: str = "en"
    theme: str = ""
    """Empty: the one of the last time."""
    now: Callable[[], int] = _now
    zone: tzinfo | None = None
    first: str = ""
    """What to do once connected, as after ``:``."""
    folder: Path = field(default_factory=Path.cwd)
    """Where files are saved."""
    memory: Memory = field(default_factory=Memory)
    """What is kept for the next time; without a file for as long as the monitor runs."""


def keys_file() -> Path:
    """Return where people put their own keys."""
    from flunq.contexts import config_home

    return config_home() / "keys.toml"


def state_file() -> Path:
    """Return where the monitor keeps filters, columns and queries."""
    from flunq.contexts import config_home

    return config_home() / "monitor.json"
