"""Tokens of the API and the audit, as a client sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from flunq.core.access import (
    ApprovalLink,
    AuditEntry,
    AuditPage,
    CreateLink,
    CreateToken,
    IssuedToken,
    ListTokens,
    ReadAudit,
    RevokeToken,
    Rotated,
    RotateKeys,
    TokenRole,
    TokenView,
    audit_subject,
    tokens_subject,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = TypeVar("T")
Ask: TypeAlias = Callable[[str, Any], Awaitable[bytes]]
Views: TypeAlias = list[TokenView]
FOLLOW_SECONDS = 0.5
PAGE = 500


class Tokens:
    """``client.tokens``: a token itself is shown once, when it is created."""

    def __init__(self, ask: Ask, tenant: str) -> None:
        self._ask = ask
        self._tenant = tenant
        self._subject = tokens_subject(tenant)

    async def create(
        self,
        name: str,
        role: TokenRole = "operator",
        *,
        lifetime: int | None = None,
        tenant: str | None = None,
        by: str = "",
    ) -> IssuedToken:
        """Issue a token that ends after ``lifetime`` seconds, or never."""
        question = CreateToken(
            id=token_hex(8),
            name=name,
            role=role,
            tenant=tenant or self._tenant,
            lifetime=lifetime,
            by=by,
        )
        return await self._value(question, IssuedToken)

    async def list(self, tenant: str | None = None) -> Views:
        """Return the tokens of a tenant; for the cluster's administrators those of all."""
        return await self._value(ListTokens(tenant=tenant), Views)

    async def revoke(self, *, id: str = "", name: str = "", tenant: str | None = None) -> Views:
        """Let one token, or all of a name, count no more."""
        return await self._value(RevokeToken(id=id, name=name, tenant=tenant), Views)

    async def rotate(self, *, revoke_old: bool = False, renew: bool = False) -> Rotated:
        """Sign with a new key from now on."""
        question = RotateKeys(id=token_hex(8), revoke_old=revoke_old, renew=renew)
        return await self._value(question, Rotated)

    async def link(self, execution: str, task: str, step: int, lifetime: int) -> ApprovalLink:
        """Make an address by which whoever has it answers a task once."""
        question = CreateLink(id=execution, task=task, step=step, lifetime=lifetime)
        return await self._value(question, ApprovalLink)

    async def _value(self, question: Any, kind: type[T]) -> T:
        return msgspec.json.decode(await self._ask(self._subject, question), type=kind)


class AuditLog:
    """``client.audit``: what was done, oldest first."""

    def __init__(self, ask: Ask, tenant: str) -> None:
        self._ask = ask
        self._subject = audit_subject(tenant)

    async def page(
        self,
        *,
        after: int = 0,
        since: float | None = None,
        who: str = "",
        what: str = "",
        limit: int = PAGE,
    ) -> AuditPage:
        """Return some entries after a position."""
        question = ReadAudit(after=after, since=since, who=who, what=what, limit=limit)
        return msgspec.json.decode(await self._ask(self._subject, question), type=AuditPage)

    async def entries(
        self,
        *,
        since: float | None = None,
        who: str = "",
        what: str = "",
        follow: bool = False,
    ) -> AsyncIterator[AuditEntry]:
        """Yield entries from a moment on; with ``follow`` also those to come, for ever."""
        after = 0
        while True:
            page = await self.page(after=after, since=since, who=who, what=what)
            after = page.cursor
            for entry in page.entries:
                yield entry
            if page.more:
                continue
            if not follow:
                return
            await asyncio.sleep(FOLLOW_SECONDS)
