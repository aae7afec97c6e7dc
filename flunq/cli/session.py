"""What the global options of one invocation said; every module of the CLI reads it here."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flunq.config import Loaded


class OutputFormat(StrEnum):
    """The values of ``-o``."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    CSV = "csv"


class ColorMode(StrEnum):
    """The values of ``--color``."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class TimeFormat(StrEnum):
    """The values of ``--time``."""

    RELATIVE = "relative"
    ISO = "iso"
    RAW = "raw"


class ProgressMode(StrEnum):
    """The values of ``--progress``."""

    AUTO = "auto"
    PLAIN = "plain"
    JSON = "json"
    NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """The global options of one invocation."""

    output: OutputFormat = OutputFormat.TABLE
    time: TimeFormat = TimeFormat.RELATIVE
    color: ColorMode = ColorMode.AUTO
    progress: ProgressMode = ProgressMode.AUTO
    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    context: str | None = None
    tenant: str | None = None

    @property
    def machine_readable(self) -> bool:
        """True when stdout carries JSON, so that failures are JSON too."""
        return self.output in (OutputFormat.JSON, OutputFormat.JSONL)


_session: ContextVar[Session | None] = ContextVar("flunq_cli_session", default=None)


def current() -> Session:
    """Return the session of this invocation."""
    return _session.get() or Session()


def update(**changes: Any) -> None:
    """Change the session: the last mention of an option wins."""
    _session.set(replace(current(), **changes))


def begin() -> None:
    """Forget the options of an earlier invocation in the same process."""
    _session.set(None)


def settings(**flags: object) -> Loaded:
    """Load the settings of this invocation; ``flags`` are the command's own, ``None`` is unset."""
    from flunq.config import load  # msgspec and tomllib cost too much for --help

    session = current()
    given = {"context": session.context, "tenant": session.tenant, **flags}
    return load({name: value for name, value in given.items() if value is not None})
