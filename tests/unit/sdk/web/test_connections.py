"""Connections are kept for the next request to the same origin."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from httpx import URL

from flunq.sdk.testing import LOCAL
from flunq.sdk.web.client import HttpClient, Outgoing
from tests.support.http_stub import HttpStub

LIMIT = 3


async def ask(client: HttpClient, stub: HttpStub) -> set[int]:
    """Send as many requests at once as there may be; return the connections that they took."""
    before = len(stub.requests)
    async with asyncio.TaskGroup() as group:
        for _ in range(LIMIT):
            group.create_task(client.send(Outgoing("GET", URL(f"{stub.url}/a"), {})))
    return {request.connection for request in stub.requests[before:]}


@pytest.mark.parametrize("gone", [False, True])
async def test_the_connections_of_a_quiet_origin_make_room_for_those_in_use(gone: bool) -> None:
    client = HttpClient(msgspec.structs.replace(LOCAL, max_connections=LIMIT))
    async with HttpStub() as quiet, HttpStub() as busy:
        await ask(client, quiet)
        if gone:
            await quiet.__aexit__(None, None, None)
        first = await ask(client, busy)
        assert len(first) == LIMIT
        for _ in range(3):
            assert await ask(client, busy) <= first
        client.close()
