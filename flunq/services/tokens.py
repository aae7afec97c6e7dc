"""Bearer tokens of the API: JWTs signed with the cluster's own key (HS256)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Literal

import msgspec

from flunq.errors import FlunqError

Role = Literal["viewer", "operator", "admin"]
_HEADER = msgspec.json.encode({"alg": "HS256", "typ": "JWT"})


class TokenRefusedError(FlunqError):
    """The token is missing, damaged, expired or signed by somebody else."""

    code, title, status, exit_code = "token-refused", "The token is not accepted", 401, 6


class Claims(msgspec.Struct, kw_only=True, frozen=True):
    """What a token grants."""

    tenant: str
    role: Role
    jti: str
    iat: int
    exp: int | None = None


class _Header(msgspec.Struct, frozen=True):
    alg: str


def new_key() -> str:
    """Return a fresh signing key."""
    return secrets.token_urlsafe(32)


def issue(key: str, *, tenant: str, role: Role, now: int, lifetime: int | None = None) -> str:
    """Return a token for a tenant and role; ``now`` and ``lifetime`` are seconds."""
    claims = Claims(
        tenant=tenant,
        role=role,
        jti=secrets.token_hex(8),
        iat=now,
        exp=None if lifetime is None else now + lifetime,
    )
    signed = f"{_encode(_HEADER)}.{_encode(msgspec.json.encode(claims))}"
    return f"{signed}.{_encode(_signature(key, signed))}"


def verify(key: str, token: str, *, now: int) -> Claims:
    """Return what a token grants; raises TokenRefusedError."""
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    try:
        genuine = hmac.compare_digest(_decode(signature), _signature(key, signed))
        if not genuine or msgspec.json.decode(_decode(header), type=_Header).alg != "HS256":
            raise TokenRefusedError("the token was not issued by this cluster")
        claims = msgspec.json.decode(_decode(payload), type=Claims)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise TokenRefusedError("the token is damaged") from error
    if claims.exp is not None and claims.exp <= now:
        raise TokenRefusedError("the token has expired", hint="flunq tokens create")
    return claims


def _signature(key: str, signed: str) -> bytes:
    return hmac.digest(key.encode(), signed.encode(), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
