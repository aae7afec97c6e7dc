"""Public keys of an issuer, read from a JWK set; each is used with one algorithm alone."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.services.identity.principal import TokenRefusedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    Key = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

SHORTEST_RSA = 2048
LONGEST_RSA = 8192


class VerifyingKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key and the only algorithm that it is used with."""

    algorithm: str
    key: Any

    def verify(self, signed: bytes, signature: bytes) -> None:
        """Check a signature; raises TokenRefusedError."""
        from cryptography.exceptions import InvalidSignature

        try:
            _CHECKS[self.algorithm](self.key, signed, signature)
        except (InvalidSignature, ValueError):
            raise TokenRefusedError("the token was not signed by its issuer") from None


def read_jwks(data: bytes) -> dict[str, VerifyingKey]:
    """Return the keys that can verify tokens, by id; others are left out."""
    try:
        found = msgspec.json.decode(data, type=dict[str, Any]).get("keys")
    except msgspec.MsgspecError:
        found = None
    if not isinstance(found, list):
        raise ValueError("it is no set of keys")
    keys: dict[str, VerifyingKey] = {}
    for entry in found:
        if isinstance(entry, dict) and isinstance(entry.get("kid"), str):
            key = _read_key(entry)
            if key is not None:
                keys[entry["kid"]] = key
    return keys


def _read_key(entry: dict[str, Any]) -> VerifyingKey | None:
    if entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    made = _MAKERS.get((str(entry.get("kty")), str(entry.get("crv", ""))))
    if made is None:
        return None
    algorithm, make = made
    if entry.get("alg", algorithm) != algorithm:
        return None
    try:
        key = make(entry)
    except (KeyError, ValueError, TypeError, binascii.Error):
        return None
    return None if key is None else VerifyingKey(algorithm=algorithm, key=key)


def _rsa(entry: dict[str, Any]) -> rsa.RSAPublicKey | None:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    numbers = RSAPublicNumbers(_integer(entry["e"]), _integer(entry["n"]))
    if not SHORTEST_RSA <= numbers.n.bit_length() <= LONGEST_RSA:
        return None
    return numbers.public_key()


def _p256(entry: dict[str, Any]) -> ec.EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    numbers = ec.EllipticCurvePublicNumbers(
        _integer(entry["x"]), _integer(entry["y"]), ec.SECP256R1()
    )
    return numbers.public_key()


def _ed25519(entry: dict[str, Any]) -> ed25519.Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519.Ed25519PublicKey.from_public_bytes(_bytes(entry["x"]))


def _check_rs256(key: rsa.RSAPublicKey, signed: bytes, signature: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())


def _check_es256(key: ec.EllipticCurvePublicKey, signed: bytes, signature: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    if len(signature) != 64:
        raise ValueError("the signature has the wrong length")
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))


def _check_eddsa(key: ed25519.Ed25519PublicKey, signed: bytes, signature: bytes) -> None:
    key.verify(signature, signed)


_MAKERS: dict[tuple[str, str], tuple[str, Any]] = {
    ("RSA", ""): ("RS256", _rsa),
    ("EC", "P-256"): ("ES256", _p256),
    ("OKP", "Ed25519"): ("EdDSA", _ed25519),
}
_CHECKS: dict[str, Any] = {"RS256": _check_rs256, "ES256": _check_es256, "EdDSA": _check_eddsa}


def _integer(text: str) -> int:
    return int.from_bytes(_bytes(text))


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
