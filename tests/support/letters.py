"""A cluster in virtual time whose dead letters somebody keeps."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from flunq.core.letters import letters_subject
from flunq.services.letters.desk import Desk
from tests.support.virtual import in_cluster, store_of, stream_of
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.client.client import Client
    from flunq.core.letters import Letter
    from flunq.testing.cluster import Cluster
    from tests.support.virtual import Situation

T = TypeVar("T")


@asynccontextmanager
async def keeping(cluster: Cluster, client: Client) -> AsyncIterator[None]:
    """Let somebody answer about dead letters."""
    async with stream_of(cluster) as stream, store_of(cluster) as store:
        desk = Desk(client, stream, store)
        async with client.serving(letters_subject("default"), desk.answer):
            yield


def in_kept_cluster(situation: Situation[T], **shape: Any) -> T:
    """Run a situation on a cluster whose dead letters are kept."""

    async def run(cluster: Cluster, client: Client) -> T:
        async with keeping(cluster, client):
            return await situation(cluster, client)

    return in_cluster(run, **shape)


async def letters(client: Client, count: int = 1) -> list[Letter]:
    """Return the letters once there are so many."""
    async with asyncio.timeout(30):
        while len(found := await client.dead_letters.list()) < count:
            await elapse(0.05)
    return found
