"""A client says what is wrong with its tenant or its cluster as soon as that can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flunq.client import client, tenants
from flunq.client.client import Client
from flunq.core.tenancy import ADMIN_SUBJECT, TenantRecord
from flunq.errors import NotFoundError, UnavailableError
from flunq.log.memory.broker import MemoryBroker
from flunq.log.memory.stream import MemoryEventStream
from flunq.log.select import StreamSettings
from flunq.services.answering import given, refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@pytest.mark.parametrize("first", [None, refused(UnavailableError("the cluster stalls"))])
async def test_a_cluster_that_cannot_tell_is_asked_again(
    first: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LOOK_AGAIN_SECONDS", 0.0)
    answers = [first, given([TenantRecord(name="default", partitions=1)])]

    async def control(_question: bytes) -> bytes | None:
        return answers.pop(0)

    broker = MemoryBroker()
    async with (
        MemoryEventStream(StreamSettings(), broker) as home,
        home.requests.serve(ADMIN_SUBJECT, control),
        Client(MemoryEventStream(StreamSettings(tenant="nobody"), broker), tenant="nobody") as own,
    ):
        with pytest.raises(NotFoundError, match="there is no tenant nobody"):
            await own.info()
    assert answers == []


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda client: client.tenants.nodes(), "does not answer within 0.01 s"),
        (lambda client: client.tenants.create("acme"), "may still be at work"),
    ],
    ids=["looking", "changing"],
)
async def test_a_control_process_that_hangs_is_told(
    ask: Callable[[Client], Awaitable[Any]], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenants, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(tenants, "PATIENCE", 0.02)

    async def hang(_question: bytes) -> bytes | None:
        return None

    broker = MemoryBroker()
    async with (
        MemoryEventStream(StreamSettings(), broker) as home,
        home.requests.serve(ADMIN_SUBJECT, hang),
        Client(MemoryEventStream(StreamSettings(), broker)) as client,
    ):
        with pytest.raises(UnavailableError, match=says):
            await ask(client)
