"""Who may do what, as clients see it: tokens, and the record of everything that was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from flunq.core.ids import token, untoken

if TYPE_CHECKING:
    from collections.abc import Callable

TokenRole = Literal["viewer", "operator", "admin"]
MOST_ENTRIES = 1_000


def tokens_subject(tenant: str) -> str:
    """Return where the control process answers about tokens."""
    return f"flunq.ask.{token(tenant)}.tokens"


def audit_subject(tenant: str) -> str:
    """Return where the control process answers what was done."""
    return f"flunq.ask.{token(tenant)}.audit"


def any_tenant(subject_of: Callable[[str], str]) -> str:
    """Return the pattern of a subject that every tenant has."""
    return subject_of("any").replace(".any.", ".*.")


def tenant_of(subject: str) -> str:
    """Return the tenant that a subject belongs to."""
    return untoken(subject.split(".")[2])


def identity_subject() -> str:
    """Return where control processes hear that tokens or keys changed."""
    return "flunq.node.identity"


class CreateToken(msgspec.Struct, frozen=True, kw_only=True, tag="create-token"):
    """Issue a token; asked again with the same id it is the same token."""

    id: str
    name: str
    role: TokenRole
    tenant: str
    lifetime: int | None = None
    """Seconds; None: for ever."""
    by: str = ""


class ListTokens(msgspec.Struct, frozen=True, kw_only=True, tag="list-tokens"):
    """List the tokens of a tenant, or of all."""

    tenant: str | None = None


class RevokeToken(msgspec.Struct, frozen=True, kw_only=True, tag="revoke-token"):
    """Let a token, or all of a name, count no more."""

    id: str = ""
    name: str = ""
    tenant: str | None = None


class RotateKeys(msgspec.Struct, frozen=True, kw_only=True, tag="rotate-keys"):
    """Sign with a new key from now on; asked again with the same id it happens once."""

    id: str
    revoke_old: bool = False
    """Refuse everything that was signed before."""
    renew: bool = False
    """Also issue an administrator's token, so that whoever asks is not locked out."""


class CreateLink(msgspec.Struct, frozen=True, kw_only=True, tag="create-link"):
    """Make an address by which one person answers what a task of an execution waits for."""

    id: str
    """The execution."""
    task: str
    step: int
    lifetime: int
    """Seconds."""


TokenQuestion = CreateToken | ListTokens | RevokeToken | RotateKeys | CreateLink


class ApprovalLink(msgspec.Struct, frozen=True, kw_only=True):
    """An address that answers one question once; whoever knows it may."""

    id: str
    """Names the link in the audit; good for nothing else."""
    execution: str
    task: str
    path: str
    """What follows the address of the API."""
    expires: int

    def __repr__(self) -> str:
        return f"ApprovalLink({self.id!r})"


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token as people see it; moments in seconds."""

    id: str
    name: str
    tenant: str
    role: TokenRole
    created_at: int
    expires: int | None = None
    revoked_at: int | None = None
    key: str = ""
    created_by: str = ""


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was just issued: the only time that it is shown."""

    token: str
    view: TokenView

    def __repr__(self) -> str:
        return f"IssuedToken({self.view.id!r})"


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """What a rotation did."""

    key: str
    old: list[str] = []
    revoked: bool = False
    renewed: IssuedToken | None = None


class ReadAudit(msgspec.Struct, frozen=True, kw_only=True, tag="read-audit"):
    """Ask for a page of what was done after a position or moment, oldest first."""

    after: int = 0
    since: float | None = None
    limit: int = 200
    who: str = ""
    what: str = ""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One operation: who did what to what, when, from where, and what came of it."""

    time: float
    who: str
    """The name of a token, or the user of a connection to the broker."""
    token: str = ""
    role: str = ""
    tenant: str
    what: str
    target: str = ""
    result: str = ""
    source: str = ""
    """The address of a request, or the user and machine of a command."""
    via: str = ""
    """``api`` or ``nats``."""


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some entries; ask again after ``cursor`` when there may be more."""

    entries: list[AuditEntry]
    cursor: int
    more: bool
