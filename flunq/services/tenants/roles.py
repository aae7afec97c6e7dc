"""What a control process does for each tenant beside the first: its archive, its queries."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flunq.core.tenancy import READY, TENANTS_CHANGED
from flunq.errors import FlunqError
from flunq.log.ports import OutcomeUnknownError
from flunq.services.lasting import heard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flunq.core.tenancy import TenantRecord
    from flunq.log.ports import Requests
    from flunq.services.lasting import Role
    from flunq.services.tenants.records import TenantRecords

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
LEAVE_SECONDS = 10.0


class _Serving:
    """The roles of one tenant, as tasks."""

    def __init__(self, roles: Sequence[Role]) -> None:
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(role(self._stop)) for role in roles]

    async def leave(self) -> None:
        """End them in order, or at once when that takes too long."""
        self._stop.set()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=LEAVE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class TenantRoles:
    """Begins and ends the roles of tenants as they come and go."""

    def __init__(
        self,
        records: TenantRecords,
        requests: Requests,
        *,
        home: str,
        roles_of: Callable[[TenantRecord], Sequence[Role]],
    ) -> None:
        self._records = records
        self._requests = requests
        self._home = home
        self._roles_of = roles_of
        self._serving: dict[str, _Serving] = {}
        self._left: set[str] = set()
        """Those left since the records were last read, which may call them ready still."""

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the records until told to stop."""
        changed = asyncio.Event()
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: changed.set())
        try:
            async with self._requests.listen(TENANTS_CHANGED, lambda _: changed.set()):
                while not stop.is_set():
                    changed.clear()
                    await self._follow()
                    await heard(changed, within=LOOK_SECONDS)
        finally:
            stopping.cancel()
            await asyncio.gather(*(self.leave(name) for name in list(self._serving)))

    async def leave(self, name: str) -> None:
        """End the roles of one tenant; returns when they are done."""
        self._left.add(name)
        serving = self._serving.pop(name, None)
        if serving is not None:
            await serving.leave()

    async def _follow(self) -> None:
        self._left.clear()
        try:
            records = await self._records.all()
        except (OutcomeUnknownError, FlunqError) as error:
            log.warning("the tenants could not be read: %s", error)
            return
        ready = {r.name: r for r in records if r.state == READY and r.name != self._home}
        for name in self._serving.keys() - ready.keys():
            await self.leave(name)
        for name, record in ready.items():
            if name not in self._serving and name not in self._left:
                self._serving[name] = _Serving(self._roles_of(record))
