"""Compact JSON Web Signatures, read strictly: whatever is unusual is refused before it is used."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

import msgspec

from flunq.services.identity.principal import TokenRefusedError

LONGEST = 16 * 1024
_LONGEST_HEADER = 2 * 1024
_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_KEY_ID = re.compile(r"[A-Za-z0-9_=+./:-]{1,256}", re.ASCII)
_FORBIDDEN = frozenset({"crit", "b64", "jku", "jwk", "x5u", "x5c", "zip", "enc"})
"""Members that let a token say how it wants to be verified, or that change what is signed."""


class Unverified(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a token whose signature nobody has looked at yet."""

    algorithm: str
    key_id: str
    signed: bytes
    signature: bytes
    payload: bytes


def split(token: str) -> Unverified:
    """Take a token apart; raises TokenRefusedError for anything but the one canonical form."""
    if len(token) > LONGEST:
        raise TokenRefusedError("the token is too long")
    parts = token.split(".")
    if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):
        raise TokenRefusedError("the token is damaged")
    head, payload, signature = (decode(part) for part in parts)
    if len(head) > _LONGEST_HEADER:
        raise TokenRefusedError("the token is damaged")
    header = parse_object(head)
    algorithm, key_id = header.get("alg"), header.get("kid")
    if _FORBIDDEN & header.keys() or header.get("typ", "JWT") not in ("JWT", "at+jwt"):
        raise TokenRefusedError("the token asks for something that no token needs")
    if not isinstance(algorithm, str) or not isinstance(key_id, str):
        raise TokenRefusedError("the token does not name its algorithm and key")
    if not _KEY_ID.fullmatch(key_id):
        raise TokenRefusedError("the token names no key of ours")
    signed = f"{parts[0]}.{parts[1]}".encode()
    return Unverified(
        algorithm=algorithm, key_id=key_id, signed=signed, signature=signature, payload=payload
    )


def join(header: dict[str, Any], claims: dict[str, Any]) -> bytes:
    """Return what is to be signed."""
    return f"{encode(msgspec.json.encode(header))}.{encode(msgspec.json.encode(claims))}".encode()


def parse_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object in which no name comes twice."""
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise TokenRefusedError("the token is damaged") from error
    if not isinstance(value, dict):
        raise TokenRefusedError("the token is damaged")
    return value


def encode(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(part: str) -> bytes:
    """Read base64url in its one canonical spelling; raises TokenRefusedError."""
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError) as error:
        raise TokenRefusedError("the token is damaged") from error
    # Two spellings of the same bytes would be two tokens to whoever compares or counts them.
    if encode(data) != part:
        raise TokenRefusedError("the token is damaged")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name comes twice")
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(name)
