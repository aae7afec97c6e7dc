from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from flunq.core.access import AuditEntry, ReadAudit
from flunq.log.memory import MemoryBroker, MemoryEventStream
from flunq.log.ports import OutcomeUnknownError, Record
from flunq.log.select import StreamSettings
from flunq.services.identity import Audit, Principal
from flunq.services.identity.audit import BATCH, LONGEST, LOST, MOST_WAITING
from flunq.services.identity.reading import read_page
from tests.unit.services.identity.conftest import NOW, HandClock

if TYPE_CHECKING:
    from flunq.log.ports import AuditTrail

WHO = Principal(name="ci", tenant="shop", role="operator", token_id="t1")


class Trails:
    """The trails of all tenants in one memory; those named in ``down`` cannot be written."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.down: set[str] = set()
        self.audit = Audit(self.of, clock=HandClock(), node="control")

    async def of(self, tenant: str) -> AuditTrail:
        if tenant in self.down:
            raise OutcomeUnknownError(f"{tenant} is down")
        trail = MemoryEventStream(StreamSettings(tenant=tenant), self.broker).audit
        await trail.keep(0)
        return trail

    async def records(self, tenant: str) -> list[Record]:
        return await (await self.of(tenant)).page(limit=100_000)

    async def entries(self, tenant: str) -> list[AuditEntry]:
        batches = [
            msgspec.json.decode(r.data, type=list[AuditEntry]) for r in await self.records(tenant)
        ]
        return [entry for batch in batches for entry in batch]


async def test_an_entry_says_who_did_what_when_from_where_and_what_came_of_it() -> None:
    trails = Trails()
    trails.audit.record(WHO, "startExecution", "order-1", "201", "10.0.0.1")
    assert await trails.audit.flush()
    assert await trails.entries("shop") == [
        AuditEntry(
            time=NOW, who="ci", token="t1", role="operator", tenant="shop",
            what="startExecution", target="order-1", result="201", source="10.0.0.1", via="api",
        )
    ]  # fmt: skip


async def test_an_administrator_leaves_a_trace_in_the_tenant_where_it_acts() -> None:
    trails = Trails()
    trails.audit.record(WHO, "deleteWorkflow", "a", "200", "10.0.0.1", tenant="other")
    await trails.audit.flush()
    assert await trails.entries("shop") == []
    assert [entry.who for entry in await trails.entries("other")] == ["ci"]


async def test_many_entries_are_few_writes() -> None:
    trails = Trails()
    for number in range(3 * BATCH):
        trails.audit.record(WHO, "start", str(number), "201", "")
    await trails.audit.flush()
    assert len(await trails.records("shop")) == 3
    assert [entry.target for entry in await trails.entries("shop")] == list(
        map(str, range(3 * BATCH))
    )


async def test_what_does_not_fit_is_counted_and_confessed() -> None:
    trails = Trails()
    for _ in range(MOST_WAITING + 7):
        trails.audit.record(WHO, "start", "x", "201", "")
    await trails.audit.flush()
    entries = await trails.entries("shop")
    assert len(entries) == MOST_WAITING + 1
    assert [entry.target for entry in entries if entry.what == LOST] == ["7"]


async def test_a_tenant_that_cannot_be_written_does_not_hold_up_the_others() -> None:
    trails = Trails()
    trails.down = {"shop"}
    trails.audit.record(WHO, "start", "1", "201", "")
    trails.audit.record(WHO, "start", "2", "201", "", tenant="other")
    assert not await trails.audit.flush()
    assert [entry.target for entry in await trails.entries("other")] == ["2"]
    trails.down = set()
    assert await trails.audit.flush()
    assert [entry.target for entry in await trails.entries("shop")] == ["1"]


async def test_what_is_noted_when_the_process_ends_is_still_written() -> None:
    trails = Trails()
    running = asyncio.create_task(trails.audit.run())
    await asyncio.sleep(0)
    trails.audit.record(WHO, "start", "last", "201", "")
    running.cancel()
    await asyncio.wait([running])
    assert [entry.target for entry in await trails.entries("shop")] == ["last"]


async def test_endless_texts_are_cut() -> None:
    trails = Trails()
    trails.audit.record(WHO, "start", "x" * 100_000, "201", "")
    await trails.audit.flush()
    assert [len(entry.target) for entry in await trails.entries("shop")] == [LONGEST]


async def test_pages_follow_each_other_without_a_gap_or_a_double() -> None:
    trails = Trails()
    for number in range(2500):
        trails.audit.record(WHO, "start" if number % 2 else "cancel", str(number), "ok", "")
    await trails.audit.flush()
    trail, seen, after, more = await trails.of("shop"), [], 0, True
    while more:
        page = await read_page(trail, ReadAudit(after=after, limit=300, what="start"))
        seen += [entry.target for entry in page.entries]
        after, more = page.cursor, page.more
    assert seen == [str(number) for number in range(1, 2500, 2)]


async def test_the_audit_is_asked_by_person_word_and_moment() -> None:
    trails = Trails()
    for name, what, time in (("a", "start", 1.0), ("b", "put-secret", 2.0), ("a", "cancel", 3.0)):
        trails.audit.note(AuditEntry(time=time, who=name, tenant="shop", what=what))
    await trails.audit.flush()

    async def found(**wanted: object) -> list[str]:
        page = await read_page(await trails.of("shop"), msgspec.convert(wanted, ReadAudit))
        return [entry.what for entry in page.entries]

    assert await found(type="read-audit", who="a") == ["start", "cancel"]
    assert await found(type="read-audit", what="put-*") == ["put-secret"]
    assert await found(type="read-audit", since=2.0) == ["put-secret", "cancel"]
