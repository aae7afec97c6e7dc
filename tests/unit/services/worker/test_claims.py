from __future__ import annotations

from typing import Any

from flunq.core.events import CloudEvent
from flunq.log.memory import MemoryBroker, MemoryDatabase
from flunq.log.select import StreamSettings
from flunq.services.worker.claims import check_in, check_out

LARGE = "x" * 1000


def event(data: Any) -> CloudEvent:
    return CloudEvent(
        id="e:1",
        source="/test",
        type="test",
        subject="e",
        time="2026-01-01T00:00:00Z",
        tenant="default",
        workflow="t/w:1",
        partition=0,
        seq=1,
        data=data,
    )


async def round_trip(data: dict[str, Any]) -> tuple[CloudEvent, Any]:
    slim, blobs = check_in(event(data), 100)
    MemoryBroker()
    async with MemoryDatabase(StreamSettings(url="memory://claims")) as database:
        await database.ensure()
        for key, body in blobs:
            await database.blobs.put(key, body)
        return slim, await check_out(slim.data, database.blobs)


async def test_large_members_travel_by_reference_and_come_back() -> None:
    data = {"input": LARGE, "transformed": {"text": LARGE}, "small": 1}
    slim, back = await round_trip(dict(data))
    assert slim.data is not data
    assert back == data


async def test_arguments_of_a_dispatch_are_found_one_level_down() -> None:
    data = {"dispatch": {"id": "t", "arguments": {"text": LARGE}}}
    slim, blobs = check_in(event(data), 100)
    assert (len(blobs), slim.data["dispatch"]["id"]) == (1, "t")
    assert LARGE not in str(slim.data)
    assert (await round_trip(data))[1] == data
