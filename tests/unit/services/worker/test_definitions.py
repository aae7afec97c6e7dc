"""Registered definitions: names, versions, digests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from flunq.core.document.compiler import compile_workflow
from flunq.core.reading import read_document
from flunq.errors import NotFoundError, RejectedError
from flunq.log.memory import MemoryBroker, MemoryDatabase
from flunq.log.select import StreamSettings
from flunq.services.clock import SystemClock
from flunq.services.worker.definitions import Definitions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def definitions() -> AsyncIterator[Definitions]:
    async with MemoryDatabase(StreamSettings(url="memory://d"), MemoryBroker()) as database:
        await database.ensure()
        yield Definitions(database.definitions, "default", SystemClock())


async def apply(
    definitions: Definitions, name: str = "w", version: str = "1.0.0", **more: Any
) -> tuple[Any, bool]:
    namespace = more.get("namespace", "n")
    text = (
        f"document: {{dsl: 1.0.3, namespace: {namespace}, name: {name}, version: {version}}}\n"
        f"do: [{{a: {{set: {{x: {more.get('x', 1)}}}}}}}]"
    )
    document = read_document(text, name="test")
    return await definitions.apply(document.value, text, document.digest, more.get("now", 1))


async def test_applying_twice_changes_nothing(definitions: Definitions) -> None:
    assert (await apply(definitions))[1]
    assert not (await apply(definitions))[1]


async def test_a_version_never_changes(definitions: Definitions) -> None:
    await apply(definitions)
    with pytest.raises(RejectedError, match="other content"):
        await apply(definitions, x=2)


async def test_the_newest_version_is_the_one_applied_last(definitions: Definitions) -> None:
    await apply(definitions, version="2.0.0", now=1)
    await apply(definitions, version="1.9.0", now=2)
    assert (await definitions.resolve("w")).version == "1.9.0"
    assert (await definitions.resolve("w:2.0.0")).version == "2.0.0"


async def test_a_name_in_two_namespaces_must_say_which(definitions: Definitions) -> None:
    await apply(definitions, namespace="a")
    await apply(definitions, namespace="b")
    with pytest.raises(RejectedError, match="several namespaces"):
        await definitions.resolve("w")
    assert (await definitions.resolve("b/w")).namespace == "b"


@pytest.mark.parametrize("name", ["other", "n/other", "w:9.9.9", "m/w"])
async def test_an_unknown_name_is_not_found(definitions: Definitions, name: str) -> None:
    await apply(definitions)
    with pytest.raises(NotFoundError):
        await definitions.resolve(name)


async def test_a_deleted_version_leaves_the_others(definitions: Definitions) -> None:
    await apply(definitions, version="1.0.0", now=1)
    await apply(definitions, version="2.0.0", now=2)
    assert await definitions.delete("w:2.0.0") == ["n/w:2.0.0"]
    assert (await definitions.resolve("w")).version == "1.0.0"
    assert [d.version for d in await definitions.all()] == ["1.0.0"]


async def test_a_compiled_definition_is_found_by_digest(definitions: Definitions) -> None:
    ref, _ = await apply(definitions)
    assert (await definitions.get(ref.digest)).name == "w"
    assert definitions.cached(ref.digest) is not None


async def test_hundreds_who_need_it_at_once_compile_it_once(
    definitions: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, _ = await apply(definitions)
    compiled: list[str] = []

    def counted(value: Any, digest: str, library: Any) -> Any:
        compiled.append(digest)
        return compile_workflow(value, digest, library)

    monkeypatch.setattr("flunq.services.worker.definitions.compile_workflow", counted)
    found = await asyncio.gather(*(definitions.get(ref.digest) for _ in range(300)))
    assert compiled == [ref.digest]
    assert all(workflow is found[0] for workflow in found)


async def test_what_is_applied_while_another_version_is_deleted_stays(
    definitions: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    await apply(definitions, version="1.0.0")
    get, applying = definitions._bucket.get, list[asyncio.Task[Any]]()

    async def slow(key: str) -> Any:
        found = await get(key)
        if not applying:
            applying.append(asyncio.create_task(apply(definitions, version="2.0.0")))
            await asyncio.wait(applying, timeout=0.1)  # it may have to wait for its turn
        return found

    monkeypatch.setattr(definitions._bucket, "get", slow)
    await definitions.delete("w:1.0.0")
    await applying[0]
    assert (await definitions.resolve("w")).version == "2.0.0"


async def test_what_cannot_be_compiled_is_an_error_of_whoever_starts_it(
    definitions: Definitions,
) -> None:
    head = {"dsl": "1.0.3", "namespace": "n", "name": "w", "version": "1.0.0"}
    broken = {"document": head, "do": [{"tell": {"emit": {"event": {}}}}]}
    ref, _ = await definitions.apply(broken, "{}", "d1", 1)
    with pytest.raises(RejectedError, match=r"n/w:1.0.0 cannot be compiled.*KeyError"):
        await definitions.get(ref.digest)
