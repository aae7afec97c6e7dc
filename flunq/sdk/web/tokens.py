"""Access tokens of all policies: each is asked for once and kept until it expires."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from flunq.sdk.web.authentication import Credentials, bearer
from flunq.sdk.web.oauth2 import Token, TokenSource
from flunq.sdk.web.once import Once

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from flunq.sdk.context import TaskContext
    from flunq.sdk.web.client import HttpClient

MAX_POLICIES = 1000
_KEY = "web.tokens"


async def with_token(
    scheme: str, members: dict[str, Any], context: TaskContext, client: HttpClient
) -> Credentials:
    """Return a token as credentials that renew it when the server does not take it."""
    cache: Tokens = context.shared.kept.setdefault(_KEY, Tokens())
    slot = cache.slot(scheme, members, client, context.settings.request_timeout)
    token = await slot.token()
    return bearer(token.value, _Renewing(slot, token, context))


class Tokens:
    """One slot for each policy, the oldest are forgotten first."""

    def __init__(self) -> None:
        self._slots: OrderedDict[bytes, _Slot] = OrderedDict()

    def slot(self, scheme: str, members: dict[str, Any], client: HttpClient, limit: float) -> _Slot:
        """Return the place of a policy's token."""
        key = hashlib.sha256(msgspec.json.encode([scheme, members], order="sorted")).digest()
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = _Slot(TokenSource(scheme, members, client), limit)
        self._slots.move_to_end(key)
        if len(self._slots) > MAX_POLICIES:
            self._slots.popitem(last=False)
        return slot

    def close(self) -> None:
        """Stop asking."""
        for slot in self._slots.values():
            slot.close()
        self._slots.clear()


class _Slot:
    """The token of one policy; whoever wants it while it is asked for waits for the same one."""

    def __init__(self, source: TokenSource, limit: float) -> None:
        self._source = source
        self._limit = limit
        self._token: Token | None = None
        self._once = Once()

    async def token(self, *, instead_of: Token | None = None) -> Token:
        """Return a token that is good, and not the one that was refused."""
        token = self._token
        if token is not None and token is not instead_of and time.monotonic() < token.until:
            return token
        return await self._once.run(None, self._ask, self._limit)

    def close(self) -> None:
        """Stop asking."""
        self._once.close()

    async def _ask(self) -> Token:
        token = self._token = await self._source.token(self._token)
        return token


class _Renewing(httpx.Auth):
    """Sends a token, and once more another one when the first is not taken."""

    def __init__(self, slot: _Slot, token: Token, context: TaskContext) -> None:
        self._slot = slot
        self._context = context
        self._token = token

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Authorize the request; a refusal drops the token."""
        request.headers["authorization"] = f"Bearer {self._token.value}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            token = await self._slot.token(instead_of=self._token)
            self._context.conceal(token.value)
            request.headers["authorization"] = f"Bearer {token.value}"
            yield request
