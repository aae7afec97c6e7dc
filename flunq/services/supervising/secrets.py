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

    A store that is encrypted stays so.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=ClusterSecrets)
    except FileNotFoundError:
        found = None
    except msgspec.DecodeError as error:
        raise RejectedError(
            f"damaged: {error}", hint="remove the file; new secrets are made", where=str(path)
        ) from error
    complete = _completed(found or _make(tenant), tenant=tenant, encrypt=encrypt)
    if complete != found:
        write_private(path, msgspec.json.encode(complete))
    return complete


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


def check_begins_encrypted(mark: Path) -> None:
    """Refuse to encrypt a store that has begun without: its streams would count as made anew."""
    if not mark.is_file() and any(mark.parent.glob("**/streams")):
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
