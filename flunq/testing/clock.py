"""Virtual time: an event loop that never waits, and the clock that goes with it.

When nothing is ready to run, the loop jumps to its next timer. A day passes in a moment, and the
same seed gives the same run: callbacks run in the order in which they were asked for, tasks hash
by number, and nothing looks at the real clock.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import sys
from collections import deque
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

T = TypeVar("T")

EPOCH = 1_700_000_000_000_000
"""Where virtual time starts (microseconds since the epoch)."""

PROCESS: ContextVar[Process | None] = ContextVar("PROCESS", default=None)
"""The simulated process that the running code belongs to."""


class StuckError(Exception):
    """What the caller waits for cannot happen: nothing will run, or something runs for ever."""


class Process:
    """What one simulated process has on the loop: it can be frozen, and killed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.killed = False
        """It did not end by itself: what its code makes of that does not matter."""
        self.frozen = False
        self.backlog: list[Callback] = []
        """What would have run while the process was frozen."""
        self.tasks: list[VirtualTask] = []

    def enter(self) -> Context:
        """Return a context whose code, and all that it starts, belongs to this process."""
        context = copy_context()
        context.run(PROCESS.set, self)
        return context

    def adopt(self, task: VirtualTask) -> None:
        """Remember a task of this process."""
        if len(self.tasks) > 500:
            self.tasks = [known for known in self.tasks if not known.done()]
        self.tasks.append(task)

    def freeze(self) -> None:
        """Stop all its code where it stands, as SIGSTOP does."""
        self.frozen = True

    def thaw(self, loop: VirtualLoop) -> None:
        """Let its code run again."""
        self.frozen = False
        backlog, self.backlog = self.backlog, []
        for callback in backlog:
            loop.ready.append(callback)

    def kill(self, loop: VirtualLoop) -> None:
        """End it; its ports must refuse it from here on, so that unwinding changes nothing."""
        self.killed = self.killed or self.alive
        self.alive = False
        self.thaw(loop)
        for task in self.tasks:
            if not task.done():
                task.cancel()


class VirtualTask(asyncio.Task[Any]):
    """A task whose place in a set is the same in every run."""

    def __init__(self, coro: Any, *, loop: VirtualLoop, name: Any, context: Any) -> None:
        self.number = loop.next_number()
        process = PROCESS.get() if context is None else context.get(PROCESS)
        self.process: Process | None = process
        super().__init__(coro, loop=loop, name=name or f"task-{self.number}", context=context)
        loop.tasks.append(self)
        if process is not None:
            process.adopt(self)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class Callback:
    """Something to run, now or later."""

    __slots__ = ("args", "callback", "context", "due", "gone", "number", "process")

    def __init__(
        self, due: int, number: int, callback: Any, args: tuple[Any, ...], context: Context | None
    ) -> None:
        self.due = due
        self.number = number
        self.callback = callback
        self.args = args
        self.context = copy_context() if context is None else context
        self.process = self.context.get(PROCESS)
        self.gone = False

    def __lt__(self, other: Callback) -> bool:
        return (self.due, self.number) < (other.due, other.number)

    def cancel(self) -> None:
        """Do not run it."""
        self.gone = True
        self.args = ()

    def cancelled(self) -> bool:
        """Tell whether it was cancelled."""
        return self.gone

    def when(self) -> float:
        """Return the loop time at which it is due."""
        return self.due / 1_000_000


_Loop: Any = asyncio.AbstractEventLoop  # most of its methods are of no use in virtual time


