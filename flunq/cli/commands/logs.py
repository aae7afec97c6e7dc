"""``flunq logs``: what the services of the local cluster wrote."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import output, text
from flunq.cli.exits import ExitCode
from flunq.cli.options import FollowOption, LimitOption  # noqa: TC001 - Typer reads annotations
from flunq.cli.session import OutputFormat, TimeFormat, current, settings
from flunq.cli.suggest import did_you_mean
from flunq.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flunq.services.supervising.layout import DataDirectory
    from flunq.telemetry.lines import LogLine

_LEVEL_STYLES = {"warning": "yellow", "error": "red", "critical": "red", "debug": "dim"}


def command(
    service: Annotated[
        str | None,
        typer.Argument(metavar="[SERVICE]", help="Only this one: nats, control, node-1."),
    ] = None,
    follow: FollowOption = False,
    limit: LimitOption = 200,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Data folder of the cluster.")
    ] = None,
) -> int:
    """Show the merged logs of the local cluster, oldest first. -v shows tracebacks, too.

    $ flunq logs -f

    $ flunq logs node-1 -n 50 -o jsonl
    """
    from flunq.cli.cluster_context import starting_command
    from flunq.services.supervising import logfiles
    from flunq.services.supervising.layout import DataDirectory

    loaded = settings(data=data and str(data))
    directory = DataDirectory(Path(loaded.settings.data))
    if not logfiles.services_of(directory.logs):
        raise NotFoundError(
            f"no cluster has logged to {directory.logs} yet",
            hint=f"{starting_command(loaded)} starts one",
        )
    paths = _paths(directory, service)
    # Whatever is written between the two readings is part of the second.
    coming = logfiles.follow(paths) if follow else None
    lines = logfiles.merged(paths, limit=limit)
    if current().output not in (OutputFormat.TABLE, OutputFormat.JSONL) and coming is None:
        output.emit([_as_data(line) for line in lines])
        return ExitCode.DONE
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    printed = output.Lines(_readable)
    try:
        for line in lines:
            printed.write(_as_data(line))
        for fresh in coming or ():
            if fresh is not None:
                printed.write(_as_data(fresh))
    except KeyboardInterrupt:
        return ExitCode.DONE
    return ExitCode.DONE


def _paths(directory: DataDirectory, service: str | None) -> list[Path]:
    from flunq.services.supervising.logfiles import services_of

    known = services_of(directory.logs)
    if service is not None and service not in known:
        hint = did_you_mean(service, known) or f"services: {', '.join(known)}"
        raise NotFoundError(f"there is no service {service!r}", hint=hint)
    return [directory.log_file(name) for name in ([service] if service else known)]


def _as_data(line: LogLine) -> dict[str, Any]:
    import msgspec

    return {name: value for name, value in msgspec.structs.asdict(line).items() if value}


def _readable(line: Mapping[str, Any]) -> str:
    level = str(line.get("level", "info"))
    words = [str(line.get("message", ""))]
    if line.get("error"):
        words.append(f"({line['error']})")
    if line.get("execution"):
        words.append(f"[{line['execution']}]")
    stamp = text.paint(_clock(str(line.get("time", ""))), "dim", sys.stdout)
    name = text.paint(str(line.get("service", "")).ljust(10), "cyan", sys.stdout)
    painted = text.paint(f"{level:8}", _LEVEL_STYLES.get(level, ""), sys.stdout)
    shown = f"{stamp} {name} {painted} {text.neutralise(' '.join(words))}"
    return shown + _traceback(line) if current().verbose else shown


def _traceback(line: Mapping[str, Any]) -> str:
    rows = str(line.get("traceback") or "").splitlines()
    return "".join(f"\n    {text.neutralise(row)}" for row in rows)


def _clock(moment: str) -> str:
    if not moment or current().time is not TimeFormat.RELATIVE:
        return moment or " " * 12
    from datetime import datetime

    try:
        return f"{datetime.fromisoformat(moment).astimezone():%H:%M:%S.%f}"[:-3]
    except ValueError:
        return text.neutralise(moment)
