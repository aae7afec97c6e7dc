"""The records of tenants: made once, changed by compare-and-set, names that can be trusted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.core.tenancy import READY, Quotas, TenantRecord
from flunq.errors import ConflictError, NotFoundError, UsageError
from flunq.log.memory import MemoryBroker, MemoryDatabase
from flunq.log.select import StreamSettings
from flunq.services.tenants.records import TenantRecords, check_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.ports import Entry

ACME = TenantRecord(name="acme", partitions=2)


@pytest.fixture
async def database() -> AsyncIterator[MemoryDatabase]:
    async with MemoryDatabase(StreamSettings(url="memory://r"), MemoryBroker()) as database:
        await database.ensure()
        yield database


@pytest.fixture
def records(database: MemoryDatabase) -> TenantRecords:
    return TenantRecords(database.tenants)


async def test_the_first_record_of_a_name_stays(records: TenantRecords) -> None:
    assert await records.add(ACME) == ACME
    again = await records.add(msgspec.structs.replace(ACME, partitions=9))
    assert again.partitions == 2
    assert await records.all() == [ACME]


async def test_changes_at_the_same_time_all_happen(records: TenantRecords) -> None:
    await records.add(ACME)

    def more(record: TenantRecord) -> TenantRecord:
        count = (record.quotas.executions or 0) + 1
        return msgspec.structs.replace(record, quotas=Quotas(executions=count))

    await asyncio.gather(*(records.change("acme", more) for _ in range(8)))
    assert (await records.get("acme")).quotas.executions == 8


async def test_what_is_not_there_cannot_be_changed(records: TenantRecords) -> None:
    with pytest.raises(NotFoundError):
        await records.change("nobody", lambda r: msgspec.structs.replace(r, state=READY))
    assert await records.find("nobody") is None


async def test_what_somebody_else_changed_is_known(
    records: TenantRecords, database: MemoryDatabase
) -> None:
    others, two = TenantRecords(database.tenants), msgspec.structs.replace(ACME, name="beta")
    await others.add(ACME)
    assert await records.all() == [ACME]
    await others.add(two)
    ready = await others.change("acme", lambda r: msgspec.structs.replace(r, state=READY))
    assert await records.all() == [ready, two]
    await others.remove("acme")
    assert await records.all() == [two]


async def test_records_are_read_once(
    database: MemoryDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    since = database.tenants.since

    async def counted(revision: int) -> list[Entry]:
        nonlocal reads
        found = await since(revision)
        reads += len(found)
        return found

    monkeypatch.setattr(database.tenants, "since", counted)
    records = TenantRecords(database.tenants)
    for name in ("a", "b", "c"):
        await records.add(msgspec.structs.replace(ACME, name=name))
        await records.all()
        await asyncio.gather(*(records.all() for _ in range(3)))
    assert reads == 3


async def test_a_damaged_record_is_an_error_and_no_empty_one(database: MemoryDatabase) -> None:
    await database.tenants.put("acme", b"{")
    with pytest.raises(ConflictError, match="damaged"):
        await TenantRecords(database.tenants).find("acme")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "a/b", "a b", "a*", "a>", "ä", "x" * 65, "a\n", "$SYS"]
)
def test_names_that_could_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


@pytest.mark.parametrize("name", ["acme", "Acme-2", "a.b", "x" * 64])
def test_plain_names_are_taken(name: str) -> None:
    assert check_name(name) == name
