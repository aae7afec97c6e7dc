"""Pages of the audit, filtered where they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flunq.core.access import MOST_ENTRIES, AuditEntry, AuditPage

if TYPE_CHECKING:
    from flunq.core.access import ReadAudit
    from flunq.log.ports import AuditTrail

_BATCHES = 64
_MOST_LOOKED_AT = 2_000
"""Batches that one question reads at most; the cursor says where the next goes on."""
_decode = msgspec.json.Decoder(list[AuditEntry]).decode


async def read_page(trail: AuditTrail, question: ReadAudit) -> AuditPage:
    """Return whole batches until there are enough entries."""
    limit = max(1, min(question.limit, MOST_ENTRIES))
    cursor, looked = question.after, 0
    found: list[AuditEntry] = []
    while looked < _MOST_LOOKED_AT:
        batches = await trail.page(after=cursor, since=question.since, limit=_BATCHES)
        for batch in batches:
            found += [entry for entry in _decode(batch.data) if _matches(entry, question)]
            cursor = batch.seq
            looked += 1
            if len(found) >= limit:
                return AuditPage(entries=found, cursor=cursor, more=True)
        if not batches:
            return AuditPage(entries=found, cursor=cursor, more=False)
    return AuditPage(entries=found, cursor=cursor, more=True)


def _matches(entry: AuditEntry, question: ReadAudit) -> bool:
    if question.since is not None and entry.time < question.since:
        return False
    if question.who and question.who not in (entry.who, entry.token):
        return False
    return (
        not question.what
        or entry.what == question.what
        or (question.what.endswith("*") and entry.what.startswith(question.what[:-1]))
    )
