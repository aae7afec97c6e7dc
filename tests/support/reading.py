"""Take a few items from iterators that never end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Item = TypeVar("Item")


async def take(items: AsyncIterator[Item], count: int, *, within: float = 30.0) -> list[Item]:
    """Return the next items and close the iterator."""
    taken: list[Item] = []
    try:
        async with asyncio.timeout(within):
            while len(taken) < count:
                taken.append(await anext(items))
    finally:
        await close(items)
    return taken


async def next_within(items: AsyncIterator[Item], within: float = 30.0) -> Item:
    """Return the next item; raises TimeoutError."""
    async with asyncio.timeout(within):
        return await anext(items)


async def close(items: AsyncIterator[Item]) -> None:
    """End an iterator, so that it gives back what it holds."""
    closing = getattr(items, "aclose", None)
    if closing is not None:
        await closing()
