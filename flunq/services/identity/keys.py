"""The keys that sign tokens: public ones for everybody, private ones sealed with the cluster's key.

The first pair follows from the cluster's key alone, so that ``flunq up`` can issue a token before
anything runs; later ones are random and kept sealed beside their public half.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from flunq.services.identity import jws
from flunq.services.identity.principal import TokenRefusedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

    from flunq.services.identity.claims import Claims

ALGORITHM = "EdDSA"
SIGNATURE_BYTES = 64
_NONCE = 12


class KeyRecord(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A key as the cluster keeps it."""

    id: str
    public: bytes
    created_at: int
    state: Literal["active", "old", "revoked"] = "active"
    """Old keys verify what they signed; revoked ones nothing."""
    revoked_at: int | None = None
    sealed: bytes = b""
    """The private half; empty for the first key, which follows from the cluster's key."""


def new_cluster_key() -> str:
    """Return a fresh secret from which a cluster's identity follows."""
    return secrets.token_urlsafe(32)


def cluster_id(cluster_key: str) -> str:
    """Return the name of a cluster, as its tokens carry it."""
    return f"flunq:{_derived(cluster_key, 'cluster id').hex()[:24]}"


def internal_proof(cluster_key: str) -> str:
    """Return what the processes of a cluster know each other by."""
    return _derived(cluster_key, "internal").hex()


def fingerprint(key: str) -> str:
    """Return what tells a key from others without telling it."""
    return _derived(key, "fingerprint").hex()[:32]


def local_token_id(cluster_key: str) -> str:
    """Return the id of the token that ``flunq up`` makes for its user."""
    return _derived(cluster_key, "local token").hex()[:16]


class Signer:
    """A private key that can issue tokens."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        self.key_id = key_id_of(self.public)

    def sign(self, claims: Claims) -> str:
        """Return a token."""
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": self.key_id}
        members: dict[str, Any] = msgspec.to_builtins(claims)
        signed = jws.join(header, members)
        return f"{signed.decode()}.{jws.encode(self._private.sign(signed))}"

    def sealed(self, cluster_key: str) -> bytes:
        """Return the private key in a form that only the cluster can open."""
        nonce = os.urandom(_NONCE)
        body: bytes = _cipher(cluster_key).encrypt(
            nonce, self._private.private_bytes_raw(), self.key_id.encode()
        )
        return nonce + body


def first_signer(cluster_key: str) -> Signer:
    """Return the pair that follows from the cluster's key."""
    return _signer(_derived(cluster_key, "signing key"))


def new_signer() -> Signer:
    """Return a random pair."""
    return _signer(os.urandom(32))


def open_signer(record: KeyRecord, cluster_key: str) -> Signer | None:
    """Return the private half of a key, or None when it was not made by this cluster."""
    from cryptography.exceptions import InvalidTag

    if not record.sealed:
        first = first_signer(cluster_key)
        return first if first.key_id == record.id else None
    try:
        seed = _cipher(cluster_key).decrypt(
            record.sealed[:_NONCE], record.sealed[_NONCE:], record.id.encode()
        )
    except InvalidTag:
        return None
    signer = _signer(seed)
    return signer if signer.public == record.public else None


def verify(public: Ed25519PublicKey, token: jws.Unverified) -> None:
    """Check a signature; raises TokenRefusedError."""
    from cryptography.exceptions import InvalidSignature

    if token.algorithm != ALGORITHM or len(token.signature) != SIGNATURE_BYTES:
        raise TokenRefusedError("the token was not issued by this cluster")
    try:
        public.verify(token.signature, token.signed)
    except InvalidSignature:
        raise TokenRefusedError("the token was not issued by this cluster") from None


def load_public(data: bytes) -> Ed25519PublicKey:
    """Return a public key from its 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(data)


def key_id_of(public: bytes) -> str:
    """Return the name of a key."""
    return base64.urlsafe_b64encode(hashlib.sha256(public).digest()[:12]).decode()


def _signer(seed: bytes) -> Signer:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Signer(Ed25519PrivateKey.from_private_bytes(seed))


def _derived(cluster_key: str, purpose: str) -> bytes:
    """Return 32 bytes for one purpose; the cluster's key is random, so one step is enough."""
    return hmac.digest(cluster_key.encode(), f"flunq {purpose}".encode(), hashlib.sha256)


def _cipher(cluster_key: str) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(_derived(cluster_key, "sealing"))
