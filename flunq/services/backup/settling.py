"""What a restored cluster has to know anew.

Its journals count as made at the moment of the restore, and whoever held an office of the cluster
that was backed up does not work here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from flunq.log.nats.jetstream import JetStream
from flunq.log.nats.kv import NatsKeyValue
from flunq.log.nats.names import Names
from flunq.services.backup.snapshots import STATE, STATE_BUCKET
from flunq.services.historian.tenure import OFFICES
from flunq.store.lake import MANIFEST, lost_files, read_manifest, successor, write_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flunq.log.nats.connection import Connection
    from flunq.services.backup.parts import Part


async def settle(connection: Connection, history: Path, streams: Iterable[Part]) -> None:
    """Make archives and offices fit the streams that were restored."""
    facts = {part.name: part.stream or {} for part in streams}
    if STATE in facts:
        await _vacate(connection)
    for folder in await asyncio.to_thread(_lakes, history):
        manifest = await asyncio.to_thread(read_manifest, folder)
        assert manifest is not None
        journal = Names(manifest.tenant).journal_stream
        lost = await asyncio.to_thread(lost_files, folder, manifest)
        if lost:
            # Queries see what is left; one file that is not there would fail all of them.
            manifest = successor(manifest, drop=[file.path for file in lost])
            await asyncio.to_thread(write_manifest, folder, manifest)
        # One that did not belong to its journal then does not now.
        if manifest.journal and manifest.journal == facts.get(journal, {}).get("created"):
            made = (await JetStream(connection).insist(f"STREAM.INFO.{journal}"))["created"]
            fresh = msgspec.structs.replace(successor(manifest), journal=str(made))
            await asyncio.to_thread(write_manifest, folder, fresh)


def _lakes(history: Path) -> list[Path]:
    return sorted(path.parent for path in history.glob(f"*/{MANIFEST}"))


async def _vacate(connection: Connection) -> None:
    """Let nobody wait for those who held an office."""
    entries = NatsKeyValue(JetStream(connection), STATE_BUCKET)
    for key in await entries.keys():
        if key.rpartition(".")[2] in OFFICES:
            await entries.delete(key)
