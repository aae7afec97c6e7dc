"""The secrets of a local cluster, made once and kept in its data directory (0600)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from flunq.errors import RejectedError
from flunq.log.nats.server import Credentials, generate_credentials
from flunq.services import tokens, vault
from flunq.services.supervising.layout import write_private

if TYPE_CHECKING:
    from pathlib import Path


class ClusterSecrets(msgspec.Struct, kw_only=True, frozen=True):
    """Users of the NATS servers, the key of the API's tokens, the local user's token."""

    nats: Credentials
    token_key: str
    token: str
    vault_key: str = ""

    def __repr__(self) -> str:
        return "ClusterSecrets(...)"


def load_secrets(path: Path, *, tenant: str) -> ClusterSecrets:
    """Return the cluster's secrets, making them the first time; contexts stay valid that way."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=ClusterSecrets)
    except FileNotFoundError:
        return _make(path, tenant)
    except msgspec.DecodeError as error:
        raise RejectedError(
            f"damaged: {error}", hint="remove the file; new secrets are made", where=str(path)
        ) from error
    if not found.vault_key:
        found = msgspec.structs.replace(found, vault_key=vault.new_key())
        write_private(path, msgspec.json.encode(found))
    return found


def _make(path: Path, tenant: str) -> ClusterSecrets:
    key = tokens.new_key()
    made = ClusterSecrets(
        nats=generate_credentials(),
        token_key=key,
        vault_key=vault.new_key(),
        token=tokens.issue(key, tenant=tenant, role="admin", now=int(time.time())),
    )
    write_private(path, msgspec.json.encode(made))
    return made
