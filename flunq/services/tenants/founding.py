"""The record of the tenant that a cluster was started for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from flunq.core.tenancy import READY
from flunq.services.clock import SystemClock

if TYPE_CHECKING:
    from flunq.core.tenancy import TenantRecord
    from flunq.log.ports import Journal
    from flunq.services.tenants.records import TenantRecords

log = logging.getLogger(__name__)


async def founded(records: TenantRecords, journal: Journal, home: TenantRecord) -> TenantRecord:
    """Return the record of the first tenant, made if there is none.

    Nobody takes a partition before there is a record. So where it is missing although the journal
    knows partitions, it was lost: their number stays, because executions are found by it.
    """
    found = await records.find(home.name)
    if found is not None:
        return found
    known = await journal.partitions()
    if known:
        home = msgspec.structs.replace(home, partitions=max(known) + 1)
        log.warning(
            "tenant %s has a journal but no record; a new one is made, with the %s partitions of "
            "the journal",
            home.name,
            home.partitions,
        )
    return await records.add(
        msgspec.structs.replace(home, state=READY, created_at=SystemClock().now())
    )
