"""Retention: the records of ended executions go when their time or their number is over.

Owners drop what lies in packs, some at a time, each with an event, so that a later owner agrees.
The events stay in the archive. A number is kept by shares: each partition keeps its part.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flunq.core.events import EXPIRED
from flunq.core.retention import FOR_EVER, Retention, RetentionError, share_of
from flunq.log.ports import OutcomeUnknownError
from flunq.services.worker.recovery import finished_from_pack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.services.worker.owner import Owner
    from flunq.services.worker.packs import Packs
    from flunq.services.worker.places import Place

log = logging.getLogger(__name__)

BATCH = 500
"""Records that one look drops at most."""
AGE, COUNT = "age", "count"


class RetentionSweep:
    """Drops what need not be kept any more in one partition."""

    def __init__(self, owner: Owner, packs: Packs) -> None:
        self._owner = owner
        self._packs = packs
        self._next = 0.0

    async def look(self) -> int:
        """Drop some records if it is time to; returns how many."""
        settings = self._owner.context.settings
        now = asyncio.get_running_loop().time()
        if now < self._next:
            return 0
        self._next = now + settings.retention_seconds
        dropped = 0
        for name in self._owner.executions.places.ended_names():
            retention = await self._retention(name)
            for reason, place in self._over(name, retention, BATCH - dropped):
                dropped += await self._drop(place, reason)
            if dropped >= BATCH:
                self._next = now  # there may be more: go on with the next sweep
                break
        return dropped

    async def _retention(self, name: str) -> Retention:
        """Return what the newest version of a workflow says, or else the tenant's setting."""
        context = self._owner.context
        default = context.settings.retention
        try:
            said = await context.definitions.retention(name)
        except OutcomeUnknownError as error:
            log.info("nothing of %s expires for now: %s", name, error)
            return FOR_EVER
        except RetentionError as error:
            log.warning("%s: %s", name, error)
            return FOR_EVER
        return default if said is None else said

    def _over(self, name: str, retention: Retention, limit: int) -> Iterator[tuple[str, Place]]:
        """Yield what need not be kept, oldest first."""
        context, places = self._owner.context, self._owner.executions.places
        if retention.after is not None:
            moment = context.clock.now() - retention.after
            for place in places.ended_before(name, moment, limit):
                limit -= 1
                yield AGE, place
        if retention.keep is not None and limit > 0:
            share = share_of(retention.keep, context.settings.partitions)
            # Those that ended together with the last one that is kept are kept too.
            oldest = places.ended_at_rank(name, share - 1) if share else 1 << 62
            for place in places.ended_before(name, oldest or 0, limit):
                yield COUNT, place

    async def _drop(self, place: Place, reason: str) -> int:
        item = (await self._packs.load(place.pack)).get(place.id)
        executions = self._owner.executions
        # It may be deleted, or moved to another pack, while this one was read.
        if item is None or not item.ended or executions.places.get(place.id) != place:
            return 0
        if executions.is_in_memory(place.id):
            return 0
        self._owner.remove(finished_from_pack(item), EXPIRED, None, reason=reason)
        return 1
