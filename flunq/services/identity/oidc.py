"""Tokens of a company's own issuer: its keys are fetched, kept for a while and followed."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from flunq.core.ids import is_valid_id
from flunq.errors import UnavailableError, UsageError
from flunq.services.identity import jws
from flunq.services.identity.claims import SKEW, Claims
from flunq.services.identity.jwks import read_jwks
from flunq.services.identity.principal import ROLES, Role, TokenRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.services.identity.jwks import VerifyingKey
    from flunq.services.identity.settings import OidcSettings

_log = logging.getLogger(__name__)

FRESH = 600.0
"""Seconds after which keys are fetched again."""
SPARED = 30.0
"""Seconds between fetches, however many unknown keys tokens name."""
STALE = 86_400.0
"""Keys of an issuer that does not answer are used for so long."""
_LARGEST = 1024 * 1024
_SECONDS = 5.0


class Issuer:
    """Verifies tokens of one OIDC issuer."""

    def __init__(self, settings: OidcSettings, *, clock: Callable[[], float]) -> None:
        check_address(settings.issuer)
        self._settings = settings
        self._clock = clock
        self._keys: dict[str, VerifyingKey] = {}
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._turn = asyncio.Lock()

    async def verify(self, token: jws.Unverified) -> Claims:
        """Return what a token of the issuer grants; raises TokenRefusedError."""
        key = await self._key(token.key_id)
        if key is None or token.algorithm != key.algorithm:
            raise TokenRefusedError("the token was issued by nobody that is trusted here")
        key.verify(token.signed, token.signature)
        return self._claims(jws.parse_object(token.payload))

    async def _key(self, key_id: str) -> VerifyingKey | None:
        now = self._clock()
        if now - self._fetched > FRESH or key_id not in self._keys:
            async with self._turn:
                await self._follow(key_id)
        return self._keys.get(key_id)

    async def _follow(self, key_id: str) -> None:
        now = self._clock()
        known = key_id in self._keys and now - self._fetched <= FRESH
        if known or now - self._tried < SPARED:
            return
        self._tried = now
        try:
            self._keys = read_jwks(await self._fetch())
            self._fetched = now
        except (OSError, ValueError, UnavailableError, UsageError) as error:
            _log.warning("the keys of %s cannot be fetched: %s", self._settings.issuer, error)
            if now - self._fetched > STALE:
                self._keys = {}

    async def _fetch(self) -> bytes:
        issuer = self._settings.issuer
        document = await _get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        try:
            found = msgspec.json.decode(document, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise ValueError(f"the issuer's description is not readable: {error}") from None
        if found.get("issuer") != issuer:
            raise ValueError(f"the issuer calls itself {found.get('issuer')!r}")
        address = str(found.get("jwks_uri", ""))
        check_address(address)
        return await _get(address)

    def _claims(self, members: dict[str, Any]) -> Claims:
        settings, now = self._settings, self._clock()
        audience = members.get("aud")
        if members.get("iss") != settings.issuer:
            raise TokenRefusedError("the token names another issuer")
        if settings.audience not in (audience if isinstance(audience, list) else [audience]):
            raise TokenRefusedError("the token is meant for somebody else")
        expires, issued = _moment(members, "exp"), _moment(members, "iat")
        begins = _moment(members, "nbf") or 0
        if expires is None or now >= expires:
            raise TokenRefusedError("the token has expired")
        if max(issued or 0, begins) > now + SKEW:
            raise TokenRefusedError("the token is not valid yet")
        subject = members.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= 200:
            raise TokenRefusedError("the token names nobody")
        return Claims(
            iss=settings.issuer,
            tenant=self._tenant(members),
            role=self._role(members),
            name=_name(members) or subject,
            jti=f"oidc:{subject}",
            iat=int(issued or 0),
            exp=int(expires),
        )

    def _tenant(self, members: dict[str, Any]) -> str:
        tenant = _claim(members, self._settings.tenant_claim)
        if not isinstance(tenant, str) or not is_valid_id(tenant):
            raise TokenRefusedError(f"the token has no tenant in {self._settings.tenant_claim}")
        return tenant

    def _role(self, members: dict[str, Any]) -> Role:
        """Return the highest of the roles that the token names."""
        found = _claim(members, self._settings.role_claim)
        named = found if isinstance(found, list) else [found]
        for role in reversed(ROLES):
            if role in named:
                return role
        raise TokenRefusedError(f"the token has no role in {self._settings.role_claim}")


def check_address(url: str) -> None:
    """Raise UsageError unless an address is https, or on this machine."""
    parts = urlsplit(url)
    if parts.hostname and (parts.scheme == "https" or _is_loopback(parts)):
        return
    raise UsageError(
        f"{url!r} cannot be an address of an issuer", hint="use https://, or http:// on loopback"
    )


def _is_loopback(parts: Any) -> bool:
    if parts.scheme != "http":
        return False
    try:
        return ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return str(parts.hostname) == "localhost"


async def _get(url: str) -> bytes:
    import httpx  # only where an issuer is configured

    body = b""
    try:
        async with (
            asyncio.timeout(_SECONDS),
            httpx.AsyncClient(follow_redirects=False, trust_env=False) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                raise UnavailableError(f"{url} answers {response.status_code}")
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _LARGEST:
                    raise UnavailableError(f"{url} answers with too much")
    except (httpx.HTTPError, TimeoutError) as error:
        raise UnavailableError(f"{url}: {error or type(error).__name__}") from error
    return body


def _claim(members: dict[str, Any], path: str) -> Any:
    """Return a claim by its name, or else by a path with dots."""
    if path in members:
        return members[path]
    found: Any = members
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _moment(members: dict[str, Any], name: str) -> float | None:
    value = members.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1 << 40:
        raise TokenRefusedError(f"the token's {name} is no moment")
    return float(value)


def _name(members: dict[str, Any]) -> str:
    for claim in ("preferred_username", "email"):
        value = members.get(claim)
        if isinstance(value, str) and 0 < len(value) <= 200:
            return value
    return ""
