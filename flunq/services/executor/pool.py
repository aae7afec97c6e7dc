"""The tasks that this process runs: handed over in memory, a bounded number at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from flunq.core.execution.commands import Failure, Report
from flunq.errors import UsageError
from flunq.sdk.concealing import CallSecrets
from flunq.sdk.context import ExecutorContext, TaskContext
from flunq.sdk.executor import ERRORS, Call, Executor, TaskError
from flunq.services.clock import Clock, SystemClock
from flunq.services.executor.streams import GuardedStreams
from flunq.services.executor.watchdog import LoopWatchdog
from flunq.services.lasting import heard
from flunq.telemetry.catalog import note_task
from flunq.telemetry.logs import log_about

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flunq.core.execution.effects import Dispatch
    from flunq.sdk.concealing import Concealer

_LOGGER = logging.getLogger("flunq.executor")
_DETAIL = 1000
GRACE = 2.0
"""Seconds after a deadline at which a task is stopped; the engine's own timer comes first."""
_TOO_LATE = Failure(type=ERRORS + "timeout", status=408, detail="stopped after its deadline")
_SELF_CANCELLED = Failure(
    type=ERRORS + "runtime", status=500, detail="CancelledError: the call cancelled itself"
)


class _Running:
    """One task in flight and whoever wants to hear of it."""

    __slots__ = (
        "begun",
        "context",
        "deadline",
        "dispatch",
        "done",
        "expired",
        "key",
        "secrets",
        "stopped",
        "task",
    )

    def __init__(
        self,
        key: tuple[str, str],
        dispatch: Dispatch,
        shared: ExecutorContext,
        streams: GuardedStreams,
    ) -> None:
        self.key = key
        self.dispatch = dispatch
        self.secrets = CallSecrets(
            shared.secrets_of(dispatch.execution), dispatch.secrets, tell=streams.add
        )
        context = TaskContext(shared, self.secrets)
        self.context = context
        self.done: list[Callable[[Report], None]] = []
        self.stopped: list[Callable[[], None]] = []
        self.task: asyncio.Task[None] | None = None
        self.deadline: asyncio.TimerHandle | None = None
        self.expired = False
        self.begun = False

    def cancel(self) -> None:
        """Interrupt the task; one that has not begun sees its flags when it does."""
        # A task that is cancelled before its first step never enters its coroutine.
        if self.begun and self.task is not None:
            self.task.cancel()


