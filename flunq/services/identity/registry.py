"""The cluster's keys and tokens in a bucket, and what this process knows of them by heart.

The bucket holds ``cluster`` (who we are), ``keys/<id>``, ``tokens/<tenant>/<id>`` (never the token
itself), ``revoked/<id>`` and ``epoch``, which is written after every change: whoever sees another
revision of it reads keys and revocations again.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from flunq.core.access import IssuedToken, Rotated, TokenView
from flunq.core.ids import is_valid_id, token
from flunq.errors import NotFoundError, RejectedError, UnavailableError
from flunq.log.ports import RevisionConflictError
from flunq.services.identity import keys
from flunq.services.identity.claims import Claims
from flunq.services.identity.keys import KeyRecord, Signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from flunq.log.ports import KeyValue
    from flunq.services.identity.principal import Role

Views: TypeAlias = list[TokenView]
_log = logging.getLogger(__name__)

EPOCH = "epoch"
CLUSTER = "cluster"
LOCAL_NAME = "local"
LONGEST_NAME = 128
_LONGEST_ID = 64
_FORGOTTEN_AFTER = 30 * 86_400
"""Seconds after its end in which an expired token is still listed."""


class AnsweredElsewhereError(Exception):
    """Another control process took the request."""


class Registry:
    """Keys and tokens; ``cluster_key`` is what only the cluster's own processes have."""

    def __init__(self, *, cluster_key: str | None, tenant: str, clock: Callable[[], float]) -> None:
        self._bucket: KeyValue
        self._cluster_key = cluster_key
        self._tenant = tenant
        self._clock = clock
        self._kept: dict[str, KeyRecord] = {}
        """The keys as they were read, whoever put them there."""
        self._believed: dict[str, KeyRecord] | None = {}
        self._public: dict[str, Ed25519PublicKey] = {}
        self._revoked: frozenset[str] = frozenset()
        self._epoch = -1
        self.issuer = ""

    # -- what the gate asks, without waiting -----------------------------------------------------

    def public_key(self, key_id: str) -> Ed25519PublicKey | None:
        """Return a key that may verify tokens."""
        record = self._records.get(key_id)
        if record is None or record.state == "revoked":
            return None
        if key_id not in self._public:
            self._public[key_id] = keys.load_public(record.public)
        return self._public[key_id]

    def is_revoked(self, token_id: str) -> bool:
        """Tell whether a token was revoked."""
        return token_id in self._revoked

    @property
    def is_open(self) -> bool:
        """Whether keys and revocations are known."""
        return self._epoch >= 0

    @property
    def epoch(self) -> int:
        """Changes whenever keys or revocations did."""
        return self._epoch

    # -- following the bucket --------------------------------------------------------------------

    async def open(self, bucket: KeyValue) -> None:
        """Put what a cluster begins with in place, and read what there is."""
        self._bucket = bucket
        self._epoch = -1
        if self._cluster_key is not None:
            await self._begin(self._cluster_key)
        await self.refresh()
        await self._tidy()

    async def refresh(self) -> bool:
        """Read keys and revocations again if something changed; tell whether it did."""
        entry = await self._bucket.get(EPOCH)
        revision = entry.revision if entry is not None else 0
        if revision == self._epoch:
            return False
        await self._read_keys()
        self._revoked = frozenset(
            key.partition("/")[2] for key in await self._bucket.keys("revoked/")
        )
        self.issuer = await self._read_issuer()
        self._epoch = revision
        return True

    async def _begin(self, cluster_key: str) -> None:
        cluster = await self._bucket.get(CLUSTER)
        own = cluster is not None and cluster.value.decode() == keys.cluster_id(cluster_key)
        if own and await self._bucket.get(EPOCH) is not None:
            return  # the epoch is written last
        now = int(self._clock())
        await self._create(CLUSTER, keys.cluster_id(cluster_key).encode())
        first = keys.first_signer(cluster_key)
        record = KeyRecord(id=first.key_id, public=first.public, created_at=now)
        if not await self._create(f"keys/{first.key_id}", msgspec.json.encode(record)):
            return
        local = TokenView(
            id=keys.local_token_id(cluster_key),
            name=LOCAL_NAME,
            tenant=self._tenant,
            role="admin",
            created_at=now,
            key=first.key_id,
        )
        await self._create(_token_key(local), msgspec.json.encode(local))
        await self._touch()

    async def _read_keys(self) -> None:
        found: dict[str, KeyRecord] = {}
        for name in await self._bucket.keys("keys/"):
            entry = await self._bucket.get(name)
            if entry is not None:
                record = msgspec.json.decode(entry.value, type=KeyRecord)
                found[record.id] = record
        self._kept, self._believed, self._public = found, None, {}

    @property
    def _records(self) -> dict[str, KeyRecord]:
        """The keys that are ours; telling them apart takes megabytes of code, so it is put off."""
        if self._believed is None:
            self._believed = {
                name: each for name, each in self._kept.items() if self._is_ours(each)
            }
        return self._believed

    def _is_ours(self, record: KeyRecord) -> bool:
        """Believe no key that somebody else put there, as far as this process can tell."""
        if keys.key_id_of(record.public) != record.id:
            return False
        return self._cluster_key is None or keys.open_signer(record, self._cluster_key) is not None

    async def _read_issuer(self) -> str:
        entry = await self._bucket.get(CLUSTER)
        kept = entry.value.decode() if entry is not None else ""
        if self._cluster_key is None:
            return kept
        own = keys.cluster_id(self._cluster_key)
        if kept != own:
            _log.warning(
                "the tokens of this cluster were issued with another key and are refused here; "
                "all its control processes need the same FLUNQ_TOKEN_KEY"
            )
        return own

    # -- tokens ----------------------------------------------------------------------------------

    async def create(
        self,
        *,
        name: str,
        role: Role,
        tenant: str,
        lifetime: int | None,
        id: str = "",
        by: str = "",
    ) -> IssuedToken:
        """Issue a token; raises RejectedError when its name or tenant cannot be."""
        _check_wish(name, tenant, lifetime, id)
        signer = self._signer()
        now = int(self._clock())
        view = TokenView(
            id=id or secrets.token_hex(8),
            name=name,
            tenant=tenant,
            role=role,
            created_at=now,
            expires=None if lifetime is None else now + lifetime,
            key=signer.key_id,
            created_by=by,
        )
        if not await self._create(_token_key(view), msgspec.json.encode(view)):
            view = await self._same_again(view)
        return IssuedToken(token=signer.sign(claims_of(view, self.issuer)), view=view)

    async def _same_again(self, wanted: TokenView) -> TokenView:
        """Return the token that an earlier copy of the same request has made."""
        entry = await self._bucket.get(_token_key(wanted))
        if entry is not None:
            kept = msgspec.json.decode(entry.value, type=TokenView)
            alike = (kept.name, kept.role, kept.key, kept.revoked_at)
            if alike == (wanted.name, wanted.role, wanted.key, None):
                return kept
        raise RejectedError(f"there is another token {wanted.id}")

    async def list(self, tenant: str | None = None) -> list[TokenView]:
        """Return the tokens of one tenant, or of all."""
        prefix = "tokens/" if tenant is None else f"tokens/{token(tenant)}/"
        found = [self._seen(view) for view in await self._views(prefix)]
        return sorted(found, key=lambda view: (view.tenant, view.created_at, view.id))

    async def revoke(self, *, id: str = "", name: str = "", tenant: str | None = None) -> Views:
        """Revoke one token, or all of a name; revoking twice changes nothing."""
        chosen = [
            view
            for view in await self.list(tenant)
            if (id and view.id == id) or (name and view.name == name)
        ]
        if not chosen:
            raise NotFoundError(f"there is no token {id or name!r}", hint="flunq tokens list")
        revoked = [await self._revoke(view) for view in chosen]
        await self._touch()
        return revoked

    async def revoke_all(self, tenant: str) -> None:
        """Revoke all tokens of a tenant: another one may get its name."""
        for view in await self.list(tenant):
            await self._revoke(view)
        await self._touch()

    async def rotate(self, request: str, *, revoke_old: bool) -> Rotated:
        """Sign with a new key from now on; old ones verify until they are revoked.

        Raises AnsweredElsewhereError when another process does what was asked.
        """
        cluster_key = self._require_key()
        if not is_valid_id(request):
            raise RejectedError(f"{request!r} cannot be the id of a request")
        if not await self._create(f"rotations/{request}", b""):
            raise AnsweredElsewhereError
        await self.refresh()
        signer = keys.new_signer()
        record = KeyRecord(
            id=signer.key_id,
            public=signer.public,
            created_at=int(self._clock()),
            sealed=signer.sealed(cluster_key),
        )
        await self._put_key(record)
        old = [each for each in self._records.values() if each.state != "revoked"]
        for each in old:
            await self._put_key(_retired(each, int(self._clock()) if revoke_old else None))
        await self._touch()
        return Rotated(key=signer.key_id, old=sorted(each.id for each in old), revoked=revoke_old)

    # --------------------------------------------------------------------------------------------

    async def _views(self, prefix: str = "tokens/") -> Views:
        found: Views = []
        for key in await self._bucket.keys(prefix):
            entry = await self._bucket.get(key)
            if entry is not None:
                found.append(msgspec.json.decode(entry.value, type=TokenView))
        return found

    def _seen(self, view: TokenView) -> TokenView:
        """A token ends with its key."""
        key = self._records.get(view.key)
        if view.revoked_at is not None or key is None or key.revoked_at is None:
            return view
        return msgspec.structs.replace(view, revoked_at=key.revoked_at)

    async def _revoke(self, view: TokenView) -> TokenView:
        # The revocation comes first: it counts, the listing only tells.
        await self._bucket.put(f"revoked/{view.id}", b"")
        if view.revoked_at is not None:
            return view
        gone = msgspec.structs.replace(view, revoked_at=int(self._clock()))
        await self._bucket.put(_token_key(gone), msgspec.json.encode(gone))
        return gone

    async def _tidy(self) -> None:
        """Forget tokens that expired long ago; nothing can be done with them."""
        latest = self._clock() - _FORGOTTEN_AFTER
        for view in await self._views():
            if view.expires is not None and view.expires < latest:
                await self._bucket.delete(_token_key(view))
                await self._bucket.delete(f"revoked/{view.id}")

    def _signer(self) -> Signer:
        cluster_key = self._require_key()
        active = [each for each in self._records.values() if each.state == "active"]
        newest = max(active, key=lambda each: (each.created_at, each.id), default=None)
        signer = keys.open_signer(newest, cluster_key) if newest is not None else None
        if signer is None:
            raise UnavailableError("there is no key to sign with", hint="flunq tokens rotate")
        return signer

    def _require_key(self) -> str:
        if self._cluster_key is None:
            raise UnavailableError(
                "this control process does not have the cluster's key and can issue nothing",
                hint="start it with FLUNQ_TOKEN_KEY",
            )
        return self._cluster_key

    async def _put_key(self, record: KeyRecord) -> None:
        await self._bucket.put(f"keys/{record.id}", msgspec.json.encode(record))

    async def _create(self, key: str, value: bytes) -> bool:
        try:
            await self._bucket.swap(key, value, revision=0)
        except RevisionConflictError:
            return False
        return True

    async def _touch(self) -> None:
        await self._bucket.put(EPOCH, b"")
        await self.refresh()


