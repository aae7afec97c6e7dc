"""What a server for agents is started with."""

from __future__ import annotations

import msgspec


class McpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent may do, and for how long a call waits."""

    workflows: tuple[str, ...] = ()
    """Names of workflows that are tools; ``all`` is each one."""
    allow_writes: bool = False
    """Whether executions may be steered, and definitions and events be written."""
    wait: float = 60.0
    """Seconds that a call waits for the end of the execution that it started."""
    text_limit: int = 200_000
    """Characters of a text that an agent is given."""
    max_rows: int = 1_000
    key: str = ""
    """What makes a repeated session the same one: its starts have the same ids again."""
    version: str = ""
