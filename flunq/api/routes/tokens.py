"""``/v1/tokens``: who may use this API; a token itself is shown once, when it is issued."""

from __future__ import annotations

from typing import Annotated

import msgspec

from flunq.api.contract import ApiRoute, Call, Reply, json_reply
from flunq.api.durations import seconds_of
from flunq.api.problems import InvalidFieldError
from flunq.core.access import IssuedToken, TokenRole, TokenView

TAG = "tokens"
NEVER = "never"
_PATH = "/v1/tokens"
_LONGEST = 100 * 366 * 86_400.0


class TokenList(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of the tenant, never the tokens themselves."""

    items: list[TokenView]


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose it is, what it permits, and how long it counts."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    role: TokenRole = "operator"
    expires: Annotated[str, msgspec.Meta(examples=["30d", "12h", NEVER])] = "30d"


async def list_tokens(call: Call) -> Reply:
    """Return what was issued."""
    return json_reply(TokenList(items=await call.client.tokens.list(call.tenant)))


async def create(call: Call) -> Reply:
    """Issue a token for the tenant."""
    body: NewToken = call.body
    lifetime = None if body.expires == NEVER else _lifetime(body.expires)
    issued = await call.client.tokens.create(
        body.name, body.role, lifetime=lifetime, by=call.principal.name
    )
    call.target = issued.view.id
    return json_reply(issued, status=201, headers={"cache-control": "no-store"})


async def revoke(call: Call) -> Reply:
    """Let a token count no more."""
    gone = await call.client.tokens.revoke(id=call.id, tenant=call.tenant)
    return json_reply(gone[0])


def _lifetime(text: str) -> int:
    found = int(seconds_of(text, most=_LONGEST, where="$.expires"))
    if found < 1:
        raise InvalidFieldError("the token would have expired already", path="$.expires")
    return found


ROUTES = (
    ApiRoute(
        method="GET",
        path=_PATH,
        endpoint=list_tokens,
        name="listTokens",
        tag=TAG,
        role="admin",
        answer=TokenList,
        summary="List the tokens that were issued, never the tokens themselves.",
    ),
    ApiRoute(
        method="POST",
        path=_PATH,
        endpoint=create,
        name="createToken",
        tag=TAG,
        role="admin",
        body=NewToken,
        answer=IssuedToken,
        status=201,
        summary="Issue a token for the tenant; it cannot be shown again.",
        example={"name": "ci", "role": "operator", "expires": "30d"},
    ),
    ApiRoute(
        method="DELETE",
        path=_PATH + "/{id}",
        endpoint=revoke,
        name="revokeToken",
        tag=TAG,
        role="admin",
        answer=TokenView,
        summary="Let a token count no more, at once and for ever.",
    ),
)
