"""A gate on the memory backend, with a clock that tests move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq.log.memory import MemoryBroker, MemoryDatabase
from flunq.log.select import StreamSettings
from flunq.services.identity import Gate, IdentitySettings
from flunq.services.identity.registry import Registry

if TYPE_CHECKING:
    from flunq.log.ports import KeyValue

CLUSTER_KEY = "the key of the cluster under test, of which nobody else knows"
NOW = 1_800_000_000.0


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Desk:
    """One control process's registry and gate."""

    def __init__(self, bucket: KeyValue, settings: IdentitySettings, clock: HandClock) -> None:
        self.clock = clock
        self.settings = settings
        self.bucket = bucket
        self.registry = Registry(cluster_key=settings.token_key, tenant="default", clock=clock)
        self.gate = Gate(self.registry, settings, clock=clock)

    async def open(self) -> Desk:
        await self.registry.open(self.bucket)
        return self

    async def beside(self) -> Desk:
        """Return another control process of the same cluster."""
        return await Desk(self.bucket, self.settings, self.clock).open()

    async def token(self, *, lifetime: int | None = 3600, name: str = "ci") -> str:
        issued = await self.registry.create(
            name=name, role="operator", tenant="shop", lifetime=lifetime
        )
        return issued.token


@pytest.fixture
async def desk() -> Desk:
    """An open desk."""
    database = MemoryDatabase(StreamSettings(), MemoryBroker())
    await database.ensure()
    settings = IdentitySettings(
        token_key=CLUSTER_KEY, rate_limit=10, rate_burst=20, failure_rate=1, failure_burst=5
    )
    return await Desk(database.identity, settings, HandClock()).open()
