"""``flunq tui --web`` in a headless Chromium, as people use it."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("textual_serve", reason="the extra 'web' is not installed")

from tests.support.chromium import chromium
from tests.support.cli import Flunq
from tests.support.waiting import eventually
from tests.tui.test_command import export

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(120)]


@asynccontextmanager
async def served(flunq: Flunq, *arguments: str) -> AsyncIterator[tuple[str, int]]:
    """Run ``flunq tui --web``; yields the address that it printed and its process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "flunq", "tui", "--web", *arguments),
        cwd=flunq.home,
        env=flunq.environment({"LANG": "C.UTF-8"}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip(), process.pid
    finally:
        process.terminate()
        await process.wait()


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def test_a_page_shows_the_monitor_and_its_process_ends_with_it(tmp_path: Path) -> None:
    flunq = Flunq(tmp_path)
    file = export(flunq.home)
    async with (
        served(flunq, "--file", str(file)) as (address, server),
        chromium(tmp_path / "browser") as page,
    ):
        assert not children(server)
        await page.ask("Page.navigate", url=address)
        await page.until("document.body && document.body.classList.contains('-first-byte')")
        assert await page.value("document.querySelector('.xterm') !== null")
        assert "token" not in await page.value("location.href")
        assert len(children(server)) == 1
        await page.close()
        await eventually(lambda: not children(server))


async def test_without_the_token_the_page_is_refused(tmp_path: Path) -> None:
    flunq = Flunq(tmp_path)
    file = export(flunq.home)
    async with (
        served(flunq, "--file", str(file)) as (address, server),
        chromium(tmp_path / "browser") as page,
    ):
        await page.ask("Page.navigate", url=address.partition("?")[0])
        await page.until("document.body && document.body.innerText.includes('needs the token')")
        assert not children(server)
