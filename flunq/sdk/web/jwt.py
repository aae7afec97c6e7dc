"""JSON Web Tokens, as far as OAuth clients need them: signed assertions, and claims to look at."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.sdk.web.authentication import unusable

if TYPE_CHECKING:
    from collections.abc import Callable

ASSERTION_SECONDS = 60

Signer = tuple[str, "Callable[[bytes], bytes]"]
"""The name of an algorithm, and what signs with it."""


def client_assertion(client: str, audience: str, signer: Signer) -> str:
    """Return a short-lived assertion that a client is who it says (RFC 7523)."""
    algorithm, sign = signer
    now = int(time.time())
    claims = {
        "iss": client,
        "sub": client,
        "aud": audience,
        "jti": secrets.token_hex(16),
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
    }
    signed = f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_base64(sign(signed.encode()))}"


def shared_secret(secret: str) -> Signer:
    """Return what signs with a secret that both sides know."""
    return "HS256", lambda data: hmac.digest(secret.encode(), data, hashlib.sha256)


def private_key(pem: str) -> Signer:
    """Return what signs with a private key in PEM: RSA, P-256 or Ed25519."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise unusable(
            "signing with a private key needs the package cryptography; install it, "
            "or sign the assertion yourself and give it as client.assertion"
        ) from None
    try:
        key: Any = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        # The reason may quote the key.
        raise unusable("client.secret is not an unencrypted private key in PEM") from None
    if isinstance(key, rsa.RSAPrivateKey):
        return "RS256", _rsa(key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return "ES256", _p256(key)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "EdDSA", lambda data: bytes(key.sign(data))
    raise unusable("client.secret is a private key, but neither RSA nor P-256 nor Ed25519")


def claims_of(token: str) -> dict[str, Any] | None:
    """Return what a token says of itself, unverified; None when it is opaque."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=="))
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _rsa(key: Any) -> Callable[[bytes], bytes]:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    def sign(data: bytes) -> bytes:
        signature: bytes = key.sign(data, PKCS1v15(), SHA256())
        return signature

    return sign


def _p256(key: Any) -> Callable[[bytes], bytes]:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign


def _part(value: dict[str, Any]) -> str:
    return _base64(msgspec.json.encode(value))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
