"""Breakers, limits and the tasks that wait for them, as a client sees them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from flunq.core.flow import (
    DeleteLimit,
    HeldTask,
    LimitView,
    ListBreakers,
    ListHeld,
    ListLimits,
    ListPauses,
    PauseView,
    PauseWorkflow,
    ResetBreaker,
    ResumeWorkflow,
    SetLimit,
    TargetView,
    TripBreaker,
    flow_subject,
)
from flunq.errors import UnavailableError

if TYPE_CHECKING:
    from flunq.core.flow import NamedLimit

T = TypeVar("T")
Ask: TypeAlias = Callable[[str, Any], Awaitable[bytes]]


class Flow:
    """``client.flow``: what may begin, and what is held back."""

    def __init__(self, ask: Ask, tenant: str) -> None:
        self._ask = ask
        self._tenant = tenant

    async def breakers(self) -> list[TargetView]:
        """Return the targets that are called, those with an open breaker first."""
        return await self._value(ListBreakers(), list[TargetView])

    async def trip(self, target: str, *, seconds: float = 0.0, reason: str = "") -> TargetView:
        """Open the breaker of a target for so long, or until it is reset."""
        return await self._value(
            TripBreaker(name=target, seconds=seconds, reason=reason), TargetView
        )

    async def reset(self, target: str) -> TargetView:
        """Close the breaker of a target; raises NotFoundError if it is not open."""
        return await self._value(ResetBreaker(name=target), TargetView)

    async def limits(self) -> list[LimitView]:
        """Return the limits that are set or in use."""
        return await self._value(ListLimits(), list[LimitView])

    async def set_limit(self, limit: NamedLimit) -> LimitView:
        """Set a limit, or change it."""
        return await self._value(SetLimit(name=limit.name, limit=limit), LimitView)

    async def delete_limit(self, name: str) -> LimitView:
        """Take a limit back; raises NotFoundError if it is not set."""
        return await self._value(DeleteLimit(name=name), LimitView)

    async def pauses(self) -> list[PauseView]:
        """Return the workflows that are paused, the newest first."""
        return await self._value(ListPauses(), list[PauseView])

    async def pause_workflow(
        self, name: str, *, reason: str = "", starts_only: bool = False
    ) -> PauseView:
        """Pause ``[namespace/]name[:version]``: starts wait, open executions are suspended.

        With ``starts_only`` those that have begun go on. Once it returns none takes another step,
        but for the partitions that ``unheard`` names: those follow within seconds.
        """
        question = PauseWorkflow(name=name, reason=reason, starts_only=starts_only)
        return await self._value(question, PauseView)

    async def resume_workflow(self, name: str) -> PauseView:
        """Let a paused workflow go on; raises NotFoundError if it is not paused."""
        return await self._value(ResumeWorkflow(name=name), PauseView)

    async def held(self, execution: str = "") -> list[HeldTask]:
        """Return the tasks that are held back, oldest first, of all executions or of one."""
        return await self._value(ListHeld(execution=execution), list[HeldTask])

    async def _value(self, question: Any, kind: type[T]) -> T:
        try:
            body = await self._ask(flow_subject(self._tenant), question)
        except UnavailableError as error:
            raise UnavailableError(
                f"nobody keeps the flow control of tenant {self._tenant}",
                hint="it is part of flunq up; elsewhere start one with: flunq serve control",
            ) from error
        return msgspec.json.decode(body, type=kind)
