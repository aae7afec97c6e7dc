from __future__ import annotations

import asyncio
import logging
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.core.execution.commands import Failure
from flunq.core.execution.effects import Dispatch
from flunq.errors import UsageError
from flunq.sdk.executor import ERRORS, Call, Executor, TaskError
from flunq.sdk.functions import FunctionExecutor, Functions
from flunq.services.executor.pool import ExecutorPool
from flunq.services.executor.watchdog import LoopWatchdog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from flunq.core.execution.commands import Report
    from flunq.sdk.context import ExecutorContext, TaskContext


def dispatch(task: str = "t1", kind: str = "gate", **changes: Any) -> Dispatch:
    members: dict[str, Any] = {
        "execution": "e1",
        "reference": "/do/0/x",
        "key": "e1:/do/0/x",
        "attempt": 1,
        "arguments": None,
    }
    return Dispatch(task=task, kind=kind, **(members | changes))


class Gate(Executor):
    """Calls wait at the gate; each behaves as its arguments say once it is open."""

    kinds = ("gate",)

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.calls: list[Call] = []
        self.entered: asyncio.Queue[str] = asyncio.Queue()
        self.log: list[str] = []

    async def start(self, context: ExecutorContext) -> None:
        self.log.append("start")

    async def aclose(self) -> None:
        self.log.append("close")

    async def execute(self, call: Call, context: TaskContext) -> Any:
        self.calls.append(call)
        self.entered.put_nowait(call.task)
        await self.open.wait()
        if isinstance(call.arguments, BaseException):
            raise call.arguments
        return call.arguments


class Outcomes:
    """Collects reports, and lets a test wait for them."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Report] = asyncio.Queue()
        self.stopped = 0

    def __call__(self, report: Report) -> None:
        self._queue.put_nowait(report)

    def stop(self) -> None:
        self.stopped += 1

    async def next(self) -> Report:
        return await asyncio.wait_for(self._queue.get(), 5)

    def __len__(self) -> int:
        return self._queue.qsize()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def pool(gate: Gate) -> AsyncIterator[ExecutorPool]:
    async with ExecutorPool([gate], capacity=2, node="n1", grace=0.05) as pool:
        yield pool


def pool_of(call: Callable[..., Any], **options: Any) -> ExecutorPool:
    functions = Functions()
    functions.register(call, "it")
    return ExecutorPool([FunctionExecutor(functions)], **options)


async def test_the_outcome_goes_to_the_receiver(gate: Gate, pool: ExecutorPool) -> None:
    done = Outcomes()
    assert pool.submit(dispatch(arguments={"a": 1}), done)
    assert pool.running() == ["t1"]
    gate.open.set()
    report = await done.next()
    assert (report.id, report.task, report.node) == ("e1", "t1", "n1")
    assert (report.output, report.failure) == ({"a": 1}, None)
    assert pool.running() == []


async def test_an_executor_sees_the_whole_call(gate: Gate, pool: ExecutorPool) -> None:
    pool.submit(dispatch(arguments=[1], traceparent="00-a", attempt=4), Outcomes(), delivery=2)
    await gate.entered.get()
    call = gate.calls[0]
    assert (call.arguments, call.attempt, call.delivery) == ([1], 4, 2)
    assert (call.traceparent, call.key, call.kind) == ("00-a", "e1:/do/0/x", "gate")


async def test_tasks_without_a_receiver_go_to_the_pools(gate: Gate) -> None:
    done = Outcomes()
    async with ExecutorPool([gate], on_report=done) as pool:
        gate.open.set()
        pool.submit(dispatch())
        assert (await done.next()).task == "t1"


class Abyss(Executor):
    """What it returns is nested as deeply as its arguments say."""

    kinds = ("gate",)

    async def execute(self, call: Call, context: TaskContext) -> Any:
        context.conceal("hunter2")
        output: Any = "hunter2"
        for _ in range(call.arguments):
            output = [output]
        return output


async def test_an_output_that_cannot_be_concealed_fails_the_task_and_frees_its_slot() -> None:
    done = Outcomes()
    async with ExecutorPool([Abyss()]) as pool:
        pool.submit(dispatch(arguments=900), done)
        failure = (await done.next()).failure
        assert failure is not None
        assert failure.detail == "the output is nested too deeply"
        assert pool.running() == []
        pool.submit(dispatch(arguments=1), done)
        assert (await done.next()).output == ["***"]


class Panic(BaseException):
    """As extensions written in Rust raise it."""


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class ForgetfulError(TaskError):
    def __init__(self) -> None:
        pass


def misused(**members: Any) -> TaskError:
    return TaskError(**members)


GROUP = "ExceptionGroup: two (1 sub-exception): KeyError: 7"
FAILURES: list[tuple[BaseException, str, int, str]] = [
    (TaskError("communication", 503, detail="down"), f"{ERRORS}communication", 503, "down"),
    (TaskError("https://x/y", 409, "T", "d"), "https://x/y", 409, "d"),
    (ValueError("no good"), f"{ERRORS}runtime", 500, "ValueError: no good"),
    (KeyError(), f"{ERRORS}runtime", 500, "KeyError"),
    (ExceptionGroup("two", [KeyError(7)]), f"{ERRORS}runtime", 500, GROUP),
    (SystemExit(3), f"{ERRORS}runtime", 500, "SystemExit: 3"),
    (KeyboardInterrupt(), f"{ERRORS}runtime", 500, "KeyboardInterrupt"),
    (Panic("at line 7"), f"{ERRORS}runtime", 500, "Panic: at line 7"),
    (MuteError(), f"{ERRORS}runtime", 500, "MuteError: a MuteError that has no text"),
    (OSError("no \udcff.txt"), f"{ERRORS}runtime", 500, "OSError: no \\udcff.txt"),
    (ForgetfulError(), f"{ERRORS}runtime", 500, "AttributeError: 'ForgetfulError' object"),
    (TaskError("https://x/y", HTTPStatus.CONFLICT), "https://x/y", 409, ""),
    (misused(status="no"), f"{ERRORS}runtime", 500, "TypeError: the status of a TaskError is an"),
    (misused(detail=ValueError("cause")), f"{ERRORS}runtime", 500, "cause"),
    (TaskError(detail="\ud800"), f"{ERRORS}runtime", 500, "\\ud800"),
    (asyncio.CancelledError(), f"{ERRORS}runtime", 500, "CancelledError: the call cancelled"),
]


@pytest.fixture
def unlogged() -> Iterator[None]:
    """What could not be printed is not part of the report of a test."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("unlogged")
