"""Counts that do not depend on the clock: what the streams of the cluster hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.log.nats.connection import Connection
from flunq.log.nats.jetstream import JetStream
from flunq.log.nats.names import Names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.bench.cluster import BenchCluster

NAMES = (
    "commits",
    "journal_bytes",
    "stored_messages",
    "fsyncs",
    "upkeep_messages",
    "upkeep_fsyncs",
)


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """All streams at one moment."""

    commits: int
    journal_bytes: int
    stored_messages: int
    fsyncs: int | None
    """Messages that were forced to the disk by themselves; None where a timer forces them."""
    upkeep_messages: int
    """Those that come with time or by and by: leases, positions, checkpoints, the audit."""
    upkeep_fsyncs: int | None

    @staticmethod
    def between(before: Counters | None, after: Counters | None) -> dict[str, Any]:
        """Return how much was added; None where nobody tells."""
        return {name: _added(before, after, name) for name in NAMES}


async def read_counters(cluster: BenchCluster) -> Counters | None:
    """Ask the server for the streams' sizes; None for a cluster that is not ours."""
    if cluster.engine is None:
        return None
    connection = Connection.shared(cluster.engine)
    await connection.acquire()
    try:
        streams = await _streams(JetStream(connection))
    finally:
        await connection.release()
    names = Names(cluster.engine.tenant)
    journal = streams[names.journal_stream]["state"]
    upkeep = [info for name, info in streams.items() if not _carries_steps(name, names)]
    strict = cluster.durability == "strict"
    return Counters(
        commits=journal["last_seq"],
        journal_bytes=journal["bytes"],
        stored_messages=_stored(streams.values()),
        fsyncs=_forced(streams.values()) if strict else None,
        upkeep_messages=_stored(upkeep),
        upkeep_fsyncs=_forced(upkeep) if strict else None,
    )


def _carries_steps(stream: str, names: Names) -> bool:
    """Whether messages of this stream are there because an execution took a step."""
    return stream in {
        names.journal_stream,
        names.inbox_stream,
        names.tasks_stream,
        names.events_stream,
        names.schedules_stream,
    }


async def _streams(js: JetStream) -> dict[str, dict[str, Any]]:
    """Return what the server says of every stream, by name."""
    found: dict[str, dict[str, Any]] = {}
    while True:
        page = await js.call("STREAM.LIST", {"offset": len(found)})
        found |= {info["config"]["name"]: info for info in page["streams"] or []}
        if len(found) >= page["total"] or not page["streams"]:
            return found


def _stored(streams: Iterable[dict[str, Any]]) -> int:
    return sum(info["state"]["last_seq"] for info in streams)


def _forced(streams: Iterable[dict[str, Any]]) -> int:
    return _stored(info for info in streams if _is_forced(info["config"]))


def _is_forced(config: dict[str, Any]) -> bool:
    return bool(config["storage"] == "file" and config.get("persist_mode") != "async")


def _added(before: Counters | None, after: Counters | None, name: str) -> int | None:
    first, last = getattr(before, name, None), getattr(after, name, None)
    return None if first is None or last is None else last - first
