"""The record of the first tenant, and what becomes of its executions when it is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq.core.tenancy import READY, TenantRecord
from flunq.log.memory import MemoryBroker, MemoryDatabase, MemoryEventStream
from flunq.log.select import StreamSettings
from flunq.services.tenants.founding import founded
from flunq.services.tenants.records import TenantRecords

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOME = TenantRecord(name="default", partitions=1)


@pytest.fixture
async def records(broker: MemoryBroker) -> AsyncIterator[TenantRecords]:
    async with MemoryDatabase(StreamSettings(url="memory://f"), broker) as database:
        await database.ensure()
        yield TenantRecords(database.tenants)


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
async def stream(broker: MemoryBroker) -> AsyncIterator[MemoryEventStream]:
    async with MemoryEventStream(StreamSettings(url="memory://f"), broker) as stream:
        await stream.ensure(8)
        yield stream


async def test_a_new_cluster_has_the_partitions_that_were_asked_for(
    records: TenantRecords, stream: MemoryEventStream
) -> None:
    made = await founded(records, stream.journal, HOME)
    assert (made.partitions, made.state) == (1, READY)
    assert await records.all() == [made]


async def test_a_lost_record_does_not_change_where_executions_are(
    records: TenantRecords, stream: MemoryEventStream
) -> None:
    for partition in range(8):
        await stream.journal.append(partition, b"taken over", expected=0, headers={})
    assert (await founded(records, stream.journal, HOME)).partitions == 8


async def test_a_record_that_is_there_counts(
    records: TenantRecords, stream: MemoryEventStream
) -> None:
    await records.add(TenantRecord(name="default", partitions=4))
    await stream.journal.append(0, b"taken over", expected=0, headers={})
    assert (await founded(records, stream.journal, HOME)).partitions == 4