class ExecutorPool:
    """Hosts executors and runs at most ``capacity`` of their tasks at the same time.

    ``async with`` starts and closes the executors. ``on_report`` receives the outcomes of tasks
    that were submitted without a receiver of their own.
    """

    def __init__(
        self,
        executors: Iterable[Executor],
        *,
        capacity: int = 256,
        on_report: Callable[[Report], None] | None = None,
        context: ExecutorContext | None = None,
        node: str = "",
        clock: Clock | None = None,
        grace: float = GRACE,
        watched: bool = True,
    ) -> None:
        self._executors = tuple(executors)
        self._by_kind = _index(self._executors)
        self._capacity = capacity
        self._on_report = on_report
        self._context = context or ExecutorContext()
        self._node = node
        self._clock = clock or SystemClock()
        self._grace = grace
        self._watched = watched
        self._runs: dict[tuple[str, str], _Running] = {}
        """By tenant and task: executions of two tenants may have the same id."""
        self._loads: Counter[str] = Counter()
        self._on_free: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop
        self._names: dict[asyncio.Task[object], str] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._streams = GuardedStreams()
        self._watchdog = LoopWatchdog(self._names.get, lambda: bool(self._runs))

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as unless_all:
            for executor in self._executors:
                await executor.start(self._context)
                unless_all.push_async_callback(executor.aclose)
            unless_all.pop_all()
        if self._watched:
            self._watchdog.start()
            self._streams.install()
        # Before Python 3.12 it takes a system call to ask which loop runs.
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    @property
    def kinds(self) -> tuple[str, ...]:
        """What this pool can run."""
        return tuple(self._by_kind)

    @property
    def capacity(self) -> int:
        """How many tasks run at once."""
        return self._capacity

    @property
    def draining(self) -> bool:
        """True once nothing new is taken."""
        return self._draining

    def hosts(self, kind: str) -> bool:
        """Tell whether tasks of a kind can run here."""
        return kind in self._by_kind

    def free(self) -> int:
        """Return how many more tasks fit."""
        return 0 if self._draining else max(0, self._capacity - len(self._runs))

    def when_free(self, call: Callable[[], None]) -> None:
        """Have something called whenever a task has left a slot, whoever submitted it."""
        self._on_free.append(call)

    def running(self) -> list[str]:
        """Return the ids of the tasks in flight."""
        return [task for _, task in self._runs]

    def load(self, tenant: str) -> int:
        """Return how many tasks of a tenant are in flight."""
        return self._loads[tenant]

    def runs(self, task: str, tenant: str = "") -> bool:
        """Tell whether a task is in flight."""
        return (tenant, task) in self._runs

    def submit(
        self,
        dispatch: Dispatch,
        done: Callable[[Report], None] | None = None,
        *,
        stopped: Callable[[], None] | None = None,
        delivery: int = 1,
        tenant: str = "",
        context: ExecutorContext | None = None,
    ) -> bool:
        """Begin a task, or join it if it is in flight; False when it has no place here.

        ``done`` is called once with the outcome, on the loop. If the task is withdrawn or
        abandoned, ``stopped`` is called instead. ``context`` is what the calls of a tenant see.
        """
        key = (tenant, dispatch.task)
        run = self._runs.get(key)
        if run is None:
            executor = self._by_kind.get(dispatch.kind)
            if executor is None or self._draining or len(self._runs) >= self._capacity:
                return False
            run = _Running(key, dispatch, context or self._context, self._streams)
            self._begin(run, executor, delivery)
        elif run.context.cancelled:
            return False
        receiver = self._on_report if done is None else done
        if receiver is not None:
            run.done.append(receiver)
        if stopped is not None:
            run.stopped.append(stopped)
        return True

    def withdraw(self, task: str, tenant: str = "") -> bool:
        """Stop a task whose outcome no longer matters; tell whether it was in flight."""
        run = self._runs.get((tenant, task))
        if run is None:
            return False
        if not run.context.cancelled:
            run.context.cancelled = True
            run.cancel()
        return True

    async def drain(self, within: float) -> list[str]:
        """Take nothing new, wait ``within`` seconds, stop what is left and return its ids."""
        self._draining = True
        await heard(self._idle, within)
        return await self._abandon()

    async def aclose(self) -> None:
        """Stop everything at once and close the executors."""
        self._draining = True
        await self._abandon()
        self._watchdog.stop()
        self._streams.remove()
        for executor in self._executors:
            await executor.aclose()
        self._context.close()

    async def _abandon(self) -> list[str]:
        left = [run.task for run in self._runs.values() if run.task is not None]
        keys = list(self._runs)
        for tenant, task in keys:
            self.withdraw(task, tenant)
        if left:
            await asyncio.wait(left, timeout=self._grace)
        return [task for _, task in keys]

    def _begin(self, run: _Running, executor: Executor, delivery: int) -> None:
        dispatch = run.dispatch
        if not self._runs:
            self._idle.clear()
        self._runs[run.key] = run
        self._loads[run.key[0]] += 1
        run.task = self._loop.create_task(self._run(run, executor, delivery))
        self._names[run.task] = dispatch.kind
        if dispatch.deadline is not None:
            left = (dispatch.deadline - self._clock.now()) / 1_000_000
            run.deadline = self._loop.call_later(max(0.0, left) + self._grace, self._expire, run)

    async def _run(self, run: _Running, executor: Executor, delivery: int) -> None:
        run.begun = True
        begun = time.perf_counter()
        output, failure = None, None
        if not (run.context.cancelled or run.expired):
            try:
                output = await _output(run, executor, delivery)
            except asyncio.CancelledError:
                failure = self._interrupted(run)
            except GeneratorExit:
                raise  # the loop is gone, and with it whoever would hear of the outcome
            except BaseException as error:  # noqa: BLE001 - foreign code may raise anything
                failure = self._failed(run.dispatch, error)
        if run.expired and failure is None:
            failure = _TOO_LATE
        if run.secrets.conceals and failure is not None:
            failure = _concealed(failure, run.secrets.concealer)
        self._end(run)
        outcome = "stopped" if run.context.cancelled else "failed" if failure else "completed"
        note_task(run.dispatch.kind, begun, outcome)
        if run.context.cancelled:
            for stopped in run.stopped:
                stopped()
        else:
            self._tell(run, output, failure)

    def _tell(self, run: _Running, output: object, failure: Failure | None) -> None:
        dispatch = run.dispatch
        report = Report(
            id=dispatch.execution,
            task=dispatch.task,
            output=output,
            failure=failure,
            node=self._node,
        )
        for receive in run.done:
            receive(report)

    def _end(self, run: _Running) -> None:
        if run.deadline is not None:
            run.deadline.cancel()
        del self._runs[run.key]
        self._loads[run.key[0]] -= 1
        if run.task is not None:
            self._names.pop(run.task, None)
        if not self._runs:
            self._idle.set()
        for call in self._on_free:
            call()

    def _expire(self, run: _Running) -> None:
        run.expired = True
        run.cancel()

    def _interrupted(self, run: _Running) -> Failure | None:
        if run.expired:
            return _TOO_LATE
        if run.task is not None and run.task.cancelling():
            # Not the function's doing: the process goes down, and the task will be run again.
            run.context.cancelled = True
        return _SELF_CANCELLED

    def _failed(self, dispatch: Dispatch, error: BaseException) -> Failure:
        if isinstance(error, TaskError):
            try:
                return _failure(error)
            except (TypeError, AttributeError) as misuse:
                misuse.__cause__ = error
                error = misuse
        self._context.logger.warning(
            "%s of execution %s failed", dispatch.kind, dispatch.execution, exc_info=error
        )
        return Failure(type=ERRORS + "runtime", status=500, detail=_told(error)[:_DETAIL])


