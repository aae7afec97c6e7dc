from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flunq.sdk.context import TaskContext
from flunq.sdk.testing import make_context
from flunq.sdk.web.shared import http_client
from tests.support.http_stub import HttpStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.sdk.web.client import HttpClient

SECRETS: dict[str, Any] = {
    "login": {"username": "ada", "password": "pw"},
    "api": {"token": "t-1"},
    "text": "just a text",
}


@pytest.fixture
async def stub() -> AsyncIterator[HttpStub]:
    async with HttpStub() as stub:
        yield stub


@pytest.fixture
async def context() -> AsyncIterator[TaskContext]:
    shared = make_context(secrets=SECRETS)
    yield TaskContext(shared)
    shared.close()


@pytest.fixture
async def client(context: TaskContext) -> HttpClient:
    return await http_client(context)
