"""Work that lasts until it is told to stop or its connection is lost, and begins again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from flunq.errors import UnavailableError
from flunq.log.memory import MemoryEventStream
from flunq.log.select import StreamSettings
from flunq.services import lasting
from flunq.services.lasting import before, begun, kept_up, while_connected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def failing_first(errors: list[Exception], stop: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        if not errors:
            stop.set()
            return
        raise errors.pop(0)

    return work


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "AGAIN_SECONDS", 0)


async def test_work_begins_again_until_it_is_told_to_stop() -> None:
    stop = asyncio.Event()
    errors: list[Exception] = [ConnectionError("gone"), ValueError("a defect")]
    await kept_up("counting", failing_first(errors, stop), stop)
    assert errors == []


async def test_only_a_defect_leaves_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    stop = asyncio.Event()
    with caplog.at_level(logging.WARNING, logger=lasting.__name__):
        errors = [ConnectionError("gone"), UnavailableError("no answer"), ValueError("a defect")]
        await kept_up("counting", failing_first(errors, stop), stop)
    traced = {record.getMessage(): bool(record.exc_info) for record in caplog.records}
    assert traced == {
        "counting begins again: gone": False,
        "counting begins again: no answer": False,
        "counting begins again: a defect": True,
    }


async def test_an_outage_is_told_once_until_it_is_another_or_lasts(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = asyncio.Event()
    gone, other = ConnectionError("gone"), ConnectionError("refused")
    with caplog.at_level(logging.WARNING, logger=lasting.__name__):
        await kept_up("counting", failing_first([gone, gone, gone, other, other], stop), stop)
        assert [record.getMessage() for record in caplog.records] == [
            "counting begins again: gone",
            "counting begins again: refused",
        ]
        caplog.clear()
        stop.clear()
        monkeypatch.setattr(lasting, "REMIND_SECONDS", 0)
        await kept_up("counting", failing_first([gone, gone], stop), stop)
    assert len(caplog.records) == 2


async def test_a_defect_is_told_each_time(caplog: pytest.LogCaptureFixture) -> None:
    stop = asyncio.Event()
    with caplog.at_level(logging.WARNING, logger=lasting.__name__):
        await kept_up("counting", failing_first([ValueError("a defect")] * 2, stop), stop)
    assert len(caplog.records) == 2


async def test_work_is_not_begun_once_it_is_told_to_stop() -> None:
    stop = asyncio.Event()
    stop.set()
    errors: list[Exception] = [ValueError("it ran")]
    await kept_up("counting", failing_first(errors, stop), stop)
    assert errors


async def test_what_is_done_in_time_is_the_outcome() -> None:
    async def work() -> str:
        return "done"

    assert await before(asyncio.Event().wait(), work(), lambda _: TimeoutError()) == "done"


async def test_work_that_is_too_late_is_cancelled_and_awaited() -> None:
    over = asyncio.Event()
    ended: list[str] = []

    async def work() -> None:
        over.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    with pytest.raises(TimeoutError):
        await before(over.wait(), work(), lambda _: TimeoutError())
    assert ended == ["cancelled"]


async def test_a_lost_connection_ends_the_work_with_its_reason() -> None:
    async with MemoryEventStream(StreamSettings(url="memory://lasting")) as stream:
        waiting = asyncio.create_task(while_connected(stream, asyncio.Event().wait()))
        stream.lose("cut off")
        with pytest.raises(ConnectionError, match="cut off"):
            await waiting


async def test_a_stop_ends_it_without_an_error() -> None:
    stop = asyncio.Event()
    async with MemoryEventStream(StreamSettings(url="memory://lasting")) as stream:
        waiting = asyncio.create_task(while_connected(stream, stop.wait()))
        stop.set()
        assert await waiting is True


async def test_what_ends_before_it_is_ready_says_why() -> None:
    async def fail() -> None:
        raise OSError("no memory")

    async def end() -> None:
        return

    for task, error in ((fail, OSError), (end, UnavailableError)):
        running = asyncio.create_task(task())
        with pytest.raises(error):
            await begun(running, asyncio.Event(), UnavailableError("it ended"))
