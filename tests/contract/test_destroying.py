"""A tenant's streams and large values go at once, and those of others stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.log.ports import StreamGoneError

if TYPE_CHECKING:
    from flunq.log.ports import Database, EventStream
    from tests.contract.conftest import Backend


async def test_a_destroyed_stream_is_gone_and_can_be_made_again(stream: EventStream) -> None:
    await stream.journal.append(0, b"gone", expected=0, headers={})
    await stream.destroy()
    await stream.destroy()
    with pytest.raises(StreamGoneError):
        await stream.journal.extent()
    await stream.ensure(8)
    assert (await stream.journal.extent()).last == 0


async def test_large_values_of_tenants_do_not_meet(backend: Backend, database: Database) -> None:
    settings = msgspec.structs.replace(backend.settings("b"), tenant=f"{backend.tenant}-2")  # type: ignore[attr-defined]
    rest = (database.broker,) if hasattr(database, "broker") else ()
    async with type(database)(settings, *rest) as other:  # type: ignore[call-arg]
        await other.ensure()
        await database.blobs.put("key", b"mine")
        assert await other.blobs.get("key") is None
        await other.blobs.put("key", b"theirs" * 1000)
        assert await other.blobs.size() >= 6000
        await other.destroy()
        assert await database.blobs.get("key") == b"mine"
