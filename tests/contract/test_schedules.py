from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.reading import close, next_within

if TYPE_CHECKING:
    from flunq.log.ports import EventStream


def soon(seconds: float) -> int:
    return int((time.time() + seconds) * 1_000_000)


async def test_a_wake_up_comes_when_due_and_never_early(stream: EventStream) -> None:
    due = soon(0.4)
    await stream.schedules.wake_at(2, "cron.1", due)
    wakes = stream.schedules.wakes(2)
    assert await next_within(wakes) == "cron.1"
    assert time.time() * 1_000_000 >= due
    await close(wakes)


async def test_a_wake_up_in_the_past_comes_at_once(stream: EventStream) -> None:
    await stream.schedules.wake_at(0, "old", soon(-3600))
    wakes = stream.schedules.wakes(0)
    assert await next_within(wakes) == "old"
    await close(wakes)


async def test_wake_ups_come_in_the_order_of_their_due_times(stream: EventStream) -> None:
    await stream.schedules.wake_at(0, "later", soon(0.9))
    await stream.schedules.wake_at(0, "sooner", soon(0.2))
    wakes = stream.schedules.wakes(0)
    assert [await next_within(wakes), await next_within(wakes)] == ["sooner", "later"]
    await close(wakes)


async def test_a_partition_hears_its_own_wake_ups_only(stream: EventStream) -> None:
    await stream.schedules.wake_at(1, "theirs", soon(-1))
    await stream.schedules.wake_at(0, "mine", soon(0.3))
    wakes = stream.schedules.wakes(0)
    assert await next_within(wakes) == "mine"
    await close(wakes)


async def test_a_newer_wake_up_replaces_the_older(stream: EventStream) -> None:
    await stream.schedules.wake_at(0, "bucket", soon(0.3))
    await stream.schedules.wake_at(0, "bucket", due := soon(1.0))
    wakes = stream.schedules.wakes(0)
    assert await next_within(wakes) == "bucket"
    assert time.time() * 1_000_000 >= due
    await close(wakes)


async def test_a_cancelled_wake_up_does_not_come(stream: EventStream) -> None:
    await stream.schedules.wake_at(0, "gone", soon(0.3))
    await stream.schedules.wake_at(0, "kept", soon(0.6))
    await stream.schedules.cancel(0, "gone")
    wakes = stream.schedules.wakes(0)
    assert await next_within(wakes) == "kept"
    await close(wakes)


async def test_cancelling_what_is_unknown_is_harmless(stream: EventStream) -> None:
    await stream.schedules.cancel(5, "never")
    await stream.schedules.wake_at(5, "later", soon(-1))
    wakes = stream.schedules.wakes(5)
    assert await next_within(wakes) == "later"
    await close(wakes)


async def test_a_wake_up_due_while_nobody_listens_is_kept(
    stream: EventStream, other: EventStream
) -> None:
    await stream.schedules.wake_at(0, "missed", soon(-1))
    first = stream.schedules.wakes(0)
    assert await next_within(first) == "missed"
    await close(first)
    second = other.schedules.wakes(0)
    assert await next_within(second) == "missed"
    waiting = asyncio.create_task(next_within(second))
    await stream.schedules.wake_at(0, "next", soon(-1))
    assert await waiting == "next"
    await close(second)


@pytest.mark.parametrize("bucket", ["", "a.b", "*", ">", "x y", "2026-11-21T03"])
async def test_any_text_may_name_a_bucket(stream: EventStream, bucket: str) -> None:
    await stream.schedules.wake_at(0, bucket, soon(-1))
    wakes = stream.schedules.wakes(0)
    assert await next_within(wakes) == bucket
    await close(wakes)
