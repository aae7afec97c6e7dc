from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.core.execution.commands import Report
from flunq.core.execution.effects import Dispatch, Withdraw
from flunq.core.protocol import Reply, Reports, report_subject, withdraw_subject
from flunq.log.memory.broker import MemoryBroker
from flunq.log.memory.stream import MemoryEventStream
from flunq.log.ports import OutcomeUnknownError
from flunq.log.select import StreamSettings
from flunq.sdk.executor import ERRORS, Call, Executor
from flunq.services.courier import Courier
from flunq.services.executor.pool import ExecutorPool
from flunq.services.executor.remote import RemoteExecutor
from flunq.services.wire import (
    claim_in,
    decode_commands,
    encode_claim,
    encode_dispatch,
    encode_withdrawals,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.ports import Delivery
    from flunq.sdk.context import TaskContext

TENANT = "default"


class Echo(Executor):
    """Returns its arguments, once it may."""

    kinds = ("echo",)

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.entered: asyncio.Queue[Call] = asyncio.Queue()

    async def execute(self, call: Call, context: TaskContext) -> Any:
        self.entered.put_nowait(call)
        await self.open.wait()
        return call.arguments


class Owner:
    """The owner of partition 0: answers as told and keeps what it got."""

    def __init__(self, stream: Any) -> None:
        self.requests: asyncio.Queue[list[Report]] = asyncio.Queue()
        self.answering = asyncio.Event()
        self.answering.set()
        self.code = 200
        self.serving = stream.requests.serve(report_subject(TENANT, 0), self._take)

    async def _take(self, data: bytes) -> bytes:
        reports = msgspec.json.decode(data, type=Reports).reports
        self.requests.put_nowait([report for report in reports if isinstance(report, Report)])
        await self.answering.wait()
        return msgspec.json.encode([Reply(code=self.code, id=r.id) for r in reports])

    async def next(self) -> list[Report]:
        return await asyncio.wait_for(self.requests.get(), 5)


class Blobs:
    """Large values in a dictionary."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes) -> None:
        self.values[key] = data

    async def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    async def delete(self, key: str) -> None:
        self.values.pop(key, None)

    async def erase(self, key: str) -> None:
        self.values.pop(key, None)

    async def size(self) -> int:
        return sum(map(len, self.values.values()))


class DeadLetters:
    """What was given up."""

    def __init__(self) -> None:
        self.letters: dict[str, Any] = {}
        self.failures: list[Exception] = []

    async def publish(self, data: bytes, *, message_id: str) -> None:
        if self.failures:
            raise self.failures.pop()
        self.letters[message_id] = msgspec.json.decode(data)


class Watched:
    """A delivery that says what was done with it."""

    def __init__(self, inner: Delivery, log: asyncio.Queue[str]) -> None:
        self.inner = inner
        self.log = log
        self.data = inner.data
        self.deliveries = inner.deliveries

    async def ack(self) -> None:
        await self.inner.ack()
        self.log.put_nowait("ack")

    async def retry(self, delay: float) -> None:
        await self.inner.retry(delay)
        self.log.put_nowait("retry")

    async def drop(self) -> None:
        await self.inner.drop()
        self.log.put_nowait("drop")

    async def extend(self) -> None:
        await self.inner.extend()
        self.log.put_nowait("extend")


class Side:
    """An executor process beside an owner, on one memory broker."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.echo = Echo()
        self.owner = Owner(stream)
        self.blobs = Blobs()
        self.dead = DeadLetters()
        stream.dead_letters = self.dead
        self.pool = ExecutorPool([self.echo], capacity=4, grace=0.05)
        self.courier = Courier(stream, tenant=TENANT, partitions=1, blobs=self.blobs)
        self.fates: asyncio.Queue[str] = asyncio.Queue()
        self.remote = self.make_remote()
        self._watch()

    def make_remote(self, **options: Any) -> RemoteExecutor:
        self.remote = RemoteExecutor(
            self.pool, self.stream, self.courier, blobs=self.blobs, **options
        )
        return self.remote

    def _watch(self) -> None:
        tasks, pull = self.stream.tasks, self.stream.tasks.pull

        async def watched(*args: Any, **options: Any) -> AsyncIterator[Delivery]:
            async for delivery in pull(*args, **options):
                yield Watched(delivery, self.fates)

        tasks.pull = watched

    async def queue(self, task: str = "t1", arguments: Any = 1) -> None:
        body = encode_dispatch(make_dispatch(task, arguments))
        await self.stream.tasks.publish("echo", "e1", body, message_id=task)

    async def fate(self) -> str:
        return await asyncio.wait_for(self.fates.get(), 5)

    async def stored(self) -> list[Any]:
        async for batch in self.stream.inbox.read(0, after=0):
            return [record.data for record in batch]
        return []


def make_dispatch(task: str, arguments: Any = 1) -> Dispatch:
    return Dispatch(
        execution="e1",
        task=task,
        kind="echo",
        reference="/do/0/x",
        key="k",
        attempt=1,
        arguments=arguments,
    )


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    settings = StreamSettings(url="memory://remote", tenant=TENANT)
    async with MemoryEventStream(settings, MemoryBroker()) as stream:
        await stream.ensure(1)
        side = Side(stream)
        async with side.pool:
            yield side
        await side.courier.aclose()


class running:  # noqa: N801 - reads as a verb
    """The remote executor at work while the context is open."""

    def __init__(self, side: Side) -> None:
        self.side = side

    async def __aenter__(self) -> asyncio.Task[None]:
        self.task = asyncio.create_task(self.side.remote.run(TENANT))
        return self.task

    async def __aexit__(self, *exc_info: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_a_queued_task_is_acknowledged_after_its_owner_answered(side: Side) -> None:
    side.owner.answering.clear()
    async with side.owner.serving, running(side):
        await side.queue(arguments={"a": 1})
        [report] = await side.owner.next()
        assert (report.task, report.output, side.fates.empty()) == ("t1", {"a": 1}, True)
        side.owner.answering.set()
        assert await side.fate() == "ack"


async def test_reports_wait_for_the_message_under_way_and_go_together(side: Side) -> None:
    side.owner.answering.clear()
    async with side.owner.serving, running(side):
        await side.queue("t1")
        assert [r.task for r in await side.owner.next()] == ["t1"]
        for task in ("t2", "t3", "t4"):
            await side.queue(task)
            await asyncio.wait_for(side.echo.entered.get(), 5)
        await _until(lambda: not side.pool.running())
        side.owner.answering.set()
        assert sorted(r.task for r in await side.owner.next()) == ["t2", "t3", "t4"]


async def test_without_an_owner_the_report_is_stored_in_the_inbox(side: Side) -> None:
    async with running(side):
        await side.queue()
        assert await side.fate() == "ack"
    [body] = await side.stored()
    assert decode_commands(body) == [Report(id="e1", task="t1", output=1)]


async def test_an_owner_that_refuses_leaves_the_report_in_the_inbox(side: Side) -> None:
    side.owner.code = 503
    async with side.owner.serving, running(side):
        await side.queue()
        assert await side.fate() == "ack"
    assert len(await side.stored()) == 1


async def test_an_execution_that_is_gone_ends_the_matter(side: Side) -> None:
    side.owner.code = 404
    async with side.owner.serving, running(side):
        await side.queue()
        assert await side.fate() == "ack"
    assert side.stream.broker.log("default/inbox").read("0", 0, 9) == []


async def test_an_output_too_large_for_a_message_travels_as_a_blob(side: Side) -> None:
    text = "x" * 1_500_000
    side.blobs.values["task-body"] = encode_dispatch(make_dispatch("t1", text))
    async with running(side):
        await side.stream.tasks.publish("echo", "e1", encode_claim("task-body"), message_id="t1")
        assert await side.fate() == "ack"
    key = claim_in((await side.stored())[0])
    assert key is not None
    [report] = decode_commands(side.blobs.values[key])
    assert isinstance(report, Report)
    assert report.output == text


UNREADABLE = [b"nonsense", b'{"type":"dispatch"}', b'{"claim":1}', encode_claim("gone")]


@pytest.mark.parametrize("body", UNREADABLE)
async def test_a_task_that_cannot_be_read_is_kept_as_a_dead_letter(side: Side, body: bytes) -> None:
    async with running(side):
        await side.stream.tasks.publish("echo", "e1", body, message_id="m")
        assert await side.fate() == "drop"
    [letter] = side.dead.letters.values()
    assert (letter["type"], letter["data"]["body"]) == ("io.flunq.task.dead", body.decode())


async def test_a_task_is_not_dropped_before_its_letter_is_safe(side: Side) -> None:
    side.dead.failures = [OutcomeUnknownError("no answer")]
    async with running(side):
        await side.stream.tasks.publish("echo", "e1", b"nonsense", message_id="m")
        assert await side.fate() == "retry"


async def test_a_long_task_is_extended(side: Side) -> None:
    side.make_remote(heartbeat=0.001)
    side.echo.open.clear()
    async with side.owner.serving, running(side):
        await side.queue()
        assert await side.fate() == "extend"
        side.echo.open.set()
        while await side.fate() != "ack":
            pass


async def test_a_task_that_nobody_finishes_is_given_up(side: Side) -> None:
    side.make_remote(max_deliveries=0)
    async with side.owner.serving, running(side):
        await side.queue()
        [report] = await side.owner.next()
        assert report.failure is not None
        assert (report.failure.type, report.failure.title) == (f"{ERRORS}runtime", "Given up")
        assert await side.fate() == "ack"
    assert side.echo.entered.empty()
    assert side.dead.letters["t1.dead"]["subject"] == "e1"


async def test_a_withdrawn_task_leaves_the_queue_without_a_report(side: Side) -> None:
    side.echo.open.clear()
    async with side.owner.serving, running(side):
        await side.queue()
        await asyncio.wait_for(side.echo.entered.get(), 5)
        notice = encode_withdrawals([Withdraw(execution="e1", task="t1", kind="echo")])
        await side.stream.requests.notify(withdraw_subject(TENANT), notice)
        assert await side.fate() == "ack"
        assert side.owner.requests.empty()


async def test_what_is_unfinished_at_the_end_goes_back_to_the_queue(side: Side) -> None:
    side.echo.open.clear()
    async with running(side):
        await side.queue()
        await asyncio.wait_for(side.echo.entered.get(), 5)
    assert await side.fate() == "retry"
    again = side.stream.tasks.pull(["echo"], limit=lambda: 1)
    assert (await anext(again)).deliveries == 2


async def test_draining_waits_until_everything_is_reported(side: Side) -> None:
    side.echo.open.clear()
    async with side.owner.serving, running(side):
        await side.queue()
        await asyncio.wait_for(side.echo.entered.get(), 5)
        draining = asyncio.create_task(side.remote.drain(5))
        await asyncio.sleep(0)
        side.echo.open.set()
        assert await draining
        assert await side.fate() == "ack"


async def test_a_full_pool_lets_others_have_the_task(side: Side) -> None:
    side.pool.free = lambda: 1  # type: ignore[method-assign]
    side.echo.open.clear()
    for number in range(4):
        side.pool.submit(make_dispatch(f"local{number}"))
    async with running(side):
        await side.queue()
        assert await side.fate() == "retry"


async def test_a_task_that_finds_no_place_many_times_is_not_given_up(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flunq.services.executor.remote.BUSY_PAUSE", 0.0)
    side.pool.free = lambda: 1  # type: ignore[method-assign]
    side.echo.open.clear()
    for number in range(4):
        side.pool.submit(make_dispatch(f"local{number}"))
    async with side.owner.serving, running(side):
        await side.queue()
        for _ in range(20):
            assert await side.fate() in ("retry", "drop")
        side.echo.open.set()
        [report] = await side.owner.next()
        assert (report.task, report.failure) == ("t1", None)


async def test_an_odd_error_does_not_keep_a_report_from_its_owner(side: Side) -> None:
    request, failures = side.stream.requests.request, iter([ValueError("odd"), OSError("odd")])

    async def flaky(*args: Any, **options: Any) -> Any:
        for failure in failures:
            raise failure
        return await request(*args, **options)

    side.stream.requests.request = flaky
    safe: list[Report] = []
    async with side.owner.serving:
        side.courier.send(Report(id="e1", task="t1"), safe.append)
        assert await side.courier.flush(5)
    assert [report.task for report in safe] == ["t1"]


async def test_a_report_survives_an_inbox_that_does_not_answer_at_first(side: Side) -> None:
    publish, failures = side.stream.inbox.publish, iter([OutcomeUnknownError("no answer")])

    async def flaky(*args: Any, **options: Any) -> Any:
        for failure in failures:
            raise failure
        return await publish(*args, **options)

    side.stream.inbox.publish = flaky
    safe: list[Report] = []
    side.courier.send(Report(id="e1", task="t1"), safe.append)
    assert await side.courier.flush(5)
    assert [report.task for report in safe] == ["t1"]


async def _until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)
