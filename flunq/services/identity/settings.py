"""What a control process is told about who may come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flunq.errors import UsageError

if TYPE_CHECKING:
    from flunq.config import Settings


class OidcSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An issuer whose tokens are taken too."""

    issuer: str
    audience: str
    tenant_claim: str = "tenant"
    role_claim: str = "role"


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Keys, limits and the keeping of the audit."""

    token_key: str | None = None
    """The cluster's key; without it tokens can be verified but not issued."""
    rate_limit: float = 2_000.0
    """Requests per second of one principal; 0: no limit."""
    rate_burst: float = 4_000.0
    failure_rate: float = 0.5
    """Refused tokens per second from one address."""
    failure_burst: float = 20.0
    oidc: OidcSettings | None = None
    audit_keep: float = 400 * 86_400.0
    """Seconds after which the audit forgets; 0: never."""

    def __repr__(self) -> str:
        return f"IdentitySettings(oidc={self.oidc!r})"


def identity_settings(chosen: Settings, *, token_key: str | None = None) -> IdentitySettings:
    """Return what the settings of an invocation say; raises UsageError when it is half a thing."""
    return IdentitySettings(
        token_key=token_key,
        rate_limit=chosen.rate_limit,
        rate_burst=chosen.rate_burst,
        audit_keep=chosen.audit_keep,
        oidc=_oidc(chosen),
    )


def _oidc(chosen: Settings) -> OidcSettings | None:
    if chosen.oidc_issuer is None and chosen.oidc_audience is None:
        return None
    if not chosen.oidc_issuer or not chosen.oidc_audience:
        raise UsageError(
            "an issuer needs an audience, or its tokens for others would be taken here",
            hint="set oidc_issuer and oidc_audience",
        )
    return OidcSettings(
        issuer=chosen.oidc_issuer,
        audience=chosen.oidc_audience,
        tenant_claim=chosen.oidc_tenant_claim,
        role_claim=chosen.oidc_role_claim,
    )