@pytest.mark.parametrize(("error", "kind", "status", "detail"), FAILURES)
async def test_an_exception_becomes_a_dsl_error(
    gate: Gate, pool: ExecutorPool, error: BaseException, kind: str, status: int, detail: str
) -> None:
    done = Outcomes()
    gate.open.set()
    pool.submit(dispatch(arguments=error), done)
    failure = (await done.next()).failure
    assert failure is not None
    assert (failure.type, failure.status) == (kind, status)
    assert (failure.detail or "").startswith(detail)
    assert msgspec.json.decode(msgspec.json.encode(failure), type=Failure) == failure


async def test_no_more_than_the_capacity_runs(gate: Gate, pool: ExecutorPool) -> None:
    done = Outcomes()
    assert [pool.submit(dispatch(f"t{n}"), done) for n in range(3)] == [True, True, False]
    assert pool.free() == 0
    gate.open.set()
    await done.next()
    await done.next()
    assert pool.free() == 2
    assert len(gate.calls) == 2


async def test_an_unknown_kind_has_no_place_here(pool: ExecutorPool) -> None:
    assert (pool.hosts("gate"), pool.hosts("http")) == (True, False)
    assert not pool.submit(dispatch(kind="http"), Outcomes())


async def test_a_task_that_is_running_is_not_begun_again(gate: Gate, pool: ExecutorPool) -> None:
    first, second = Outcomes(), Outcomes()
    assert pool.submit(dispatch(), first)
    assert pool.submit(dispatch(), second)
    gate.open.set()
    assert await first.next() == await second.next()
    assert len(gate.calls) == 1


async def test_a_withdrawn_task_stops_without_an_outcome(gate: Gate, pool: ExecutorPool) -> None:
    done = Outcomes()
    pool.submit(dispatch(), done, stopped=done.stop)
    await gate.entered.get()
    assert pool.withdraw("t1")
    assert await pool.drain(5) == []
    assert (len(done), done.stopped, pool.running()) == (0, 1, [])


