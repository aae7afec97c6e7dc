"""Virtual time: an event loop that never waits, and the clock that goes with it.

When nothing is ready to run, the loop jumps to its next timer. A day passes in a moment, and the
same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

T = TypeVar("T")

EPOCH = 1_700_000_000_000_000
"""Where virtual time starts (microseconds since the epoch)."""


class StuckError(Exception):
    """Nothing is ready and no timer is set: what the caller waits for cannot happen."""


class _JumpingSelector(selectors.BaseSelector):
    """A selector without files: instead of waiting it moves the loop's time."""

    def __init__(self) -> None:
        self.loop: VirtualLoop | None = None
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, 0, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert self.loop is not None
        if timeout is None:
            raise StuckError("nothing is ready and no timer is set")
        self.loop.advance(timeout)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        self._virtual = 0.0
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        """Return seconds since the loop began, in virtual time."""
        return self._virtual

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        # A timer may lie a rounding error ahead; without a nudge the loop would spin on it.
        self._virtual += max(seconds, 0.0) + (1e-9 if seconds > 0 else 0.0)


class VirtualClock:
    """The wall clock of a virtual loop."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> int:
        """Return microseconds since the epoch, in virtual time."""
        return EPOCH + int(self._loop.time() * 1_000_000)


def run_virtually(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run a coroutine to its end in virtual time and close the loop."""
    try:
        return loop.run_until_complete(main)
    finally:
        leftover = asyncio.all_tasks(loop)
        for task in leftover:
            task.cancel()
        if leftover:
            loop.run_until_complete(asyncio.gather(*leftover, return_exceptions=True))
        loop.close()
