"""Counts that do not depend on the clock: messages and bytes in the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.log.nats.connection import Connection
from flunq.log.nats.jetstream import JetStream
from flunq.log.nats.names import Names

if TYPE_CHECKING:
    from flunq.bench.cluster import BenchCluster


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """The journal at one moment."""

    commits: int
    bytes: int

    @staticmethod
    def between(before: Counters | None, after: Counters | None) -> dict[str, Any]:
        """Return how many commits and bytes were added; None where nobody tells."""
        if before is None or after is None:
            return {"commits": None, "journal_bytes": None}
        return {
            "commits": after.commits - before.commits,
            "journal_bytes": after.bytes - before.bytes,
        }


async def read_counters(cluster: BenchCluster) -> Counters | None:
    """Ask the server for the journal's size; None for a cluster that is not ours."""
    if cluster.engine is None:
        return None
    connection = Connection.shared(cluster.engine)
    await connection.acquire()
    try:
        info = await JetStream(connection).call(
            f"STREAM.INFO.{Names(cluster.engine.tenant).journal_stream}"
        )
    finally:
        await connection.release()
    return Counters(commits=info["state"]["last_seq"], bytes=info["state"]["bytes"])
