"""A client says that its tenant does not exist as soon as the cluster can tell."""

from __future__ import annotations

import pytest

from flunq.client import client
from flunq.client.client import Client
from flunq.core.tenancy import ADMIN_SUBJECT, TenantRecord
from flunq.errors import NotFoundError, UnavailableError
from flunq.log.memory.broker import MemoryBroker
from flunq.log.memory.stream import MemoryEventStream
from flunq.log.select import StreamSettings
from flunq.services.answering import given, refused


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
