"""What a token of this cluster says, and whether that holds now."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from flunq.core.ids import is_valid_id
from flunq.services.identity.principal import Principal, Role, TokenRefusedError

SKEW = 60
"""Seconds that the clock of whoever issued a token may be ahead of ours."""
_LATEST = 1 << 40

Moment = Annotated[int, Meta(ge=0, le=_LATEST)]
Text = Annotated[str, Meta(min_length=1, max_length=256)]


class Claims(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What a token grants; moments are seconds since the epoch."""

    iss: Text
    tenant: Text
    role: Role
    name: Text
    jti: Text
    iat: Moment
    nbf: Moment = 0
    exp: Moment | None = None

    def principal(self) -> Principal:
        """Return who this is."""
        return Principal(name=self.name, tenant=self.tenant, role=self.role, token_id=self.jti)


def read_claims(members: dict[str, Any]) -> Claims:
    """Check the form of claims; raises TokenRefusedError."""
    try:
        claims = msgspec.convert(members, Claims)
    except msgspec.ValidationError as error:
        raise TokenRefusedError(f"the token's claims are wrong: {error}") from None
    if not is_valid_id(claims.tenant):
        raise TokenRefusedError("the token names no tenant")
    return claims


def check_times(claims: Claims, now: float) -> None:
    """Refuse a token before its time and from its last moment on."""
    if claims.exp is not None and now >= claims.exp:
        raise TokenRefusedError("the token has expired", hint="flunq tokens create")
    if max(claims.iat, claims.nbf) > now + SKEW:
        raise TokenRefusedError("the token is not valid yet", hint="are the clocks right?")
