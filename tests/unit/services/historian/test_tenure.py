from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flunq.services.historian.tenure import FolderLock, Tenure
from tests.support.historian import archives

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.historian import Archives

pytestmark = pytest.mark.timeout(30)


def tenure(made: Archives, folder: Path, name: str) -> Tenure:
    return Tenure(made.store.state, "default", folder, name, renew_seconds=0.01)


async def test_the_first_one_gains_it(tmp_path: Path) -> None:
    async with archives(tmp_path) as made:
        first = tenure(made, tmp_path / "a", "first")
        await first.gained()
        assert first.mine


async def test_a_lock_admits_one_process_to_a_folder(tmp_path: Path) -> None:
    one, two = FolderLock(tmp_path), FolderLock(tmp_path)
    assert [one.acquire(), one.acquire(), two.acquire()] == [True, True, False]
    one.release()
    assert two.acquire()
    two.release()


async def test_whoever_holds_the_folder_of_the_last_one_takes_over_at_once(tmp_path: Path) -> None:
    async with archives(tmp_path) as made:
        killed = tenure(made, tmp_path / "a", "killed")
        await killed.gained()
        killed._lock.release()  # as the kernel does at the end of a process
        heir = tenure(made, tmp_path / "a", "heir")
        assert await heir._claim()


async def test_in_another_folder_one_waits_until_the_holder_is_silent(tmp_path: Path) -> None:
    async with archives(tmp_path) as made:
        holder = tenure(made, tmp_path / "a", "holder")
        await holder.gained()
        other = tenure(made, tmp_path / "b", "other")
        claims = []
        for _ in range(3):
            claims.append(await other._claim())
            await holder._put()
        assert claims == [False] * 3
        await other.gained()
        assert other.mine


async def test_the_one_that_lost_it_notices(tmp_path: Path) -> None:
    async with archives(tmp_path) as made:
        holder, other = tenure(made, tmp_path / "a", "holder"), tenure(made, tmp_path / "b", "o")
        await holder.gained()
        await other.gained()
        async with asyncio.timeout(10):
            await holder.lost()
        assert not holder.mine
        assert holder.holder is not None
        assert holder.holder.incarnation == "o"


async def test_the_one_that_leaves_is_followed_at_once(tmp_path: Path) -> None:
    async with archives(tmp_path) as made:
        holder, other = tenure(made, tmp_path / "a", "holder"), tenure(made, tmp_path / "b", "o")
        await holder.gained()
        await holder.leave()
        assert await other._claim()
