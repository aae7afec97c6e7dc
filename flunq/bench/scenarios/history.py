"""A large history: how fast it gets into the archive, what it takes, how fast answers are."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.bench.options import Sizes
from flunq.bench.processes import CLIENT, read_usage
from flunq.bench.recorded import Pattern, commits, document, pattern_input
from flunq.errors import InternalError, UsageError
from flunq.log.select import event_stream
from flunq.services.clock import SystemClock
from flunq.services.worker.commit import append_settled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from flunq.bench.cluster import BenchCluster
    from flunq.log.ports import EventStream

DEFAULTS = Sizes(executions=110_000, steps=2)
_SAMPLE_SECONDS = 0.1
_QUERY_SECONDS = 120.0
_LENGTH = 4

LIMITS = {
    "bytes_per_event": 150.0,
    "historian_peak_bytes": 200e6,
    "sql_count_ms": 1000.0,
    "sql_group_by_ms": 1500.0,
    "sql_one_history_ms": 400.0,
}
"""What each figure may be at most, at a million events on two cores."""
LEAST_INGEST = 20_000.0
QUERIES = {
    "sql_count_ms": "SELECT count(*) FROM events",
    "sql_group_by_ms": (
        "SELECT workflow, status, count(*), avg(duration_ms) FROM executions GROUP BY ALL"
    ),
    "sql_one_history_ms": "SELECT * FROM events WHERE execution_id = '{}' ORDER BY seq",
}


async def measure(cluster: BenchCluster, sizes: Sizes) -> dict[str, Any]:
    """Write a journal, let the historian take it up, then ask."""
    if cluster.engine is None or cluster.data is None:
        raise UsageError("the history needs a cluster of its own", hint="leave out --nats and -c")
    executions = sizes.executions or 1
    patterns = await _patterns(cluster, sizes.steps or 1)
    async with event_stream(cluster.engine) as stream:
        archive = cluster.client.archive
        with tempfile.TemporaryFile(dir=cluster.data) as spool:
            cluster.tell(f"making the histories of {executions} executions")
            partition = await _beyond(cluster)
            tenant = cluster.client.tenant
            now = SystemClock().now()
            made = commits(patterns, executions, tenant=tenant, partition=partition, until=now)
            events = await asyncio.to_thread(_spool, spool, made)
            before = await archive.flush()
            with _Watch(cluster.pids["control"]) as watch:
                cluster.tell(f"archiving {events} events")
                began = time.perf_counter()
                await _append_all(stream, spool, partition)
                after = await archive.flush()
                ingest = time.perf_counter() - began
                began = time.perf_counter()
                await archive.compact()
                compacting = time.perf_counter() - began
            compacted = await archive.status()
    figures = {
        "events": events,
        "ingest_events_per_second": round(events / ingest, 1),
        "ingest_seconds": round(ingest, 2),
        "files": after.files,
        "files_compacted": compacted.files,
        "compact_seconds": round(compacting, 2),
        "bytes_per_event": round((compacted.bytes - before.bytes) / events, 2),
        "bytes_per_event_uncompacted": round((after.bytes - before.bytes) / events, 2),
        "journal_bytes_per_event": round((after.journal_bytes - before.journal_bytes) / events, 1),
        "historian_peak_bytes": watch.peak,
        "writer_peak_bytes": watch.peak_of_children,
        **await _ask_all(cluster),
    }
    return {**figures, "of_limit": _ratios(figures)}


def _ratios(figures: dict[str, Any]) -> dict[str, float]:
    """Return the share of its limit that each figure takes; more than 1 is too much."""
    shares = {name: round(figures[name] / most, 3) for name, most in LIMITS.items()}
    least = round(LEAST_INGEST / figures["ingest_events_per_second"], 3)
    return {"ingest_events_per_second": least, **shares}


async def _patterns(cluster: BenchCluster, steps: int) -> list[Pattern]:
    """Run one execution that completes and one that does not."""
    workflow = await cluster.prepare(document(steps))
    patterns = []
    for refuse in (False, True):
        run = await cluster.client.start(workflow, pattern_input(steps, refuse=refuse))
        ended = await run.wait(60.0)
        if ended.status != ("faulted" if refuse else "completed"):
            raise InternalError(f"execution {run.id} of the benchmark is {ended.status}")
        events = [event async for event in cluster.client.history(run.id)]
        patterns.append(Pattern(run.id, events))
    return patterns


async def _beyond(cluster: BenchCluster) -> int:
    """Return a partition that no node owns, so that nobody else writes into it."""
    return (await cluster.client.info()).partitions


def _spool(spool: BinaryIO, made: Iterator[tuple[bytes, int]]) -> int:
    """Make all records before the clock starts."""
    count = 0
    for record, events in made:
        spool.write(len(record).to_bytes(_LENGTH) + record)
        count += events
    return count


async def _append_all(stream: EventStream, spool: BinaryIO, partition: int) -> None:
    """Put the records into the journal."""
    newest = await stream.journal.last(partition)
    sequence = newest.seq if newest else 0
    for number, record in enumerate(_records(spool)):
        nonce = f"bench:{sequence}:{number}"
        sequence = await append_settled(
            stream.journal, partition, record, expected=sequence, nonce=nonce, epoch=1
        )


def _records(spool: BinaryIO) -> Iterator[bytes]:
    spool.seek(0)
    while length := spool.read(_LENGTH):
        yield spool.read(int.from_bytes(length))


class _Watch:
    """The memory of the historian: what its process has more than before, and its children."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._idle = _resident(pid)
        self.peak_of_children = 0
        self.peak = 0

    def __enter__(self) -> _Watch:
        self._task = asyncio.get_running_loop().create_task(self._look())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._task.cancel()
        self._sample()

    async def _look(self) -> None:
        while True:
            self._sample()
            await asyncio.sleep(_SAMPLE_SECONDS)

    def _sample(self) -> None:
        # A child that was forked a moment ago still shows the memory of its parent.
        begun = [pid for pid in _children(self._pid) if _program(pid) != _program(self._pid)]
        children = sum(map(_resident, begun))
        self.peak_of_children = max(self.peak_of_children, children)
        self.peak = max(self.peak, children + max(0, _resident(self._pid) - self._idle))


def _resident(pid: int) -> int:
    readings = read_usage({"it": pid})
    del readings[CLIENT]
    return readings["it"].resident


def _program(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, path.read_text().split())
        except OSError:  # the thread has ended
            continue
    return found


async def _ask_all(cluster: BenchCluster) -> dict[str, float]:
    """Ask each question in a process of its own, as a person at the shell does."""
    newest = await asyncio.to_thread(
        _sql, cluster, "SELECT max(execution_id) AS id FROM events WHERE seq = 1"
    )
    execution = msgspec.json.decode(newest[1])[0]["id"]
    figures = {}
    for name, query in QUERIES.items():
        cluster.tell(query)
        seconds, _ = await asyncio.to_thread(_sql, cluster, query.format(execution))
        figures[name] = round(seconds * 1000, 1)
    return figures


def _sql(cluster: BenchCluster, query: str) -> tuple[float, bytes]:
    began = time.perf_counter()
    ended = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "flunq", "sql", query, "-o", "json"],
        env={**os.environ, **cluster.environment()},
        capture_output=True,
        check=False,
        timeout=_QUERY_SECONDS,
    )
    seconds = time.perf_counter() - began
    if ended.returncode:
        raise InternalError(f"flunq sql failed: {ended.stderr.decode().strip()}")
    return seconds, ended.stdout
