"""The processes of a cluster, and who owns which partition."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Vertical

from flunq_tui import theme
from flunq_tui.actions import Item
from flunq_tui.model.formats import MICROSECONDS, age, duration, size
from flunq_tui.source import Queue
from flunq_tui.views.base import Parts, View
from flunq_tui.views.bounded import BoundedRows
from flunq_tui.widgets.virtual_table import Column, VirtualTable

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual.app import ComposeResult

    from flunq.services.supervising.statefile import ServiceStatus
    from flunq_tui.source import Partition

_EVERY = 2


class NodesView(View):
    """Services above, partitions below, and what waits for whom."""

    NAME: ClassVar[str] = "nodes"

    def __init__(self) -> None:
        super().__init__()
        self._services = BoundedRows()
        self._partitions = BoundedRows()
        self._queues = BoundedRows()
        self._cpu: dict[int, tuple[float, float]] = {}
        self._ticks = 0

    def compose(self) -> ComposeResult:
        """Two tables."""
        say = self.say
        services = [
            Column(id="service", title=say("column.service"), width=12, grow=1),
            Column(id="state", title=say("column.status"), width=13),
            Column(id="for", title=say("column.since"), width=8, right=True, drop=3),
            Column(id="pid", title="PID", width=8, right=True, drop=4),
            Column(id="cpu", title="CPU", width=6, right=True, drop=1),
            Column(id="memory", title=say("column.memory"), width=10, right=True, drop=2),
            Column(id="restarts", title=say("column.restarts"), width=9, right=True, drop=5),
            Column(id="reason", title=say("column.reason"), width=10, grow=2, drop=6),
        ]
        partitions = [
            Column(id="partition", title=say("column.partition"), width=9, right=True),
            Column(id="owner", title=say("column.owner"), width=16, grow=1),
            Column(id="epoch", title=say("column.epoch"), width=6, right=True, drop=2),
            Column(id="commits", title=say("column.commits"), width=10, right=True, drop=1),
            Column(id="position", title=say("column.position"), width=10, right=True, drop=3),
            Column(id="last", title=say("column.last"), width=8, right=True),
        ]
        queues = [
            Column(id="stream", title=say("column.stream"), width=12),
            Column(id="reader", title=say("column.reader"), width=20, grow=1),
            Column(id="waiting", title=say("column.waiting"), width=10, right=True),
            Column(id="unconfirmed", title=say("column.unconfirmed"), width=12, right=True, drop=1),
        ]
        with Vertical():
            yield VirtualTable(services, self._services, id="services")
            yield VirtualTable(partitions, self._partitions, id="partitions")
            yield VirtualTable(queues, self._queues, id="queues")

    async def enter(self) -> None:
        """Look at once."""
        self.monitor.attempt(self._read(), group="nodes")

    def tick(self) -> None:
        """Look again every other second."""
        self._ticks += 1
        if self._ticks % _EVERY == 0:
            self.monitor.attempt(self._read(), group="nodes")

    async def _read(self) -> None:
        state = await self.source.cluster()
        services = state.services if state is not None else []
        self._services.take([(each.name, self._service(each)) for each in services])
        self.query_one("#services", VirtualTable).reload()
        found = await self.source.partitions()
        self._partitions.take([(each.number, self._partition(each)) for each in found])
        self.query_one("#partitions", VirtualTable).reload()
        waiting = [*await self.source.queues(), *await self._archive()]
        self._queues.take([(f"{each.stream} {each.reader}", _queue(each)) for each in waiting])
        self.query_one("#queues", VirtualTable).reload()
        self.retitle()

    async def _archive(self) -> list[Queue]:
        """Return how far the archive is behind, as one more reader of the journal."""
        lake = await self.source.archive()
        if lake is None:
            return []
        return [Queue(stream="journal", reader="archive", waiting=lake.behind)]

    def _service(self, each: ServiceStatus) -> tuple[Any, ...]:
        from flunq.services.supervising.process import resident_bytes

        running = duration(int((time.time() - each.since) * MICROSECONDS)) if each.pid else ""
        word = f"status.{each.state}"
        return (
            each.name,
            (f"{theme.glyph(each.state)} {self.say(word)}", theme.style_of(each.state)),
            running,
            str(each.pid or ""),
            self._load(each.pid) if each.pid else "",
            size(resident_bytes(each.pid)) if each.pid else "",
            str(each.restarts or ""),
            (each.reason or "", "warn"),
        )

    def _load(self, pid: int) -> str:
        """Return the share of a core that a process took since the last look."""
        used, moment = cpu_seconds(pid), time.monotonic()
        if used is None:
            return ""
        before = self._cpu.get(pid)
        self._cpu[pid] = (used, moment)
        if before is None or moment - before[1] <= 0:
            return ""
        return f"{100 * (used - before[0]) / (moment - before[1]):.0f}%"

    def _partition(self, each: Partition) -> tuple[Any, ...]:
        now = self.monitor.now()
        return (
            str(each.number),
            each.owner or ("-", "dim"),
            str(each.epoch or ""),
            f"{each.commits:,}" if each.commits else "",
            f"{each.position:,}" if each.position else "",
            (age(each.moment, now), "dim"),
        )

    def title(self) -> Parts:
        """Return what is told."""
        parts: Parts = [(self.say("view.nodes"), "bold")]
        if not self._services.row_count():
            parts.append((f"  {self.say('empty.nodes')}", "dim"))
        return parts

    def item(self, key: Hashable) -> Item | None:
        """Return a service or a partition as something to copy."""
        return Item(str(key), "", "node", str(key))


def _queue(each: Queue) -> tuple[Any, ...]:
    look = "warn" if each.waiting else "dim"
    return (
        each.stream,
        each.reader,
        (f"{each.waiting:,}", look),
        (f"{each.unconfirmed:,}", "dim"),
    )


def cpu_seconds(pid: int) -> float | None:
    """Return the processor time of a process, where the system tells it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