async def test_a_task_may_be_withdrawn_before_it_began(gate: Gate, pool: ExecutorPool) -> None:
    done = Outcomes()
    pool.submit(dispatch(), done, stopped=done.stop)
    assert pool.withdraw("t1")
    await pool.drain(5)
    assert (gate.calls, done.stopped, pool.running()) == ([], 1, [])


async def test_withdrawing_an_unknown_task_changes_nothing(pool: ExecutorPool) -> None:
    assert not pool.withdraw("nobody")


async def test_a_task_is_stopped_after_its_deadline(gate: Gate, pool: ExecutorPool) -> None:
    done = Outcomes()
    pool.submit(dispatch(deadline=time.time_ns() // 1000), done)
    failure = (await done.next()).failure
    assert failure is not None
    assert (failure.type, failure.status) == (f"{ERRORS}timeout", 408)


async def test_a_deadline_far_away_does_not_matter(gate: Gate, pool: ExecutorPool) -> None:
    done = Outcomes()
    gate.open.set()
    pool.submit(dispatch(deadline=time.time_ns() // 1000 + 60_000_000), done)
    assert (await done.next()).failure is None


async def test_draining_waits_for_what_is_in_flight(gate: Gate, pool: ExecutorPool) -> None:
    done = Outcomes()
    pool.submit(dispatch(), done)
    draining = asyncio.create_task(pool.drain(5))
    await gate.entered.get()
    assert (pool.submit(dispatch("t2"), done), pool.free()) == (False, 0)
    gate.open.set()
    assert await draining == []
    assert len(done) == 1


async def test_draining_abandons_what_takes_too_long(gate: Gate, pool: ExecutorPool) -> None:
    done = Outcomes()
    pool.submit(dispatch(), done, stopped=done.stop)
    assert await pool.drain(0.01) == ["t1"]
    assert (len(done), done.stopped) == (0, 1)


async def test_a_process_that_ends_reports_no_failure(gate: Gate, pool: ExecutorPool) -> None:
    done = Outcomes()
    pool.submit(dispatch(), done, stopped=done.stop)
    await gate.entered.get()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        if "_run" in repr(task.get_coro()):
            task.cancel()
    await pool.drain(5)
    assert (len(done), done.stopped) == (0, 1)


async def test_executors_are_started_and_closed(gate: Gate) -> None:
    async with ExecutorPool([gate]):
        assert gate.log == ["start"]
    assert gate.log == ["start", "close"]


async def test_executors_are_closed_when_another_does_not_start(gate: Gate) -> None:
    class Broken(Gate):
        kinds = ("broken",)

        async def start(self, context: ExecutorContext) -> None:
            raise UsageError("no")

    with pytest.raises(UsageError, match="no"):
        await ExecutorPool([gate, Broken()]).__aenter__()
    assert gate.log == ["start", "close"]


def test_two_executors_of_one_kind_are_refused() -> None:
    with pytest.raises(UsageError, match="'gate'"):
        ExecutorPool([Gate(), Gate()])


async def test_a_blocking_function_leaves_the_loop_free() -> None:
    release = threading.Event()
    done = Outcomes()
    async with pool_of(lambda: release.wait(10)) as pool:
        pool.submit(dispatch(kind="function:it"), done)
        for _ in range(50):
            await asyncio.sleep(0)
        assert pool.running() == ["t1"]
        release.set()
        assert (await done.next()).output is True


async def test_the_watchdog_names_what_holds_the_loop() -> None:
    noticed = threading.Event()
    messages: list[str] = []

    class Notice(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())
            noticed.set()

    async def hog() -> bool:
        return noticed.wait(10)

    done = Outcomes()
    logger = logging.getLogger("flunq.executor")
    handler = Notice()
    logger.addHandler(handler)
    try:
        async with pool_of(hog) as pool:
            pool.submit(dispatch(kind="function:it"), done)
            assert (await done.next()).output is True
    finally:
        logger.removeHandler(handler)
    assert messages[0].startswith("function:it has held the event loop")


async def test_the_watchdog_stays_quiet_while_nothing_runs() -> None:
    asked = threading.Event()

    def busy() -> bool:
        asked.set()
        return False

    watchdog = LoopWatchdog(lambda _: "x", busy, interval=0.001, threshold=0.001)
    watchdog.start()
    assert asked.wait(5)
    watchdog.stop()
