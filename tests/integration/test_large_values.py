"""Values of many megabytes travel end to end; beyond the limit the error says so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flunq.errors import RejectedError
from tests.support.processes import history, running_cluster

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)
MEGABYTE = 1024 * 1024
LARGE = """
document: {dsl: 1.0.3, namespace: test, name: large, version: 1.0.0}
do:
  - grow: {call: swell, with: {size: '${ .size }'}}
  - keep: {set: {text: '${ .text }'}}
"""
TAKE = """
document: {dsl: 1.0.3, namespace: test, name: take, version: 1.0.0}
do:
  - size: {call: measure, with: {text: '${ .text }'}}
"""


async def test_large_inputs_and_outputs_survive_a_kill(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster, cluster.client() as client:
        await client.apply(LARGE)
        await client.apply(TAKE)
        for megabytes in (1, 5, 20):
            size = megabytes * MEGABYTE
            taken = await client.start("take", {"text": "y" * size}, id=f"take-{megabytes}")
            assert await taken.result(20) == {"length": size}
            grown = await client.start("large", {"size": size}, id=f"large-{megabytes}")
            assert await grown.result(20) == {"text": "x" * size}
        starting = asyncio.create_task(
            client.start("take", {"text": "z" * 30 * MEGABYTE}, id="late", timeout=30)
        )
        await asyncio.sleep(0.1)  # in the middle of the upload, wherever that is
        cluster.kill("node-1")
        assert await (await starting).result(20) == {"length": 30 * MEGABYTE}
        details = await client.get("large-5")
        assert details.output == {"text": "x" * 5 * MEGABYTE}
        events = await history(client, "large-5")
        assert [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_an_output_beyond_the_limit_is_an_error_of_its_task(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster, cluster.client() as client:
        await client.apply(LARGE)
        result = await (await client.start("large", {"size": 65 * MEGABYTE})).wait(30)
        assert result.status == "faulted"
        assert result.failure is not None
        assert "larger than 64 MiB" in (result.failure.detail or "")
        assert await (await client.start("large", {"size": 3})).result(10) == {"text": "xxx"}


async def test_an_input_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster, cluster.client() as client:
        await client.apply(TAKE)
        with pytest.raises(RejectedError, match="67,108,864 bytes"):
            await client.start("take", {"text": "y" * 65 * MEGABYTE})
