"""Inputs that a control process stores for those who may write to no stream."""

from __future__ import annotations

import msgspec
import pytest

from flunq.core.protocol import Answer, StoreInput
from flunq.log.memory import MemoryBroker, MemoryEventStream
from flunq.log.ports import StoreFullError
from flunq.log.select import StreamSettings
from flunq.services.inputs import InputDesk


def question(**changes: object) -> bytes:
    asked = {"partition": 1, "message_id": "1", "commands": msgspec.Raw(b"[1]"), **changes}
    return msgspec.json.encode(StoreInput(**asked))  # type: ignore[arg-type]


async def test_an_input_is_stored_once_as_one_from_outside() -> None:
    async with MemoryEventStream(StreamSettings(), MemoryBroker()) as stream:
        await stream.ensure(2)
        desk = InputDesk(stream, 2)
        answers = [await desk.answer(question()) for _ in range(2)]
        [record] = await anext(stream.inbox.read(1, after=0))
    assert (record.data, record.external) == (b"[1]", True)
    assert answers == [msgspec.json.encode(Answer(value=msgspec.Raw(b"%d" % record.seq)))] * 2


@pytest.mark.parametrize("asked", [question(partition=2), question(partition=-1), b"[", b"{}"])
async def test_what_nobody_would_read_is_refused(asked: bytes) -> None:
    async with MemoryEventStream(StreamSettings(), MemoryBroker()) as stream:
        await stream.ensure(2)
        answer = await InputDesk(stream, 2).answer(asked)
        assert await stream.inbox.newest(1) == 0
    assert answer is not None
    assert msgspec.json.decode(answer, type=Answer).problem is not None


async def test_without_room_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object, **__: object) -> int:
        raise StoreFullError

    async with MemoryEventStream(StreamSettings(), MemoryBroker()) as stream:
        monkeypatch.setattr(stream.inbox, "publish", full)
        assert await InputDesk(stream, 2).answer(question()) is None
