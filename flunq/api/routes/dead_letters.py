"""``/v1/dead-letters``: what could not be worked on."""

from __future__ import annotations

from typing import Annotated

import msgspec

from flunq.api.contract import ApiRoute, Call, Reply, json_reply
from flunq.core.letters import Letter, Returned

TAG = "dead letters"
_PATH = "/v1/dead-letters"


class LetterList(msgspec.Struct, frozen=True, kw_only=True):
    """Letters, newest first, without their bodies."""

    items: list[Letter]


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which letters."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    execution: str = ""
    origin: str = ""


class RetryRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to put back instead of what the letter holds."""

    body: str | None = None


async def list_newest(call: Call) -> Reply:
    """Return the newest letters."""
    query: ListQuery = call.query
    letters = await call.client.dead_letters.list(
        limit=query.limit, execution=query.execution, origin=query.origin
    )
    return json_reply(LetterList(items=letters))


async def get(call: Call) -> Reply:
    """Return a letter with its body."""
    return json_reply(await call.client.dead_letters.show(call.id))


async def retry(call: Call) -> Reply:
    """Put a letter back."""
    return json_reply(await call.client.dead_letters.retry(call.id, call.body.body))


async def drop(call: Call) -> Reply:
    """Forget a letter."""
    return json_reply(await call.client.dead_letters.drop(call.id))


ROUTES = (
    ApiRoute(
        method="GET",
        path=_PATH,
        endpoint=list_newest,
        name="listDeadLetters",
        tag=TAG,
        query=ListQuery,
        answer=LetterList,
        summary="List what could not be worked on, newest first.",
    ),
    ApiRoute(
        method="GET",
        path=_PATH + "/{id}",
        endpoint=get,
        name="getDeadLetter",
        tag=TAG,
        answer=Letter,
        summary="Look at a dead letter with its body.",
    ),
    ApiRoute(
        method="POST",
        path=_PATH + "/{id}/retry",
        endpoint=retry,
        name="retryDeadLetter",
        tag=TAG,
        role="operator",
        body=RetryRequest,
        optional_body=True,
        answer=Returned,
        summary="Put a dead letter back where it came from.",
    ),
    ApiRoute(
        method="DELETE",
        path=_PATH + "/{id}",
        endpoint=drop,
        name="dropDeadLetter",
        tag=TAG,
        role="admin",
        answer=Letter,
        summary="Forget a dead letter.",
    ),
)
