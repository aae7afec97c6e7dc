"""Alert rules and what became of them, as a client sees them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from flunq.core.alerts import (
    MOST_NOTICES,
    AlertHistory,
    AlertProblem,
    AlertTrial,
    AlertView,
    ApplyAlerts,
    DeleteAlert,
    ListAlerts,
    Notice,
    ShowAlert,
    TryAlert,
    alerts_subject,
)
from flunq.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.core.alerts import AlertRule

T = TypeVar("T")
Ask: TypeAlias = Callable[[str, Any], Awaitable[bytes]]
Views: TypeAlias = list[AlertView]
Notices: TypeAlias = list[Notice]
Problems: TypeAlias = list[AlertProblem]


class Alerts:
    """``client.alerts``: rules that say when somebody wants to hear of something."""

    def __init__(self, ask: Ask, tenant: str) -> None:
        self._ask = ask
        self._tenant = tenant

    async def apply(self, rules: Sequence[AlertRule], *, dry_run: bool = False) -> Problems:
        """Keep rules, unless something is wrong with one; returns what is."""
        question = ApplyAlerts(rules=list(rules), dry_run=dry_run)
        return await self._value(question, Problems)

    async def list(self) -> Views:
        """Return all rules and how they are."""
        return await self._value(ListAlerts(), Views)

    async def show(self, name: str) -> AlertView:
        """Return one rule; raises NotFoundError."""
        return await self._value(ShowAlert(name=name), AlertView)

    async def history(self, name: str = "", *, limit: int = MOST_NOTICES) -> Notices:
        """Return the newest notices of one rule or of all, the newest first."""
        return await self._value(AlertHistory(name=name, limit=limit), Notices)

    async def test(self, rule: AlertRule) -> AlertTrial:
        """Return whether a rule holds now; nobody is told."""
        return await self._value(TryAlert(rule=rule), AlertTrial)

    async def delete(self, name: str) -> AlertView:
        """Forget a rule; raises NotFoundError."""
        return await self._value(DeleteAlert(name=name), AlertView)

    async def _value(self, question: Any, kind: type[T]) -> T:
        try:
            body = await self._ask(alerts_subject(self._tenant), question)
        except UnavailableError as error:
            raise UnavailableError(
                f"nobody keeps the alerts of tenant {self._tenant}",
                hint="it is part of flunq up; elsewhere start one with: flunq serve control",
            ) from error
        return msgspec.json.decode(body, type=kind)
