"""A query learns from the cluster what it names, and nothing else is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.client import Client
from flunq.client.sql import gather
from flunq.core.capacity import Capacity, ConsumerUse, StreamUse
from flunq.core.protocol import Answer, ClusterInfo, catalog_subject
from flunq.log.memory import MemoryEventStream
from flunq.log.select import StreamSettings
from flunq.store.tail import collect_tail

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.store.query_job import Sources

ANSWERS = {
    "info": ClusterInfo(tenant="default", partitions=0, node="n", version="1"),
    "capacity": Capacity(
        streams=[StreamUse(name="J", kind="journal", bytes=9, max_bytes=10)],
        consumers=[ConsumerUse(stream="T", name="exec-http", serves="http", pending=3)],
    ),
}


class Cluster:
    """A catalog without partitions, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def answer(self, payload: bytes) -> bytes:
        kind = msgspec.json.decode(payload)["type"]
        self.asked.append(kind)
        value = msgspec.Raw(msgspec.json.encode(ANSWERS[kind]))
        return msgspec.json.encode(Answer(value=value))

    async def sources(self, sql: str, folder: Path) -> Sources:
        stream = MemoryEventStream(StreamSettings(url=f"memory://{folder.name}", name="test"))
        async with (
            Client(stream) as client,
            client.serving(catalog_subject("default"), self.answer),
        ):
            with collect_tail(folder) as tail:
                return await gather(client, folder, tail, sql)


@pytest.mark.parametrize("sql", ["from streams", "SELECT 1 FROM Consumers", "from main.streams s"])
async def test_a_query_that_names_streams_asks_how_full_they_are(tmp_path: Path, sql: str) -> None:
    cluster = Cluster()
    sources = await cluster.sources(sql, tmp_path)
    assert (sources.connected, sources.capacity) == (True, ANSWERS["capacity"])
    assert cluster.asked == ["info", "capacity"]


@pytest.mark.parametrize("sql", ["from executions", "select 1 as downstreams", "from events"])
async def test_any_other_query_does_not(tmp_path: Path, sql: str) -> None:
    cluster = Cluster()
    sources = await cluster.sources(sql, tmp_path)
    assert sources.capacity == Capacity()
    assert cluster.asked == ["info"]
