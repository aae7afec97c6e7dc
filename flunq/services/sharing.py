"""Work that several ask for at the same time, and that is done once."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class Shared(Generic[T]):
    """Work under way by key."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Task[T]] = {}

    async def result(self, key: str, begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what comes of the work of that key, which begins unless it is under way.

        Whoever gives up waiting does not take it from the others.
        """
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(begin())
            self._under_way[key] = task
            task.add_done_callback(partial(self._ended, key))
        return await asyncio.shield(task)

    def forget(self) -> None:
        """Begin anew for whoever asks from here on."""
        self._under_way = {}

    async def aclose(self) -> None:
        """Stop all work."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: str, task: asyncio.Task[T]) -> None:
        if self._under_way.get(key) is task:
            del self._under_way[key]
        if not task.cancelled():
            task.exception()  # those who asked may all be gone, and nobody else would look