def _index(executors: tuple[Executor, ...]) -> dict[str, Executor]:
    by_kind: dict[str, Executor] = {}
    for executor in executors:
        for kind in executor.kinds:
            if kind in by_kind:
                raise UsageError(f"two executors want to run {kind!r}")
            by_kind[kind] = executor
    return by_kind


async def _output(run: _Running, executor: Executor, delivery: int) -> object:
    """Execute a call; return its output without the secrets that it was given."""
    dispatch, secrets = run.dispatch, run.secrets
    call = _call(dispatch, delivery, secrets.reveal(dispatch.arguments))
    log_about(dispatch.execution, dispatch.task, dispatch.traceparent)
    output = await executor.execute(call, run.context)
    if not secrets.conceals:
        return output
    try:
        return secrets.concealer.value(output)
    except RecursionError:
        raise TaskError("runtime", 500, detail="the output is nested too deeply") from None


def _call(dispatch: Dispatch, delivery: int, arguments: Any) -> Call:
    return Call(
        execution=dispatch.execution,
        task=dispatch.task,
        kind=dispatch.kind,
        reference=dispatch.reference,
        key=dispatch.key,
        attempt=dispatch.attempt,
        arguments=arguments,
        delivery=delivery,
        deadline=dispatch.deadline,
        traceparent=dispatch.traceparent,
    )


def _failure(error: TaskError) -> Failure:
    """Return what an error says: it is recorded, so its members have to be what they should."""
    if not isinstance(error.status, int):
        raise TypeError(f"the status of a TaskError is an integer, not {_text(error.status)!r}")
    return Failure(
        type=_text(error.type),
        status=int(error.status),
        title=None if error.title is None else _text(error.title),
        detail=None if error.detail is None else _text(error.detail),
    )


def _told(error: BaseException) -> str:
    """Return an exception as text; that of a group says only how many it is made of."""
    name, text = type(error).__name__, _text(error)
    told = f"{name}: {text}" if text else name
    if isinstance(error, BaseExceptionGroup):
        return f"{told}: {'; '.join(map(_told, error.exceptions))}"
    return told


def _text(value: object) -> str:
    """Return a value of foreign code as text that can be stored."""
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001 - foreign code
        return f"a {type(value).__name__} that has no text"
    return text.encode("utf-8", "backslashreplace").decode()


def _concealed(failure: Failure, concealer: Concealer) -> Failure:
    return Failure(
        type=concealer.text(failure.type),
        status=failure.status,
        title=None if failure.title is None else concealer.text(failure.title),
        detail=None if failure.detail is None else concealer.text(failure.detail),
    )
