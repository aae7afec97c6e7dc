"""The gate of the API: from an ``Authorization`` header to a principal, or a refusal."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from flunq.errors import UnavailableError
from flunq.services.identity import jws, keys
from flunq.services.identity.claims import check_times, read_claims
from flunq.services.identity.limits import Limiter
from flunq.services.identity.principal import Principal, TokenRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.services.identity.claims import Claims
    from flunq.services.identity.oidc import Issuer
    from flunq.services.identity.registry import Registry
    from flunq.services.identity.settings import IdentitySettings

_REMEMBERED = 4096
_FOREIGN_SECONDS = 300.0
_TOO_MANY = "too many refused tokens came from this address"


class _Seen(NamedTuple):
    """A token that was verified; ``key_id`` is empty when somebody else issued it."""

    key_id: str
    claims: Claims
    at: float


class Gate:
    """Verifies bearer tokens and counts requests."""

    def __init__(
        self,
        registry: Registry,
        settings: IdentitySettings,
        *,
        issuer: Issuer | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._issuer = issuer
        self._clock = clock
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self._requests = Limiter(rate=settings.rate_limit, burst=settings.rate_burst, clock=clock)
        self._failures = Limiter(
            rate=settings.failure_rate, burst=settings.failure_burst, clock=clock
        )

    async def principal(self, authorization: str | None, *, remote: str) -> Principal:
        """Return who asks; raises TokenRefusedError or, after many failures, TooManyRequestsError.

        A good token is not held up by what others at its address try.
        """
        if not self._registry.is_open:
            raise UnavailableError("keys and tokens are not known yet", hint="ask again soon")
        token = _bearer(authorization)
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._recall(digest)
        try:
            if known is not None:
                return self._still_good(known.key_id, known.claims)
            key_id, claims = await self._verified(token, remote)
            principal = self._still_good(key_id, claims)
        except TokenRefusedError:
            self._seen.pop(digest, None)
            self._failures.check(remote, _TOO_MANY)
            self._failures.spend(remote)
            raise
        self._remember(digest, key_id, claims)
        return principal

    def allow(self, principal: Principal) -> None:
        """Count a request; raises TooManyRequestsError when it is one too many."""
        self._requests.take(
            (principal.tenant, principal.token_id), f"{principal.name} makes too many requests"
        )

    async def _verified(self, token: str, remote: str) -> tuple[str, Claims]:
        unverified = jws.split(token)
        public = self._registry.public_key(unverified.key_id)
        if public is None and self._issuer is not None:
            self._failures.check(remote, _TOO_MANY)  # the issuer would be asked for its keys
            return "", await self._issuer.verify(unverified)
        if public is None:
            raise TokenRefusedError("the token was not issued by this cluster")
        keys.verify(public, unverified)
        claims = read_claims(jws.parse_object(unverified.payload))
        if claims.iss != self._registry.issuer:
            raise TokenRefusedError("the token was issued for another cluster")
        return unverified.key_id, claims

    def _still_good(self, key_id: str, claims: Claims) -> Principal:
        check_times(claims, self._clock())
        if key_id and self._registry.public_key(key_id) is None:
            raise TokenRefusedError("the key of this token was revoked")
        if self._registry.is_revoked(claims.jti):
            raise TokenRefusedError("the token was revoked", hint="flunq tokens create")
        return claims.principal()

    def _recall(self, digest: bytes) -> _Seen | None:
        """Keys of an issuer elsewhere come and go without news: look at its tokens again."""
        known = self._seen.get(digest)
        if known is None or known.key_id or self._clock() - known.at < _FOREIGN_SECONDS:
            return known
        del self._seen[digest]
        return None

    def _remember(self, digest: bytes, key_id: str, claims: Claims) -> None:
        self._seen[digest] = _Seen(key_id, claims, self._clock())
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)


def _bearer(authorization: str | None) -> str:
    if not authorization:
        raise TokenRefusedError(
            "this needs a bearer token", hint="Authorization: Bearer TOKEN; flunq tokens create"
        )
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > jws.LONGEST:
        raise TokenRefusedError("this needs a bearer token", hint="Authorization: Bearer TOKEN")
    return token
