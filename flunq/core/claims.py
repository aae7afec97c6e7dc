"""References to large values, which lie in the blob store under the digest of their JSON."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

REFERENCE = "$flunq.blob"


def is_reference(value: Any) -> bool:
    """Tell whether a value stands for a blob."""
    return isinstance(value, dict) and len(value) == 1 and REFERENCE in value


def reference_key(reference: dict[str, Any]) -> str:
    """Return the blob's key."""
    key: str = reference[REFERENCE]["key"]
    return key


def reference_to(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return the key and the reference of a value that is already JSON."""
    key = blake2b(body, digest_size=20).hexdigest()
    return key, {REFERENCE: {"key": key, "size": len(body)}}
