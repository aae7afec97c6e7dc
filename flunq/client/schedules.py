"""The schedules of a cluster's workflows, as a client sees them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from flunq.client.ids import new_id
from flunq.core.protocol import (
    BackfillSchedule,
    Fired,
    FiredPage,
    ListSchedules,
    PauseSchedule,
    ResumeSchedule,
    ScheduleView,
    ShowSchedule,
    SkipSchedule,
    TriggerSchedule,
    UnskipSchedule,
    UpdateSchedule,
    schedules_subject,
)
from flunq.core.scheduling.policies import Overrides

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.core.scheduling.policies import Missed, Overlap

T = TypeVar("T")
Views: TypeAlias = list[ScheduleView]
Ask: TypeAlias = Callable[[str, Any], Awaitable[bytes]]


class Schedules:
    """``client.schedules``: names are those of workflows, with the namespace where needed."""

    def __init__(self, ask: Ask, tenant: str) -> None:
        self._ask = ask
        self._subject = schedules_subject(tenant)

    async def list(self, prefix: str = "", *, count: int = 1) -> Views:
        """Return the schedules in force, by name, with ``count`` next fires and last runs."""
        return await self._value(ListSchedules(prefix=prefix, count=count), Views)

    async def get(self, name: str, *, count: int = 5) -> ScheduleView:
        """Return a schedule with its next ``count`` fires and its last runs, newest first."""
        return await self._value(ShowSchedule(name=name, count=count), ScheduleView)

    async def pause(self, name: str, reason: str = "") -> ScheduleView:
        """Let a schedule start nothing until it is resumed."""
        return await self._value(PauseSchedule(name=name, reason=reason), ScheduleView)

    async def resume(self, name: str) -> ScheduleView:
        """Let a paused schedule go on; what it missed in the pause is not made up for."""
        return await self._value(ResumeSchedule(name=name), ScheduleView)

    async def skip(self, name: str, *, count: int = 1, until: int | None = None) -> ScheduleView:
        """Skip the next ``count`` fires, or all up to and including a moment (microseconds).

        It replaces what was asked before: to ask twice for one fire skips one.
        """
        question = SkipSchedule(name=name, count=count, until=until)
        return await self._value(question, ScheduleView)

    async def unskip(self, name: str) -> ScheduleView:
        """Skip nothing that is still to come."""
        return await self._value(UnskipSchedule(name=name), ScheduleView)

    async def update(
        self,
        name: str,
        *,
        timezone: str | None = None,
        overlap: Overlap | None = None,
        catch_up: int | None = None,
        missed: Missed | None = None,
        reset: bool = False,
    ) -> ScheduleView:
        """Set policies over those of the document; ``catch_up`` is in microseconds.

        ``reset`` first forgets those that were set before.
        """
        overrides = Overrides(timezone=timezone, overlap=overlap, catch_up=catch_up, missed=missed)
        question = UpdateSchedule(name=name, overrides=overrides, reset=reset)
        return await self._value(question, ScheduleView)

    async def trigger(
        self, name: str, *, id: str | None = None, input: Any = msgspec.UNSET
    ) -> Fired:
        """Start the workflow now, whatever its schedule and the overlap policy say."""
        question = TriggerSchedule(name=name, id=id or new_id(), input=input)
        return await self._value(question, Fired)

    async def backfill(
        self, name: str, begin: int, end: int, *, dry_run: bool = False
    ) -> AsyncIterator[Fired]:
        """Start the fires with ``begin <= fire <= end`` (microseconds) that have passed.

        They have the ids of the fires themselves: what ran already does not run again.
        """
        after: int | None = begin - 1
        while after is not None:
            question = BackfillSchedule(name=name, after=after, upto=end, dry_run=dry_run)
            page = await self._value(question, FiredPage)
            for fired in page.fires:
                yield fired
            after = page.after

    async def _value(self, question: Any, kind: type[T]) -> T:
        return msgspec.json.decode(await self._ask(self._subject, question), type=kind)
