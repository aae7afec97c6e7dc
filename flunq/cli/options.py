"""Options and arguments that several commands share, declared once.

The options that *every* command has are in :mod:`flunq.cli.global_options`.
"""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from flunq.cli import completion, text
from flunq.errors import NotFoundError, RejectedError, UsageError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: str) -> float:
    """Read ``30``, ``30s``, ``1h30m`` or ``500ms`` as seconds."""
    try:
        return float(value)
    except ValueError:
        pass
    parts = _DURATION.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise UsageError(f"{value!r} is no length of time", hint="write 500ms, 30s, 2h or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def parse_time(value: str) -> datetime:
    """Read ``2026-11-20T10:00Z``, ``2h`` (from now) or ``-15m`` (ago) as a moment."""
    if re.fullmatch(r"[+-]?\d+(\.\d+)?(ms|s|m|h|d)([\d.]+(ms|s|m|h|d))*", value):
        sign = -1 if value.startswith("-") else 1
        return datetime.now(UTC) + sign * timedelta(seconds=parse_duration(value.lstrip("+-")))
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        hint = "write 2026-11-20T10:00Z, 2h for in two hours or -15m for a quarter of an hour ago"
        raise UsageError(f"{value!r} is no moment", hint=hint) from None
    return moment if moment.tzinfo else moment.astimezone()


def read_value(value: str) -> str:
    """Return a value itself, the content of ``@file`` or, for ``-``, what stdin says."""
    if value == "-":
        return sys.stdin.read()
    if value.startswith("@"):
        return read_text(Path(value[1:]))
    return value


def read_json(value: str | None, *, name: str = "input") -> Any:
    """Read ``JSON|@file|-``; a file that ends in ``.yaml`` or ``.yml`` may hold YAML."""
    if value is None:
        return None
    content = read_value(value)
    if value.startswith("@") and value.endswith((".yaml", ".yml")):
        return _read_yaml(content, value[1:])
    import msgspec

    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        hint = 'quote it for the shell: \'{"name": "Ada"}\', or use @file or -'
        raise RejectedError(f"the {name} is not JSON: {error}", hint=hint) from None


def read_text(path: Path) -> str:
    """Return the content of a UTF-8 file."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RejectedError(f"not UTF-8: {error.reason}", where=str(path)) from None


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, or of stdin for ``-``."""
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError("there is no such file", where=str(path)) from None
    except OSError as error:
        raise RejectedError(f"cannot read it: {error.strerror}", where=str(path)) from None


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed; without a terminal only ``--yes`` will do."""
    if yes:
        return
    if not text.is_terminal(sys.stdin):
        raise UsageError(f"this needs a yes: {question}", hint="add --yes")
    if not typer.confirm(question, err=True):
        raise typer.Abort


def _read_yaml(content: str, name: str) -> Any:
    from flunq.core.reading import read_source

    return read_source(content, name=name).value


FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A workflow document in YAML or JSON; - is stdin.")
]
FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Workflow documents; - is stdin.")
]
IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The execution, or the unique beginning of its id.")
]
InputOption = Annotated[
    str | None,
    typer.Option(
        "-i",
        "--input",
        metavar="JSON|@FILE|-",
        help="Input of the workflow.",
        rich_help_panel="Input",
    ),
]
NewIdOption = Annotated[
    str | None,
    typer.Option("--id", metavar="ID", help="Id of the execution; starting it twice is one start."),
]
TraceparentOption = Annotated[
    str | None,
    typer.Option(
        "--traceparent",
        metavar="CONTEXT",
        help="W3C trace context that it goes on [$TRACEPARENT].",
        show_default=False,
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option("--timeout", parser=parse_duration, metavar="30s", help="Wait no longer."),
]
SinceOption = Annotated[
    datetime | None,
    typer.Option("--since", parser=parse_time, metavar="-15m", help="Nothing older than this."),
]
UntilOption = Annotated[
    datetime | None,
    typer.Option("--until", parser=parse_time, metavar="TIME", help="Nothing younger than this."),
]
LimitOption = Annotated[
    int, typer.Option("-n", "--limit", min=0, metavar="N", help="At most so many; 0 is all.")
]
FollowOption = Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")]
WatchOption = Annotated[bool, typer.Option("-w", "--watch", help="Show changes until Ctrl-C.")]
YesOption = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would happen.")]
CorsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--cors-origin", metavar="ORIGIN", help="Web pages that may call the API; repeatable."
    ),
]
BodyLimitOption = Annotated[
    int | None,
    typer.Option(
        "--body-limit",
        min=1,
        metavar="MIB",
        help="Largest body of a request to the API [8].",
        show_default=False,
    ),
]
ContextArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The context.", autocompletion=completion.contexts),
]


def trace_context(given: str | None) -> str | None:
    """Return the trace context that was given, or that of the environment if it is sound."""
    if given is not None:
        return given
    from flunq.core.tracing import read_context

    context = read_context(os.environ.get("TRACEPARENT"))
    return None if context is None else str(context)
