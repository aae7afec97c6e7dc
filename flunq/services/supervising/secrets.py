"""The secrets of a local cluster, made once and kept in its data directory (0600)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from flunq.errors import RejectedError
from flunq.log.nats.server import Credentials, generate_credentials
from flunq.services import vault
from flunq.services.identity import jws, keys
from flunq.services.identity.principal import TokenRefusedError
from flunq.services.identity.registry import local_token
from flunq.services.supervising.layout import write_private

if TYPE_CHECKING:
    from pathlib import Path


_NEW_KEYS = "tokens that were issued are void and sealed secrets are lost"


class ClusterSecrets(msgspec.Struct, kw_only=True, frozen=True):
    """Users of the NATS servers, the cluster's keys, the local user's token."""

    nats: Credentials
    token_key: str
    token: str
    vault_key: str = ""
    store_key: str = ""
    """Encrypts what the NATS servers store; empty: it is not encrypted."""

    def __repr__(self) -> str:
        return "ClusterSecrets(...)"


def load_secrets(path: Path, *, tenant: str, encrypt: bool = False) -> ClusterSecrets:
    """Return the cluster's secrets, making them the first time; contexts stay valid that way.

    A store that is encrypted stays so. ``{}`` in the file asks for new ones.
    """
    try:
        found = _read(path.read_bytes())
    except FileNotFoundError:
        found = None
    except msgspec.DecodeError as error:
        raise RejectedError(
            f"damaged: {error}",
            hint=f"put it back from a backup; or write {{}} into it for new keys: {_NEW_KEYS}",
            where=str(path),
        ) from error
    complete = _completed(found or _make(tenant), tenant=tenant, encrypt=encrypt)
    if complete != found:
        write_private(path, msgspec.json.encode(complete))
    return complete


def _read(content: bytes) -> ClusterSecrets | None:
    if content.strip() == b"{}":
        return None
    return msgspec.json.decode(content, type=ClusterSecrets)


def replace_token(path: Path, token: str) -> None:
    """Keep another token for the local user, because the one before counts no more."""
    found = msgspec.json.decode(path.read_bytes(), type=ClusterSecrets)
    write_private(path, msgspec.json.encode(msgspec.structs.replace(found, token=token)))


def _make(tenant: str) -> ClusterSecrets:
    key = keys.new_cluster_key()
    return ClusterSecrets(
        nats=generate_credentials(),
        token_key=key,
        vault_key=vault.new_key(),
        token=local_token(key, tenant=tenant, now=int(time.time())),
    )


def _completed(found: ClusterSecrets, *, tenant: str, encrypt: bool) -> ClusterSecrets:
    """Add what an earlier version did not have, and what is asked for now."""
    if not found.vault_key:
        found = msgspec.structs.replace(found, vault_key=vault.new_key())
    if encrypt and not found.store_key:
        found = msgspec.structs.replace(found, store_key=keys.new_cluster_key())
    if not _is_current(found.token):
        token = local_token(found.token_key, tenant=tenant, now=int(time.time()))
        found = msgspec.structs.replace(found, token=token)
    return found


def _is_current(token: str) -> bool:
    try:
        return jws.split(token).algorithm == keys.ALGORITHM
    except TokenRefusedError:
        return False


def check_not_lost(path: Path, mark: Path) -> None:
    """Refuse to make new secrets for a store that was begun with others, unless it is asked for."""
    if path.is_file() or not _has_streams(mark.parent):
        return
    if mark.is_file():
        raise RejectedError(
            "the file is missing: it has the key that the store is encrypted with",
            hint="put it back from a backup; without it the data cannot be read",
            where=str(path),
        )
    raise RejectedError(
        f"the file is missing: it has the keys of this data; with new ones {_NEW_KEYS}",
        hint="put it back from a backup; or, for new keys in spite of that, write {} into it",
        where=str(path),
    )


def _has_streams(store: Path) -> bool:
    return any(store.glob("**/streams"))


def check_begins_encrypted(mark: Path) -> None:
    """Refuse to encrypt a store that has begun without: its streams would count as made anew."""
    if not mark.is_file() and _has_streams(mark.parent):
        raise RejectedError(
            "the store was begun without encryption; what is in it would stay readable",
            hint="begin a new data directory with --encrypt; flunq backup and restore move data",
            where=str(mark.parent),
        )


def check_store_key(mark: Path, store_key: str) -> None:
    """Refuse a store with another key than it was written with: a server would begin an empty one.

    ``mark`` is a file beside the store that tells keys apart without telling them.
    """
    known = mark.read_text().strip() if mark.is_file() else ""
    given = keys.fingerprint(store_key) if store_key else ""
    if known and known != given:
        raise RejectedError(
            "the store is encrypted with another key than the one in run/credentials.json"
            if given
            else "the store is encrypted, and run/credentials.json has no key for it",
            hint="put the credentials.json back that belongs to this data; nothing was changed",
            where=str(mark.parent),
        )
    if given and not known:
        write_private(mark, f"{given}\n".encode())
