"""Secrets that the cluster keeps: encrypted in a bucket, in the clear only where tasks run.

A value is sealed with AES-256-GCM under the cluster's own key, bound to its tenant and name, so
that nobody who can write the bucket can move one to another name.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import os
import time
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.events import timestamp
from flunq.core.ids import token, untoken
from flunq.errors import FlunqError, NotFoundError, RejectedError
from flunq.log.ports import OutcomeUnknownError
from flunq.sdk.executor import TaskError
from flunq.sdk.secrets import unknown_secret

if TYPE_CHECKING:
    from flunq.log.ports import KeyValue
    from flunq.sdk.secrets import Secrets
    from flunq.services.clock import Clock

log = logging.getLogger(__name__)

KEY_BYTES = 32
NONCE_BYTES = 12
MAX_SECRET = 64 * 1024
STALE_SECONDS = 30.0
"""A node that missed the news of a change looks again after this long."""


class KeptSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What anybody may know of a secret."""

    name: str
    changed_at: str


class _Sealed(msgspec.Struct, frozen=True, kw_only=True):
    nonce: bytes
    body: bytes
    changed_at: int


def new_key() -> str:
    """Return a fresh key, as text."""
    return base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()


def read_key(text: str) -> bytes:
    """Return the bytes of a key; raises RejectedError, which does not repeat it."""
    try:
        key = base64.urlsafe_b64decode(text)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise RejectedError(
            "the key of the secrets is damaged", hint=f"it is {KEY_BYTES} bytes in base64"
        )
    return key


class Vault:
    """The secrets of one tenant."""

    def __init__(self, bucket: KeyValue, tenant: str, key: str, clock: Clock) -> None:
        self._bucket = bucket
        self._tenant = tenant
        self._prefix = f"{token(tenant)}."
        self._key = read_key(key) if key else b""
        self._clock = clock

    async def put(self, name: str, value: Any) -> None:
        """Keep a secret; a value of the same name is replaced."""
        body = msgspec.json.encode(value)
        if len(body) > MAX_SECRET:
            raise RejectedError(f"a secret may have {MAX_SECRET:,} bytes, this one has more")
        nonce = os.urandom(NONCE_BYTES)
        sealed = _Sealed(
            nonce=nonce,
            body=self._cipher().encrypt(nonce, body, self._bound_to(name)),
            changed_at=self._clock.now(),
        )
        await self._bucket.put(self._prefix + token(name), msgspec.msgpack.encode(sealed))

    async def names(self) -> list[KeptSecret]:
        """Return what there is, without the values."""
        found: list[KeptSecret] = []
        for name, sealed in await self._all():
            found.append(KeptSecret(name=name, changed_at=timestamp(sealed.changed_at)))
        return sorted(found, key=lambda kept: kept.name)

    async def delete(self, name: str) -> None:
        """Forget a secret; raises NotFoundError."""
        key = self._prefix + token(name)
        if await self._bucket.get(key) is None:
            raise NotFoundError(f"no secret named {name}", hint="flunq secrets list")
        await self._bucket.delete(key)

    async def open(self) -> dict[str, Any]:
        """Return all values; one that this key does not open is left out, with a warning."""
        kept = await self._all()
        if not kept:
            return {}
        from cryptography.exceptions import InvalidTag  # megabytes, for those who keep secrets

        values: dict[str, Any] = {}
        for name, sealed in kept:
            try:
                body = self._cipher().decrypt(sealed.nonce, sealed.body, self._bound_to(name))
            except InvalidTag:
                log.warning("the secret %s was kept under another key and cannot be read", name)
            else:
                values[name] = msgspec.json.decode(body)
        return values

    async def _all(self) -> list[tuple[str, _Sealed]]:
        found: list[tuple[str, _Sealed]] = []
        for key in await self._bucket.keys(self._prefix):
            entry = await self._bucket.get(key)
            if entry is not None:
                sealed = msgspec.msgpack.decode(entry.value, type=_Sealed)
                found.append((untoken(key[len(self._prefix) :]), sealed))
        return found

    def _bound_to(self, name: str) -> bytes:
        return f"{self._tenant}\n{name}".encode()

    def _cipher(self) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not self._key:
            raise RejectedError(
                "this cluster has no key to keep secrets with",
                hint="set FLUNQ_SECRETS_KEY for every node, or use FLUNQ_SECRET_<NAME> variables",
            )
        return AESGCM(self._key)


class VaultSecrets:
    """What the vault holds, at hand on a node; what it does not hold, others may."""

    def __init__(self, vault: Vault, others: Secrets) -> None:
        self._vault = vault
        self._others = others
        self._values: dict[str, Any] = {}
        self._fresh_until = 0.0
        self._refreshing: asyncio.Task[None] | None = None
        self._told = False
        """Something has changed since the vault was begun to be read."""

    def __repr__(self) -> str:
        return "VaultSecrets(...)"

    def resolve(self, name: str) -> Any:
        """Return a secret's value; raises an ``authorization`` TaskError for unknown names."""
        if time.monotonic() > self._fresh_until:
            self.refresh()
        if name in self._values:
            return self._values[name]
        try:
            return self._others.resolve(name)
        except TaskError:
            raise unknown_secret(name) from None

    def refresh(self) -> None:
        """Look again soon: something has changed, or may have."""
        self._told = True
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while self._told:
            self._told = False
            await self.load()

    async def load(self) -> None:
        """Read the vault; what is known stays if it cannot be read now."""
        self._fresh_until = time.monotonic() + STALE_SECONDS
        try:
            self._values = await self._vault.open()
        except (FlunqError, OutcomeUnknownError) as error:
            log.warning("the secrets could not be read: %s", error)
