"""Addresses by which one person answers one question, once, without a token.

A link carries what it is for and a keyed digest over that, so any process that knows the cluster's
proof can make one without asking; only its use is stored. A cluster without a key keeps what a link
is for in a bucket, beside the digest of a random secret.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.access import ApprovalLink
from flunq.errors import ConflictError, FlunqError, NotFoundError, RejectedError
from flunq.log.ports import RevisionConflictError
from flunq.sdk.executor import TaskError
from flunq.services.identity import jws
from flunq.services.identity.limits import Limiter
from flunq.services.identity.principal import Principal, TokenRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.access import CreateLink
    from flunq.log.ports import KeyValue
    from flunq.sdk.secrets import Secrets

PATH = "/approvals/"
"""What follows this in a path lets its owner answer, and is not for the log."""
DEFAULT_LIFETIME = 7 * 86_400
LONGEST_LIFETIME = 366 * 86_400
LINKS_NAME = "approvalLinks"
"""What a workflow names in ``use.secrets`` to have links to its own tasks."""
ANY_STEP = -1
_NONCE, _DIGEST = 12, 20
_LONGEST = 2048
_SIGNED, _KEPT = "s", "k"
_TAKEN_SECONDS = 60.0
"""After this long a link whose use was begun and not ended may be used by somebody else."""
_UNKNOWN_RATE, _UNKNOWN_BURST = 0.5, 20.0
_USE_RATE, _USE_BURST = 1.0, 30.0
_encode = msgspec.msgpack.Encoder().encode


class LinkEndedError(FlunqError):
    """The link was used, or its time is over."""

    code, title, status, exit_code = "link-ended", "This link counts no more", 410, 3
    claims: LinkClaims | None = None
    """What the link was for."""


class LinkClaims(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a link is for."""

    tenant: str
    execution: str
    task: str
    step: int
    """Which time the task is run; ANY_STEP where that was not known yet."""
    expires: int
    nonce: bytes

    @property
    def id(self) -> str:
        """Return what tells a link from others without being good for anything."""
        return self.nonce.hex()

    def principal(self) -> Principal:
        """Return who acts by this link."""
        return Principal(
            name=f"link {self.id}", tenant=self.tenant, role="operator", token_id=self.id
        )


class _Use(msgspec.Struct, frozen=True, kw_only=True):
    """That a link is being used, or was."""

    answer: str
    """Digest of what was answered: the same again is a repetition."""
    at: float
    expires: int
    done: bool = False


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    claims: LinkClaims
    secret: bytes
    """Its digest."""


_claims = msgspec.msgpack.Decoder(LinkClaims).decode
_use = msgspec.json.Decoder(_Use).decode
_kept = msgspec.msgpack.Decoder(_Kept).decode


class LinkSigner:
    """Makes links and knows them again."""

    def __init__(self, proof: str) -> None:
        self._key = hmac.digest(proof.encode(), b"flunq approval links", hashlib.sha256)

    def token(self, claims: LinkClaims) -> str:
        """Return the secret part of a link's address."""
        body = _encode(claims)
        return _SIGNED + jws.encode(body + self._digest(body))

    def read(self, token: str) -> LinkClaims:
        """Return what a link is for; raises NotFoundError for one that nobody here made."""
        raw = _decoded(token)
        body, digest = raw[:-_DIGEST], raw[-_DIGEST:]
        if not hmac.compare_digest(self._digest(body), digest):
            raise unknown_link()
        return _claims(body)

    def _digest(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)[:_DIGEST]


