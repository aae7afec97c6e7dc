"""The one writer of the manifest knows what is on disk, whatever interrupts it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from flunq.services.historian import keeping
from flunq.services.historian.keeping import Keeper
from flunq.store.lake import Manifest, read_manifest, write_manifest

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_change_that_is_interrupted_while_it_is_written_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slowly(folder: Path, manifest: Manifest) -> None:
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(30)
        write_manifest(folder, manifest)

    keeper = Keeper(tmp_path, "default")
    monkeypatch.setattr(keeping, "write_manifest", slowly)
    writing = asyncio.create_task(keeper.extend([], through=7))
    await begun.wait()
    writing.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert keeper.manifest.through == 7
    await keeper.extend([], through=9)
    assert read_manifest(tmp_path) == keeper.manifest
