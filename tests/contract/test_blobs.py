from __future__ import annotations

import random
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from zstandard import ZstdCompressor

if TYPE_CHECKING:
    from flunq.log.ports import Database


@pytest.fixture
def key() -> str:
    return f"blob/{uuid4().hex}"


@pytest.mark.parametrize("size", [0, 1, 512 * 1024, 512 * 1024 + 1, 5_000_000])
async def test_a_value_of_any_size_is_read_back(database: Database, key: str, size: int) -> None:
    data = random.Random(size).randbytes(size)
    await database.blobs.put(key, data)
    assert await database.blobs.get(key) == data


async def test_many_chunks_come_back_in_order(database: Database, key: str) -> None:
    data = b"".join(number.to_bytes(4, "big") for number in range(5_000_000))
    await database.blobs.put(key, data)
    assert await database.blobs.get(key) == data


async def test_storing_again_is_harmless(database: Database, key: str) -> None:
    for _ in range(2):
        await database.blobs.put(key, b"same" * 1000)
    assert await database.blobs.get(key) == b"same" * 1000


async def test_a_newer_value_replaces_the_older(
    database: Database, other_database: Database, key: str
) -> None:
    await database.blobs.put(key, b"old" * 300_000)
    await other_database.blobs.put(key, b"new")
    assert await database.blobs.get(key) == b"new"


async def test_an_unknown_key_is_none(database: Database, key: str) -> None:
    assert await database.blobs.get(key) is None


async def test_a_deleted_value_is_gone_and_can_come_back(database: Database, key: str) -> None:
    await database.blobs.put(key, b"x" * 1_000_000)
    await database.blobs.delete(key)
    assert await database.blobs.get(key) is None
    await database.blobs.put(key, b"x" * 1_000_000)
    assert await database.blobs.get(key) == b"x" * 1_000_000


async def test_deleting_an_unknown_key_is_harmless(database: Database, key: str) -> None:
    await database.blobs.delete(key)
    assert await database.blobs.get(key) is None


async def test_any_text_may_be_a_key(database: Database, key: str) -> None:
    odd = key + "/ü *.>\r\n"
    await database.blobs.put(odd, b"odd")
    assert await database.blobs.get(odd) == b"odd"


async def test_an_erased_value_is_gone_and_may_come_back(database: Database, key: str) -> None:
    data = b"erase me" * 200_000
    await database.blobs.put(key, data)
    await database.blobs.erase(key)
    assert await database.blobs.get(key) is None
    await database.blobs.erase(key)
    await database.blobs.put(key, data)
    assert await database.blobs.get(key) == data


async def test_a_value_that_is_compressed_already_stays_what_it_is(
    database: Database, key: str
) -> None:
    value = ZstdCompressor().compress(b"[" * 100_000)
    await database.blobs.put(key, value)
    assert await database.blobs.get(key) == value