class ApprovalLinks:
    """The links of a cluster in a control process: made, recognised, and used once."""

    def __init__(self, proof: str, *, clock: Callable[[], float]) -> None:
        self._signer = LinkSigner(proof) if proof else None
        self._clock = clock
        self._bucket: KeyValue
        self._unknown = Limiter(rate=_UNKNOWN_RATE, burst=_UNKNOWN_BURST, clock=clock)
        self._uses = Limiter(rate=_USE_RATE, burst=_USE_BURST, clock=clock)

    def open(self, bucket: KeyValue) -> None:
        """Keep uses in a bucket from now on."""
        self._bucket = bucket

    async def create(self, question: CreateLink, *, tenant: str) -> ApprovalLink:
        """Make a link; raises RejectedError when it would count too long or not at all."""
        if not 0 < question.lifetime <= LONGEST_LIFETIME:
            longest = LONGEST_LIFETIME // 86_400
            raise RejectedError(f"a link counts for a second at least and {longest} days at most")
        claims = LinkClaims(
            tenant=tenant,
            execution=question.id,
            task=question.task,
            step=question.step,
            expires=int(self._clock()) + question.lifetime,
            nonce=os.urandom(_NONCE),
        )
        token = self._signer.token(claims) if self._signer else await self._keep(claims)
        return ApprovalLink(
            id=claims.id,
            execution=claims.execution,
            task=claims.task,
            path=PATH + token,
            expires=claims.expires,
        )

    async def read(self, token: str, *, remote: str) -> LinkClaims:
        """Return what a link is for, if it may be used still.

        Raises NotFoundError, LinkEndedError or, after many attempts, TooManyRequestsError.
        """
        try:
            claims = await self._known(token)
        except NotFoundError:
            self._unknown.check(remote, "too many unknown links came from this address")
            self._unknown.spend(remote)
            raise
        self._uses.take(claims.id, "this link is opened too often")
        if self._clock() >= claims.expires:
            raise _over(claims, "the time of this link is over")
        entry = await self._bucket.get(_use_key(claims))
        if entry is not None and _use(entry.value).done:
            raise _used(claims)
        return claims

    async def take(self, claims: LinkClaims, answer: Any) -> int:
        """Use a link up before its answer is published; returns what :meth:`finish` needs.

        The same answer again goes on where a process died. Raises LinkEndedError or ConflictError.
        """
        wanted = hashlib.sha256(msgspec.json.encode(answer, order="sorted")).hexdigest()
        use = _Use(answer=wanted, at=self._clock(), expires=claims.expires)
        key = _use_key(claims)
        entry = await self._bucket.get(key)
        if entry is not None:
            before = _use(entry.value)
            if before.done:
                raise _used(claims)
            if before.answer != wanted and self._clock() - before.at < _TAKEN_SECONDS:
                raise ConflictError("another answer is on its way by this link")
        try:
            revision = entry.revision if entry is not None else 0
            return await self._bucket.swap(key, msgspec.json.encode(use), revision=revision)
        except RevisionConflictError:
            raise _over(claims, "this link is being used by somebody else") from None

    async def finish(self, claims: LinkClaims) -> None:
        """Let a link count no more: what was answered is published."""
        use = _Use(answer="", at=self._clock(), expires=claims.expires, done=True)
        await self._bucket.put(_use_key(claims), msgspec.json.encode(use))

    async def release(self, claims: LinkClaims, revision: int) -> None:
        """Give a link back whose answer the cluster refused; nothing was published."""
        use = _Use(answer="", at=0.0, expires=claims.expires)
        # Somebody else may have taken it meanwhile.
        with contextlib.suppress(RevisionConflictError):
            await self._bucket.swap(_use_key(claims), msgspec.json.encode(use), revision=revision)

    async def tidy(self) -> None:
        """Forget uses and secrets of links that count no more in any case."""
        now = self._clock()
        for key in await self._bucket.keys("links/used/"):
            entry = await self._bucket.get(key)
            if entry is not None and _use(entry.value).expires < now:
                await self._bucket.delete(key)
        for key in await self._bucket.keys("links/made/"):
            entry = await self._bucket.get(key)
            if entry is not None and _kept(entry.value).claims.expires < now:
                await self._bucket.delete(key)

    async def _keep(self, claims: LinkClaims) -> str:
        """Keep what a link is for, where there is no key to sign it with."""
        secret = os.urandom(_DIGEST)
        kept = _Kept(claims=claims, secret=hashlib.sha256(secret).digest())
        await self._bucket.put(f"links/made/{claims.id}", _encode(kept))
        return _KEPT + jws.encode(claims.nonce + secret)

    async def _known(self, token: str) -> LinkClaims:
        if token.startswith(_SIGNED) and self._signer is not None:
            return self._signer.read(token)
        raw = _decoded(token)
        entry = await self._bucket.get(f"links/made/{raw[:_NONCE].hex()}")
        if not token.startswith(_KEPT) or entry is None:
            raise unknown_link()
        kept = _kept(entry.value)
        if not hmac.compare_digest(kept.secret, hashlib.sha256(raw[_NONCE:]).digest()):
            raise unknown_link()
        return kept.claims


class LinkSecrets:
    """Secrets of a tenant, and links of an execution unless a secret has their name."""

    __slots__ = ("_execution", "_links", "_others")

    def __init__(
        self, others: Secrets, links: Callable[[str], dict[str, str]], execution: str
    ) -> None:
        self._others = others
        self._links = links
        self._execution = execution

    def resolve(self, name: str) -> Any:
        """Return a secret's value, or a mapping of tasks to links."""
        try:
            return self._others.resolve(name)
        except TaskError:
            if name != LINKS_NAME:
                raise
            return self._links(self._execution)


class OwnLinks(dict[str, str]):
    """Links to the tasks of one execution, each made when it is asked for."""

    def __init__(self, make: Callable[[str], str]) -> None:
        super().__init__()
        self._make = make

    def __contains__(self, task: object) -> bool:
        return isinstance(task, str)

    def __missing__(self, task: str) -> str:
        self[task] = self._make(task)
        return self[task]


def own_links(signer: LinkSigner, tenant: str, execution: str, now: float) -> OwnLinks:
    """Return the links that an execution may send to whoever is to answer it."""

    def make(task: str) -> str:
        claims = LinkClaims(
            tenant=tenant,
            execution=execution,
            task=task,
            step=ANY_STEP,
            expires=int(now) + DEFAULT_LIFETIME,
            nonce=os.urandom(_NONCE),
        )
        return PATH + signer.token(claims)

    return OwnLinks(make)


def unknown_link() -> NotFoundError:
    """Return the error for a link that nobody here made."""
    return NotFoundError("there is no such link")


def _used(claims: LinkClaims) -> LinkEndedError:
    return _over(claims, "this link was used already")


def _over(claims: LinkClaims, why: str) -> LinkEndedError:
    error = LinkEndedError(why)
    error.claims = claims
    return error


def _use_key(claims: LinkClaims) -> str:
    return f"links/used/{claims.id}"


def _decoded(token: str) -> bytes:
    if len(token) > _LONGEST:
        raise unknown_link()
    try:
        return jws.decode(token[1:])
    except TokenRefusedError:
        raise unknown_link() from None
