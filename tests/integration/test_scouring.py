"""What a real nats-server leaves on the disk of values that are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq.log.select import database
from tests.support.canary import files_with
from tests.support.nats import nats_server, settings_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.timeout(60)]
CANARY = b"canary-55d0c1"


def holds_canary(folder: Path) -> bool:
    return bool(files_with(folder, CANARY))


async def test_replaced_and_deleted_values_leave_the_files_when_they_are_scoured(
    tmp_path: Path,
) -> None:
    async with (
        nats_server(tmp_path) as server,
        database(settings_for(server)) as store,
    ):
        await store.ensure()
        for number in range(20):
            await store.state.put(f"k{number}", b"v%d" % number)
        await store.state.put("gone", CANARY)
        await store.state.put("k3", CANARY)
        await store.state.put("k3", b"new")
        await store.state.delete("gone")
        assert holds_canary(tmp_path)
        await store.state.scour()
        assert not holds_canary(tmp_path)
        entry = await store.state.get("k3")
        assert entry is not None
        assert entry.value == b"new"


async def test_an_erased_blob_is_overwritten(tmp_path: Path) -> None:
    async with (
        nats_server(tmp_path) as server,
        database(settings_for(server)) as store,
    ):
        await store.ensure()
        await store.blobs.put("other", b"o" * 100_000)
        await store.blobs.put("secret", CANARY * 100_000)
        assert holds_canary(tmp_path)
        await store.blobs.erase("secret")
        assert not holds_canary(tmp_path)
        assert await store.blobs.get("other") == b"o" * 100_000
