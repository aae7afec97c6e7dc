"""What the machine can do at most: interpreter, disk, broker and loopback by themselves."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
import timeit
from typing import TYPE_CHECKING, Any

from flunq.bench.options import Sizes
from flunq.bench.statistics import percentile
from flunq.log.nats.connection import Connection
from flunq.log.nats.jetstream import JetStream

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.bench.cluster import BenchCluster

DEFAULTS = Sizes(executions=300, in_flight=200)
_BLOCK = b"x" * 4096
_MESSAGE = b"x" * 256
_STREAM = "FLUNQ_BENCH"
_SUBJECT = "flunq.bench.raw"
_MOST_IN_FLIGHT = 10
_CALLS, _TRIES = 50_000, 5


async def measure(cluster: BenchCluster, sizes: Sizes) -> dict[str, Any]:
    """Measure each limit for a moment."""
    count, in_flight = sizes.executions or 1, sizes.in_flight or 1
    cluster.tell("measuring what this machine can do at most")
    return {
        "python_calls_per_second": _python(),
        **await asyncio.to_thread(_disk, cluster.data, count),
        **await _loopback(count),
        **await _broker(cluster, count, in_flight),
    }


def _python() -> int:
    """Call a function of Python that does next to nothing, again and again."""
    best = min(timeit.repeat(_little, number=_CALLS, repeat=_TRIES))
    return round(_CALLS / best)


def _little() -> dict[str, int]:
    number = 1
    return {"a": number, "b": number + 1}


def _disk(folder: Path | None, count: int) -> dict[str, Any]:
    """Append 4 KiB and force it to the device, one after the other."""
    taken: list[float] = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(count):
            began = time.perf_counter()
            os.write(file.fileno(), _BLOCK)
            _force(file.fileno())
            taken.append(time.perf_counter() - began)
    return {
        "fdatasync_p50_ms": _ms(taken),
        "fdatasync_per_second": round(count / sum(taken), 1),
    }


def _force(descriptor: int) -> None:
    # macOS has no fdatasync.
    getattr(os, "fdatasync", os.fsync)(descriptor)


async def _loopback(count: int) -> dict[str, Any]:
    """Send a little to a server in this process and wait for it to come back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(len(_MESSAGE)):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    taken: list[float] = []
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        for _ in range(count):
            began = time.perf_counter()
            writer.write(_MESSAGE)
            await reader.readexactly(len(_MESSAGE))
            taken.append(time.perf_counter() - began)
        writer.close()
        await writer.wait_closed()
    return {"loopback_p50_ms": _ms(taken)}


async def _broker(cluster: BenchCluster, count: int, in_flight: int) -> dict[str, Any]:
    """Publish to a stream like the journal; a cluster that is not ours does not allow it."""
    names = ("publish_p50_ms", "publish_per_second", "publish_in_flight_per_second")
    if cluster.engine is None:
        return dict.fromkeys(names)
    connection = Connection.shared(cluster.engine)
    await connection.acquire()
    js = JetStream(connection)
    try:
        config = {"name": _STREAM, "subjects": [_SUBJECT], "storage": "file"}
        await js.call(f"STREAM.CREATE.{_STREAM}", config)
        taken = await _publish(js, count, 1)
        together = await _publish(js, count * _MOST_IN_FLIGHT, in_flight)
        await js.call(f"STREAM.DELETE.{_STREAM}")
    finally:
        await connection.release()
    figures = (_ms(taken[0]), count / taken[1], count * _MOST_IN_FLIGHT / together[1])
    return dict(zip(names, (round(figure, 3) for figure in figures), strict=True))


async def _publish(js: JetStream, count: int, in_flight: int) -> tuple[list[float], float]:
    taken: list[float] = []
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            began = time.perf_counter()
            await js.publish(_SUBJECT, _MESSAGE)
            taken.append(time.perf_counter() - began)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())
    return taken, time.perf_counter() - began


def _ms(seconds: list[float]) -> float:
    return round(percentile(seconds, 0.5) * 1000, 3)