class VirtualLoop(_Loop):  # type: ignore[misc]
    """An event loop in virtual time, in whole microseconds."""

    def __init__(self, *, patience: int = 2_000_000) -> None:
        self.patience = patience
        """How many callbacks may run in all."""
        self.ready: deque[Callback] = deque()
        self.failures: list[dict[str, Any]] = []
        """What nobody caught."""
        self.tasks: list[VirtualTask] = []
        """All there ever were."""
        self.steps = 0
        self._timers: list[Callback] = []
        self._now = 0
        self._numbers = 0
        self._closed = False
        self._running = False

    def next_number(self) -> int:
        """Return a number that counts up."""
        self._numbers += 1
        return self._numbers

    # -- time ------------------------------------------------------------------------------------

    def time(self) -> float:
        """Return seconds since the loop began, in virtual time."""
        return self._now / 1_000_000

    def micros(self) -> int:
        """Return microseconds since the loop began."""
        return self._now

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        """Run a callback after those that wait already."""
        handle = Callback(0, 0, callback, args, context)
        self.ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        """Run a callback; there are no other threads here."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        """Run a callback after ``delay`` seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        """Run a callback at a time of this loop, never early."""
        due = math.ceil(when * 1_000_000)
        due += due / 1_000_000 < when
        handle = Callback(due, self.next_number(), callback, args, context)
        heapq.heappush(self._timers, handle)
        return handle

    # -- tasks and futures -------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Context | None = None
    ) -> Any:
        """Run a coroutine as a task."""
        return VirtualTask(coro, loop=self, name=name, context=context)

    def run_in_executor(
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run a function at once: threads have no place in virtual time."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
            future.set_exception(error)
        return future

    # -- running -----------------------------------------------------------------------------------

    def run_until_complete(self, future: Any) -> Any:
        """Run until a coroutine or future is done."""
        goal = asyncio.ensure_future(future, loop=self)
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=self._finalize)
        asyncio._set_running_loop(self)
        self._running = True
        try:
            while not goal.done():
                self._step()
        finally:
            self._running = False
            asyncio._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)
        return goal.result()

    def unnoticed(self) -> list[BaseException]:
        """Return the errors of tasks that ended with one which nobody asked for."""
        found: list[BaseException] = []
        for task in self.tasks:
            if task.done() and getattr(task, "_log_traceback", False):
                error = task.exception()
                if error is not None and (task.process is None or not task.process.killed):
                    found.append(error)
        return found

    def _step(self) -> None:
        if not self.ready:
            self._advance()
        handle = self.ready.popleft()
        if handle.gone:
            return
        process = handle.process
        if process is not None and process.frozen:
            process.backlog.append(handle)
            return
        self.steps += 1
        if self.steps > self.patience:
            raise StuckError(f"{self.steps} callbacks have run; the last is {handle.callback!r}")
        try:
            handle.context.run(handle.callback, *handle.args)
        except Exception as error:  # noqa: BLE001 - as every event loop does
            self.call_exception_handler({"message": "a callback failed", "exception": error})

    def _advance(self) -> None:
        """Jump to the next timer."""
        timers = self._timers
        while timers and timers[0].gone:
            heapq.heappop(timers)
        if not timers:
            raise StuckError("nothing is ready and no timer is set")
        self._now = max(self._now, timers[0].due)
        while timers and timers[0].due <= self._now:
            handle = heapq.heappop(timers)
            if not handle.gone and (handle.process is None or handle.process.alive):
                self.ready.append(handle)
        if not self.ready:
            self._advance()

    def _finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._closed:
            self.call_soon(self.create_task, generator.aclose())

    # -- what asyncio asks of a loop ---------------------------------------------------------------

    def get_debug(self) -> bool:
        """Return False: debug mode looks at the real clock."""
        return False

    def is_running(self) -> bool:
        """Tell whether the loop runs."""
        return self._running

    def is_closed(self) -> bool:
        """Tell whether the loop is closed."""
        return self._closed

    def close(self) -> None:
        """Forget everything that has not run."""
        self._closed = True
        self.ready.clear()
        self._timers.clear()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody caught, unless it is the unwinding of a killed process."""
        task = context.get("task") or context.get("future")
        process = task.process if isinstance(task, VirtualTask) else PROCESS.get()
        if process is None or process.alive:
            self.failures.append(context)


class VirtualClock:
    """The wall clock of a virtual loop; it can be set, as people and NTP do."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._ahead = 0

    def now(self) -> int:
        """Return microseconds since the epoch, in virtual time."""
        return EPOCH + self._loop.micros() + self._ahead

    def jump(self, seconds: float) -> None:
        """Set it ahead, or back."""
        self._ahead += round(seconds * 1_000_000)


def run_virtually(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run a coroutine to its end in virtual time and close the loop."""
    try:
        result: T = loop.run_until_complete(main)
        return result
    finally:
        with suppress(StuckError):  # the first one says it all
            _unwind(loop)
        loop.close()


def _unwind(loop: VirtualLoop) -> None:
    loop.patience = loop.steps + 20_000
    leftover = sorted(
        (task for task in asyncio.all_tasks(loop) if isinstance(task, VirtualTask)),
        key=lambda task: task.number,
    )
    for task in leftover:
        task.cancel()
    if leftover:
        loop.run_until_complete(asyncio.wait(leftover, timeout=10.0))
