"""Three real servers, three copies of each stream, one of them killed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flunq.log.nats import NatsEventStream
from flunq.log.nats.jetstream import JetStream
from flunq.log.nats.server import NatsServer, generate_credentials, plan_servers
from flunq.log.ports import OutcomeUnknownError, RequestTimeoutError
from flunq.log.select import StreamSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[list[NatsServer]]:
    plan = plan_servers(tmp_path, 3, credentials=generate_credentials())
    servers = [NatsServer(config) for config in plan]
    try:
        await asyncio.gather(*(server.start() for server in servers))
        await asyncio.gather(*(server.until_healthy() for server in servers))
        yield servers
    finally:
        await asyncio.gather(*(server.stop() for server in servers))


def settings_of(cluster: list[NatsServer]) -> StreamSettings:
    credentials = cluster[0].config.credentials
    assert credentials is not None
    return StreamSettings(
        url=",".join(server.url for server in cluster),
        user=credentials.engine_user,
        password=credentials.engine_password,
        replicas=3,
    )


async def append_until_stored(stream: NatsEventStream, data: bytes) -> int:
    """Do what an owner does: after an unknown outcome, look, and write again if it is not there."""
    while True:
        try:
            last = await stream.journal.last(0)
            if last is not None and last.data == data:
                return last.seq
            expected = last.seq if last else 0
            return await stream.journal.append(0, data, expected=expected, headers={})
        except (OutcomeUnknownError, RequestTimeoutError):
            await asyncio.sleep(0.1)


async def test_the_death_of_a_leader_loses_and_doubles_nothing(cluster: list[NatsServer]) -> None:
    async with NatsEventStream(settings_of(cluster)) as stream:
        await stream.ensure(8)
        assert await stream.drift() == []
        before = [await append_until_stored(stream, b"%d" % n) for n in range(20)]
        info = await JetStream(stream.connection).insist(
            f"STREAM.INFO.{stream.names.journal_stream}"
        )
        leader = next(s for s in cluster if s.config.name == info["cluster"]["leader"])
        await leader.kill()
        async with asyncio.timeout(40):
            after = [await append_until_stored(stream, b"%d" % n) for n in range(20, 40)]
            records = [r async for r in stream.journal.read(0, after=0, upto=after[-1])]
            streams = {each.kind: each for each in (await stream.capacity()).streams}
    assert [r.seq for r in records] == before + after
    assert [int(r.data) for r in records] == list(range(40))
    assert (streams["journal"].messages, streams["journal"].replicas) == (40, 3)
    assert len(streams) == 7
