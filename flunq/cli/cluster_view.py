"""How a cluster is shown: a block that updates in place on a terminal, lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from flunq.cli import diagnostics, tables, text
from flunq.cli.tables import Column
from flunq.core.amounts import render_duration
from flunq.services.supervising.process import resident_bytes
from flunq.services.supervising.statefile import DURABILITY_IN_WORDS, ClusterState, ServiceStatus

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

SERVICE_COLUMNS = [
    Column("name", "service", whole=True),
    Column("pid", kind="number"),
    Column("state", kind="status"),
    Column("age", "for", kind="duration"),
    Column("restarts", kind="number"),
    Column("memory", kind="bytes"),
    Column("reason"),
]
_CLEAR_LINE = "\x1b[K"
_CLEAR_TO_END = "\x1b[J"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_CLEAR_SCREEN = "\x1b[H\x1b[2J"
_ENDINGS = {"ready": "  Ctrl-C stops it", "stopping": "  Ctrl-C again ends it at once"}
_STATE_STYLES = {"unhealthy": "red", "backoff": "yellow", "failed": "red"}


def durability_in_words(durability: str) -> str:
    """Say what a durability means."""
    return f"{durability}: {DURABILITY_IN_WORDS.get(durability, 'unknown')}"


def service_row(service: ServiceStatus) -> dict[str, Any]:
    """Return a service as a row of a table."""
    return {
        "name": service.name,
        "pid": service.pid,
        "state": service.state,
        "restarts": service.restarts,
        "age": time.time() - service.since if service.pid else None,
        "memory": resident_bytes(service.pid) if service.pid else None,
        "reason": service.reason,
    }


def head_lines(state: ClusterState) -> Iterator[tuple[str, str]]:
    """Yield what is true of the whole cluster, as name and value."""
    yield "durability", durability_in_words(state.durability)
    yield "api", state.api.url
    yield "nats", state.nats.url
    yield "data", state.data


def service_table(state: ClusterState) -> list[str]:
    """Return the services as the lines of a table."""
    rows = [service_row(service) for service in state.services]
    columns = [
        column
        for column in SERVICE_COLUMNS
        if column.key in ("name", "pid", "state", "restarts")
        or any(row[column.key] is not None for row in rows)
    ]
    return list(tables.render(rows, columns))


class LiveStatus:
    """The block on a terminal; redrawn once a second and whenever something changes."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._drawn = 0
        self._last = ""
        self._size: os.terminal_size | None = None
        self.rates: str | None = None

    def show(self, state: ClusterState) -> None:
        """Draw the block over the one before, unless nothing changed."""
        size = shutil.get_terminal_size()
        resized = self._size is not None and size != self._size
        self._size = size
        rows = max(3, size.lines - 1)
        lines = [_cut(line) for line in self._lines(state)][:rows]
        block = "\n".join(lines)
        if block == self._last and not resized:
            return
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        if resized:
            # The terminal has wrapped and moved what was drawn, nobody knows where to.
            up = _CLEAR_SCREEN
        drawn = "".join(f"{line}{_CLEAR_LINE}\n" for line in lines)
        diagnostics.write_status(f"{_HIDE_CURSOR}\r{up}{drawn}{_CLEAR_TO_END}")
        self._drawn, self._last = len(lines), block

    def close(self) -> None:
        """Leave the last block where it is."""
        diagnostics.write_status(_SHOW_CURSOR)

    def _lines(self, state: ClusterState) -> Iterator[str]:
        uptime = render_duration(max(0.0, time.time() - state.started_at))
        status = text.paint(state.status, text.status_style(state.status) or "dim", sys.stderr)
        ending = _ENDINGS.get(state.status, "")
        yield f"flunq {self._version}  {status}  {uptime}{text.paint(ending, 'dim', sys.stderr)}"
        for name, value in head_lines(state):
            yield f"{name.ljust(12)}{text.neutralise(value)}"
        if self.rates:
            yield f"{'messages'.ljust(12)}{self.rates}"
        yield ""
        yield from service_table(state)


class PlainStatus:
    """One line for each thing that happens."""

    def __init__(self) -> None:
        self._seen: dict[str, ServiceStatus] = {}

    def show(self, state: ClusterState) -> None:
        """Tell what is different from the last time."""
        for service in state.services:
            before = self._seen.get(service.name)
            if before is None or before.state != service.state:
                self._seen[service.name] = service
                for line in self._lines(service):
                    diagnostics.say(line)

    def close(self) -> None:
        """Nothing to restore."""

    def _lines(self, service: ServiceStatus) -> Iterator[str]:
        name, reason = service.name, text.neutralise(service.reason or "")
        if service.state == "ready":
            again = f", restarted {service.restarts} times" if service.restarts else ""
            yield f"{name} is ready (pid {service.pid}{again})"
        elif service.state == "backoff":
            yield f"{name} ended: {reason}; starting it again"
        elif service.state == "unhealthy":
            yield f"{name} is unhealthy: {reason}"
        elif service.state == "stopped":
            yield f"{name} stopped"
        elif service.state == "failed":
            yield f"{name} does not start: {reason}"


def _cut(line: str) -> str:
    """Keep a line on one row, or the block could not be drawn over."""
    width = shutil.get_terminal_size().columns
    if "\x1b" not in line:
        return text.shorten(line, width)
    return (
        line if text.cell_width(_without_colour(line)) <= width else _without_colour(line)[:width]
    )


def _without_colour(line: str) -> str:
    import re

    return re.sub(r"\x1b\[\d+m", "", line)
