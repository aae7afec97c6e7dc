"""Contents of definitions: checked against their name, and kept for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq.core.document.bundle import Bundled, blob_key, content_hash
from flunq.core.reading import read_document
from flunq.errors import NotFoundError
from flunq.log.memory import MemoryBroker, MemoryDatabase
from flunq.log.select import StreamSettings
from flunq.sdk.executor import TaskError
from flunq.services.clock import SystemClock
from flunq.services.contents import Contents, read_content
from flunq.services.worker.definitions import Definitions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TEXT = """\
document: {dsl: 1.0.3, namespace: n, name: w, version: 1.0.0}
do: [{a: {call: './f.yaml'}}]
"""


@pytest.fixture
async def database() -> AsyncIterator[MemoryDatabase]:
    async with MemoryDatabase(StreamSettings(url="memory://c"), MemoryBroker()) as database:
        await database.ensure()
        yield database


async def put(database: MemoryDatabase, body: bytes) -> str:
    digest = content_hash(body)
    await database.blobs.put(blob_key(digest), body)
    return digest


async def test_a_content_that_is_not_what_its_name_says_is_not_there(
    database: MemoryDatabase,
) -> None:
    digest = await put(database, b"good")
    assert await read_content(database.blobs, digest) == b"good"
    await database.blobs.put(blob_key(digest), b"evil")
    for name in (digest, content_hash(b"nothing")):
        with pytest.raises(NotFoundError):
            await read_content(database.blobs, name)


async def test_executors_hear_of_a_missing_content_as_an_error_of_the_task(
    database: MemoryDatabase,
) -> None:
    with pytest.raises(TaskError) as caught:
        await Contents(database.blobs).read(content_hash(b"nothing"))
    assert (caught.value.type.rpartition("/")[2], caught.value.status) == ("configuration", 400)


async def test_what_was_used_longest_ago_is_forgotten_first(database: MemoryDatabase) -> None:
    contents = Contents(database.blobs, kept_bytes=8)
    one, two, three = [await put(database, body) for body in (b"1111", b"2222", b"3333")]
    for digest in (one, two, one, three):
        await contents.read(digest)
    for digest in (one, two, three):
        await database.blobs.delete(blob_key(digest))
    assert [await contents.read(one), await contents.read(three)] == [b"1111", b"3333"]
    with pytest.raises(TaskError):
        await contents.read(two)


async def test_a_definition_is_compiled_with_its_functions(database: MemoryDatabase) -> None:
    definitions = Definitions(database.definitions, "default", SystemClock(), database.blobs)
    document = read_document(TEXT, name="w.yaml")
    function = Bundled(sha256=await put(database, b'{"set": {"x": 1}}'), role="function")
    resources = {"file:f.yaml": function}
    await definitions.apply(document.value, TEXT, "digest", 1, resources)
    workflow = await definitions.get("digest")
    assert workflow.tasks["/do/0/a"].spec.target == "/use/functions/file:f.yaml"
    assert workflow.tasks["/use/functions/file:f.yaml"].kind == "set"
    assert (await definitions.text("w")).resources == {"file:f.yaml": function.sha256}