def _check_wish(name: str, tenant: str, lifetime: int | None, id: str) -> None:
    if not is_valid_id(tenant):
        raise RejectedError(f"{tenant!r} cannot name a tenant")
    if id and not (is_valid_id(id) and len(id) <= _LONGEST_ID):
        raise RejectedError(f"{id!r} cannot be the id of a token")
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise RejectedError(f"a token's name has 1 to {LONGEST_NAME} printable characters")
    if lifetime is not None and lifetime <= 0:
        raise RejectedError("the token would have expired already")


def _retired(record: KeyRecord, revoked_at: int | None) -> KeyRecord:
    state: Literal["old", "revoked"] = "old" if revoked_at is None else "revoked"
    return msgspec.structs.replace(record, state=state, revoked_at=revoked_at)


def claims_of(view: TokenView, issuer: str) -> Claims:
    """Return what a token says."""
    return Claims(
        iss=issuer,
        tenant=view.tenant,
        role=view.role,
        name=view.name,
        jti=view.id,
        iat=view.created_at,
        nbf=view.created_at,
        exp=view.expires,
    )


def local_token(cluster_key: str, *, tenant: str, now: int) -> str:
    """Return the administrator's token of a cluster that need not run yet."""
    signer = keys.first_signer(cluster_key)
    claims = Claims(
        iss=keys.cluster_id(cluster_key),
        tenant=tenant,
        role="admin",
        name=LOCAL_NAME,
        jti=keys.local_token_id(cluster_key),
        iat=now,
        nbf=now,
    )
    return signer.sign(claims)


def _token_key(view: TokenView) -> str:
    return f"tokens/{token(view.tenant)}/{view.id}"
